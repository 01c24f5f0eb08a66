//! Changing the state of a partition: each change is one short transaction that nobody has to wait for, repeated until it
//! finds its moment. Done again, it changes nothing.

use std::{
    fmt,
    time::{Duration, Instant},
};

use serde_json::json;

use super::plan;
use crate::{
    model::partition::{Bounds, Change, Month, State},
    store::{
        As, Outcome, Store, StoreError, Tx,
        door::error::AsStoreError,
        ledger::partitions::{self, Standing},
        platform::{
            audit::{self, Entry},
            residences,
        },
        progress::gates,
    },
};

/// Between two tries that somebody was in the way of.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    #[error("there is no partition {0}; `progress-service partitions list` prints them")]
    Unknown(Month),
    #[error("the partition {partition} is {}, and only {} is {}", .state.name(), states(*.change), done(*.change))]
    Wrong { partition: Bounds, state: State, change: Change },
    #[error("the partition {partition} cannot be sealed yet: {}", .waiting.join("; "))]
    NotPast { partition: Bounds, waiting: Vec<String> },
    /// Its statements go into months that are in place.
    #[error(
        "the partition {partition} is not detached while a tenant arrives from another cell, whose statements may go into it: \
             wait for the end of that move, which `residency list` shows in the cell it leaves"
    )]
    Arriving { partition: Bounds },
    #[error("the partition {partition} is not {}: not all of its statements are in segments that this installation published",
            done(*.change))]
    NotPublished { partition: Bounds, change: Change },
    #[error("the partition {partition} was not {}: for {after:?} there was no moment without others on the ledger, \
             now these processes of the database: {}", done(*.change), list(.pids))]
    Busy { partition: Month, change: Change, after: Duration, pids: Vec<i32> },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AsStoreError for ChangeError {
    fn as_store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) => Some(error),
            _ => None,
        }
    }
}

/// The states that a change comes from, as words.
fn states(change: Change) -> String {
    let names: Vec<String> = change.from().iter().map(|state| format!("one that is {}", state.name())).collect();
    names.join(" or ")
}

/// What a change does, as a participle.
fn done(change: Change) -> &'static str {
    match change {
        Change::Seal => "sealed",
        Change::Detach => "detached",
        Change::Attach => "attached",
        Change::Archive => "archived",
        Change::Drop => "dropped",
    }
}

fn list(pids: &[i32]) -> impl fmt::Display {
    if pids.is_empty() { "none".to_owned() } else { pids.iter().map(i32::to_string).collect::<Vec<_>>().join(", ") }
}

/// What is changed, and for whom.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'w> {
    pub month: Month,
    pub change: Change,
    /// Whether there are brokers that statements go to.
    pub has_brokers: bool,
    /// As the audit trail will know it.
    pub by: &'w str,
    /// For how long it is tried.
    pub patience: Duration,
}

/// Makes the change; answers whether it was to be made still.
pub async fn make(store: &Store, wish: &Wish<'_>) -> Result<bool, ChangeError> {
    let (began, mut pause) = (Instant::now(), FIRST_PAUSE);
    loop {
        let tried = store.run_once("change_partition", As::Worker, |tx| Box::pin(attempt(tx, wish))).await;
        match tried {
            Err(ChangeError::Store(error)) if error.outcome() == Outcome::Retry => {
                if began.elapsed() >= wish.patience {
                    let pids =
                        store.run_tx("in_the_way", As::Worker, |tx| Box::pin(partitions::in_the_way(tx))).await?;
                    let (partition, change) = (wish.month, wish.change);
                    return Err(ChangeError::Busy { partition, change, after: wish.patience, pids });
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            tried => return tried,
        }
    }
}

/// Looks whether the change could be made now.
pub async fn look(tx: &Tx<'_>, wish: &Wish<'_>) -> Result<Standing, ChangeError> {
    let standings = partitions::standings(tx).await?;
    let found = standings.into_iter().find(|one| one.partition.bounds.lower == wish.month.begin());
    let standing = found.ok_or(ChangeError::Unknown(wish.month))?;
    let (partition, state) = (standing.partition.bounds, standing.partition.state);
    if state == wish.change.to() {
        return Ok(standing);
    }
    if !wish.change.from().contains(&state) {
        return Err(ChangeError::Wrong { partition, state, change: wish.change });
    }
    if wish.change == Change::Seal {
        let waiting = plan::not_past(&partition, &gates::read(tx).await?, wish.has_brokers);
        if !waiting.is_empty() {
            return Err(ChangeError::NotPast { partition, waiting });
        }
    }
    if wish.change == Change::Detach && residences::somebody_arrives(tx).await? {
        return Err(ChangeError::Arriving { partition });
    }
    Ok(standing)
}

async fn attempt(tx: &Tx<'_>, wish: &Wish<'_>) -> Result<bool, ChangeError> {
    let before = look(tx, wish).await?.partition;
    if before.state == wish.change.to() {
        return Ok(false);
    }
    let after = partitions::change(tx, before.bounds.lower, wish.change).await?;
    let after = after.ok_or(ChangeError::Unknown(wish.month))?;
    if after != wish.change.to() {
        let (partition, change) = (before.bounds, wish.change);
        // It is where it was: what the ledger itself asks for did not hold.
        return Err(match change {
            Change::Archive | Change::Drop => ChangeError::NotPublished { partition, change },
            _ if change.from().contains(&after) => {
                ChangeError::NotPast { partition, waiting: vec!["its end is not over for the ledger".to_owned()] }
            }
            _ => ChangeError::Wrong { partition, state: after, change },
        });
    }
    let detail = json!({ "was": before.state.name(), "is": after.name() });
    let subject = wish.month.to_string();
    audit::append(tx, &Entry { tenant: None, actor: wish.by, action: wish.change.name(), subject, detail }).await?;
    Ok(true)
}
