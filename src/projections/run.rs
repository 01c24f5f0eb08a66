//! The step: what the ledger has gained since the last one, folded; state, events and cursor in one transaction.

use std::{
    collections::{BTreeSet, HashMap},
    time::Instant,
};

use chrono::{DateTime, Utc};
use futures_util::future::try_join_all;
use uuid::Uuid;

use super::{
    activity::{self, Read},
    batch,
    effects::EFFECTS,
    error::ProjectionError,
    facts::AttemptFact,
    fold, traced,
};
use crate::{
    model::{Pseudonyms, Rounds, TenantId},
    store::{
        As, Store, StoreError, Tx,
        ledger::{
            statements::{self, Id},
            tables::Tables,
        },
        platform::{leases, tenants},
        progress::{
            closures,
            projections::{self as rows, Of, Side, Standing},
            satisfied,
        },
    },
    telemetry::Traces,
};

/// Statements of one tenant read in one transaction.
pub const BATCH: usize = 1_000;

/// Tenants that are read in one transaction.
const TOGETHER: usize = 16;
/// Statements of each of them, so that the transaction stays a short one.
const OF_EACH: usize = 100;

/// Reads one batch of every tenant that has something new; answers how much that was. Two nodes may do it at once: a
/// tenant's cursor row lets one of them in at a time.
pub async fn step(store: &Store) -> Result<usize, ProjectionError> {
    round(store, &Rounds::default(), &Traces::off()).await
}

/// Does a step, and remembers who had something: of many tenants not all are asked each time. The collector is told of requests
/// that are traced.
pub async fn round(store: &Store, rounds: &Rounds, traces: &Traces) -> Result<usize, ProjectionError> {
    let bound = bound(store).await?;
    let tenants = behind(store, rounds, bound).await?;
    if tenants.is_empty() {
        return Ok(0);
    }
    let pseudonyms = &pseudonyms(store).await?;
    let (mut read, mut failed) = (0, None);
    for some in tenants.chunks(TOGETHER) {
        let alone = match together(store, some, (pseudonyms, bound), traces).await {
            Ok(more) => {
                read += more;
                continue;
            }
            // Somebody's trouble: one by one, only that one has it.
            Err(_) if some.len() > 1 => some.chunks(1),
            Err(error) => {
                failed.get_or_insert(error);
                continue;
            }
        };
        for one in alone {
            match together(store, one, (pseudonyms, bound), traces).await {
                Ok(more) => read += more,
                Err(error) => _ = failed.get_or_insert(error),
            }
        }
    }
    match failed {
        // The others go on at their pace; it is tried again with them.
        Some(error) if read > 0 => {
            tracing::error!(%error, "the projections of a tenant cannot be brought up to date");
            Ok(read)
        }
        Some(error) => Err(error),
        None => Ok(read),
    }
}

/// The tenants with something new: of all, or of those that had something lately.
async fn behind(store: &Store, rounds: &Rounds, bound: DateTime<Utc>) -> Result<Vec<TenantId>, StoreError> {
    let among = &rounds.whom(Instant::now());
    let (tenants, all) = store
        .run_tx("tenants_behind", As::Worker, |tx| {
            Box::pin(async move {
                let behind = rows::tenants_behind(tx, bound, among.as_deref()).await?;
                Ok((behind, if among.is_none() { tenants::count(tx).await? } else { 0 }))
            })
        })
        .await?;
    rounds.found(tenants.iter().copied(), Instant::now());
    if among.is_none() {
        rounds.visited_everybody(all, Instant::now());
    }
    Ok(tenants)
}

/// A batch of each of the tenants, in one transaction. Their statements go to the database side by side, so that they wait for
/// its answers together.
async fn together(
    store: &Store,
    tenants: &[TenantId],
    (pseudonyms, bound): (&Pseudonyms, DateTime<Utc>),
    traces: &Traces,
) -> Result<usize, ProjectionError> {
    let began = traces.now();
    let most = if tenants.len() == 1 { BATCH } else { OF_EACH };
    let done: Vec<Done> = store
        .run_tx("project", As::Worker, |tx| {
            let each = tenants.iter().map(move |tenant| {
                let of = Of { tenant: *tenant, side: Side::Live };
                project(tx, of, pseudonyms, bound, most)
            });
            Box::pin(try_join_all(each))
        })
        .await?;
    if !traces.is_off() {
        let statements: Vec<Id> = done.iter().flat_map(|done| &done.statements).copied().collect();
        traced::tell(store, traces, began, &statements).await;
    }
    Ok(done.iter().map(|done| done.read).sum())
}

/// Reads what a tenant has up to `until`, as far as it is final; answers whether that was all.
pub async fn catch_up(store: &Store, tenant: TenantId, until: DateTime<Utc>) -> Result<bool, ProjectionError> {
    let (bound, pseudonyms) = (bound(store).await?, &pseudonyms(store).await?);
    let of = Of { tenant, side: Side::Live };
    loop {
        let done =
            store.run_tx("project", As::Worker, |tx| Box::pin(project(tx, of, pseudonyms, bound, BATCH))).await?;
        if done.read == 0 || done.position >= until {
            return Ok(done.position >= until);
        }
    }
}

/// Folds attempts of a tenant again, as far as the projections have come: something that was said of them is gone.
pub async fn fold_again(store: &Store, tenant: TenantId, attempts: &[String]) -> Result<(), ProjectionError> {
    let of = Of { tenant, side: Side::Live };
    let folding = store.run_tx("fold_again", As::Worker, |tx| {
        Box::pin(async move {
            leases::check(tx).await?;
            let position = rows::lock_cursor(tx, of, EFFECTS.version).await?;
            batch::settle(tx, of, attempts, position).await
        })
    });
    folding.await
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
    /// The statements of them.
    pub statements: Vec<Id>,
    /// The attempts that these speak of.
    pub touched: Vec<String>,
}

/// One batch of one tenant: at most so many statements after its cursor and before `bound`.
pub(super) async fn project(
    tx: &Tx<'_>,
    of: Of,
    pseudonyms: &Pseudonyms,
    bound: DateTime<Utc>,
    most: usize,
) -> Result<Done, ProjectionError> {
    leases::check(tx).await?;
    let position = rows::lock_cursor(tx, of, EFFECTS.version).await?;
    let lines = rows::ledger_lines(tx, of.tenant, Tables::Hot, (position, bound), most as i64).await?;
    let last = lines.last().map(|line| line.stored);
    // Beyond a full batch there may be statements that come before the next closing.
    let is_full = lines.len() == most;
    let closures = closures::between(tx, of.tenant, position, last.filter(|_| is_full).unwrap_or(bound)).await?;
    let Some(until) = last.max(closures.last().map(|(_, stored)| *stored)) else {
        return Ok(Done { position, read: 0, statements: Vec::new(), touched: Vec::new() });
    };
    let found = batch::read(of.tenant, pseudonyms, &lines)?;
    let standing = batch::keep(tx, of, &found).await?;
    activity::count(tx, of, &Read { lines: &lines, found: &found, standing: &standing }, (position, until)).await?;
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
    let statements = lines.iter().map(|line| (of.tenant, line.id)).collect();
    let touched = found.into_iter().map(|found| found.attempt.id).chain(affected).collect();
    Ok(Done { position: until, read, statements, touched })
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
