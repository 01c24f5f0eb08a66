//! What is closed and opened with a tenant, and who is waited for at the door.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

use super::ResidencyError;
use crate::{
    model::{TenantId, residence::Standing},
    store::{
        As, Store, StoreError, Tx,
        ledger::statements,
        platform::{carried as rows, residences},
    },
};

/// How long writers that were under way are waited for.
const DRAIN: Duration = Duration::from_secs(30);
/// How long brokers and references are waited for while the tenant is frozen.
const LAST_WORDS: Duration = Duration::from_millis(700);
/// A broker that takes nothing for so long is away, or there is none: writers do not wait for it.
const A_WORD: Duration = Duration::from_millis(100);
pub const TICK: Duration = Duration::from_millis(5);

/// What becomes of a tenant's relay, projections and unsent events with its standing.
#[derive(Clone, Copy)]
pub enum Doors {
    Leave,
    /// They stop where they are.
    Close,
    /// They go on from there.
    Open,
    /// They go on from where they stood in the other cell.
    OpenAt((DateTime<Utc>, DateTime<Utc>)),
    /// The other cell tells what they had not.
    Forget,
}

impl Doors {
    pub async fn set(self, tx: &Tx<'_>, tenant: TenantId, effects_version: i32) -> Result<(), StoreError> {
        match self {
            Self::Leave => Ok(()),
            Self::Close => residences::park(tx, tenant, effects_version).await,
            Self::Open => {
                let parked = residences::parked(tx, tenant).await?;
                residences::go_on(tx, tenant, parked).await
            }
            Self::OpenAt(positions) => residences::go_on(tx, tenant, positions).await,
            Self::Forget => residences::drop_unsent(tx, tenant).await,
        }
    }
}

pub async fn standing(store: &Store, tenant: TenantId) -> Result<Standing, ResidencyError> {
    let found = store.run_tx("standing", As::Worker, |tx| Box::pin(residences::get(tx, tenant))).await?;
    Ok(found.map_or(Standing::Home, |residence| residence.standing))
}

/// From where on a next round has to look: rows written since this transaction, statements stored since this moment.
pub async fn edge(store: &Store, tenant: TenantId) -> Result<(String, DateTime<Utc>), ResidencyError> {
    let horizon = store.run_tx("horizon", As::Worker, |tx| Box::pin(rows::horizon(tx))).await?;
    store.run_tx("catch_up", As::Tenant(tenant), |tx| Box::pin(statements::catch_up(tx))).await?;
    let bound = store.run_tx("safe_bound", As::Tenant(tenant), |tx| Box::pin(statements::safe_bound(tx))).await?;
    Ok((horizon, bound - TimeDelta::microseconds(1)))
}

/// Waits for the transactions that may not have seen that the tenant is closed.
pub async fn drained(store: &Store) -> Result<(), ResidencyError> {
    let writing = || store.run_tx("writing", As::Worker, |tx| Box::pin(residences::writing(tx)));
    let begun = Instant::now();
    let mut left = writing().await?;
    while !left.is_empty() {
        if begun.elapsed() > DRAIN {
            return Err(ResidencyError::Differs(format!("{} transactions write and do not end", left.len())));
        }
        tokio::time::sleep(TICK).await;
        let now = writing().await?;
        left.retain(|one| now.contains(one));
    }
    Ok(())
}

/// Waits for the brokers to take what was told of the tenant, as long as they take it and that is soon, and for references to be
/// followed.
pub async fn last_words(store: &Store, tenant: TenantId) -> Result<(), ResidencyError> {
    let begun = Instant::now();
    let (mut first, mut taken) = (None, begun);
    loop {
        let (unsent, unlinked) =
            store.run_tx("waits", As::Worker, |tx| Box::pin(residences::waits(tx, tenant))).await?;
        if unsent != first {
            (first, taken) = (unsent, Instant::now());
        }
        // What is still unsent goes along, and is sent there.
        let is_said = unsent.is_none() || taken.elapsed() > A_WORD || begun.elapsed() > LAST_WORDS;
        if is_said && !unlinked {
            return Ok(());
        }
        if begun.elapsed() > DRAIN {
            return Err(ResidencyError::Differs("references of the tenant are still being followed".to_owned()));
        }
        tokio::time::sleep(TICK).await;
    }
}
