//! Resolves StatementRefs in the background: the transitive references that the writing transaction left to be followed later.
//!
//! In bounded batches, round-robin over tenants, so that a tenant with many references delays only itself.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, Utc};
use tracing::warn;

use super::{
    commit::may_be_of_one,
    recall::{Halt, Recalled},
};
use crate::{
    cold::{Cold, ColdError},
    model::{Lease, TenantId},
    store::{
        As, Store, StoreError, Tx,
        door::error::AsStoreError,
        ledger::{
            links::{self, Due, PIECE},
            statements,
        },
        platform::leases,
    },
    telemetry::Metrics,
};

/// So often a single reference may fail before it is left as it is.
const TRIES: u32 = 3;
/// The most pairs of a piece: of each referrer as many as a chain has steps.
const MOST_PAIRS: usize = PIECE * 64;

/// What the loop remembers from step to step; clones share it. Another node begins anew: it only tries some things once
/// more.
#[derive(Clone)]
pub struct References {
    store: Store,
    cold: Cold,
    metrics: Metrics,
    memory: Arc<Mutex<Memory>>,
}

#[derive(Default)]
struct Memory {
    /// A safe bound, and the ledger's time after it was asked for.
    earlier: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// Tenants with a reference that cannot be followed: one at a time finds out which.
    careful: HashMap<TenantId, Careful>,
}

struct Careful {
    /// References to take one by one before it goes on as usual.
    left: usize,
    /// Of the one that is next.
    failures: u32,
}

impl References {
    pub fn new(cold: Cold, metrics: Metrics) -> Self {
        Self { store: cold.store().clone(), cold, metrics, memory: Arc::default() }
    }

    /// The same for a step under this lease.
    #[must_use]
    pub fn under(&self, lease: &Lease) -> Self {
        Self { store: self.store.under(lease), ..self.clone() }
    }

    /// Looks at a piece of each tenant that has something to look at; answers how much there was.
    pub async fn step(&self) -> Result<usize, StoreError> {
        let tenants = self.store.run_tx("due_tenants", As::Worker, |tx| Box::pin(links::due_tenants(tx))).await?;
        if tenants.is_empty() {
            return Ok(0);
        }
        let bound = self.bound().await?;
        let mut done = 0;
        for tenant in tenants {
            done += self.turn(tenant, bound).await?;
        }
        Ok(done)
    }

    /// A time before which every reference is visible, and whatever was written beside it and did not see it is as well.
    ///
    /// The first alone is the safe bound. Whoever did not see a reference that is visible now has begun before now, so the
    /// second is true as soon as a later bound has come to what the ledger's clock says now.
    async fn bound(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
        let bound = self.safe_bound().await?;
        let now = self.store.run_tx("settle_now", As::Worker, |tx| Box::pin(statements::now(tx))).await?;
        let reached = self.safe_bound().await?;
        let mut memory = self.memory();
        if reached >= now {
            memory.earlier = None;
            return Ok(Some(bound));
        }
        match memory.earlier {
            Some((earlier, then)) if reached >= then => {
                memory.earlier = Some((bound, now));
                Ok(Some(earlier))
            }
            Some(_) => Ok(None),
            None => {
                memory.earlier = Some((bound, now));
                Ok(None)
            }
        }
    }

    async fn safe_bound(&self) -> Result<DateTime<Utc>, StoreError> {
        self.store.run_tx("settle_bound", As::Worker, |tx| Box::pin(statements::safe_bound(tx))).await
    }

    async fn turn(&self, tenant: TenantId, bound: Option<DateTime<Utc>>) -> Result<usize, StoreError> {
        let most = if self.memory().careful.contains_key(&tenant) { 1 } else { PIECE };
        match self.take(tenant, bound, most).await {
            Ok(due) => {
                self.went_well(tenant, due.len());
                Ok(due.len())
            }
            Err(error) if !may_be_of_one(&error) => match error {
                ColdError::Store(error) => Err(error),
                _ => Ok(0),
            },
            // Nothing is given up for a storage that is away: these references wait.
            Err(error) if error.as_store_error().is_none() && error.is_temporary() => {
                warn!(%error, %tenant, "references to archived statements cannot be followed now");
                Ok(0)
            }
            Err(error) if self.failed(tenant) => self.give_up(tenant, bound, &error).await,
            Err(error) => {
                warn!(%error, %tenant, "references could not be followed; trying them one by one");
                Ok(1)
            }
        }
    }

    /// Looks at a piece; what it has to know of archived months is read in between.
    async fn take(&self, tenant: TenantId, bound: Option<DateTime<Utc>>, most: usize) -> Result<Due, ColdError> {
        let mut recalled = Recalled::default();
        loop {
            let taken = self
                .store
                .run_tx("settle_refs", As::Worker, |tx| Box::pin(piece(tx, tenant, (bound, most), &recalled)));
            match taken.await {
                Ok(due) => return Ok(due),
                Err(Halt::Store(error)) => return Err(error.into()),
                Err(Halt::Known(moments) | Halt::Reached(moments)) => {
                    Box::pin(recalled.read(&self.cold, tenant, &moments)).await?;
                }
            }
        }
    }

    fn went_well(&self, tenant: TenantId, done: usize) {
        let mut memory = self.memory();
        if let Some(careful) = memory.careful.get_mut(&tenant) {
            (careful.left, careful.failures) = (careful.left.saturating_sub(done), 0);
            if careful.left == 0 || done == 0 {
                memory.careful.remove(&tenant);
            }
        }
    }

    /// Whether what failed has failed often enough.
    fn failed(&self, tenant: TenantId) -> bool {
        let mut memory = self.memory();
        let Some(careful) = memory.careful.get_mut(&tenant) else {
            memory.careful.insert(tenant, Careful { left: PIECE, failures: 0 });
            return false;
        };
        careful.failures += 1;
        let enough = careful.failures >= TRIES;
        if enough {
            careful.failures = 0;
        }
        enough
    }

    /// Leaves the next reference as it is: a filter then finds the referrer by its own words only.
    async fn give_up(
        &self,
        tenant: TenantId,
        bound: Option<DateTime<Utc>>,
        why: &ColdError,
    ) -> Result<usize, StoreError> {
        let due = self
            .store
            .run_tx("give_up_refs", As::Worker, |tx| {
                Box::pin(async move {
                    leases::check(tx).await?;
                    let due = links::take(tx, tenant, bound, 1).await?;
                    links::done(tx, tenant, &due).await?;
                    Ok::<_, StoreError>(due)
                })
            })
            .await?;
        self.metrics.ingest.references_given_up.inc_by(due.referrers.len() as u64);
        warn!(%why, %tenant, referrer = ?due.referrers.first(), tries = TRIES, "a reference is given up");
        self.went_well(tenant, due.len());
        Ok(due.len())
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks at some referrers of a tenant, writes what they reach, and notes whose referrers reach more through them.
async fn piece(
    tx: &Tx<'_>,
    tenant: TenantId,
    (bound, most): (Option<DateTime<Utc>>, usize),
    recalled: &Recalled,
) -> Result<Due, Halt> {
    leases::check(tx).await?;
    let due = links::take(tx, tenant, bound, most).await?;
    if !due.referrers.is_empty() {
        let pairs = links::missing(tx, tenant, &due.referrers, MOST_PAIRS).await?;
        let written = links::write(tx, tenant, &pairs, &recalled.reached).await?;
        if !written.away.is_empty() {
            return Err(Halt::Reached(written.away));
        }
        links::look_again(tx, tenant, &written.referrers, &due.referrers).await?;
    }
    links::done(tx, tenant, &due).await?;
    Ok(due)
}
