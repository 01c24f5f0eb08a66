//! An attachment on its way in: small ones in memory, larger ones in a nameless temporary file.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom, Write},
    sync::{Arc, Mutex, PoisonError},
};

/// Bytes that stay in memory before a file is opened.
const IN_MEMORY: usize = 256 << 10;

/// Content that has been read to its end and found to have the hash its sender declared.
#[derive(Clone, Debug)]
pub struct Attachment {
    /// Of any member of the SHA-2 family.
    pub sha2: Vec<u8>,
    pub length: u64,
    pub(super) content: Content,
}

#[derive(Clone, Debug)]
pub(super) enum Content {
    Memory(Arc<[u8]>),
    File(Arc<Mutex<File>>),
}

impl Attachment {
    /// Up to `most` bytes from `offset` on.
    pub(super) fn read(&self, offset: u64, most: usize) -> std::io::Result<Vec<u8>> {
        let length = usize::try_from(self.length.saturating_sub(offset)).unwrap_or(usize::MAX).min(most);
        match &self.content {
            Content::Memory(bytes) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                Ok(bytes[start..(start + length).min(bytes.len())].to_vec())
            }
            Content::File(file) => {
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                file.seek(SeekFrom::Start(offset))?;
                let mut piece = vec![0; length];
                file.read_exact(&mut piece)?;
                Ok(piece)
            }
        }
    }

    /// The whole content, for the small ones that must be looked into (signatures); `None` if it is larger than `most`.
    pub fn small(&self, most: usize) -> std::io::Result<Option<Vec<u8>>> {
        if self.length > most as u64 { Ok(None) } else { self.read(0, most).map(Some) }
    }
}

/// Takes content piece by piece.
#[derive(Default)]
pub struct Spool {
    length: u64,
    memory: Vec<u8>,
    file: Option<File>,
}

impl Spool {
    pub fn write(&mut self, piece: &[u8]) -> std::io::Result<()> {
        self.length += piece.len() as u64;
        match &mut self.file {
            Some(file) => file.write_all(piece),
            None if self.memory.len() + piece.len() <= IN_MEMORY => {
                self.memory.extend_from_slice(piece);
                Ok(())
            }
            None => {
                let mut file = tempfile::tempfile()?;
                file.write_all(&self.memory)?;
                file.write_all(piece)?;
                self.memory = Vec::new();
                self.file = Some(file);
                Ok(())
            }
        }
    }

    /// The whole content, under the hash that was checked on the way.
    pub fn finish(self, sha2: Vec<u8>) -> Attachment {
        let content = match self.file {
            Some(file) => Content::File(Arc::new(Mutex::new(file))),
            None => Content::Memory(self.memory.into()),
        };
        Attachment { sha2, length: self.length, content }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spooled(size: usize) -> (Vec<u8>, Attachment) {
        let bytes: Vec<u8> = (0..size).map(|i| u8::try_from(i % 251).unwrap()).collect();
        let mut spool = Spool::default();
        for piece in bytes.chunks(10_000) {
            spool.write(piece).unwrap();
        }
        (bytes, spool.finish(vec![7; 32]))
    }

    #[test]
    fn small_and_large_content_read_back_alike() {
        for size in [0, 1, IN_MEMORY, IN_MEMORY + 1, 3 * IN_MEMORY + 7] {
            let (bytes, attachment) = spooled(size);
            assert_eq!(attachment.length, size as u64);
            assert_eq!(matches!(attachment.content, Content::File(_)), size > IN_MEMORY);
            let mut read = Vec::new();
            while (read.len() as u64) < attachment.length {
                read.extend(attachment.read(read.len() as u64, 100_000).unwrap());
            }
            assert_eq!(read, bytes);
        }
    }

    #[test]
    fn only_small_content_is_given_whole() {
        let (bytes, attachment) = spooled(1000);
        assert_eq!(attachment.small(1000).unwrap(), Some(bytes));
        assert_eq!(attachment.small(999).unwrap(), None);
    }
}
