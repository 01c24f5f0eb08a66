//! Decides each caller's fate, purely: what is new, what is the same again, what conflicts.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{store::ledger::statements::Known, xapi::prepare::Prepared};

/// One caller's verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// For each statement, whether it is to be written; the others are already there (or were erased).
    Accepted(Vec<bool>),
    Conflict {
        index: usize,
        id: Uuid,
        pointer: &'static str,
    },
}

/// Goes through the callers in order. Each sees what the ones before it will store; a caller in conflict stores nothing.
pub(super) fn plan(callers: &[&[Prepared]], known: &HashMap<Uuid, Known>) -> Vec<Fate> {
    let mut claimed: HashMap<Uuid, Claim<'_>> = HashMap::new();
    callers.iter().map(|statements| decide(statements, known, &mut claimed)).collect()
}

struct Claim<'a> {
    digest: &'a [u8],
    occurred: Option<DateTime<Utc>>,
}

fn decide<'a>(
    statements: &'a [Prepared],
    known: &HashMap<Uuid, Known>,
    claimed: &mut HashMap<Uuid, Claim<'a>>,
) -> Fate {
    let mut new = Vec::with_capacity(statements.len());
    let mut mine: Vec<Uuid> = Vec::new();
    for (index, statement) in statements.iter().enumerate() {
        let id = statement.id;
        let occurred = statement.has_timestamp.then_some(statement.timestamp);
        let difference = match (known.get(&id), claimed.get(&id)) {
            (Some(known), _) if known.erased => Some(None),
            (Some(known), _) => Some(difference(&known.digest, known.occurred, &statement.digest, occurred)),
            (None, Some(claim)) => Some(difference(claim.digest, claim.occurred, &statement.digest, occurred)),
            (None, None) => None,
        };
        match difference {
            None => {
                claimed.insert(id, Claim { digest: &statement.digest, occurred });
                mine.push(id);
                new.push(true);
            }
            Some(None) => new.push(false),
            Some(Some(pointer)) => {
                for id in mine {
                    claimed.remove(&id);
                }
                return Fate::Conflict { index, id, pointer };
            }
        }
    }
    Fate::Accepted(new)
}

/// Where two statements under one id differ, if they do. A timestamp that one side left out differs from nothing.
fn difference(
    old_digest: &[u8],
    old_occurred: Option<DateTime<Utc>>,
    digest: &[u8],
    occurred: Option<DateTime<Utc>>,
) -> Option<&'static str> {
    if old_digest != digest {
        return Some("its content");
    }
    match (old_occurred, occurred) {
        (Some(old), Some(new)) if old != new => Some("its timestamp"),
        _ => None,
    }
}
