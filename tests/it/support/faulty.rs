//! An object store that fails on purpose: the k-th call, or every call from the k-th on; before it is done, or after it was
//! done and only its answer is lost. The real store runs behind it.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures_util::{FutureExt, StreamExt, stream::BoxStream};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart, path::Path,
};

/// Which calls fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    /// This one alone, undone.
    At(usize),
    /// This one alone: it is done, and nobody hears of it.
    AnswerOf(usize),
    /// This one and all after it, undone.
    From(usize),
    /// None, but each takes so long.
    Slow(Duration),
}

#[derive(Clone, Debug)]
struct Calls {
    made: Arc<AtomicUsize>,
    fault: Fault,
}

#[derive(PartialEq)]
enum Fate {
    Done,
    Undone,
    Unheard,
}

impl Calls {
    fn next(&self) -> Fate {
        let call = self.made.fetch_add(1, Ordering::SeqCst);
        match self.fault {
            Fault::At(k) if call == k => Fate::Undone,
            Fault::From(k) if call >= k => Fate::Undone,
            Fault::AnswerOf(k) if call == k => Fate::Unheard,
            _ => Fate::Done,
        }
    }

    async fn through<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        if let Fault::Slow(pause) = self.fault {
            tokio::time::sleep(pause).await;
        }
        match self.next() {
            Fate::Done => call.await,
            Fate::Undone => Err(injected()),
            Fate::Unheard => call.await.and_then(|_| Err(injected())),
        }
    }
}

fn injected() -> Error {
    Error::Generic { store: "faulty", source: "injected".into() }
}

#[derive(Debug)]
pub struct Faulty {
    inner: Arc<dyn ObjectStore>,
    calls: Calls,
}

impl Faulty {
    pub fn new(inner: Arc<dyn ObjectStore>, fault: Fault) -> Self {
        Self { inner, calls: Calls { made: Arc::default(), fault } }
    }

    /// How many calls there were: read it to know how many can fail.
    pub fn calls(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.calls.made)
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "faulty {}", self.inner)
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        self.calls.through(self.inner.put_opts(location, payload, opts)).await
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        let upload = self.calls.through(self.inner.put_multipart_opts(location, opts)).await?;
        Ok(Box::new(FaultyUpload { inner: upload, calls: self.calls.clone() }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.calls.through(self.inner.get_opts(location, options)).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let calls = self.calls.clone();
        match calls.next() {
            Fate::Done => self.inner.delete_stream(locations),
            Fate::Undone => futures_util::stream::once(async { Err(injected()) }).boxed(),
            Fate::Unheard => self.inner.delete_stream(locations).map(|_| Err(injected())).boxed(),
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.calls.next() {
            Fate::Done => self.inner.list(prefix),
            _ => futures_util::stream::once(async { Err(injected()) }).boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.calls.through(self.inner.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.calls.through(self.inner.copy_opts(from, to, options)).await
    }
}

#[derive(Debug)]
struct FaultyUpload {
    inner: Box<dyn MultipartUpload>,
    calls: Calls,
}

#[async_trait]
impl MultipartUpload for FaultyUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (calls, part) = (self.calls.clone(), self.inner.put_part(data));
        async move { calls.through(part).await }.boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.calls.through(self.inner.complete()).await
    }

    async fn abort(&mut self) -> Result<()> {
        self.calls.through(self.inner.abort()).await
    }
}
