//! One process per data folder: an advisory file lock that the kernel drops when its holder dies, however it dies.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read, Seek, Write},
    path::Path,
    process,
};

use tracing::warn;

use super::error::{EmbeddedError, io_at};

/// Held for as long as the server may run; the file stays behind, empty of meaning once nobody holds it.
#[derive(Debug)]
pub(super) struct FolderLock {
    file: File,
}

impl FolderLock {
    /// Takes the lock of `folder` at once or says who has it.
    pub fn take(folder: &Path) -> Result<Self, EmbeddedError> {
        let path = folder.join("postgres.lock");
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(io_at("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                file.read_to_string(&mut holder).map_err(io_at("read", &path))?;
                let holder = if holder.trim().is_empty() { "unknown" } else { holder.trim() };
                return Err(EmbeddedError::InUse { folder: folder.to_owned(), holder: holder.to_owned() });
            }
            Err(TryLockError::Error(source)) => return Err(io_at("lock", &path)(source)),
        }
        file.set_len(0).map_err(io_at("write", &path))?;
        file.rewind().map_err(io_at("write", &path))?;
        writeln!(file, "{}", process::id()).map_err(io_at("write", &path))?;
        Ok(Self { file })
    }
}

impl Drop for FolderLock {
    /// Closing the file would not do: a child that some other thread starts at this moment has a copy of it until it
    /// runs its own program, and the lock would live on in the copy.
    fn drop(&mut self) {
        if let Err(error) = self.file.unlock() {
            warn!(%error, "the lock of the data folder ends with this process only");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_taker_is_told_who_holds_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let held = FolderLock::take(folder.path()).unwrap();
        let refused = FolderLock::take(folder.path()).unwrap_err();
        assert!(
            matches!(&refused, EmbeddedError::InUse { holder, .. } if *holder == process::id().to_string()),
            "{refused}"
        );
        drop(held);
        FolderLock::take(folder.path()).unwrap();
    }

    #[test]
    fn a_copy_in_a_child_that_just_starts_does_not_keep_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let held = FolderLock::take(folder.path()).unwrap();
        let copy = held.file.try_clone().unwrap();
        drop(held);
        FolderLock::take(folder.path()).unwrap();
        drop(copy);
    }

    #[test]
    fn what_a_dead_holder_wrote_is_overwritten_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("postgres.lock");
        std::fs::write(&path, "123456789012345\n").unwrap();
        let _held = FolderLock::take(folder.path()).unwrap();
        assert_eq!(std::fs::read_to_string(path).unwrap().trim(), process::id().to_string());
    }
}
