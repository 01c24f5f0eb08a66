//! Decides each caller's fate, purely: what is new, what is the same again, what conflicts.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    store::ledger::statements::{Id, Known, id_of},
    xapi::{Violations, prepare::Prepared},
};

/// One caller's verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate<R> {
    /// For each statement, whether it is to be written; the others are already there (or were erased).
    Accepted(Vec<bool>),
    Conflict {
        index: usize,
        id: Uuid,
        pointer: &'static str,
    },
    Refused(R),
}

/// Why a caller's statements are not stored together with those of other tenants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Only a transaction of the tenant's own can tell.
    Apart,
    Against(Violations),
}

/// Goes through the callers in order. Each sees what the ones before it will store; a caller in conflict stores nothing,
/// and neither does one to whose new statements `judge` does not agree.
pub(super) fn plan<R>(
    callers: &[&[Prepared]],
    known: &HashMap<Id, Known>,
    mut judge: impl FnMut(usize, &[bool]) -> Result<(), R>,
) -> Vec<Fate<R>> {
    let mut claimed: HashMap<Id, Claim<'_>> = HashMap::new();
    let mut fates = Vec::with_capacity(callers.len());
    for (caller, statements) in callers.iter().enumerate() {
        let mut fate = decide(statements, known, &mut claimed);
        if let Fate::Accepted(new) = &fate
            && let Err(refusal) = judge(caller, new)
        {
            let mine = statements.iter().zip(new).filter(|(_, new)| **new);
            mine.for_each(|(statement, _)| _ = claimed.remove(&id_of(statement)));
            fate = Fate::Refused(refusal);
        }
        fates.push(fate);
    }
    fates
}

struct Claim<'a> {
    digest: &'a [u8],
    occurred: Option<DateTime<Utc>>,
}

fn decide<'a, R>(
    statements: &'a [Prepared],
    known: &HashMap<Id, Known>,
    claimed: &mut HashMap<Id, Claim<'a>>,
) -> Fate<R> {
    let mut new = Vec::with_capacity(statements.len());
    let mut mine: Vec<Id> = Vec::new();
    for (index, statement) in statements.iter().enumerate() {
        let id = id_of(statement);
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
                return Fate::Conflict { index, id: statement.id, pointer };
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

    /// A statement under one id that any tenant may use.
    fn statement(tenant: u128, verb: &str) -> Vec<Prepared> {
        let agent = json!({"mbox": "mailto:a@b.c"});
        let author = Author::new(Uuid::from_u128(tenant), agent.as_object().unwrap(), Version::V1_0_3);
        let body = json!({"id": "ec531277-b57b-4c15-8d91-d292c5b2b8f7", "actor": agent, "verb": {"id": verb},
            "object": {"id": "a:1"}});
        let batch = read::statements(body.to_string().as_bytes(), Version::V1_0_3, &Limits::default());
        vec![prepare(batch.unwrap().statements.remove(0), &author, Uuid::nil, DateTime::UNIX_EPOCH)]
    }

    #[test]
    fn an_id_of_one_tenant_is_nothing_to_another() {
        let [one, another, third] = [statement(1, "v:v"), statement(2, "v:other"), statement(2, "v:v")];
        let taken =
            Known { digest: vec![], erased: false, stored: DateTime::UNIX_EPOCH, occurred: None, is_away: false };
        let callers: [&[Prepared]; 3] = [&one, &another, &third];
        let agree = |_, _: &[bool]| Ok::<_, Refusal>(());
        let fates = plan(&callers, &HashMap::new(), agree);
        assert_eq!(fates[..2], [Fate::Accepted(vec![true]), Fate::Accepted(vec![true])], "the same id, two statements");
        assert!(matches!(fates[2], Fate::Conflict { .. }), "within a tenant it is one");
        let known = HashMap::from([(id_of(&one[0]), taken)]);
        let fates = plan(&callers, &known, agree);
        assert!(matches!(fates[0], Fate::Conflict { .. }) && fates[1] == Fate::Accepted(vec![true]));
    }

    #[test]
    fn what_is_refused_was_never_claimed() {
        let statements: Vec<Vec<Prepared>> = (0..3).map(|_| statement(1, "v:v")).collect();
        let callers: Vec<&[Prepared]> = statements.iter().map(Vec::as_slice).collect();
        let refuse_the_first = |caller, _: &[bool]| if caller == 0 { Err(Refusal::Apart) } else { Ok(()) };
        let fates = plan(&callers, &HashMap::new(), refuse_the_first);
        assert_eq!(fates[0], Fate::Refused(Refusal::Apart));
        assert_eq!(fates[1..], [Fate::Accepted(vec![true]), Fate::Accepted(vec![false])], "the second brings it");
    }
}
