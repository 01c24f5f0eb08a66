//! What can stop the archive. Each message names the month, the object or the statement, and the rule.

use uuid::Uuid;

use crate::{
    model::{
        TenantId,
        partition::{Bounds, Month, State},
    },
    objects::{Trouble, segment::SegmentError},
    partitions::change::ChangeError,
    store::{StoreError, door::error::AsStoreError},
};

/// What the database answers whoever puts a copy in place from which somebody was erased since.
pub(super) const ERASED_SINCE: &str = "PRE01";

#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("there is no partition {0}; `progress-service partitions list` prints them")]
    Unknown(Month),
    #[error("the partition {partition} is {}, and {wanted}", .state.name())]
    Wrong { partition: Bounds, state: State, wanted: &'static str },
    /// The database was copied, restored elsewhere or moved.
    #[error(
        "this database is not the one in which epoch {epoch} of installation {installation} began: it is a copy, or was moved. \
         It changes nothing in the archive until a person runs `archive adopt`"
    )]
    NotHere { installation: Uuid, epoch: i64 },
    /// The server's files were copied, or an old backup of them runs.
    #[error(
        "the archive was last spoken to by another copy of this database (installation {installation}): this one changes nothing \
         there until a person runs `archive adopt`"
    )]
    Stale { installation: Uuid },
    #[error(
        "the archive belongs to epoch {found} of installation {installation}, and this database is in epoch {own}: it \
             changes nothing there until a person runs `archive adopt`"
    )]
    OtherEpoch { installation: Uuid, found: i64, own: i64 },
    #[error("{key} is no word of an owner: {rule}")]
    NoWord { key: String, rule: String },
    #[error(
        "the segment of tenant {tenant} for {month} is not what the table holds: {rule}. Nothing was dropped; `archive verify` \
         looks at the object, `partitions attach` and `archive run` write it anew"
    )]
    Differs { tenant: TenantId, month: Month, rule: String },
    #[error("tenant {tenant} has statements in {month} and no published segment of it")]
    NoSegment { tenant: TenantId, month: Month },
    #[error("the manifest of tenant {tenant} for {month} is not the one that was published: {rule}")]
    OtherManifest { tenant: TenantId, month: Month, rule: String },
    /// It was removed again, and is written anew when this is done again.
    #[error("somebody was erased from {month} of tenant {tenant} while it was written down: it is written again")]
    ErasedSince { tenant: TenantId, month: Month },
    /// Whoever erases asks the law again.
    #[error("a hold was placed while {month} of tenant {tenant} was written anew: it stays as it is")]
    HoldSince { tenant: TenantId, month: Month },
    /// What an erasure makes of a statement could not be found out.
    #[error("a statement of {month} of tenant {tenant} cannot be written anew: {rule}")]
    Unwritable { tenant: TenantId, month: Month, rule: String },
    #[error("{0} is about one month, and none was named")]
    NoMonth(&'static str),
    #[error("another {kind} is not over yet: `progress-service jobs follow {job}` shows it")]
    Busy { kind: &'static str, job: Uuid },
    #[error(transparent)]
    Change(#[from] ChangeError),
    #[error(transparent)]
    Segment(#[from] SegmentError),
    #[error("{key} cannot be {doing}: {source}")]
    Objects { key: String, doing: &'static str, source: crate::objects::ObjectsError },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AsStoreError for ArchiveError {
    fn as_store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) => Some(error),
            Self::Change(error) => error.as_store_error(),
            _ => None,
        }
    }
}

impl ArchiveError {
    /// Whether trying again in a while may help, without anybody's doing.
    pub fn is_passing(&self) -> bool {
        match self {
            // An erasure threw the copy away, or another node took it over, and then this one is fenced the next time.
            Self::Store(StoreError::Shape { name: "fills::copy", .. }) => true,
            Self::Store(error) => {
                error.is_temporary() || matches!(error, StoreError::Fenced { .. }) || error.code() == Some(ERASED_SINCE)
            }
            Self::ErasedSince { .. } | Self::HoldSince { .. } => true,
            Self::Change(ChangeError::Store(error)) => {
                error.is_temporary() || matches!(error, StoreError::Fenced { .. })
            }
            Self::Change(ChangeError::Busy { .. }) => true,
            Self::Segment(SegmentError::Storage { source, .. }) | Self::Objects { source, .. } => {
                matches!(source.trouble(), Trouble::Away | Trouble::Other)
            }
            _ => false,
        }
    }
}
