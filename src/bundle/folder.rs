//! Writes an export into a folder, file by file. Each file takes its name once it is whole, and what is finished is noted: who was
//! interrupted goes on behind it. The manifest comes last, so a folder without one is no export.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
};

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use super::{
    BundleError, Manifest,
    making::{Making, Notes},
    manifest::{FileEntry, Head, NAME},
};
use crate::objects::sheet::{self, Lines};

/// Where what is finished is noted.
const NOTES: &str = "unfinished.json";
const PART: &str = ".part";

/// An export that is being written.
pub struct Folder {
    path: PathBuf,
    notes: Notes,
    open: Option<Writing>,
}

impl Folder {
    /// Begins an export, or goes on with one that has the same tenant and selection.
    pub fn open(path: &Path, head: Head) -> Result<Self, BundleError> {
        fs::create_dir_all(path).map_err(BundleError::io(path))?;
        if path.join(NAME).exists() {
            return Err(BundleError::Whole(path.to_owned()));
        }
        let noted = path.join(NOTES);
        if noted.exists() {
            let text = fs::read_to_string(&noted).map_err(BundleError::io(&noted))?;
            let what =
                |error: serde_json::Error| BundleError::Another { path: path.to_owned(), what: error.to_string() };
            let notes: Notes = serde_json::from_str(&text).map_err(what)?;
            let is_the_same = |a: &Head, b: &Head| {
                (a.installation, &a.tenant.id, &a.selection) == (b.installation, &b.tenant.id, &b.selection)
            };
            if !is_the_same(&notes.head, &head) {
                let what = format!("tenant {:?}, of installation {}", notes.head.tenant.name, notes.head.installation);
                return Err(BundleError::Another { path: path.to_owned(), what });
            }
            return Ok(Self { path: path.to_owned(), notes, open: None });
        }
        let mut entries = fs::read_dir(path).map_err(BundleError::io(path))?;
        if entries.next().is_some() {
            return Err(BundleError::Foreign(path.to_owned()));
        }
        let mut folder = Self { path: path.to_owned(), notes: Notes::new(head), open: None };
        folder.keep()?;
        Ok(folder)
    }

    /// Gives `each` the lines of what is finished and begins with this path.
    pub fn each_line(&self, prefix: &str, mut each: impl FnMut(&str)) -> Result<(), BundleError> {
        for file in self.notes.files.iter().filter(|file| file.path.starts_with(prefix)) {
            let path = self.path.join(&file.path);
            let open = File::open(&path).map_err(BundleError::io(&path))?;
            if file.path.ends_with(sheet::END) {
                let mut lines = Lines::open(open, &file.path)?;
                while let Some(line) = lines.line()? {
                    each(&String::from_utf8_lossy(&line));
                }
                continue;
            }
            for line in BufReader::new(open).lines() {
                each(&line.map_err(BundleError::io(&path))?);
            }
        }
        Ok(())
    }

    fn file(&self, name: &str) -> Result<Writing, BundleError> {
        let whole = self.path.join(name);
        if let Some(parent) = whole.parent() {
            fs::create_dir_all(parent).map_err(BundleError::io(parent))?;
        }
        let part = self.path.join(format!("{name}{PART}"));
        let file = File::create(&part).map_err(BundleError::io(&part))?;
        let entry = FileEntry { path: name.to_owned(), bytes: 0, lines: 0, sha256: String::new() };
        Ok(Writing { file: BufWriter::new(file), sum: Sha256::new(), entry, part, whole, is_whole: false })
    }

    /// Writes a small file in one moment.
    fn place(&self, name: &str, text: &str) -> Result<(), BundleError> {
        let mut file = self.file(name)?;
        file.add(text.as_bytes())?;
        file.finish().map(drop)
    }

    /// Writes the manifest: from here on it is an export.
    pub fn seal(self, made_at: DateTime<Utc>) -> Result<Manifest, BundleError> {
        let manifest = self.notes.manifest(made_at);
        self.place(NAME, &manifest.seal()?)?;
        let noted = self.path.join(NOTES);
        fs::remove_file(&noted).map_err(BundleError::io(&noted))?;
        Ok(manifest)
    }
}

impl Making for Folder {
    fn notes(&mut self) -> &mut Notes {
        &mut self.notes
    }

    fn keep(&mut self) -> Result<(), BundleError> {
        let text = serde_json::to_string(&self.notes).map_err(|error| BundleError::Manifest(error.to_string()))?;
        self.place(NOTES, &text)
    }

    fn begin(&mut self, name: &str) -> Result<(), BundleError> {
        self.open = Some(self.file(name)?);
        Ok(())
    }

    fn add(&mut self, bytes: &[u8]) -> Result<(), BundleError> {
        self.open.as_mut().ok_or(BundleError::NotBegun)?.add(bytes)
    }

    fn line(&mut self, text: &str) -> Result<(), BundleError> {
        let file = self.open.as_mut().ok_or(BundleError::NotBegun)?;
        file.add(text.as_bytes())?;
        file.entry.lines += 1;
        file.add(b"\n")
    }

    fn end(&mut self) -> Result<FileEntry, BundleError> {
        self.open.take().ok_or(BundleError::NotBegun)?.finish()
    }

    fn take(&mut self, _: usize) -> Option<Vec<u8>> {
        None
    }
}

/// A file on its way; dropped before it is whole it leaves nothing.
struct Writing {
    file: BufWriter<File>,
    sum: Sha256,
    entry: FileEntry,
    part: PathBuf,
    whole: PathBuf,
    is_whole: bool,
}

impl Writing {
    fn add(&mut self, bytes: &[u8]) -> Result<(), BundleError> {
        self.file.write_all(bytes).map_err(BundleError::io(&self.whole))?;
        self.sum.update(bytes);
        self.entry.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Makes sure that it is on the disk, and gives it its name.
    fn finish(mut self) -> Result<FileEntry, BundleError> {
        self.file.flush().map_err(BundleError::io(&self.whole))?;
        self.file.get_ref().sync_all().map_err(BundleError::io(&self.whole))?;
        fs::rename(&self.part, &self.whole).map_err(BundleError::io(&self.whole))?;
        self.is_whole = true;
        self.entry.sha256 = hex::encode(std::mem::take(&mut self.sum).finalize());
        Ok(self.entry.clone())
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        if !self.is_whole {
            // On a full disk every byte counts.
            fs::remove_file(&self.part).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::bundle::manifest::{Selection, Whose};

    fn head(tenant: u128) -> Head {
        let (installation, through) = (Uuid::from_u128(1), DateTime::UNIX_EPOCH);
        Head {
            installation,
            tenant: Whose { id: Uuid::from_u128(tenant), name: "acme".into() },
            selection: Selection::default(),
            through,
        }
    }

    #[test]
    fn what_is_finished_is_gone_on_with_and_what_is_not_leaves_nothing() {
        let place = tempfile::tempdir().unwrap();
        let mut folder = Folder::open(place.path(), head(2)).unwrap();
        assert!(matches!(folder.line("{}"), Err(BundleError::NotBegun)));
        folder.begin("a/one.ndjson").unwrap();
        folder.line("{}").unwrap();
        let file = folder.end().unwrap();
        assert_eq!((file.bytes, file.lines), (3, 1));
        folder.finish("documents", 1, vec![file]).unwrap();
        folder.begin("two.ndjson").unwrap();
        drop(folder);
        assert!(!place.path().join("two.ndjson.part").exists());
        let why = Folder::open(place.path(), head(3)).err().unwrap().to_string();
        assert!(why.contains("the beginning of another export (tenant \"acme\""), "{why}");
        let mut folder = Folder::open(place.path(), head(2)).unwrap();
        assert!(folder.notes().has("a/one.ndjson") && !folder.notes().has("two.ndjson"));
        let manifest = folder.seal(DateTime::UNIX_EPOCH).unwrap();
        assert_eq!((manifest.files.len(), manifest.counts["documents"]), (1, 1));
        let why = Folder::open(place.path(), head(2)).err().unwrap().to_string();
        assert!(why.contains("a whole export already"), "{why}");
    }

    #[test]
    fn somebody_elses_folder_is_left_alone() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("thesis.txt"), "mine").unwrap();
        let why = Folder::open(place.path(), head(2)).err().unwrap().to_string();
        assert!(why.contains("something that is no export"), "{why}");
    }
}
