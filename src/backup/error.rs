//! Why a backup was not made, not verified or not restored, each with the way out.

use std::{io, path::PathBuf};

use crate::{
    embedded::EmbeddedError,
    objects::{ObjectsError, Trouble},
    store::StoreError,
};

#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("{what} cannot be {doing}{}: {source}", because(source))]
    Objects { what: String, doing: &'static str, source: ObjectsError },
    #[error("cannot {doing} {}: {source}", path.display())]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("the disk of {} is full: a restored copy needs the room of the database; nothing was changed", folder.display())]
    DiskFull { folder: PathBuf },
    #[error("backup.key_file {}: {why}", path.display())]
    KeyFile { path: PathBuf, why: String },
    #[error("backup {id} is sealed under the key {wanted}, and backup.key_file holds {}", found.as_deref().unwrap_or("none"))]
    OtherKey { id: String, wanted: String, found: Option<String> },
    #[error("{what} is damaged: {rule}")]
    Damaged { what: String, rule: String },
    #[error("{0}")]
    Unknown(String),
    #[error("backup {id} was made by the newer release {release}, which knows {what}: restore it with that release")]
    Newer { id: String, release: String, what: String },
    #[error(
        "there is no {tool} here: install it (Debian and Ubuntu: the package {package}; macOS: brew install postgresql) or name \
         its folder in backup.programs"
    )]
    NoTool { tool: &'static str, package: String },
    #[error(
        "{tool} here is of PostgreSQL {found}, and the server of {server}: install the package {package}, or name its folder in backup.programs"
    )]
    OldTool { tool: &'static str, found: u32, server: u32, package: String },
    #[error("{tool} failed ({status}): {said}")]
    Tool { tool: &'static str, status: String, said: String },
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Embedded(#[from] EmbeddedError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn because(source: &ObjectsError) -> &'static str {
    match source.trouble() {
        Trouble::Refused => " because the storage refuses it",
        Trouble::Full => " because the storage is full",
        Trouble::Away => " because the storage cannot be reached",
        Trouble::Other => "",
    }
}

/// For `map_err`: an error of a file with what was being done to it; a full disk is told apart.
pub fn io_at(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.into();
    move |source| match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => BackupError::DiskFull { folder: path },
        _ => BackupError::Io { doing, path, source },
    }
}
