//! An export that is being made, file by file, and what is finished of it. Where the bytes go is for who implements it: into a folder,
//! where it can be gone on with, or into a zip that leaves while it is made.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    BundleError, Manifest,
    manifest::{FORMAT, FileEntry, Head},
    tally::MonthTally,
};
use crate::objects::sheet;

/// What is finished.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Notes {
    pub head: Head,
    pub files: Vec<FileEntry>,
    pub months: Vec<MonthTally>,
    pub counts: BTreeMap<String, u64>,
}

impl Notes {
    pub fn new(head: Head) -> Self {
        Self { head, files: Vec::new(), months: Vec::new(), counts: BTreeMap::new() }
    }

    pub fn has(&self, path: &str) -> bool {
        self.files.iter().any(|file| file.path == path)
    }

    pub fn add(&mut self, kind: &str, count: u64, files: Vec<FileEntry>) {
        self.files.extend(files);
        *self.counts.entry(kind.to_owned()).or_default() += count;
    }

    /// The manifest of what is finished.
    pub fn manifest(&self, made_at: DateTime<Utc>) -> Manifest {
        let Self { head, mut files, months, counts } = self.clone();
        files.sort_by(|one, other| one.path.cmp(&other.path));
        // Older releases read what has lines alone.
        let format = if files.iter().any(|file| file.path.ends_with(sheet::END)) { FORMAT } else { 1 };
        Manifest { format, months, counts, files, ..Manifest::new(head, made_at) }
    }
}

/// One file is written at a time: begun, filled, ended.
pub trait Making: Send {
    /// What is finished. An export that is gone on with looks no further than its head says, under which it was begun.
    fn notes(&mut self) -> &mut Notes;

    /// Keeps the notes for who goes on with it, where somebody can.
    fn keep(&mut self) -> Result<(), BundleError>;

    fn begin(&mut self, name: &str) -> Result<(), BundleError>;

    fn add(&mut self, bytes: &[u8]) -> Result<(), BundleError>;

    /// Adds a line; the text brings no line end.
    fn line(&mut self, text: &str) -> Result<(), BundleError>;

    /// Ends the file that was begun last.
    fn end(&mut self) -> Result<FileEntry, BundleError>;

    /// What waits to be sent on, once it is as much as `least`; never anything where all is kept here.
    fn take(&mut self, least: usize) -> Option<Vec<u8>>;

    /// Takes files that are whole, all that there are of what they are of.
    fn finish(&mut self, kind: &str, count: u64, files: Vec<FileEntry>) -> Result<(), BundleError> {
        self.notes().add(kind, count, files);
        self.keep()
    }

    fn finish_month(&mut self, month: MonthTally, file: FileEntry) -> Result<(), BundleError> {
        let statements = month.statements;
        self.notes().months.push(month);
        self.finish("statements", statements, vec![file])
    }
}
