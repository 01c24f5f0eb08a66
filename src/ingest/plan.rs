//! Decides each caller's fate, purely: what is new, what is the same again, what conflicts.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    store::ledger::statements::Known,
    xapi::{Violations, prepare::Prepared},
};

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
    Against(Violations),
}

/// Goes through the callers in order. Each sees what the ones before it will store; a caller in conflict stores nothing,
/// and neither does one whose new statements `judge` refuses.
pub(super) fn plan(
    callers: &[&[Prepared]],
    known: &HashMap<Uuid, Known>,
    mut judge: impl FnMut(usize, &[bool]) -> Result<(), Violations>,
) -> Vec<Fate> {
    let mut claimed: HashMap<Uuid, Claim<'_>> = HashMap::new();
    let mut fates = Vec::with_capacity(callers.len());
    for (caller, statements) in callers.iter().enumerate() {
        let mut fate = decide(statements, known, &mut claimed);
        if let Fate::Accepted(new) = &fate
            && let Err(violations) = judge(caller, new)
        {
            let mine = statements.iter().zip(new).filter(|(_, new)| **new);
            mine.for_each(|(statement, _)| _ = claimed.remove(&statement.id));
            fate = Fate::Against(violations);
        }
        fates.push(fate);
    }
    fates
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::xapi::{Author, Limits, Version, prepare, read};

    #[test]
    fn what_is_refused_was_never_claimed() {
        let agent = json!({"mbox": "mailto:a@b.c"});
        let author = Author::new(Uuid::nil(), agent.as_object().unwrap(), Version::V1_0_3);
        let body = json!({"id": "ec531277-b57b-4c15-8d91-d292c5b2b8f7", "actor": agent, "verb": {"id": "v:v"},
            "object": {"id": "a:1"}});
        let statement = |_| {
            let batch = read::statements(body.to_string().as_bytes(), Version::V1_0_3, &Limits::default());
            vec![prepare(batch.unwrap().statements.remove(0), &author, Uuid::nil, DateTime::UNIX_EPOCH)]
        };
        let statements: Vec<Vec<Prepared>> = (0..3).map(statement).collect();
        let callers: Vec<&[Prepared]> = statements.iter().map(Vec::as_slice).collect();
        let refuse_the_first = |caller, _: &[bool]| if caller == 0 { Err(Violations::whole("a", "b")) } else { Ok(()) };
        let fates = plan(&callers, &HashMap::new(), refuse_the_first);
        assert!(matches!(fates[0], Fate::Against(_)));
        assert_eq!(fates[1..], [Fate::Accepted(vec![true]), Fate::Accepted(vec![false])], "the second brings it");
    }
}
