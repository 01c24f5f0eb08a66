//! The fold: an attempt from what its statements say, in the ledger's order. Pure, and the only place with the rules.

pub mod cmi5;

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::model::attempt::{Attempt, Closing, Effect, Fact, Outcome};

/// The attempt its facts make; `None` if every one of them is voided. Facts may come in any order and more than once.
/// What the service itself wrote down, a closing by hand or a silence, counts like a statement, but makes no attempt of itself.
pub fn fold(facts: &[Fact], of_service: &[Fact]) -> Option<Attempt> {
    let mut facts = standing(facts);
    if facts.is_empty() {
        return None;
    }
    facts.extend(of_service);
    facts.sort_by_key(|fact| (fact.stored, fact.statement));

    let end = (0..facts.len()).find_map(|at| Some((at, end(&facts[..=at])?)));
    // What comes after the end is late: it stands in the ledger and changes nothing here.
    let counting: Vec<&Fact> = facts[..end.map_or(facts.len(), |(at, _)| at + 1)].to_vec();
    let said: Vec<&Fact> = counting.iter().copied().filter(|fact| fact.effect != Effect::Silent).collect();
    let (started_at, started_by) = said.iter().map(|fact| (fact.occurred, fact.statement)).min()?;
    let last = said.last()?;
    let closing = end.map(|(_, end)| match end {
        End::Verdict(outcome) => close(&said, last, outcome, started_at),
        End::Course => close_course(&said, last, Outcome::Passed, started_at),
        End::Silence => {
            let outcome = cmi5::outcome_of_silence(&said, &cmi5::units(&said));
            close_course(&said, last, outcome, started_at)
        }
    });
    Some(Attempt { started_at, started_by, closing })
}

/// The facts that stand, each once, in the ledger's order.
pub fn standing(facts: &[Fact]) -> Vec<&Fact> {
    let mut seen = HashSet::new();
    let mut standing: Vec<&Fact> = facts.iter().filter(|fact| !fact.voided && seen.insert(fact.statement)).collect();
    standing.sort_by_key(|fact| (fact.stored, fact.statement));
    standing
}

/// Whether an open attempt has to be folded again for this fact, if nothing was said before it.
pub fn may_close(fact: &Fact) -> bool {
    end(&[fact]).is_some()
}

/// By what an attempt closes.
#[derive(Clone, Copy)]
enum End {
    /// A verb that gives a verdict, or an administrator.
    Verdict(Outcome),
    /// cmi5: the LMS says that the course is satisfied.
    Course,
    /// cmi5: nothing was said for long.
    Silence,
}

/// Whether the last of the facts closes the attempt.
fn end(facts: &[&Fact]) -> Option<End> {
    let (last, before) = facts.split_last()?;
    match (&last.cmi5, last.effect) {
        (Some(_), Effect::Satisfied) => Some(End::Course),
        (Some(_), _) => None,
        // It was taken as silent when `occurred` had been the last word; if somebody spoke meanwhile, it is not.
        (None, Effect::Silent) => {
            let last_word = before.iter().rev().find(|fact| fact.effect != Effect::Silent);
            last_word.is_none_or(|word| word.stored <= last.occurred).then_some(End::Silence)
        }
        (None, _) => verdict(last).map(End::Verdict),
    }
}

/// The outcome that a verb gives outside of cmi5, if it gives one.
fn verdict(fact: &Fact) -> Option<Outcome> {
    match (fact.effect, fact.success) {
        (Effect::Passed, _) | (Effect::Completed, Some(true)) => Some(Outcome::Passed),
        (Effect::Failed, _) | (Effect::Completed, Some(false)) => Some(Outcome::Failed),
        (Effect::Abandoned, _) => Some(Outcome::Abandoned),
        (Effect::Terminated, _) => Some(Outcome::Incomplete),
        _ => None,
    }
}

fn close(counting: &[&Fact], last: &Fact, outcome: Outcome, started_at: DateTime<Utc>) -> Closing {
    // By the senders' time, so that the order in which equal facts arrive makes no difference.
    let mut by_time = counting.to_vec();
    by_time.sort_by_key(|fact| (fact.occurred, fact.statement));
    let earlier_score = || by_time.iter().rev().find_map(|fact| fact.score);
    let completions = by_time.iter().filter(|fact| fact.effect == Effect::Completed).map(|fact| fact.statement);
    Closing {
        outcome,
        ended_at: last.occurred,
        decided_by: last.statement,
        seconds: last
            .seconds
            .or_else(|| cmi5::time_spent(counting))
            .unwrap_or_else(|| between(last, started_at))
            .max(0),
        score: last.score.or_else(earlier_score),
        evidence: and_last(completions, last),
    }
}

fn close_course(counting: &[&Fact], last: &Fact, outcome: Outcome, started_at: DateTime<Utc>) -> Closing {
    let units = cmi5::units(counting);
    Closing {
        outcome,
        ended_at: last.occurred,
        decided_by: last.statement,
        seconds: cmi5::time_spent(counting).unwrap_or_else(|| between(last, started_at)).max(0),
        score: cmi5::score(&units),
        evidence: and_last(cmi5::evidence(&units), last),
    }
}

fn between(last: &Fact, started_at: DateTime<Utc>) -> i64 {
    (last.occurred - started_at).num_seconds()
}

fn and_last(statements: impl Iterator<Item = Uuid>, last: &Fact) -> Vec<Uuid> {
    let mut all: Vec<Uuid> = statements.collect();
    if !all.contains(&last.statement) {
        all.push(last.statement);
    }
    all
}

/// The number of an attempt: the one asked for, if it is above all earlier ones of the enrollment, else the next.
pub fn number(wanted: Option<i32>, highest: i32) -> i32 {
    wanted.filter(|wanted| *wanted > highest).unwrap_or_else(|| highest.saturating_add(1))
}

#[cfg(test)]
mod tests;
