//! The parts of a step, which a rebuild does in another order: read statements, keep what they say, fold attempts.

use std::collections::{BTreeSet, HashMap, HashSet};

use chrono::{DateTime, Utc};

use super::{
    error::ProjectionError,
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
        StoreError, Tx,
        progress::{
            attempts::{self, Projected},
            closures,
            projections::{self as rows, Line, Numbered, Of, Standing},
        },
    },
};

/// What the statements say of attempts. Most name none, and most of those can be told without reading them.
pub fn read(tenant: TenantId, pseudonyms: &Pseudonyms, lines: &[Line]) -> Result<Vec<AttemptFact>, ProjectionError> {
    let mut found = Vec::new();
    for line in lines.iter().filter(|line| line.has_registration || line.payload.contains(facts::EXTENSIONS)) {
        let read = facts::read(tenant, pseudonyms, &line.payload, line.id, line.stored);
        found.extend(read.map_err(|error| ProjectionError::Unreadable(line.id, error))?);
    }
    Ok(found)
}

/// Keeps it, and gives new attempts their numbers, in the order in which the ledger first names them. Answers how the
/// others stood before.
pub async fn keep(tx: &Tx<'_>, of: Of, found: &[AttemptFact]) -> Result<HashMap<String, Standing>, StoreError> {
    if found.is_empty() {
        return Ok(HashMap::new());
    }
    let ids: BTreeSet<&str> = found.iter().map(|found| found.attempt.id.as_str()).collect();
    let standing = rows::standing(tx, of, &ids.into_iter().collect::<Vec<_>>()).await?;
    name_attempts(tx, of, found, &standing).await?;
    let facts: Vec<(&str, &Fact)> = found.iter().map(|found| (found.attempt.id.as_str(), &found.fact)).collect();
    rows::insert_facts(tx, of, &facts).await?;
    Ok(standing)
}

async fn name_attempts(
    tx: &Tx<'_>,
    of: Of,
    found: &[AttemptFact],
    standing: &HashMap<String, Standing>,
) -> Result<(), StoreError> {
    let mut named: HashSet<&str> = standing.keys().map(String::as_str).collect();
    let new: Vec<&AttemptFact> = found.iter().filter(|found| named.insert(&found.attempt.id)).collect();
    if new.is_empty() {
        return Ok(());
    }
    let enrollments: Vec<&str> = new.iter().map(|found| found.attempt.enrollment.as_str()).collect();
    let mut highest: HashMap<String, i32> = rows::highest_numbers(tx, of, &enrollments).await?;
    let mut numbered = Vec::with_capacity(new.len());
    for AttemptFact { attempt, fact } in new {
        let highest = highest.entry(attempt.enrollment.clone()).or_default();
        *highest = fold::number(attempt.wanted_number, *highest);
        numbered.push(Numbered { name: attempt.clone(), number: *highest, first_stored: fact.stored });
    }
    rows::insert_names(tx, of, &numbered).await
}

/// Makes the tables say of the attempts what their facts up to `until` make of them.
pub async fn settle(tx: &Tx<'_>, of: Of, ids: &[String], until: DateTime<Utc>) -> Result<(), ProjectionError> {
    if ids.is_empty() {
        return Ok(());
    }
    let names = rows::names(tx, of, ids).await?;
    let facts = rows::facts(tx, of, ids, until).await?;
    let of_service = closures::facts(tx, of.tenant, ids, until).await?;
    let mut standing = Vec::with_capacity(names.len());
    for named in names {
        let id = &named.name.id;
        // One whose facts are all voided is gone.
        let Some(attempt) =
            facts.get(id).and_then(|facts| fold::fold(facts, of_service.get(id).map_or(&[][..], Vec::as_slice)))
        else {
            continue;
        };
        let events = events(of.tenant, &named.name, named.number, &attempt).map_err(ProjectionError::Event)?;
        let is_passed = attempt.closing.as_ref().is_some_and(|closing| closing.outcome == Outcome::Passed);
        let completion = is_passed.then(|| completion_id(of.tenant, &named.name.id));
        standing.push(Projected { named, attempt, completion, events });
    }
    Ok(attempts::put(tx, of, ids, &standing).await?)
}
