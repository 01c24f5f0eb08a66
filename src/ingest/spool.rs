//! The attachments of a request on their way in: the first small ones in memory, the rest in one nameless temporary file.

use std::{fs::File, os::unix::fs::FileExt, sync::Arc};

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
    /// In the file of its request, from this byte on.
    File(Arc<File>, u64),
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
            Content::File(file, start) => {
                let mut piece = vec![0; length];
                file.read_exact_at(&mut piece, start + offset)?;
                Ok(piece)
            }
        }
    }

    /// The whole content, for the small ones that must be looked into (signatures); `None` if it is larger than `most`.
    pub fn small(&self, most: usize) -> std::io::Result<Option<Vec<u8>>> {
        if self.length > most as u64 { Ok(None) } else { self.read(0, most).map(Some) }
    }

    /// Bytes of memory it takes while it waits.
    pub(super) fn held(&self) -> usize {
        match &self.content {
            Content::Memory(bytes) => bytes.len(),
            Content::File(..) => 0,
        }
    }
}

/// Takes the contents of one request, one after the other, each piece by piece.
#[derive(Default)]
pub struct Spool {
    /// Of the contents that are finished.
    held: usize,
    file: Option<Arc<File>>,
    /// Where the next piece goes in the file.
    end: u64,
    current: Current,
}

/// The content that is arriving.
#[derive(Default)]
struct Current {
    length: u64,
    memory: Vec<u8>,
    /// Where it begins in the file, once it is there.
    start: Option<u64>,
}

impl Spool {
    /// Bytes of a request that stay in memory before a file is opened.
    pub const IN_MEMORY: usize = 256 << 10;

    /// Bytes of memory that are taken.
    pub fn held(&self) -> usize {
        self.held + self.current.memory.len()
    }

    pub fn write(&mut self, piece: &[u8]) -> std::io::Result<()> {
        let fits = self.held() + piece.len() <= Self::IN_MEMORY;
        if self.current.start.is_none() && fits {
            self.current.memory.extend_from_slice(piece);
        } else {
            if self.current.start.is_none() {
                self.current.start = Some(self.end);
                let memory = std::mem::take(&mut self.current.memory);
                self.append(&memory)?;
            }
            self.append(piece)?;
        }
        self.current.length += piece.len() as u64;
        Ok(())
    }

    /// The content that ends here, under the hash that was checked on the way. The next one may begin.
    pub fn finish(&mut self, sha2: Vec<u8>) -> Attachment {
        let Current { length, memory, start } = std::mem::take(&mut self.current);
        let content = match (&self.file, start) {
            (Some(file), Some(start)) => Content::File(Arc::clone(file), start),
            _ => Content::Memory(memory.into()),
        };
        let attachment = Attachment { sha2, length, content };
        self.held += attachment.held();
        attachment
    }

    fn append(&mut self, piece: &[u8]) -> std::io::Result<()> {
        let file = match &self.file {
            Some(file) => file,
            None => self.file.insert(Arc::new(tempfile::tempfile()?)),
        };
        file.write_all_at(piece, self.end)?;
        self.end += piece.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IN_MEMORY: usize = Spool::IN_MEMORY;

    fn spooled(spool: &mut Spool, size: usize) -> (Vec<u8>, Attachment) {
        let bytes: Vec<u8> = (0..size).map(|i| u8::try_from((i + size) % 251).unwrap()).collect();
        for piece in bytes.chunks(10_000) {
            spool.write(piece).unwrap();
        }
        (bytes, spool.finish(vec![7; 32]))
    }

    fn whole(attachment: &Attachment) -> Vec<u8> {
        let mut read = Vec::new();
        while (read.len() as u64) < attachment.length {
            read.extend(attachment.read(read.len() as u64, 100_000).unwrap());
        }
        read
    }

    #[test]
    fn small_and_large_content_read_back_alike() {
        for size in [0, 1, IN_MEMORY, IN_MEMORY + 1, 3 * IN_MEMORY + 7] {
            let (bytes, attachment) = spooled(&mut Spool::default(), size);
            assert_eq!(attachment.length, size as u64);
            assert_eq!(matches!(attachment.content, Content::File(..)), size > IN_MEMORY);
            assert_eq!(whole(&attachment), bytes);
        }
    }

    #[test]
    fn however_many_a_request_has_they_take_little_memory_and_one_file() {
        let mut spool = Spool::default();
        let sizes = [1_000, IN_MEMORY / 2, IN_MEMORY / 2, 2 * IN_MEMORY, 5, IN_MEMORY / 2];
        let all: Vec<(Vec<u8>, Attachment)> = sizes.into_iter().map(|size| spooled(&mut spool, size)).collect();
        assert!(all.iter().map(|(_, attachment)| attachment.held()).sum::<usize>() <= IN_MEMORY);
        let in_file = all.iter().filter(|(_, attachment)| attachment.held() == 0).count();
        assert_eq!((in_file, Arc::strong_count(spool.file.as_ref().unwrap())), (3, 4));
        for (bytes, attachment) in &all {
            assert_eq!(&whole(attachment), bytes);
        }
    }

    #[test]
    fn only_small_content_is_given_whole() {
        let (bytes, attachment) = spooled(&mut Spool::default(), 1000);
        assert_eq!(attachment.small(1000).unwrap(), Some(bytes));
        assert_eq!(attachment.small(999).unwrap(), None);
    }
}
