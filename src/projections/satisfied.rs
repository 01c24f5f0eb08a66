//! `satisfied` for blocks and courses, where a tenant asks for it and the course's structure is known: found out from what
//! its units did. Nothing is guessed: of a course that nobody has told us nothing is said.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::fold::{self, cmi5::Unit};
use crate::{
    cmi5::{self, Part, Structure},
    cold::{Cold, ColdError, TRIES},
    model::{
        TenantId,
        attempt::{Fact, MoveOn},
        names::derived,
    },
    store::{
        As, Store, StoreError,
        ledger::away::Kept,
        progress::{
            courses,
            projections::{self as rows, Of, Side},
            satisfied as queue,
        },
    },
};

pub use queue::Due;

/// Attempts that are looked at in one step.
const BATCH: i64 = 100;

/// Why it is said: the statements that satisfied the units.
const REASON: &str = "http://ghasi.io/xapi/extensions/satisfied-by";
const SATISFIED: &str = "https://w3id.org/xapi/adl/verbs/satisfied";

/// Attempts that are to be looked at.
pub async fn due(store: &Store) -> Result<Vec<Due>, StoreError> {
    store.run_tx("satisfied_due", As::Worker, |tx| Box::pin(queue::due(tx, BATCH))).await
}

/// Forgets an attempt that was looked at, unless more was said of it meanwhile.
pub async fn done(store: &Store, due: &Due) -> Result<(), StoreError> {
    store.run_tx("satisfied_done", As::Worker, |tx| Box::pin(queue::done(tx, due))).await
}

/// The statements that are to be said of an attempt and were not: blocks from the inside out, then the course. Of one whose
/// rows cannot be read nothing is said, and the others are not held up: it comes back with its next statement. `None`: it
/// cannot be told now, because an archived month cannot be read.
pub async fn missing(cold: &Cold, due: &Due) -> Result<Option<Vec<Value>>, StoreError> {
    match found(cold, due).await {
        Ok(found) => Ok(Some(found)),
        Err(ColdError::Store(StoreError::Shape { name, detail })) => {
            tracing::error!(tenant = %due.tenant, name, detail, "whether an attempt satisfies its course cannot be read");
            Ok(Some(Vec::new()))
        }
        Err(ColdError::Store(error)) => Err(error),
        Err(error) if error.is_temporary() => {
            tracing::warn!(tenant = %due.tenant, %error, "whether an attempt satisfies its course cannot be told now");
            Ok(None)
        }
        Err(error) => {
            tracing::error!(tenant = %due.tenant, %error, "whether an attempt satisfies its course cannot be read");
            Ok(Some(Vec::new()))
        }
    }
}

/// What a look found.
enum Look {
    Missing(Vec<Value>),
    /// When statements were stored whose texts it needs and the hot tables do not hold.
    Away(Vec<DateTime<Utc>>),
}

type Texts = HashMap<Uuid, Map<String, Value>>;

async fn found(cold: &Cold, due: &Due) -> Result<Vec<Value>, ColdError> {
    let mut archived = Texts::new();
    // No transaction is held while objects are read, so the second look begins anew.
    for _ in 0..TRIES {
        let moments = match look(cold.store(), due, &archived).await? {
            Look::Missing(statements) => return Ok(statements),
            Look::Away(moments) => moments,
        };
        let mut each = |kept: Kept| {
            archived.extend(serde_json::from_str(&kept.payload).ok().map(|text| (kept.id, text)));
            Ok(())
        };
        Box::pin(cold.at(due.tenant, &moments, &mut each)).await?;
    }
    Ok(Vec::new())
}

async fn look(store: &Store, due: &Due, archived: &Texts) -> Result<Look, StoreError> {
    let found = store.run_tx("satisfied_missing", As::Worker, |tx| {
        Box::pin(async move {
            if !queue::is_open(tx, due).await? {
                return Ok(Look::Missing(Vec::new()));
            }
            let of = Of { tenant: due.tenant, side: Side::Live };
            let mut facts = rows::facts(tx, of, std::slice::from_ref(&due.attempt), DateTime::<Utc>::MAX_UTC).await?;
            let facts = facts.remove(&due.attempt).unwrap_or_default();
            let standing = fold::standing(&facts);
            let latest = latest_of_units(&standing);
            let texts = queue::texts(tx, due.tenant, &latest.values().copied().collect::<Vec<_>>()).await?;
            let found: HashSet<Uuid> = texts.iter().map(|(id, _)| *id).collect();
            let away = latest.values().filter(|(_, id)| !found.contains(id) && !archived.contains_key(id));
            let away: Vec<DateTime<Utc>> = away.map(|(stored, _)| *stored).collect();
            if !away.is_empty() && archived.is_empty() {
                return Ok(Look::Away(away));
            }
            let read = |(id, text): (Uuid, String)| Some((id, serde_json::from_str(&text).ok()?));
            let texts: Texts = texts.into_iter().filter_map(read).chain(archived.clone()).collect();
            let spoken = spoken(&standing, &latest, &texts);
            let keys: Vec<Uuid> =
                spoken.iter().flat_map(|one| &one.groups).map(|id| courses::unit_key(due.tenant, id)).collect();
            let Some(course) = courses::of_units(tx, due.tenant, &keys).await? else {
                return Ok(Look::Missing(Vec::new()));
            };
            let statements = statements(due, &course, &spoken, &standing, &texts);
            let ids: Vec<Uuid> = statements.iter().map(|(id, _)| *id).collect();
            let said = queue::said(tx, due.tenant, &ids).await?;
            let missing = statements.into_iter().filter(|(id, _)| !said.contains(id));
            Ok(Look::Missing(missing.map(|(_, statement)| statement).collect()))
        })
    });
    found.await
}

/// The latest statement about each unit, by the unit's key.
fn latest_of_units(facts: &[&Fact]) -> HashMap<Uuid, (DateTime<Utc>, Uuid)> {
    let of_unit = |fact: &&&Fact| Some((fact.cmi5.as_ref()?.unit?, (fact.stored, fact.statement)));
    facts.iter().filter_map(|fact| of_unit(&fact)).collect()
}

/// A unit of which something was said, and the ids that its statements are grouped under: its publisher's is among them.
struct Spoken {
    unit: Unit,
    groups: Vec<String>,
}

fn spoken(
    facts: &[&Fact],
    latest: &HashMap<Uuid, (DateTime<Utc>, Uuid)>,
    texts: &HashMap<Uuid, Map<String, Value>>,
) -> Vec<Spoken> {
    let groups = |unit: &Unit| {
        let statement = texts.get(&latest.get(&unit.key)?.1)?;
        let groups = statement.get("context")?.get("contextActivities")?.get("grouping")?.as_array()?;
        Some(groups.iter().filter_map(|one| one.get("id")?.as_str().map(str::to_owned)).collect())
    };
    fold::cmi5::units(facts)
        .into_iter()
        .map(|unit| Spoken { groups: groups(&unit).unwrap_or_default(), unit })
        .collect()
}

/// What is satisfied of a part, and by which statements. `None`: it is not.
fn proof(part: &Part, spoken: &[Spoken]) -> Option<Vec<Uuid>> {
    match part {
        Part::Block { parts, .. } => all(parts, spoken),
        Part::Unit { id, move_on, .. } => {
            let asked = MoveOn::named(move_on);
            let Some(one) = spoken.iter().find(|one| one.groups.contains(id)) else {
                return (asked == Some(MoveOn::NotApplicable)).then(Vec::new);
            };
            // What the launch asks for goes before what the structure does (cmi5 10.2.5).
            let unit = Unit { move_on: one.unit.move_on.or(asked), ..one.unit.clone() };
            let proofs = [unit.completed, unit.passed, unit.waived].into_iter().flatten();
            unit.is_satisfied().then(|| proofs.collect())
        }
    }
}

fn all(parts: &[Part], spoken: &[Spoken]) -> Option<Vec<Uuid>> {
    let proofs: Option<Vec<Vec<Uuid>>> = parts.iter().map(|part| proof(part, spoken)).collect();
    proofs.map(|proofs| proofs.concat())
}

/// One thing that is satisfied.
struct Satisfied<'a> {
    id: &'a str,
    title: &'a str,
    kind: &'static str,
    proof: Vec<Uuid>,
}

/// Blocks from the inside out.
fn blocks<'a>(parts: &'a [Part], spoken: &[Spoken], found: &mut Vec<Satisfied<'a>>) {
    for part in parts {
        if let Part::Block { id, title, parts } = part {
            blocks(parts, spoken, found);
            found.extend(all(parts, spoken).map(|proof| Satisfied { id, title, kind: "block", proof }));
        }
    }
}

fn statements(
    due: &Due,
    course: &Structure,
    spoken: &[Spoken],
    facts: &[&Fact],
    texts: &HashMap<Uuid, Map<String, Value>>,
) -> Vec<(Uuid, Value)> {
    let Some((last, statement)) = facts.iter().rev().find_map(|fact| Some((fact, texts.get(&fact.statement)?))) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    blocks(&course.parts, spoken, &mut found);
    let (id, title) = (course.id.as_str(), course.title.as_str());
    found.extend(all(&course.parts, spoken).map(|proof| Satisfied { id, title, kind: "course", proof }));
    found.iter().map(|one| of(due, one, last, statement)).collect()
}

/// The statement that says so. Its id and its object's are made of what it is about, so that it is said once.
fn of(due: &Due, one: &Satisfied<'_>, last: &Fact, about: &Map<String, Value>) -> (Uuid, Value) {
    let id = derived(due.tenant, "cmi5 satisfied", &[&due.attempt, one.kind, one.id]);
    let context = about.get("context");
    let of_context = |name: &str| context.and_then(|context| context.get(name)).cloned().unwrap_or_default();
    let mut extensions = Map::new();
    extensions.insert(REASON.to_owned(), json!(one.proof));
    if let Some(session) = context.and_then(|context| context.get("extensions")?.get(cmi5::SESSION)) {
        extensions.insert(cmi5::SESSION.to_owned(), session.clone());
    }
    let statement = json!({
        "id": id,
        "actor": about.get("actor"),
        "verb": {"id": SATISFIED, "display": {"en": "satisfied"}},
        "object": {
            "id": object(due.tenant, one),
            "definition": {
                "type": format!("https://w3id.org/xapi/cmi5/activitytype/{}", one.kind),
                "name": {"und": one.title},
            },
        },
        "context": {
            "registration": of_context("registration"),
            "contextActivities": {"category": [{"id": cmi5::CATEGORY}], "grouping": [{"id": one.id}]},
            "extensions": extensions,
        },
        "timestamp": last.occurred.to_rfc3339_opts(SecondsFormat::Micros, true),
    });
    (id, statement)
}

/// The same for all registrations, and never the publisher's (cmi5 9.4).
fn object(tenant: TenantId, one: &Satisfied<'_>) -> String {
    derived(tenant, "cmi5 object", &[one.kind, one.id]).urn().to_string()
}

#[cfg(test)]
mod tests;
