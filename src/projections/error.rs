//! Why a step failed.

use uuid::Uuid;

use crate::store::{StoreError, door::error::AsStoreError};

#[derive(Debug, thiserror::Error)]
pub enum ProjectionError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("statement {0} cannot be read back from the ledger: {1}")]
    Unreadable(Uuid, serde_json::Error),
    #[error("an event cannot be written: {0}")]
    Event(serde_json::Error),
}

impl AsStoreError for ProjectionError {
    fn as_store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) => Some(error),
            Self::Unreadable(..) | Self::Event(_) => None,
        }
    }
}
