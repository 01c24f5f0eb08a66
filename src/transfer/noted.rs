//! How far something is, in a file: read when it goes on, and replaced as a whole.

use std::path::Path;

use serde::{Serialize, de::DeserializeOwned};

use super::TransferError;
use crate::bundle::BundleError;

/// What is noted in a file; none where there is no file.
pub fn read<T: DeserializeOwned>(file: &Path) -> Result<Option<T>, TransferError> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(BundleError::io(file)(error).into()),
    };
    serde_json::from_str(&text).map(Some).map_err(|error| wrong(file, format!("it is no cursor: {error}")))
}

pub fn write<T: Serialize>(file: &Path, noted: &T) -> Result<(), TransferError> {
    let text = serde_json::to_string(noted).map_err(|error| TransferError::Refused(error.to_string()))?;
    let part = file.with_extension("part");
    std::fs::write(&part, text).map_err(BundleError::io(&part))?;
    std::fs::rename(&part, file).map_err(BundleError::io(file))?;
    Ok(())
}

/// Why what is noted there does not help.
pub fn wrong(file: &Path, what: impl std::fmt::Display) -> TransferError {
    TransferError::Refused(format!("{}: {what}", file.display()))
}
