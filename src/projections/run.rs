//! The step: what the ledger has gained since the last one, folded; state, events and cursor in one transaction.

use std::collections::{BTreeSet, HashMap, HashSet};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{
    effects::EFFECTS,
    events::{completion_id, events},
    facts::{self, AttemptFact},
    fold,
};
use crate::{
    model::{
        Pseudonyms, TenantId,
        attempt::{Fact, Outcome},
    },
    store::{
        As, Store, StoreError, Tx,
        attempts::{self, Projected},
        closures,
        projections::{self as rows, Line, Numbered, Standing},
        run_tx::AsStoreError,
        statements,
    },
};

/// Statements of one tenant read in one transaction.
pub const BATCH: usize = 1_000;

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum ProjectionError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("statement {0} cannot be read back from the ledger: {1}")]
    Unreadable(Uuid, serde_json::Error),
    #[error("an event cannot be written: {0}")]
    Event(serde_json::Error),
}

impl AsStoreError for ProjectionError {
    fn as_store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) => Some(error),
            Self::Unreadable(..) | Self::Event(_) => None,
        }
    }
}

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
        read += store.run_tx("project", As::Worker, |tx| Box::pin(project(tx, tenant, pseudonyms, bound))).await?.read;
    }
    Ok(read)
}

/// Reads what a tenant has up to `until`, as far as it is final; answers whether that was all.
pub async fn catch_up(store: &Store, tenant: TenantId, until: DateTime<Utc>) -> Result<bool, ProjectionError> {
    let (bound, pseudonyms) = (bound(store).await?, &pseudonyms(store).await?);
    loop {
        let done = store.run_tx("project", As::Worker, |tx| Box::pin(project(tx, tenant, pseudonyms, bound))).await?;
        if done.read == 0 || done.position >= until {
            return Ok(done.position >= until);
        }
    }
}

async fn bound(store: &Store) -> Result<DateTime<Utc>, StoreError> {
    store.run_tx("projection_bound", As::Worker, |tx| Box::pin(statements::safe_bound(tx))).await
}

async fn pseudonyms(store: &Store) -> Result<Pseudonyms, StoreError> {
    Ok(Pseudonyms::with_key(&store.signing_key(Pseudonyms::PURPOSE).await?))
}

/// How far a batch came.
struct Done {
    position: DateTime<Utc>,
    /// Statements and closings by hand.
    read: usize,
}

/// One batch of one tenant.
async fn project(
    tx: &Tx<'_>,
    tenant: TenantId,
    pseudonyms: &Pseudonyms,
    bound: DateTime<Utc>,
) -> Result<Done, ProjectionError> {
    let position = rows::lock_cursor(tx, tenant, EFFECTS.version).await?;
    let lines = rows::ledger_lines(tx, tenant, position, bound, BATCH as i64).await?;
    let last = lines.last().map(|line| line.stored);
    // Beyond a full batch there may be statements that come before the next closing.
    let is_full = lines.len() == BATCH;
    let closures = closures::between(tx, tenant, position, last.filter(|_| is_full).unwrap_or(bound)).await?;
    let Some(until) = last.max(closures.last().map(|(_, stored)| *stored)) else {
        return Ok(Done { position, read: 0 });
    };
    let mut found = Vec::new();
    for line in &lines {
        found.extend(read(tenant, pseudonyms, line)?);
    }
    let ids: BTreeSet<&str> = found.iter().map(|found| found.attempt.id.as_str()).collect();
    let standing = rows::standing(tx, tenant, &ids.into_iter().collect::<Vec<_>>()).await?;
    name_attempts(tx, tenant, &found, &standing).await?;
    let facts: Vec<(&str, &Fact)> = found.iter().map(|found| (found.attempt.id.as_str(), &found.fact)).collect();
    if !facts.is_empty() {
        rows::insert_facts(tx, tenant, &facts).await?;
    }

    let mut affected: BTreeSet<String> =
        found.iter().filter(|found| may_change(found, &standing)).map(|found| found.attempt.id.clone()).collect();
    let voided: Vec<Uuid> = lines.iter().filter_map(|line| line.voids).collect();
    if !voided.is_empty() {
        affected.extend(rows::attempts_of(tx, tenant, &voided).await?);
    }
    let read = lines.len() + closures.len();
    affected.extend(closures.into_iter().map(|(attempt, _)| attempt));
    let affected: Vec<String> = affected.into_iter().collect();
    if !affected.is_empty() {
        let standing = refold(tx, tenant, &affected, until).await?;
        attempts::put(tx, tenant, &affected, &standing).await?;
    }
    rows::move_cursor(tx, tenant, until).await?;
    Ok(Done { position: until, read })
}

/// Whether an attempt has to be folded again for a fact that was stored after all that it is made of. A closed one is
/// closed for good, and an open one stays as it is until a fact decides or begins earlier. (What is voided is another
/// matter: that folds again whatever it was part of.)
fn may_change(found: &AttemptFact, standing: &HashMap<String, Standing>) -> bool {
    match standing.get(&found.attempt.id) {
        Some(Standing { is_closed: true, .. }) => false,
        Some(Standing { started_at: Some(started), .. }) => {
            found.fact.occurred < *started || fold::verdict(&found.fact).is_some()
        }
        Some(Standing { started_at: None, .. }) | None => true,
    }
}

/// Most statements name no attempt, and most of those can be told without reading them.
fn read(tenant: TenantId, pseudonyms: &Pseudonyms, line: &Line) -> Result<Option<AttemptFact>, ProjectionError> {
    if !line.has_registration && !line.payload.contains(facts::EXTENSIONS) {
        return Ok(None);
    }
    let statement: Map<String, Value> =
        serde_json::from_str(&line.payload).map_err(|error| ProjectionError::Unreadable(line.id, error))?;
    // Whether it is voided is asked again when the attempt is folded.
    Ok(facts::read(tenant, pseudonyms, &statement, line.id, line.stored, false))
}

/// Gives new attempts their numbers, in the order in which the ledger first names them.
async fn name_attempts(
    tx: &Tx<'_>,
    tenant: TenantId,
    found: &[AttemptFact],
    standing: &HashMap<String, Standing>,
) -> Result<(), StoreError> {
    let mut named: HashSet<&str> = standing.keys().map(String::as_str).collect();
    let new: Vec<&AttemptFact> = found.iter().filter(|found| named.insert(&found.attempt.id)).collect();
    if new.is_empty() {
        return Ok(());
    }
    let enrollments: Vec<&str> = new.iter().map(|found| found.attempt.enrollment.as_str()).collect();
    let mut highest: HashMap<String, i32> = rows::highest_numbers(tx, tenant, &enrollments).await?;
    let mut numbered = Vec::with_capacity(new.len());
    for AttemptFact { attempt, fact } in new {
        let highest = highest.entry(attempt.enrollment.clone()).or_default();
        *highest = fold::number(attempt.wanted_number, *highest);
        numbered.push(Numbered { name: attempt.clone(), number: *highest, first_stored: fact.stored });
    }
    rows::insert_names(tx, tenant, &numbered).await
}

/// The attempts as their facts up to `until` make them; one whose facts are all voided is not among them.
async fn refold(
    tx: &Tx<'_>,
    tenant: TenantId,
    ids: &[String],
    until: DateTime<Utc>,
) -> Result<Vec<Projected>, ProjectionError> {
    let names = rows::names(tx, tenant, ids).await?;
    let facts = rows::facts(tx, tenant, ids, until).await?;
    let by_hand = closures::facts(tx, tenant, ids, until).await?;
    let mut standing = Vec::with_capacity(names.len());
    for named in names {
        let id = &named.name.id;
        let Some(attempt) = facts.get(id).and_then(|facts| fold::fold(facts, by_hand.get(id))) else { continue };
        let events = events(tenant, &named.name, named.number, &attempt).map_err(ProjectionError::Event)?;
        let is_passed = attempt.closing.as_ref().is_some_and(|closing| closing.outcome == Outcome::Passed);
        let completion = is_passed.then(|| completion_id(tenant, &named.name.id));
        standing.push(Projected { named, attempt, completion, events });
    }
    Ok(standing)
}
