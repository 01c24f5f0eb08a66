//! How much is done: statements by day, verb and course, and who was active on which day, counted as the projections read them.
//!
//! A day is that of `stored`, in UTC. A statement that voids another is not counted, nor is what it voids. The course is that of the
//! attempt that a statement belongs to.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::facts::AttemptFact;
use crate::{
    cold::{Cold, ColdError},
    model::TenantId,
    store::{
        StoreError, Tx,
        ledger::away::Kept,
        progress::{
            activity::{self as rows, Leaving, Tally},
            projections::{Line, Of, Side, Standing},
        },
    },
};

/// Statements that were read, what they say of attempts, and how those stood before.
pub(super) struct Read<'r> {
    pub lines: &'r [Line],
    pub found: &'r [AttemptFact],
    pub standing: &'r HashMap<String, Standing>,
}

/// Counts what was stored after `position` and up to `until`, and takes off what it voids.
pub(super) async fn count(
    tx: &Tx<'_>,
    of: Of,
    read: &Read<'_>,
    (position, until): (DateTime<Utc>, DateTime<Utc>),
) -> Result<(), StoreError> {
    add(tx, of, read, (position, until), until).await?;
    let targets: Vec<Uuid> = read.lines.iter().filter_map(|line| line.voids).collect();
    if targets.is_empty() {
        return Ok(());
    }
    rows::take_off_voided(tx, of, &targets, (position, until)).await
}

/// Counts from the beginning what was read of a ledger that is known up to `until`: what is voided by then is left out at once.
pub(super) async fn count_anew(tx: &Tx<'_>, of: Of, read: &Read<'_>, until: DateTime<Utc>) -> Result<(), StoreError> {
    add(tx, of, read, (DateTime::UNIX_EPOCH, until), until).await
}

/// Says that everything up to here is counted, from the beginning.
pub(super) async fn counted(tx: &Tx<'_>, of: Of, until: DateTime<Utc>) -> Result<(), StoreError> {
    rows::add(tx, of, (DateTime::UNIX_EPOCH, until), &Tally::default()).await
}

async fn add(
    tx: &Tx<'_>,
    of: Of,
    read: &Read<'_>,
    between: (DateTime<Utc>, DateTime<Utc>),
    known: DateTime<Utc>,
) -> Result<(), StoreError> {
    let moments: Vec<(Uuid, DateTime<Utc>)> = read.lines.iter().map(|line| (line.id, line.stored)).collect();
    let voided = if moments.is_empty() { HashSet::new() } else { rows::voided(tx, of.tenant, &moments, known).await? };
    rows::add(tx, of, between, &tally(read, &voided)).await
}

/// What the statements come to. Who did something was active, also where it is voided.
fn tally<'r>(read: &Read<'r>, voided: &HashSet<Uuid>) -> Tally<'r> {
    let mut courses: HashMap<&str, &str> =
        read.standing.iter().map(|(attempt, standing)| (attempt.as_str(), standing.course.as_str())).collect();
    let mut course_of: HashMap<Uuid, &str> = HashMap::new();
    for AttemptFact { attempt, fact } in read.found {
        // As in the attempt's name: the first statement that names it says which course it is.
        let course = courses.entry(&attempt.id).or_insert(&attempt.course);
        course_of.insert(fact.statement, course);
    }
    let mut tally = Tally::default();
    for line in read.lines.iter().filter(|line| line.voids.is_none()) {
        let day = line.stored.date_naive();
        tally.learners.extend(line.agent_key.map(|learner| (day, learner)));
        if !voided.contains(&line.id) {
            let course = course_of.get(&line.id).copied().unwrap_or_default();
            *tally.statements.entry((day, line.verb_key, course)).or_default() += 1;
        }
    }
    tally
}

/// Takes off what was voided while only an archived month had it; answers how many statements were settled. What cannot be read
/// now is tried again.
pub async fn settle(cold: &Cold) -> Result<usize, ColdError> {
    let (mut after, mut settled) = ((TenantId(Uuid::nil()), Uuid::nil()), 0);
    loop {
        let due = cold.store().activity_due(after).await?;
        let Some((tenant, id, _)) = due.last() else { return Ok(settled) };
        after = (*tenant, *id);
        let mut tenants: BTreeMap<TenantId, Vec<(Uuid, DateTime<Utc>)>> = BTreeMap::new();
        for (tenant, id, stored) in due {
            tenants.entry(tenant).or_default().push((id, stored));
        }
        for (tenant, due) in tenants {
            match settle_some(cold, tenant, &due).await {
                Ok(()) => settled += due.len(),
                Err(error) if error.is_temporary() => {
                    tracing::warn!(%tenant, %error, "what is voided of archived months cannot be taken off now");
                }
                Err(error) => return Err(error),
            }
        }
    }
}

async fn settle_some(cold: &Cold, tenant: TenantId, due: &[(Uuid, DateTime<Utc>)]) -> Result<(), ColdError> {
    let ids: Vec<Uuid> = due.iter().map(|(id, _)| *id).collect();
    let moments: Vec<DateTime<Utc>> = due.iter().map(|(_, stored)| *stored).collect();
    let mut found = Vec::new();
    let mut each = |kept: Kept| {
        let Kept { id, stored, verb_key: verb, voiding, .. } = kept;
        found.push(Leaving { id, stored, verb, voiding });
        Ok(())
    };
    Box::pin(cold.at(tenant, &moments, &mut each)).await?;
    Ok(cold.store().settle_activity(Of { tenant, side: Side::Live }, &ids, &found).await?)
}
