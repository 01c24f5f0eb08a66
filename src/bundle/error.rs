//! Why an export is not written or not read: each names the file, and what to do about it.

use std::{io, path::PathBuf};

use uuid::Uuid;

use crate::objects::sheet::SheetError;

#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{}: no space is left: what was finished before is kept, and the same command goes on once there is room", .0.display())]
    Full(PathBuf),
    #[error("{} holds a whole export already: choose another folder", .0.display())]
    Whole(PathBuf),
    #[error("{} holds something that is no export: choose a folder that is empty, or not there", .0.display())]
    Foreign(PathBuf),
    #[error("{} holds the beginning of another export ({what}): go on with that one, or choose another folder", path.display())]
    Another { path: PathBuf, what: String },
    #[error("{} has no manifest.json: it is no export of this service, or one that was not finished", .0.display())]
    NoManifest(PathBuf),
    #[error(
        "manifest.json: format {is} is newer than this release knows, which reads up to {known}: take a newer release"
    )]
    Newer { is: u64, known: u64 },
    #[error("an export is written into before a file of it is begun: a fault of this service")]
    NotBegun,
    #[error("manifest.json: {0}")]
    Manifest(String),
    #[error("{}: a line is longer than {most} bytes, which is more than any line of an export", path.display())]
    LongLine { path: PathBuf, most: u64 },
    #[error(transparent)]
    Sheet(#[from] SheetError),
    #[error("{path}: it ends after {is} bytes of {wanted}: the file was cut off")]
    Truncated { path: String, is: u64, wanted: u64 },
    #[error("{path}: it has {is} bytes, and the manifest knows of {wanted}")]
    Longer { path: String, is: u64, wanted: u64 },
    #[error("{path}: its digest is {is}, and the manifest says {wanted}: it was changed after it was made")]
    Digest { path: String, is: String, wanted: String },
    #[error("{0}: the manifest does not name it, or names no place inside of the export")]
    Stray(String),
    #[error(
        "{path}: {what}: only zips in the form that `data export --zip` writes are read; unpack this one and name the folder"
    )]
    Zip { path: String, what: &'static str },
    #[error(
        "this export was made by the installation {made_by}, and this is {here}: say --from {made_by} to take it all the same"
    )]
    OtherInstallation { made_by: Uuid, here: Uuid },
}

impl BundleError {
    /// An error of the file system, told by the path.
    pub fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full(path),
            _ => Self::Io { path, source },
        }
    }
}
