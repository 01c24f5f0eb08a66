//! Why something is not done with a rollout.

use crate::{
    flags::FlagError,
    store::{StoreError, door::error::AsStoreError},
};

/// Why something is not done.
#[derive(Debug, thiserror::Error)]
pub enum RolloutError {
    #[error("the plan cannot be begun: {}", .0.join("; "))]
    Faults(Vec<String>),
    #[error("a rollout is underway already; `progress-service rollout status` tells which")]
    Underway,
    #[error("no rollout {0:?} is underway")]
    NotUnderway(String),
    #[error("there is no rollout {0:?}")]
    Unknown(String),
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Flag(#[from] FlagError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AsStoreError for RolloutError {
    fn as_store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) => Some(error),
            Self::Flag(error) => error.as_store_error(),
            Self::Faults(_) | Self::Underway | Self::NotUnderway(_) | Self::Unknown(_) | Self::Refused(_) => None,
        }
    }
}
