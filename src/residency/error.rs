//! Why a move does not go on.

use crate::{
    objects::{Trouble, segment::SegmentError},
    store::{StoreError, door::error::AsStoreError},
};

#[derive(Debug, thiserror::Error)]
pub enum ResidencyError {
    #[error("there is no cell {0:.80?} in residency.cells")]
    NoCell(String),
    #[error("there is no such tenant")]
    NoTenant,
    #[error("there is no such move")]
    NoMove,
    /// As things stand it cannot be done; in words, with what to do.
    #[error("{0}")]
    Refused(String),
    /// What is in the two cells is not the same.
    #[error("the two cells are not the same: {0}")]
    Differs(String),
    #[error("the cell {cell} does not answer: {error}")]
    Away { cell: String, error: StoreError },
    /// A month of the archive cannot be read as it was written.
    #[error("what is archived cannot be taken along: {0}")]
    Segment(#[from] SegmentError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AsStoreError for ResidencyError {
    fn as_store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) => Some(error),
            _ => None,
        }
    }
}

impl ResidencyError {
    /// Whether it may be otherwise by itself in a while.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Store(error) | Self::Away { error, .. } => error.is_temporary(),
            Self::Segment(SegmentError::Storage { source, .. }) => {
                matches!(source.trouble(), Trouble::Away | Trouble::Other)
            }
            _ => false,
        }
    }
}
