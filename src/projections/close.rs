//! Closing an attempt by hand, in an emergency. It takes its place in the ledger's order and is folded like a
//! statement, so that a replay keeps it; a statement that was stored before decides, whenever it is seen.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::json;

use super::{error::ProjectionError, run};
use crate::{
    model::{TenantId, attempt::Outcome, names::derived},
    store::{
        As, Store, StoreError, Tx,
        door::error::AsStoreError,
        platform::audit::{self, Entry},
        progress::closures::{self, Closure},
    },
};

/// How long the projections may take to get there; they are seldom a second behind.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(50);

/// Who closes what, and how it ends.
#[derive(Clone, Debug)]
pub struct CloseRequest {
    pub tenant: TenantId,
    pub attempt: String,
    pub outcome: Outcome,
    /// As the audit trail names them: a credential's key, a token's pseudonym.
    pub by: String,
    pub reason: String,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClosedByHand {
    /// The attempt's end.
    pub at: DateTime<Utc>,
    /// Whether the attempt's row says so already; else the projections are behind and will.
    pub is_folded: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum CloseError {
    #[error("there is no such attempt")]
    Unknown,
    #[error("the attempt is closed already: {0}")]
    Closed(String),
    #[error("an attempt passes by a statement that proves it, not by hand")]
    Passed,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Projection(#[from] ProjectionError),
}

impl AsStoreError for CloseError {
    fn as_store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) => Some(error),
            Self::Projection(error) => error.as_store_error(),
            Self::Unknown | Self::Closed(_) | Self::Passed => None,
        }
    }
}

/// Closes an open attempt, with an entry in the audit trail, and waits until the projections have seen it. The same
/// request again is answered like the first.
pub async fn close_attempt(store: &Store, request: &CloseRequest) -> Result<ClosedByHand, CloseError> {
    if request.outcome == Outcome::Passed {
        return Err(CloseError::Passed);
    }
    let at = store.run_tx("close_attempt", As::Worker, |tx| Box::pin(record(tx, request))).await?;
    for _ in 0..TRIES {
        if run::catch_up(store, request.tenant, at).await? {
            return Ok(ClosedByHand { at, is_folded: true });
        }
        // An older transaction is still storing statements; what it stores comes first.
        tokio::time::sleep(PAUSE).await;
    }
    Ok(ClosedByHand { at, is_folded: false })
}

async fn record(tx: &Tx<'_>, request: &CloseRequest) -> Result<DateTime<Utc>, CloseError> {
    let CloseRequest { tenant, attempt, outcome, by, reason } = request;
    let id = derived(*tenant, "closing by hand", &[attempt]);
    let closure = Closure { attempt: attempt.clone(), id, outcome: *outcome, by: by.clone(), reason: reason.clone() };
    if let Some((earlier, at)) = closures::of_attempt(tx, *tenant, attempt).await? {
        let is_same = earlier == closure;
        return if is_same { Ok(at) } else { Err(CloseError::Closed(earlier.outcome.as_str().to_owned())) };
    }
    match closures::standing(tx, *tenant, attempt).await? {
        None => return Err(CloseError::Unknown),
        Some(Some(outcome)) => return Err(CloseError::Closed(outcome)),
        Some(None) => {}
    }
    let at = closures::insert(tx, *tenant, &closure).await?;
    // The reason is somebody's own words and may name a person: it stays beside the attempt.
    let detail = json!({ "outcome": outcome.as_str() });
    let action = "attempt.close";
    audit::append(tx, &Entry { tenant: Some(*tenant), actor: by, action, subject: attempt.clone(), detail }).await?;
    Ok(at)
}
