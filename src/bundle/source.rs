//! An export as it is read: a folder or a zip, by its manifest, every file checked against it.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    path::{Component, Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::{
    BundleError, Manifest,
    manifest::{FileEntry, NAME},
    unzip::Unzip,
};
use crate::objects::sheet::{self, Lines};

/// Where the files are.
enum Place {
    Folder(PathBuf),
    Zip(Unzip),
}

/// An export that is there.
pub struct Source {
    path: PathBuf,
    place: Place,
    pub manifest: Manifest,
}

impl Source {
    pub fn open(path: &Path) -> Result<Self, BundleError> {
        let place = match path.is_dir() {
            true => Place::Folder(path.to_owned()),
            false => Place::Zip(Unzip::open(path)?),
        };
        let mut text = String::new();
        let mut reader = raw(&place, NAME)?.ok_or_else(|| BundleError::NoManifest(path.to_owned()))?;
        let read = reader.read_to_string(&mut text);
        match read {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                return Err(BundleError::Manifest("it is no text: it was changed".to_owned()));
            }
            Err(error) => return Err(BundleError::io(path.join(NAME))(error)),
        }
        Ok(Self { path: path.to_owned(), place, manifest: Manifest::read(&text)? })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file that the manifest names, to be read to its end and then asked whether it was the one.
    pub fn read(&self, entry: &FileEntry) -> Result<Reading, BundleError> {
        if !is_inside(&entry.path) {
            return Err(BundleError::Stray(entry.path.clone()));
        }
        let truncated = || BundleError::Truncated { path: entry.path.clone(), is: 0, wanted: entry.bytes };
        let inner = raw(&self.place, &entry.path)?.ok_or_else(truncated)?;
        Ok(Reading { inner: BufReader::new(inner), sum: Sha256::new(), bytes: 0, entry: entry.clone(), sheet: None })
    }

    /// The content of a file, checked.
    pub fn content(&self, entry: &FileEntry) -> Result<Vec<u8>, BundleError> {
        let mut reading = self.read(entry)?;
        let mut content = Vec::new();
        reading.to_end(|piece| content.extend_from_slice(piece))?;
        reading.finish()?;
        Ok(content)
    }
}

fn raw(place: &Place, name: &str) -> Result<Option<Box<dyn Read + Send>>, BundleError> {
    match place {
        Place::Folder(folder) => {
            let path = folder.join(name);
            match File::open(&path) {
                Ok(file) => Ok(Some(Box::new(file))),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(BundleError::io(path)(error)),
            }
        }
        Place::Zip(zip) => Ok(zip.read(name)?.map(|entry| Box::new(entry) as Box<dyn Read + Send>)),
    }
}

/// Whether a name stays inside of the export.
fn is_inside(name: &str) -> bool {
    Path::new(name).components().all(|part| matches!(part, Component::Normal(_)))
}

/// Bytes of a line at most: the largest that is written has a document of the largest size that makes sense.
pub const LONGEST_LINE: u64 = 256 << 20;

/// The next line with its end, empty at the end of the file. One that is longer is refused before it fills the memory.
pub fn line_of(reader: &mut impl BufRead, path: &Path) -> Result<Vec<u8>, BundleError> {
    let mut line = Vec::new();
    let read = reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line).map_err(BundleError::io(path))?;
    if read as u64 == LONGEST_LINE && line.last() != Some(&b'\n') {
        return Err(BundleError::LongLine { path: path.to_owned(), most: LONGEST_LINE });
    }
    Ok(line)
}

/// A file that is being read.
pub struct Reading {
    inner: BufReader<Box<dyn Read + Send>>,
    sum: Sha256,
    bytes: u64,
    entry: FileEntry,
    sheet: Option<Lines>,
}

impl Reading {
    /// The next line without its end; `None` at the end of the file.
    pub fn line(&mut self) -> Result<Option<Vec<u8>>, BundleError> {
        if self.entry.path.ends_with(sheet::END) {
            return Ok(self.sheet()?.line()?);
        }
        let mut line = line_of(&mut self.inner, Path::new(&self.entry.path))?;
        if line.is_empty() {
            return Ok(None);
        }
        self.sum.update(&line);
        self.bytes += line.len() as u64;
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        Ok(Some(line))
    }

    /// Parquet is read from its end, and what was changed is not even decoded: all of it is put down and looked at first.
    fn sheet(&mut self) -> Result<&mut Lines, BundleError> {
        if self.sheet.is_none() {
            let place = tempfile::env::temp_dir();
            let mut file = tempfile::tempfile().map_err(BundleError::io(&place))?;
            let mut written = Ok(());
            self.to_end(|piece| {
                if written.is_ok() {
                    written = file.write_all(piece);
                }
            })?;
            written.map_err(BundleError::io(&place))?;
            self.check()?;
            self.sheet = Some(Lines::open(file, &self.entry.path)?);
        }
        self.sheet.as_mut().ok_or(BundleError::NotBegun)
    }

    /// What is left, piece by piece.
    pub fn to_end(&mut self, mut each: impl FnMut(&[u8])) -> Result<(), BundleError> {
        loop {
            let piece = self.inner.fill_buf().map_err(BundleError::io(&self.entry.path))?;
            if piece.is_empty() {
                return Ok(());
            }
            self.sum.update(piece);
            each(piece);
            let length = piece.len();
            self.bytes += length as u64;
            self.inner.consume(length);
        }
    }

    /// Whether what was read is what the manifest says, to the last bit.
    pub fn finish(mut self) -> Result<(), BundleError> {
        self.to_end(|_| ())?;
        self.check()
    }

    fn check(&self) -> Result<(), BundleError> {
        let (path, is, wanted) = (self.entry.path.clone(), self.bytes, self.entry.bytes);
        if is < wanted {
            return Err(BundleError::Truncated { path, is, wanted });
        }
        if is > wanted {
            return Err(BundleError::Longer { path, is, wanted });
        }
        let is = hex::encode(self.sum.clone().finalize());
        if is != self.entry.sha256 {
            return Err(BundleError::Digest { path, is, wanted: self.entry.sha256.clone() });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_without_an_end_is_refused_before_it_fills_the_memory() {
        let path = Path::new("a.ndjson");
        let mut lines = &b"one\ntwo"[..];
        assert_eq!(line_of(&mut lines, path).unwrap(), b"one\n");
        assert_eq!(
            (line_of(&mut lines, path).unwrap(), line_of(&mut lines, path).unwrap()),
            (b"two".to_vec(), Vec::new())
        );
        let mut endless = BufReader::new(std::io::repeat(b'x'));
        let why = line_of(&mut endless, path).unwrap_err().to_string();
        assert!(why.contains("a.ndjson") && why.contains(&LONGEST_LINE.to_string()), "{why}");
    }

    #[test]
    fn no_name_leads_out_of_the_export() {
        for (name, inside) in [("a/b.ndjson", true), ("../a", false), ("/etc/passwd", false), ("a/../../b", false)] {
            assert_eq!(is_inside(name), inside, "{name}");
        }
    }
}
