//! Object storage for tests: a bucket per test, removed with everything in it.

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use futures_util::TryStreamExt;
use object_store::{
    ObjectStore, ObjectStoreExt,
    aws::{AmazonS3, AmazonS3Builder, AwsAuthorizer, AwsCredential, S3CopyIfNotExists},
    client::{HttpRequest, HttpRequestBody},
};
use progress_service::model::Ids;
use reqwest::{Method, StatusCode};
use tempfile::TempDir;

use super::{
    background, patience,
    pgproc::{SmallDisk, free_port},
    process::Process,
    settings,
};

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
    async fn bucket_request(&self, method: Method, bucket: &str, body: &'static str) -> StatusCode {
        let url = format!("{}/{bucket}", self.endpoint);
        let mut request = HttpRequest::new(HttpRequestBody::from(body.to_owned()));
        *request.method_mut() = method.clone();
        *request.uri_mut() = url.parse().expect("a URL");
        let credential = AwsCredential { key_id: self.key.clone(), secret_key: self.secret.clone(), token: None };
        AwsAuthorizer::new(&credential, "s3", &self.region).authorize(&mut request, None);
        let client = super::http::client();
        let sent = client.request(method, url).headers(request.headers().clone()).body(body).send().await;
        sent.expect("the object store answers").status()
    }
}

/// A store of a test's own, the program of the shared one over a folder. Stopped when it is dropped.
pub struct Gateway {
    process: Process,
    pub access: Access,
    folder: TempDir,
    disk: Option<SmallDisk>,
}

impl Gateway {
    /// One that answers; with so many mebibytes, on a disk of its own that can be filled up.
    pub async fn start(mebibytes: Option<u32>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let disk = mebibytes.map(|mebibytes| SmallDisk::mount(folder.path(), mebibytes));
        let address = format!("127.0.0.1:{}", free_port());
        let (objects, metadata) = (folder.path().join("objects"), folder.path().join("metadata"));
        let versions = folder.path().join("versions");
        for each in [&objects, &metadata, &versions] {
            std::fs::create_dir(each).expect("a folder");
        }
        let mut command = Command::new(settings::required("TEST_S3_PROGRAM"));
        command.env("ROOT_ACCESS_KEY", "key").env("ROOT_SECRET_KEY", "secret");
        command.args(["--port", &address, "posix", "--versioning-dir"]).arg(versions);
        command.arg("--sidecar").arg(metadata).arg(objects);
        let access = Access {
            endpoint: format!("http://{address}"),
            region: "us-east-1".to_owned(),
            key: "key".to_owned(),
            secret: "secret".to_owned(),
        };
        let gateway = Self { process: Process::start(command), access, folder, disk };
        patience::until("the start of the store", async || {
            let asked = super::http::client().get(&gateway.access.endpoint).send().await;
            asked.map(drop).map_err(|error| format!("{error}: {}", gateway.process.log.lines().join("\n")))
        })
        .await;
        gateway
    }

    /// Where its objects lie, with what it knows of them.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Makes a bucket that keeps what is deleted or replaced, as a version that is not current.
    pub async fn bucket_with_versions(&self, name: &str) {
        let made = self.access.bucket_request(Method::PUT, name, "").await;
        assert!(made.is_success(), "the bucket was not made: {made}");
        let enabled = "<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Status>Enabled</Status></VersioningConfiguration>";
        let made = self.access.bucket_request(Method::PUT, &format!("{name}?versioning="), enabled).await;
        assert!(made.is_success(), "it does not keep versions: {made}");
    }

    /// What its buckets keep that is not current.
    pub fn versions(&self) -> PathBuf {
        self.folder.path().join("versions")
    }

    /// Leaves no room on its disk but for so many bytes.
    pub fn fill_but(&self, bytes: u64) {
        let mut ballast = File::create(self.ballast()).expect("a file");
        while ballast.write_all(&[0; 4096]).is_ok() {}
        let length = ballast.metadata().expect("a file").len();
        ballast.set_len(length.saturating_sub(bytes)).expect("a shorter file");
    }

    pub fn free(&self) {
        std::fs::remove_file(self.ballast()).expect("a full disk");
    }

    fn ballast(&self) -> PathBuf {
        self.folder.path().join("ballast")
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.process.kill();
        drop(self.disk.take());
    }
}

/// A bucket of this test alone.
pub struct Bucket {
    pub name: String,
    pub access: Access,
}

impl Bucket {
    pub async fn new() -> Self {
        Self::at(Access::from_environment()).await
    }

    /// In a store of the test's own.
    pub async fn at(access: Access) -> Self {
        let bucket = Self { name: format!("test-{}", Ids::random().uuid().simple()), access };
        let status = bucket.access.bucket_request(Method::PUT, &bucket.name, "").await;
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
            access.bucket_request(Method::DELETE, &name, "").await
        });
        if !std::thread::panicking() {
            assert!(status.is_some_and(|status| status.is_success()), "the bucket was not removed: {status:?}");
        }
    }
}
