//! A stream as objects: cut into volumes on its way out, put together and checked on its way in.

use std::{
    io::{self, Read, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::{BackupError, plan::Volume};
use crate::objects::{Objects, ObjectsError, Upload};

/// What goes from thread to thread at once, and how much of it may wait.
const PIECE: usize = 1 << 20;
const WAITING: usize = 8;

/// The near end of a stream that is being stored.
pub struct Outlet {
    gathered: Vec<u8>,
    into: mpsc::Sender<Bytes>,
}

/// The two ends of a stream.
pub fn channel() -> (Outlet, mpsc::Receiver<Bytes>) {
    let (into, from) = mpsc::channel(WAITING);
    (Outlet { gathered: Vec::with_capacity(PIECE), into }, from)
}

impl Write for Outlet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.gathered.len() >= PIECE {
            self.flush()?;
        }
        let fits = bytes.len().min(PIECE - self.gathered.len());
        self.gathered.extend_from_slice(&bytes[..fits]);
        Ok(fits)
    }

    fn flush(&mut self) -> io::Result<()> {
        let piece = std::mem::replace(&mut self.gathered, Vec::with_capacity(PIECE));
        if piece.is_empty() {
            return Ok(());
        }
        self.into.blocking_send(Bytes::from(piece)).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }
}

/// Stores what comes until its end, in volumes of at most so many bytes.
pub async fn store(
    objects: &Objects,
    prefix: &str,
    most: u64,
    mut from: mpsc::Receiver<Bytes>,
    moved: Arc<AtomicU64>,
) -> Result<Vec<Volume>, BackupError> {
    let mut volumes = Vec::new();
    let mut open: Option<(Upload, Volume, Sha256)> = None;
    let failed = |key: &str| {
        let what = key.to_owned();
        move |source: ObjectsError| BackupError::Objects { what, doing: "written", source }
    };
    while let Some(piece) = from.recv().await {
        let (mut upload, mut volume, mut hash) = match open.take() {
            Some(open) => open,
            None => {
                let key = format!("{prefix}/volume-{:05}", volumes.len());
                let upload = objects.upload(&key).await.map_err(failed(&key))?;
                (upload, Volume { key, bytes: 0, sha256: String::new() }, Sha256::new())
            }
        };
        if let Err(error) = upload.write(&piece).await {
            upload.abort().await;
            return Err(failed(&volume.key)(error));
        }
        hash.update(&piece);
        volume.bytes += piece.len() as u64;
        moved.fetch_add(piece.len() as u64, Ordering::Relaxed);
        if volume.bytes < most {
            open = Some((upload, volume, hash));
        } else {
            volumes.push(finish(upload, volume, hash).await?);
        }
    }
    if let Some((upload, volume, hash)) = open {
        volumes.push(finish(upload, volume, hash).await?);
    }
    Ok(volumes)
}

async fn finish(upload: Upload, volume: Volume, hash: Sha256) -> Result<Volume, BackupError> {
    let sha256 = hex::encode(hash.finalize());
    match upload.finish().await {
        Ok(()) => Ok(Volume { sha256, ..volume }),
        Err(source) => Err(BackupError::Objects { what: volume.key, doing: "written", source }),
    }
}

/// The near end of a stream that is being fetched.
pub struct Inlet {
    from: mpsc::Receiver<Bytes>,
    piece: Bytes,
}

impl Read for Inlet {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.from.blocking_recv() {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let piece = self.piece.split_to(into.len().min(self.piece.len()));
        into[..piece.len()].copy_from_slice(&piece);
        Ok(piece.len())
    }
}

/// An inlet, and the end into which [`fetch`] puts what it reads.
pub fn inlet() -> (mpsc::Sender<Bytes>, Inlet) {
    let (into, from) = mpsc::channel(WAITING);
    (into, Inlet { from, piece: Bytes::new() })
}

/// Reads the volumes in their order, and fails where one is not as the manifest says.
pub async fn fetch(
    objects: &Objects,
    volumes: &[Volume],
    into: mpsc::Sender<Bytes>,
    moved: Arc<AtomicU64>,
) -> Result<(), BackupError> {
    for Volume { key, bytes, sha256 } in volumes {
        let damaged = |rule: String| BackupError::Damaged { what: key.clone(), rule };
        let failed = |source| match source {
            ObjectsError::NotFound(_) => damaged("it is missing, though its manifest names it".to_owned()),
            source => BackupError::Objects { what: key.clone(), doing: "read", source },
        };
        let size = objects.size(key).await.map_err(failed)?;
        if size != *bytes {
            return Err(damaged(format!("it has {size} bytes, and its manifest says {bytes}")));
        }
        let (mut hash, mut at) = (Sha256::new(), 0);
        while at < size {
            let piece = objects.get_range(key, at..(at + 4 * PIECE as u64).min(size)).await.map_err(failed)?;
            hash.update(&piece);
            at += piece.len() as u64;
            moved.fetch_add(piece.len() as u64, Ordering::Relaxed);
            // Whoever reads may have failed: then that is what is told.
            if into.send(piece).await.is_err() {
                return Ok(());
            }
        }
        if hex::encode(hash.finalize()) != *sha256 {
            return Err(damaged("its SHA-256 is not what its manifest says".to_owned()));
        }
    }
    Ok(())
}
