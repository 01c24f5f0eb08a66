//! What can be wrong with a segment. Each message names the object or the statement, and the rule.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Owner, Place};
use crate::{
    model::{TenantId, partition::Month},
    objects::{ObjectsError, Trouble},
};

#[derive(Debug, thiserror::Error)]
pub enum SegmentError {
    #[error("{key} cannot be {doing}{}: {source}", because(.source))]
    Storage { key: String, doing: &'static str, source: ObjectsError },
    #[error("a statement stored at {stored} comes after one stored at {after}: rows come by time stored, each once")]
    OutOfOrder { stored: DateTime<Utc>, after: DateTime<Utc> },
    #[error("a statement stored at {stored} is none of {month}")]
    OutOfMonth { stored: DateTime<Utc>, month: Month },
    #[error("a statement of tenant {found} does not go into a segment of tenant {wanted}")]
    OtherTenant { found: TenantId, wanted: TenantId },
    #[error("statement {id} cannot be kept exactly: {rule}")]
    Inexact { id: Uuid, rule: &'static str },
    #[error("statement {id} does not read as a statement: {message}")]
    Unreadable { id: Uuid, message: String },
    #[error("{0} holds no statement: there is nothing to write")]
    Empty(Place),
    #[error("{key} is damaged: {rule}")]
    Damaged { key: String, rule: String },
    #[error("{key} is missing, though its manifest names it")]
    Missing { key: String },
    #[error("{0} has no manifest: nothing is published there")]
    NotPublished(Place),
    #[error("{key} was not written by this service: {rule}")]
    Foreign { key: String, rule: String },
    #[error("{key} has format {found}, and this release reads formats up to {known}: a newer one reads it")]
    Newer { key: String, found: u32, known: u32 },
    #[error("{key} is another object than its name says: {what} is {found}, not {wanted}")]
    Misplaced { key: String, what: &'static str, found: String, wanted: String },
    #[error(
        "{key} belongs to {found}, and this is {wanted}: only its owner writes over or deletes it, until a person runs `archive adopt`"
    )]
    NotOwner { key: String, found: Owner, wanted: Owner },
    #[error("{key} is there already with other content: what is published is never written over")]
    Occupied { key: String },
    #[error("{key} does not read back as it was written: {what} was {wrote}, and reads {reads}")]
    Unequal { key: String, what: &'static str, wrote: String, reads: String },
    /// A fault of this program or of its library.
    #[error("{key} cannot be encoded: {message}")]
    Encoding { key: String, message: String },
}

fn because(source: &ObjectsError) -> &'static str {
    match source.trouble() {
        Trouble::Refused => ", because the storage refuses it",
        Trouble::Full => ", because the storage is full",
        Trouble::Away => ", because the storage cannot be reached",
        Trouble::Other => "",
    }
}

impl SegmentError {
    /// What a failed read of an object means; `named` says that a manifest promised it.
    pub(super) fn reading(key: &str, source: ObjectsError) -> Self {
        match source {
            ObjectsError::NotFound(_) => Self::Missing { key: key.to_owned() },
            source => Self::Storage { key: key.to_owned(), doing: "read", source },
        }
    }

    pub(super) fn writing(key: &str, source: ObjectsError) -> Self {
        match source {
            ObjectsError::Exists(_) => Self::Occupied { key: key.to_owned() },
            source => Self::Storage { key: key.to_owned(), doing: "written", source },
        }
    }

    pub(super) fn damaged(key: &str, rule: impl ToString) -> Self {
        Self::Damaged { key: key.to_owned(), rule: rule.to_string() }
    }

    pub(super) fn encoding(key: &str, error: impl ToString) -> Self {
        Self::Encoding { key: key.to_owned(), message: error.to_string() }
    }
}
