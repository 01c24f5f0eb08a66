//! Why an erasure does not go on.

use uuid::Uuid;

use super::subject::SubjectError;
use crate::{
    cold::ColdError,
    model::TenantId,
    store::{StoreError, door::error::AsStoreError},
};

#[derive(Debug, thiserror::Error)]
pub enum ErasureError {
    #[error(transparent)]
    Subject(#[from] SubjectError),
    #[error("there is no tenant {0}")]
    NoTenant(TenantId),
    #[error("there is no erasure {0}")]
    Unknown(Uuid),
    #[error("the plan is not {seen} any more, but {now}: look at it again")]
    OtherPlan { seen: String, now: String },
    #[error("the erasure {0} is over: who it was about is not known any more")]
    Over(Uuid),
    #[error(
        "the erasure {0} was logged with another key than this database's, which recognises nobody by it: ask for the erasure again, by identifiers"
    )]
    OtherKey(Uuid),
    /// By a hold that was placed while it ran.
    #[error("{law}: {reason}")]
    Held { law: String, reason: String },
    /// Whoever asks again is told whether it concerns the person.
    #[error("a hold was placed since the law was asked")]
    HoldSince,
    /// A content that a statement named while it was being removed: it stays.
    #[error("a statement names the content")]
    StillNamed,
    /// What is kept cannot be read as it is.
    #[error("a statement cannot be written anew: {0}")]
    Unreadable(String),
    #[error(transparent)]
    Cold(#[from] ColdError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AsStoreError for ErasureError {
    fn as_store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) => Some(error),
            Self::Cold(error) => error.as_store_error(),
            _ => None,
        }
    }
}

/// What the database answers whoever removes something that stands under a hold.
const HELD: &str = "55006";

impl ErasureError {
    /// Whether trying again in a while may help, without anybody's doing.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Store(error) => error.is_temporary() || matches!(error, StoreError::Fenced { .. }),
            Self::Cold(error) => error.is_temporary() || error.is_of_the_move(),
            _ => false,
        }
    }

    /// Whether a hold was placed in the middle.
    pub fn is_held(&self) -> bool {
        matches!(self, Self::Held { .. }) || self.as_store_error().and_then(StoreError::code) == Some(HELD)
    }
}
