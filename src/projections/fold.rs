//! The fold: an attempt from what its statements say, in the ledger's order. Pure, and the only place with the rules.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::model::attempt::{Attempt, Closing, Effect, Fact, Outcome};

/// The attempt its facts make; `None` if every one of them is voided. Facts may come in any order and more than once.
/// A closing by hand counts like a statement, but makes no attempt of itself.
pub fn fold(facts: &[Fact], by_hand: Option<&Fact>) -> Option<Attempt> {
    let mut seen = HashSet::new();
    let mut facts: Vec<&Fact> = facts.iter().filter(|fact| !fact.voided && seen.insert(fact.statement)).collect();
    if facts.is_empty() {
        return None;
    }
    facts.extend(by_hand);
    facts.sort_by_key(|fact| (fact.stored, fact.statement));

    let end = facts.iter().position(|fact| verdict(fact).is_some());
    // What comes after the end is late: it stands in the ledger and changes nothing here.
    let counting = end.map_or(&facts[..], |end| &facts[..=end]);
    let (started_at, started_by) = counting.iter().map(|fact| (fact.occurred, fact.statement)).min()?;
    let closing = counting.last().and_then(|last| Some(close(counting, last, verdict(last)?, started_at)));
    Some(Attempt { started_at, started_by, closing })
}

/// The outcome a fact closes an attempt with, if it closes it.
pub fn verdict(fact: &Fact) -> Option<Outcome> {
    match (fact.effect, fact.success) {
        (Effect::Passed, _) | (Effect::Completed, Some(true)) => Some(Outcome::Passed),
        (Effect::Failed, _) | (Effect::Completed, Some(false)) => Some(Outcome::Failed),
        (Effect::Abandoned, _) => Some(Outcome::Abandoned),
        (Effect::Terminated, _) => Some(Outcome::Incomplete),
        (Effect::Completed, None) | (Effect::Belongs | Effect::Apart, _) => None,
    }
}

fn close(counting: &[&Fact], last: &Fact, outcome: Outcome, started_at: DateTime<Utc>) -> Closing {
    // By the senders' time, so that the order in which equal facts arrive makes no difference.
    let mut by_time = counting.to_vec();
    by_time.sort_by_key(|fact| (fact.occurred, fact.statement));
    let earlier_score = || by_time.iter().rev().find_map(|fact| fact.score);
    let mut evidence: Vec<Uuid> =
        by_time.iter().filter(|fact| fact.effect == Effect::Completed).map(|fact| fact.statement).collect();
    if !evidence.contains(&last.statement) {
        evidence.push(last.statement);
    }
    let between = (last.occurred - started_at).num_seconds();
    Closing {
        outcome,
        ended_at: last.occurred,
        decided_by: last.statement,
        seconds: last.seconds.unwrap_or(between).max(0),
        score: last.score.or_else(earlier_score),
        evidence,
    }
}

/// The number of an attempt: the one asked for, if it is above all earlier ones of the enrollment, else the next.
pub fn number(wanted: Option<i32>, highest: i32) -> i32 {
    wanted.filter(|wanted| *wanted > highest).unwrap_or_else(|| highest.saturating_add(1))
}

#[cfg(test)]
mod tests;
