//! Blocks of parts on this machine's disk, under a budget. A cache and nothing more: what it cannot read or write it has
//! not got, and its reader checks every block that it gives.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use moka::notification::RemovalCause;

use crate::objects::ObjectsError;

/// An open cache; cheap to clone. Its folder belongs to one process.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: Arc<PathBuf>,
    /// Which blocks are there, with their sizes; whatever it lets go of is removed from the disk.
    blocks: moka::sync::Cache<(Arc<str>, u32), u32>,
    written: Arc<AtomicU64>,
}

impl Cache {
    /// Opens a folder, and keeps of what it holds as much as the budget allows.
    pub fn open(folder: &Path, budget: u64) -> Result<Self, ObjectsError> {
        let unusable =
            |e: std::io::Error| ObjectsError::File { path: folder.display().to_string(), message: e.to_string() };
        fs::create_dir_all(folder).map_err(unusable)?;
        let root = folder.to_owned();
        let blocks = moka::sync::Cache::builder()
            .max_capacity(budget)
            .weigher(|_, bytes: &u32| *bytes)
            .eviction_listener(move |key: Arc<(Arc<str>, u32)>, _, cause| {
                // What was replaced lies there under the same name.
                if cause != RemovalCause::Replaced {
                    drop(fs::remove_file(file(&root, &key.0, key.1)));
                }
            })
            .build();
        let cache = Self { folder: Arc::new(folder.to_owned()), blocks, written: Arc::default() };
        for object in fs::read_dir(folder).map_err(unusable)?.flatten() {
            cache.take_over(&object.path());
        }
        cache.blocks.run_pending_tasks();
        Ok(cache)
    }

    /// Blocks of an object from an earlier process; what is none goes.
    fn take_over(&self, object: &Path) {
        let name: Option<Arc<str>> = object.file_name().and_then(|name| name.to_str()).map(Into::into);
        for entry in fs::read_dir(object).into_iter().flatten().flatten() {
            let block = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
            match (&name, block, entry.metadata()) {
                (Some(name), Some(block), Ok(data)) => self.blocks.insert((name.clone(), block), data.len() as u32),
                _ => drop(fs::remove_file(entry.path())),
            }
        }
    }

    /// Those of the blocks that are here.
    pub(super) async fn get(&self, object: &Arc<str>, wanted: &BTreeSet<u32>) -> Vec<(u32, Bytes)> {
        let here: Vec<u32> =
            wanted.iter().copied().filter(|block| self.blocks.get(&(object.clone(), *block)).is_some()).collect();
        if here.is_empty() {
            return Vec::new();
        }
        let (folder, object) = (self.folder.clone(), object.clone());
        let read = move || {
            let read = |block| Some((block, Bytes::from(fs::read(file(&folder, &object, block)).ok()?)));
            here.into_iter().filter_map(read).collect()
        };
        tokio::task::spawn_blocking(read).await.unwrap_or_default()
    }

    pub(super) async fn put(&self, object: &Arc<str>, blocks: Vec<(u32, Bytes)>) {
        let (cache, object) = (self.clone(), object.clone());
        let write = move || {
            for (block, bytes) in blocks {
                if let Err(error) = cache.write(&object, block, &bytes) {
                    tracing::debug!(%error, "a block is not cached");
                    return;
                }
                cache.blocks.insert((object.clone(), block), bytes.len() as u32);
            }
            cache.blocks.run_pending_tasks();
        };
        drop(tokio::task::spawn_blocking(write).await);
    }

    /// Whole or not at all.
    fn write(&self, object: &str, block: u32, bytes: &[u8]) -> std::io::Result<()> {
        let to = file(&self.folder, object, block);
        let folder = self.folder.join(object);
        fs::create_dir_all(&folder)?;
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        let part = folder.join(format!("{block}.{number}.part"));
        let written = fs::write(&part, bytes).and_then(|()| fs::rename(&part, to));
        if written.is_err() {
            drop(fs::remove_file(part));
        }
        written
    }

    /// Forgets an object, for instance one that an erasure has replaced: nothing of it stays on this disk.
    pub fn forget(&self, part: &super::Part) -> Result<(), ObjectsError> {
        self.forget_object(&part.sha256, part.bytes)
    }

    /// The same by the hash and the length of the object.
    pub fn forget_object(&self, sha256: &str, bytes: u64) -> Result<(), ObjectsError> {
        let object: Arc<str> = sha256.into();
        for block in 0..bytes.div_ceil(super::digest::BLOCK) as u32 {
            self.blocks.invalidate(&(object.clone(), block));
        }
        self.blocks.run_pending_tasks();
        let folder = self.folder.join(&*object);
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(ObjectsError::File { path: folder.display().to_string(), message: error.to_string() })
            }
            _ => Ok(()),
        }
    }

    /// How many bytes it holds.
    pub fn bytes(&self) -> u64 {
        self.blocks.run_pending_tasks();
        self.blocks.weighted_size()
    }
}

fn file(folder: &Path, object: &str, block: u32) -> PathBuf {
    folder.join(object).join(block.to_string())
}
