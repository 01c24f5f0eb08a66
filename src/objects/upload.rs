//! A large object on its way into the storage, in pieces; readers see nothing of it before its end.

use bytes::Bytes;
use object_store::{MultipartUpload, PutPayload};
use tokio::task::JoinHandle;

use super::{Objects, ObjectsError};

/// What goes out at once. Of 10,000 pieces, which S3 allows, come 80 GiB.
const PIECE: usize = 8 << 20;

/// One piece is under way while the next is gathered: at most two are in memory.
#[derive(Debug)]
pub struct Upload {
    objects: Objects,
    key: String,
    parts: Box<dyn MultipartUpload>,
    gathered: Vec<u8>,
    under_way: Option<JoinHandle<Result<(), object_store::Error>>>,
}

impl Upload {
    pub(super) fn new(objects: Objects, key: String, parts: Box<dyn MultipartUpload>) -> Self {
        Self { objects, key, parts, gathered: Vec::new(), under_way: None }
    }

    pub async fn write(&mut self, mut bytes: &[u8]) -> Result<(), ObjectsError> {
        while !bytes.is_empty() {
            let (fits, rest) = bytes.split_at(bytes.len().min(PIECE - self.gathered.len()));
            self.gathered.extend_from_slice(fits);
            bytes = rest;
            if self.gathered.len() == PIECE {
                self.send().await?;
            }
        }
        Ok(())
    }

    /// Makes the object visible; afterwards it survives a crash of the machine.
    pub async fn finish(mut self) -> Result<(), ObjectsError> {
        let finished = self.complete().await;
        if finished.is_err() {
            self.abort().await;
        }
        finished
    }

    async fn complete(&mut self) -> Result<(), ObjectsError> {
        if !self.gathered.is_empty() {
            self.send().await?;
        }
        self.settle().await?;
        self.parts.complete().await?;
        self.objects.made_to_last(&self.key).await
    }

    /// Gives it up. What cannot be taken back is left to the storage's own rule for unfinished uploads.
    pub async fn abort(mut self) {
        if let Some(task) = self.under_way.take() {
            task.abort();
        }
        if let Err(error) = self.parts.abort().await {
            tracing::debug!(key = self.key, %error, "an unfinished upload stays behind");
        }
    }

    async fn send(&mut self) -> Result<(), ObjectsError> {
        self.settle().await?;
        let piece = Bytes::from(std::mem::take(&mut self.gathered));
        self.under_way = Some(tokio::spawn(self.parts.put_part(PutPayload::from_bytes(piece))));
        Ok(())
    }

    async fn settle(&mut self) -> Result<(), ObjectsError> {
        let Some(task) = self.under_way.take() else { return Ok(()) };
        Ok(task.await.map_err(object_store::Error::from)??)
    }
}
