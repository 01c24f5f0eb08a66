//! The door to object storage: S3-compatible servers and plain folders, under one prefix. Never decides what is kept.

mod error;
mod fragments;
pub mod segment;
pub mod sheet;
pub mod shelf;
mod upload;

use std::{
    ops::Range,
    path::{Path as FilePath, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
pub use error::{ObjectsError, Trouble};
use futures_util::TryStreamExt;
use object_store::{
    Certificate, ClientOptions, Error, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutPayload, RetryConfig,
    aws::{AmazonS3Builder, S3CopyIfNotExists},
    local::LocalFileSystem,
    path::Path,
    prefix::PrefixStore,
};
pub use upload::Upload;

use crate::config;

/// How often and how long a request that fails by no fault of ours is tried again.
const RETRIES: usize = 5;
const PATIENCE: Duration = Duration::from_secs(60);

/// An open door; cheap to clone.
#[derive(Clone, Debug)]
pub struct Objects {
    store: Arc<dyn ObjectStore>,
    /// The root of a folder, whose files must reach the disk before their source may go.
    root: Option<PathBuf>,
}

impl Objects {
    /// Opens what `archive.url` names, or the folder `archive` under `data_dir`. Does not connect yet.
    pub fn open(archive: &config::Archive, data_dir: &FilePath) -> Result<Self, ObjectsError> {
        let Some(url) = &archive.url else { return Self::folder(&data_dir.join("archive")) };
        if let Some(folder) = url.strip_prefix("file://").filter(|folder| folder.starts_with('/')) {
            return Self::folder(FilePath::new(folder));
        }
        let (bucket, prefix) = url
            .strip_prefix("s3://")
            .map(|rest| rest.split_once('/').unwrap_or((rest, "")))
            .filter(|(bucket, _)| !bucket.is_empty())
            .ok_or_else(|| ObjectsError::Url(url.clone()))?;
        let store = s3(archive, bucket)?;
        let store: Arc<dyn ObjectStore> =
            if prefix.is_empty() { Arc::new(store) } else { Arc::new(PrefixStore::new(store, prefix)) };
        Ok(Self { store, root: None })
    }

    fn folder(folder: &FilePath) -> Result<Self, ObjectsError> {
        std::fs::create_dir_all(folder).map_err(|e| unusable(folder, &e))?;
        Ok(Self { store: Arc::new(LocalFileSystem::new_with_prefix(folder)?), root: Some(folder.to_owned()) })
    }

    /// A door to a store that is open already.
    pub fn over(store: Arc<dyn ObjectStore>) -> Self {
        Self { store, root: None }
    }

    /// Writes a whole object; readers see all of it or none. Afterwards it survives a crash of the machine.
    pub async fn put(&self, key: &str, content: Bytes) -> Result<(), ObjectsError> {
        self.store.put(&path(key)?, PutPayload::from_bytes(content)).await?;
        self.made_to_last(key).await
    }

    /// The same, where nothing is there. Of two writers at once one is told [`ObjectsError::Exists`]; with a server that
    /// knows no conditions, only the one who comes later.
    pub async fn put_new(&self, key: &str, content: Bytes) -> Result<(), ObjectsError> {
        match self.store.put_opts(&path(key)?, PutPayload::from_bytes(content.clone()), PutMode::Create.into()).await {
            Ok(_) => self.made_to_last(key).await,
            Err(error) if has_no_conditions(&error) => {
                self.must_be_free(key).await?;
                self.put(key, content).await
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Copies an object inside the storage to where nothing is, on the same terms as [`Self::put_new`].
    pub async fn copy_new(&self, from: &str, to: &str) -> Result<(), ObjectsError> {
        // Not every server that knows conditions heeds them when it completes a copy.
        self.must_be_free(to).await?;
        match self.store.copy_if_not_exists(&path(from)?, &path(to)?).await {
            Err(error) if has_no_conditions(&error) => self.store.copy(&path(from)?, &path(to)?).await?,
            copied => copied?,
        }
        self.made_to_last(to).await
    }

    /// Begins a large object, which takes the place of one that is there.
    pub async fn upload(&self, key: &str) -> Result<Upload, ObjectsError> {
        let parts = self.store.put_multipart(&path(key)?).await?;
        Ok(Upload::new(self.clone(), key.to_owned(), parts))
    }

    /// How many bytes the object has.
    pub async fn size(&self, key: &str) -> Result<u64, ObjectsError> {
        Ok(self.store.head(&path(key)?).await?.size)
    }

    async fn must_be_free(&self, key: &str) -> Result<(), ObjectsError> {
        match self.size(key).await {
            Ok(_) => Err(ObjectsError::Exists(key.to_owned())),
            Err(ObjectsError::NotFound(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn made_to_last(&self, key: &str) -> Result<(), ObjectsError> {
        match &self.root {
            Some(root) => sync(root, &root.join(key)).await,
            None => Ok(()),
        }
    }

    /// The whole object.
    pub async fn get(&self, key: &str) -> Result<Bytes, ObjectsError> {
        Ok(self.store.get(&path(key)?).await?.bytes().await?)
    }

    /// A part of the object; a range that ends behind the object's end is cut there.
    pub async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, ObjectsError> {
        Ok(self.store.get_range(&path(key)?, range).await?)
    }

    /// Keys under a prefix (whole path segments), in order, with their sizes.
    pub async fn list(&self, prefix: &str) -> Result<Vec<(String, u64)>, ObjectsError> {
        let found: Vec<ObjectMeta> = self.store.list(Some(&path(prefix)?)).try_collect().await?;
        let mut keys: Vec<_> = found.into_iter().map(|meta| (meta.location.to_string(), meta.size)).collect();
        keys.sort();
        Ok(keys)
    }

    /// Removes an object; one that is not there any more is fine.
    pub async fn delete(&self, key: &str) -> Result<(), ObjectsError> {
        match self.store.delete(&path(key)?).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the storage answers and lets us look.
    pub async fn ping(&self) -> Result<(), ObjectsError> {
        self.store.list_with_delimiter(None).await?;
        Ok(())
    }
}

fn has_no_conditions(error: &Error) -> bool {
    matches!(error, Error::NotImplemented { .. } | Error::NotSupported { .. })
}

fn unusable(path: &FilePath, error: &dyn std::fmt::Display) -> ObjectsError {
    ObjectsError::File { path: path.display().to_string(), message: error.to_string() }
}

/// Brings a file to the disk, and the folders above it up to `root`: one of them may be new.
async fn sync(root: &FilePath, file: &FilePath) -> Result<(), ObjectsError> {
    for path in file.ancestors().take_while(|path| path.starts_with(root)) {
        let opened = tokio::fs::File::open(path).await.map_err(|e| unusable(path, &e))?;
        opened.sync_all().await.map_err(|e| unusable(path, &e))?;
    }
    Ok(())
}

fn path(key: &str) -> Result<Path, ObjectsError> {
    Path::parse(key).map_err(|e| ObjectsError::Store(e.into()))
}

fn s3(archive: &config::Archive, bucket: &str) -> Result<object_store::aws::AmazonS3, ObjectsError> {
    let mut client = ClientOptions::new().with_allow_http(archive.s3_allow_http);
    if let Some(file) = &archive.s3_ca_file {
        let pem = std::fs::read(file).map_err(|e| unusable(file, &e))?;
        for authority in Certificate::from_pem_bundle(&pem).map_err(|e| unusable(file, &e))? {
            client = client.with_root_certificate(authority);
        }
    }
    let retries = RetryConfig { max_retries: RETRIES, retry_timeout: PATIENCE, ..RetryConfig::default() };
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_region(&archive.s3_region)
        .with_client_options(client)
        .with_retry(retries)
        .with_copy_if_not_exists(S3CopyIfNotExists::Multipart);
    if let Some(endpoint) = &archive.s3_endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    if let (Some(key), Some(secret)) = (&archive.s3_access_key, &archive.s3_secret_key) {
        builder = builder.with_access_key_id(key).with_secret_access_key(secret.expose());
    }
    builder = match archive.s3_encryption.as_deref() {
        Some("AES256") => builder.with_config("aws_server_side_encryption".parse()?, "AES256"),
        Some(kms_key) => builder.with_sse_kms_encryption(kms_key),
        None => builder,
    };
    Ok(builder.build()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Archive, Environment, read};

    fn open(url: &str, data_dir: &FilePath) -> Result<Objects, ObjectsError> {
        let environment = Environment::of([("PROGRESS_LISTEN", "127.0.0.1:0")]);
        let archive = read(&environment, FilePath::new("/nowhere")).unwrap().config.archive;
        // As if the configuration had not looked at it before.
        Objects::open(&Archive { url: Some(url.to_owned()).filter(|url| !url.is_empty()), ..archive }, data_dir)
    }

    #[tokio::test]
    async fn a_folder_puts_gets_lists_and_deletes() {
        let dir = tempfile::tempdir().unwrap();
        let objects = open("", dir.path()).unwrap();
        objects.put("tenant=1/b", Bytes::from_static(b"0123456789")).await.unwrap();
        objects.put("tenant=1/a", Bytes::from_static(b"a")).await.unwrap();
        objects.put("tenant=11/c", Bytes::from_static(b"c")).await.unwrap();
        assert_eq!(objects.get_range("tenant=1/b", 2..5).await.unwrap(), "234");
        let listed = objects.list("tenant=1").await.unwrap();
        assert_eq!(listed, [("tenant=1/a".to_owned(), 1), ("tenant=1/b".to_owned(), 10)]);
        objects.delete("tenant=1/a").await.unwrap();
        objects.delete("tenant=1/a").await.unwrap();
        assert!(matches!(objects.get("tenant=1/a").await, Err(ObjectsError::NotFound(_))));
        assert!(dir.path().join("archive/tenant=1/b").exists());
        objects.ping().await.unwrap();
    }

    #[test]
    fn only_two_kinds_of_url_are_understood() {
        let dir = tempfile::tempdir().unwrap();
        for url in ["http://x", "s3://", "file://relative", "bucket"] {
            assert!(matches!(open(url, dir.path()), Err(ObjectsError::Url(_))), "{url}");
        }
        assert!(open("s3://bucket/some/prefix", dir.path()).is_ok());
    }
}
