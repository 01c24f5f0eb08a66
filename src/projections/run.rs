//! The step: what the ledger has gained since the last one, folded; state, events and cursor in one transaction.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{batch, effects::EFFECTS, error::ProjectionError, facts::AttemptFact, fold};
use crate::{
    model::{Pseudonyms, TenantId},
    store::{
        As, Store, StoreError, Tx,
        ledger::{statements, tables::Tables},
        platform::leases,
        progress::{
            closures,
            projections::{self as rows, Of, Side, Standing},
            satisfied,
        },
    },
};

/// Statements of one tenant read in one transaction.
pub const BATCH: usize = 1_000;

/// Reads one batch of every tenant that has something new; answers how much that was. Two nodes may do it at once: a
/// tenant's cursor row lets one of them in at a time.
pub async fn step(store: &Store) -> Result<usize, ProjectionError> {
    let bound = bound(store).await?;
    let tenants = store
        .run_tx("tenants_behind", As::Worker, |tx| Box::pin(async move { rows::tenants_behind(tx, bound).await }))
        .await?;
    if tenants.is_empty() {
        return Ok(0);
    }
    let pseudonyms = &pseudonyms(store).await?;
    let mut read = 0;
    for tenant in tenants {
        let of = Of { tenant, side: Side::Live };
        read += store.run_tx("project", As::Worker, |tx| Box::pin(project(tx, of, pseudonyms, bound))).await?.read;
    }
    Ok(read)
}

/// Reads what a tenant has up to `until`, as far as it is final; answers whether that was all.
pub async fn catch_up(store: &Store, tenant: TenantId, until: DateTime<Utc>) -> Result<bool, ProjectionError> {
    let (bound, pseudonyms) = (bound(store).await?, &pseudonyms(store).await?);
    let of = Of { tenant, side: Side::Live };
    loop {
        let done = store.run_tx("project", As::Worker, |tx| Box::pin(project(tx, of, pseudonyms, bound))).await?;
        if done.read == 0 || done.position >= until {
            return Ok(done.position >= until);
        }
    }
}

async fn bound(store: &Store) -> Result<DateTime<Utc>, StoreError> {
    store.run_tx("projection_bound", As::Worker, |tx| Box::pin(statements::safe_bound(tx))).await
}

pub(super) async fn pseudonyms(store: &Store) -> Result<Pseudonyms, StoreError> {
    Ok(Pseudonyms::with_key(&store.signing_key(Pseudonyms::PURPOSE).await?))
}

/// How far a batch came.
pub(super) struct Done {
    pub position: DateTime<Utc>,
    /// Statements and closings by hand.
    pub read: usize,
    /// The attempts that these speak of.
    pub touched: Vec<String>,
}

/// One batch of one tenant: what comes after its cursor and before `bound`.
pub(super) async fn project(
    tx: &Tx<'_>,
    of: Of,
    pseudonyms: &Pseudonyms,
    bound: DateTime<Utc>,
) -> Result<Done, ProjectionError> {
    leases::check(tx).await?;
    let position = rows::lock_cursor(tx, of, EFFECTS.version).await?;
    let lines = rows::ledger_lines(tx, of.tenant, Tables::Hot, (position, bound), BATCH as i64).await?;
    let last = lines.last().map(|line| line.stored);
    // Beyond a full batch there may be statements that come before the next closing.
    let is_full = lines.len() == BATCH;
    let closures = closures::between(tx, of.tenant, position, last.filter(|_| is_full).unwrap_or(bound)).await?;
    let Some(until) = last.max(closures.last().map(|(_, stored)| *stored)) else {
        return Ok(Done { position, read: 0, touched: Vec::new() });
    };
    let found = batch::read(of.tenant, pseudonyms, &lines)?;
    let standing = batch::keep(tx, of, &found).await?;
    let mut affected: BTreeSet<String> =
        found.iter().filter(|found| may_change(found, &standing)).map(|found| found.attempt.id.clone()).collect();
    let voided: Vec<Uuid> = lines.iter().filter_map(|line| line.voids).collect();
    if !voided.is_empty() {
        affected.extend(rows::attempts_of(tx, of, &voided).await?);
    }
    let read = lines.len() + closures.len();
    affected.extend(closures.into_iter().map(|(attempt, _)| attempt));
    let affected: Vec<String> = affected.into_iter().collect();
    batch::settle(tx, of, &affected, until).await?;
    rows::move_cursor(tx, of, until).await?;
    note_satisfied(tx, of, &found, until).await?;
    let touched = found.into_iter().map(|found| found.attempt.id).chain(affected).collect();
    Ok(Done { position: until, read, touched })
}

/// Whoever looks for what is satisfied hears of cmi5 attempts that more was said of. A rebuild says nothing new.
async fn note_satisfied(tx: &Tx<'_>, of: Of, found: &[AttemptFact], until: DateTime<Utc>) -> Result<(), StoreError> {
    let said = found.iter().filter(|found| found.fact.cmi5.is_some()).map(|found| found.attempt.id.clone());
    let attempts: BTreeSet<String> = said.collect();
    if attempts.is_empty() || of.side != Side::Live {
        return Ok(());
    }
    satisfied::note(tx, of.tenant, &attempts.into_iter().collect::<Vec<_>>(), until).await
}

/// Whether an attempt has to be folded again for a fact that was stored after all that it is made of. A closed one is
/// closed for good, and an open one stays as it is until a fact decides or begins earlier. (What is voided is another
/// matter: that folds again whatever it was part of.)
fn may_change(found: &AttemptFact, standing: &HashMap<String, Standing>) -> bool {
    match standing.get(&found.attempt.id) {
        Some(Standing { is_closed: true, .. }) => false,
        Some(Standing { started_at: Some(started), .. }) => {
            found.fact.occurred < *started || fold::may_close(&found.fact)
        }
        Some(Standing { started_at: None, .. }) | None => true,
    }
}
