//! What can stop retention. Each message names the thing and the rule.

use uuid::Uuid;

use crate::{
    objects::shelf::ShelfError,
    store::{StoreError, door::error::AsStoreError},
};

#[derive(Debug, thiserror::Error)]
pub enum RetentionError {
    #[error("{0}")]
    Refused(String),
    #[error("there is no tenant {0}")]
    NoTenant(crate::model::TenantId),
    #[error("there is no class {0:?}; `progress-service retention policy list` prints them")]
    NoClass(String),
    #[error("there is no hold {0} that stands")]
    NoHold(Uuid),
    #[error("there is no plan {0} that waits for a sign-off")]
    NoRequest(String),
    #[error("the plan is not {seen} any more, but {now}: look at it again")]
    Changed { seen: String, now: String },
    /// A law keeps it.
    #[error(
        "the class {class} is shortened by two persons: let another one sign the plan, \
         `progress-service retention sign-off {digest} --by NAME --reason TEXT`, and do this again"
    )]
    NeedsSignOff { class: String, digest: String },
    #[error("{0} asked for this plan: another person has to sign it")]
    SamePerson(String),
    #[error(transparent)]
    Shelf(#[from] ShelfError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl RetentionError {
    /// Whether it may pass by itself.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Shelf(error) => error.is_temporary(),
            Self::Store(error) => error.is_temporary(),
            _ => false,
        }
    }
}

impl AsStoreError for RetentionError {
    fn as_store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) => Some(error),
            _ => None,
        }
    }
}
