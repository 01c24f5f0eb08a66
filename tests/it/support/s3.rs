//! Object storage for tests: a bucket per test, removed with everything in it.

use futures_util::TryStreamExt;
use object_store::{
    ObjectStore, ObjectStoreExt,
    aws::{AmazonS3, AmazonS3Builder, AwsAuthorizer, AwsCredential, S3CopyIfNotExists},
    client::{HttpRequest, HttpRequestBody},
};
use progress_service::model::Ids;
use reqwest::{Method, StatusCode};

use super::{background, settings};

/// Where the store is and how to sign in.
#[derive(Clone)]
pub struct Access {
    pub endpoint: String,
    pub region: String,
    pub key: String,
    pub secret: String,
}

impl Access {
    pub fn from_environment() -> Self {
        Self {
            endpoint: settings::required("TEST_S3_ENDPOINT"),
            region: settings::optional("TEST_S3_REGION").unwrap_or_else(|| "us-east-1".to_owned()),
            key: settings::required("TEST_S3_ACCESS_KEY"),
            secret: settings::required("TEST_S3_SECRET_KEY"),
        }
    }

    /// The object store's client cannot make or remove a bucket itself; it can sign the request.
    async fn bucket_request(&self, method: Method, bucket: &str) -> StatusCode {
        let url = format!("{}/{bucket}", self.endpoint);
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.method_mut() = method.clone();
        *request.uri_mut() = url.parse().expect("a URL");
        let credential = AwsCredential { key_id: self.key.clone(), secret_key: self.secret.clone(), token: None };
        AwsAuthorizer::new(&credential, "s3", &self.region).authorize(&mut request, None);
        let client = super::http::client();
        let sent = client.request(method, url).headers(request.headers().clone()).send().await;
        sent.expect("the object store answers").status()
    }
}

/// A bucket of this test alone.
pub struct Bucket {
    pub name: String,
    pub access: Access,
}

impl Bucket {
    pub async fn new() -> Self {
        let bucket =
            Self { name: format!("test-{}", Ids::random().uuid().simple()), access: Access::from_environment() };
        let status = bucket.access.bucket_request(Method::PUT, &bucket.name).await;
        assert!(status.is_success(), "the bucket was not made: {status}");
        bucket
    }

    /// The bucket as `archive.url` names it.
    pub fn url(&self) -> String {
        format!("s3://{}", self.name)
    }

    /// A client that sees the bucket as it is, past the service's own door.
    pub fn store(&self) -> AmazonS3 {
        self.client().build().expect("a client")
    }

    /// The same, which also copies only to where nothing is, as the service's own door does.
    pub fn store_with_conditions(&self) -> AmazonS3 {
        self.client().with_copy_if_not_exists(S3CopyIfNotExists::Multipart).build().expect("a client")
    }

    fn client(&self) -> AmazonS3Builder {
        AmazonS3Builder::new()
            .with_endpoint(&self.access.endpoint)
            .with_region(&self.access.region)
            .with_access_key_id(&self.access.key)
            .with_secret_access_key(&self.access.secret)
            .with_bucket_name(&self.name)
            .with_allow_http(true)
    }

    /// The names of all objects, in order.
    pub async fn keys(&self) -> Vec<String> {
        let objects: Vec<_> = self.store().list(None).try_collect().await.expect("a list");
        let mut keys: Vec<_> = objects.into_iter().map(|object| object.location.to_string()).collect();
        keys.sort();
        keys
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        let (store, access, name) = (self.store(), self.access.clone(), self.name.clone());
        let status = background::wait_for(async move {
            let objects: Vec<_> = store.list(None).try_collect().await.expect("a list");
            for object in objects {
                store.delete(&object.location).await.expect("a deletion");
            }
            access.bucket_request(Method::DELETE, &name).await
        });
        if !std::thread::panicking() {
            assert!(status.is_some_and(|status| status.is_success()), "the bucket was not removed: {status:?}");
        }
    }
}
