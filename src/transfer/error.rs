//! Why something that comes with its past is not taken: each names what it is and which rule it is against.

use chrono::{DateTime, SecondsFormat, Utc};
use uuid::Uuid;

use crate::{
    model::{TenantId, partition::Month},
    store::{StoreError, door::error::AsStoreError},
    xapi::Violations,
};

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("a statement cannot be read: {0}")]
    Unreadable(Violations),
    #[error("a statement has no {0}: what is loaded has its own id, stored and authority")]
    Lacks(&'static str),
    #[error("statement {0}: `stored` is {1:?}, which is no moment")]
    Stored(Uuid, String),
    #[error("statement {id}: another statement has this id already (stored {})", text(.there))]
    Conflict { id: Uuid, there: DateTime<Utc> },
    #[error("statement {0} was erased and never comes back")]
    Erased(Uuid),
    #[error("statement {id} was stored {}, but tenant {tenant} still tells others what was stored after {}: let the relay and \
             the projections catch up first", text(.stored), text(.until))]
    Told { id: Uuid, tenant: TenantId, stored: DateTime<Utc>, until: DateTime<Utc> },
    #[error("tenant {tenant} has two statements that were stored {}: every one has its own microsecond", text(.stored))]
    SameMoment { tenant: TenantId, stored: DateTime<Utc> },
    #[error("the month {0} is {1}: statements are added to one that is open, or to one that is not there")]
    Closed(Month, String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn text(moment: &DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Micros, true)
}

impl AsStoreError for LoadError {
    fn as_store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) => Some(error),
            _ => None,
        }
    }
}
