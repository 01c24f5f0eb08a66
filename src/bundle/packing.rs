//! An export that leaves as a zip while it is made: nothing of it lies on this machine, and memory holds what was not sent on yet, and the
//! list of files. The manifest comes last, so a zip that broke off is no export.

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use super::{
    BundleError, Manifest,
    making::{Making, Notes},
    manifest::{FileEntry, Head, NAME},
    zip::Zip,
};

pub struct Packing {
    notes: Notes,
    zip: Zip,
    waiting: Vec<u8>,
    /// The file that was begun, and the sum of what is in it.
    open: Option<(FileEntry, Sha256)>,
}

impl Packing {
    pub fn new(head: Head) -> Self {
        Self { notes: Notes::new(head), zip: Zip::default(), waiting: Vec::new(), open: None }
    }

    /// The manifest, and the last bytes with it.
    pub fn seal(mut self, made_at: DateTime<Utc>) -> Result<(Manifest, Vec<u8>), BundleError> {
        let manifest = self.notes.manifest(made_at);
        self.begin(NAME)?;
        self.add(manifest.seal()?.as_bytes())?;
        self.waiting.extend(self.zip.finish());
        Ok((manifest, self.waiting))
    }
}

impl Making for Packing {
    fn notes(&mut self) -> &mut Notes {
        &mut self.notes
    }

    /// Nobody can go on with what broke off on its way.
    fn keep(&mut self) -> Result<(), BundleError> {
        Ok(())
    }

    fn begin(&mut self, name: &str) -> Result<(), BundleError> {
        self.waiting.extend(self.zip.begin(name));
        let entry = FileEntry { path: name.to_owned(), bytes: 0, lines: 0, sha256: String::new() };
        self.open = Some((entry, Sha256::new()));
        Ok(())
    }

    fn add(&mut self, bytes: &[u8]) -> Result<(), BundleError> {
        let (entry, sum) = self.open.as_mut().ok_or(BundleError::NotBegun)?;
        entry.bytes += bytes.len() as u64;
        sum.update(bytes);
        self.zip.add(bytes);
        self.waiting.extend_from_slice(bytes);
        Ok(())
    }

    fn line(&mut self, text: &str) -> Result<(), BundleError> {
        self.add(text.as_bytes())?;
        self.add(b"\n")?;
        self.open.as_mut().map(|(entry, _)| entry.lines += 1).ok_or(BundleError::NotBegun)
    }

    fn end(&mut self) -> Result<FileEntry, BundleError> {
        let (entry, sum) = self.open.take().ok_or(BundleError::NotBegun)?;
        Ok(FileEntry { sha256: hex::encode(sum.finalize()), ..entry })
    }

    fn take(&mut self, least: usize) -> Option<Vec<u8>> {
        (self.waiting.len() >= least).then(|| std::mem::take(&mut self.waiting))
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::bundle::{
        Source,
        manifest::{Selection, Whose},
    };

    #[test]
    fn what_left_piece_by_piece_is_read_as_one_export_and_a_beginning_is_none() {
        let tenant = Whose { id: Uuid::from_u128(2), name: "acme".into() };
        let (installation, through) = (Uuid::from_u128(1), DateTime::UNIX_EPOCH);
        let mut packing = Packing::new(Head { installation, tenant, selection: Selection::default(), through });
        assert!(matches!(packing.line("{}"), Err(BundleError::NotBegun)));
        packing.begin("a.ndjson").unwrap();
        packing.line("{}").unwrap();
        packing.line("[]").unwrap();
        assert_eq!(packing.take(1 << 20), None);
        let mut sent = packing.take(1).unwrap();
        let file = packing.end().unwrap();
        assert_eq!((file.bytes, file.lines), (6, 2));
        packing.finish("documents", 2, vec![file]).unwrap();
        let cut = sent.clone();
        let (manifest, rest) = packing.seal(DateTime::UNIX_EPOCH).unwrap();
        sent.extend(rest);

        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &sent).unwrap();
        let source = Source::open(file.path()).unwrap();
        assert_eq!((&source.manifest, source.manifest.counts["documents"]), (&manifest, 2));
        assert_eq!(source.content(&manifest.files[0]).unwrap(), b"{}\n[]\n");
        std::fs::write(file.path(), &cut).unwrap();
        assert!(Source::open(file.path()).is_err());
    }
}
