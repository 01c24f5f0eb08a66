//! What can go wrong with the log, told apart by what its caller can do about it.

use crate::{
    bus::connection::BusError,
    objects::ObjectsError,
    store::{StoreError, door::error::AsStoreError, platform::audit::EntryId},
};

#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    #[error("there is no entry {0} in the audit trail; `audit entries` lists what there is")]
    NoEntry(EntryId),
    #[error("entry {0} has no place in the log, though its transaction is over: run `audit verify`")]
    NoPlace(EntryId),
    #[error("entry {0} cannot be opened: the key of its tenant was destroyed, and its commitment alone is left")]
    Destroyed(EntryId),
    #[error("entry {0} is not what the log committed to, so there is no receipt of it: run `audit verify`")]
    Changed(EntryId),
    #[error("there is no key {0}; `audit keys list` prints them")]
    NoKey(i64),
    #[error("key {key} was destroyed at {at}")]
    KeyGone { key: i64, at: chrono::DateTime<chrono::Utc> },
    #[error("key {0} is the installation's own, of entries that are no tenant's: it is not destroyed")]
    OwnKey(i64),
    #[error("the log's hashes are not all there: run `audit verify`")]
    Incomplete,
    #[error("the key of the log is of no use: {0}")]
    Key(String),
    /// Something else lies where a checkpoint belongs.
    #[error(
        "{0} holds another checkpoint than this log's: two databases write one log; run `audit verify`, and `archive adopt` in the one that is right"
    )]
    Forked(String),
    #[error("the document cannot be written: {0}")]
    Document(#[from] serde_json::Error),
    #[error("the signature of a witness is not kept: {0}")]
    Witness(&'static str),
    #[error("nothing was signed yet: there is no entry, or the first checkpoint is a minute away")]
    NotSigned,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Objects(#[from] ObjectsError),
    #[error(transparent)]
    Bus(#[from] BusError),
}

impl AsStoreError for AuditError {
    fn as_store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) => Some(error),
            _ => None,
        }
    }
}
