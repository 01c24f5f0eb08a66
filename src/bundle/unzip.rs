//! Reads the zips that [`super::zip`] writes: entries as they are, in the 64-bit form, each checked by whoever reads it.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read, Seek, SeekFrom, Take},
    path::{Path, PathBuf},
};

use super::BundleError;

/// Where the entries of an archive lie.
pub struct Unzip {
    path: PathBuf,
    /// By the name: where its head begins, and how long it is.
    entries: BTreeMap<String, (u64, u64)>,
}

/// The end of the directory, its 64-bit form and what points to that.
const TAIL: u64 = 22 + 20 + 56;

impl Unzip {
    pub fn open(path: &Path) -> Result<Self, BundleError> {
        let wrong = |what| BundleError::Zip { path: path.display().to_string(), what };
        let mut file = File::open(path).map_err(BundleError::io(path))?;
        let length = file.metadata().map_err(BundleError::io(path))?.len();
        let start = length.checked_sub(TAIL).ok_or(wrong("it is too short for a zip, or was cut off"))?;
        let tail = read_at(&mut file, path, start, TAIL)?;
        if tail.get(..4) != Some(&b"PK\x06\x06"[..]) || tail.get(76..80) != Some(&b"PK\x05\x06"[..]) {
            return Err(wrong("it does not end as a zip of ours does, or was cut off"));
        }
        let (Some(count), Some(size), Some(begin)) = (long(&tail, 32), long(&tail, 40), long(&tail, 48)) else {
            return Err(wrong("its directory cannot be read"));
        };
        if begin.checked_add(size) != Some(start) {
            return Err(wrong("its directory does not lie where it says"));
        }
        let directory = read_at(&mut file, path, begin, size)?;
        let entries = entries(&directory, count).ok_or(wrong("its directory cannot be read"))?;
        Ok(Self { path: path.to_owned(), entries })
    }

    /// The content of an entry, if there is one.
    pub fn read(&self, name: &str) -> Result<Option<Take<File>>, BundleError> {
        let Some((offset, size)) = self.entries.get(name) else { return Ok(None) };
        let mut file = File::open(&self.path).map_err(BundleError::io(&self.path))?;
        let head = read_at(&mut file, &self.path, *offset, 30)?;
        let wrong =
            BundleError::Zip { path: format!("{}: {name}", self.path.display()), what: "its head cannot be read" };
        let (Some(names), Some(extra)) = (short(&head, 26), short(&head, 28)) else { return Err(wrong) };
        if head.get(..4) != Some(&b"PK\x03\x04"[..]) {
            return Err(wrong);
        }
        let start = offset + 30 + u64::from(names) + u64::from(extra);
        file.seek(SeekFrom::Start(start)).map_err(BundleError::io(&self.path))?;
        Ok(Some(file.take(*size)))
    }
}

fn read_at(file: &mut File, path: &Path, at: u64, length: u64) -> Result<Vec<u8>, BundleError> {
    file.seek(SeekFrom::Start(at)).map_err(BundleError::io(path))?;
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes).map_err(BundleError::io(path))?;
    Ok(bytes)
}

fn entries(directory: &[u8], count: u64) -> Option<BTreeMap<String, (u64, u64)>> {
    let (mut found, mut rest) = (BTreeMap::new(), directory);
    for _ in 0..count {
        let method = short(rest, 10)?;
        if rest.get(..4)? != b"PK\x01\x02" || method != 0 {
            return None;
        }
        let (name, extra) = (usize::from(short(rest, 28)?), usize::from(short(rest, 30)?));
        let text = std::str::from_utf8(rest.get(46..46 + name)?).ok()?;
        let longs = rest.get(46 + name..46 + name + extra)?;
        found.insert(text.to_owned(), (long(longs, 20)?, long(longs, 4)?));
        rest = rest.get(46 + name + extra..)?;
    }
    Some(found)
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn long(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::zip::Zip;

    fn archive() -> Vec<u8> {
        let mut zip = Zip::default();
        let mut all = Vec::new();
        for (name, content) in [("a.txt", &b"hello"[..]), ("b/c.bin", &b""[..]), ("b/d.bin", &[7; 1000])] {
            all.extend(zip.begin(name));
            zip.add(content);
            all.extend(content);
        }
        all.extend(zip.finish());
        all
    }

    #[test]
    fn what_was_written_is_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), archive()).unwrap();
        let zip = Unzip::open(file.path()).unwrap();
        assert_eq!(zip.entries.keys().collect::<Vec<_>>(), ["a.txt", "b/c.bin", "b/d.bin"]);
        for (name, content) in [("a.txt", &b"hello"[..]), ("b/c.bin", &b""[..]), ("b/d.bin", &[7; 1000])] {
            let mut read = Vec::new();
            zip.read(name).unwrap().unwrap().read_to_end(&mut read).unwrap();
            assert_eq!(read, content, "{name}");
        }
        assert!(zip.read("e").unwrap().is_none());
    }

    #[test]
    fn one_that_is_cut_off_anywhere_is_told() {
        let (file, whole) = (tempfile::NamedTempFile::new().unwrap(), archive());
        for end in [0, 10, whole.len() / 2, whole.len() - 1] {
            std::fs::write(file.path(), &whole[..end]).unwrap();
            let why = Unzip::open(file.path()).err().unwrap().to_string();
            assert!(why.contains("cut off"), "{end}: {why}");
        }
    }
}
