//! What can be wrong with object storage, told apart by what its caller can do about it.

use std::{error::Error, io};

use object_store::client::{HttpError, HttpErrorKind};

#[derive(Debug, thiserror::Error)]
pub enum ObjectsError {
    #[error("there is no object {0}")]
    NotFound(String),
    /// Something that must not be written over is there already.
    #[error("there is an object {0} already")]
    Exists(String),
    #[error("archive.url {0:?} is neither file:///folder nor s3://bucket/prefix")]
    Url(String),
    #[error("{path}: {message}")]
    File { path: String, message: String },
    /// The store refused or could not be reached.
    #[error("object storage: {}", innermost(.0))]
    Store(object_store::Error),
}

/// Why the storage did not do what it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Our key may not do this.
    Refused,
    Full,
    /// Not reached, or not answered in time.
    Away,
    Other,
}

impl ObjectsError {
    pub fn trouble(&self) -> Trouble {
        let Self::Store(error) = self else { return Trouble::Other };
        if matches!(error, object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. }) {
            return Trouble::Refused;
        }
        let causes = std::iter::successors(Some(error as &(dyn Error + 'static)), |cause| Error::source(*cause));
        causes.map(trouble_of).find(|trouble| *trouble != Trouble::Other).unwrap_or(Trouble::Other)
    }
}

fn trouble_of(cause: &(dyn Error + 'static)) -> Trouble {
    use io::ErrorKind::{FileTooLarge, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    if let Some(error) = cause.downcast_ref::<io::Error>() {
        return match error.kind() {
            PermissionDenied | ReadOnlyFilesystem => Trouble::Refused,
            StorageFull | QuotaExceeded | FileTooLarge => Trouble::Full,
            _ => Trouble::Other,
        };
    }
    if let Some(error) = cause.downcast_ref::<HttpError>() {
        return match error.kind() {
            HttpErrorKind::Connect | HttpErrorKind::Timeout | HttpErrorKind::Interrupted | HttpErrorKind::Request => {
                Trouble::Away
            }
            _ => Trouble::Other,
        };
    }
    // S3 names it only in the body of its answer; there are as many names as servers.
    let text = cause.to_string();
    let full = ["QuotaExceeded", "InsufficientStorage", "StorageFull", "507 "].iter().any(|name| text.contains(name));
    if full { Trouble::Full } else { Trouble::Other }
}

impl From<object_store::Error> for ObjectsError {
    fn from(error: object_store::Error) -> Self {
        match error {
            object_store::Error::NotFound { path, .. } => Self::NotFound(path),
            object_store::Error::AlreadyExists { path, .. } | object_store::Error::Precondition { path, .. } => {
                Self::Exists(path)
            }
            other => Self::Store(other),
        }
    }
}

/// The error and the cause behind all others: a refused certificate stands only there.
fn innermost(error: &object_store::Error) -> String {
    let text = error.to_string();
    let causes = std::iter::successors(Error::source(error), |cause| Error::source(*cause));
    match causes.last().map(ToString::to_string) {
        Some(cause) if !text.contains(&cause) => format!("{text}: {cause}"),
        _ => text,
    }
}
