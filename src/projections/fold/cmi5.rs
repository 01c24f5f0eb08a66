//! cmi5's own rules: a registration is one attempt, sessions are inside it, and each assignable unit has a state of its
//! own. What a session's end or a failure says is never the last word; the LMS says when the course is satisfied.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::model::{
    attempt::{Effect, Fact, MoveOn, Outcome},
    score::Score,
};

/// An assignable unit, as the statements of its sessions make it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    pub key: Uuid,
    /// As the latest launch says it.
    pub move_on: Option<MoveOn>,
    pub completed: Option<Uuid>,
    pub passed: Option<Uuid>,
    pub waived: Option<Uuid>,
    /// Whether its latest verdict, passed or failed, is that it failed.
    pub is_failed: bool,
    /// Of the latest verdict that had one; once it is passed, of a passing one.
    pub score: Option<Score>,
    pub sessions: usize,
}

/// How far a learner is in a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitState {
    InProgress,
    Failed,
    Completed,
    Passed,
    Waived,
}

impl UnitState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Failed => "failed",
            Self::Completed => "completed",
            Self::Passed => "passed",
            Self::Waived => "waived",
        }
    }
}

impl Unit {
    fn new(key: Uuid) -> Self {
        let (move_on, completed, passed, waived, score) = (None, None, None, None, None);
        Self { key, move_on, completed, passed, waived, is_failed: false, score, sessions: 0 }
    }

    /// Whether it asks no more of the learner. A launch that does not say what it asks for asks for a pass.
    pub fn is_satisfied(&self) -> bool {
        let (passed, completed) = (self.passed.is_some(), self.completed.is_some());
        let is_met = match self.move_on {
            Some(MoveOn::Passed) | None => passed,
            Some(MoveOn::Completed) => completed,
            Some(MoveOn::CompletedAndPassed) => passed && completed,
            Some(MoveOn::CompletedOrPassed) => passed || completed,
            Some(MoveOn::NotApplicable) => true,
        };
        is_met || self.waived.is_some()
    }

    pub fn state(&self) -> UnitState {
        match self {
            Self { passed: Some(_), .. } => UnitState::Passed,
            Self { waived: Some(_), .. } => UnitState::Waived,
            Self { is_failed: true, .. } => UnitState::Failed,
            Self { completed: Some(_), .. } => UnitState::Completed,
            _ => UnitState::InProgress,
        }
    }

    fn take(&mut self, fact: &Fact) {
        let kept = |before: Option<Uuid>| before.or(Some(fact.statement));
        match fact.effect {
            Effect::Launched => self.move_on = fact.cmi5.as_ref().and_then(|cmi5| cmi5.move_on).or(self.move_on),
            Effect::Completed => self.completed = kept(self.completed),
            Effect::Waived => self.waived = kept(self.waived),
            Effect::Passed => {
                self.score = fact.score.or(self.score.filter(|_| self.passed.is_some()));
                self.passed = kept(self.passed);
                self.is_failed = false;
            }
            Effect::Failed if self.passed.is_none() => {
                self.score = fact.score.or(self.score);
                self.is_failed = true;
            }
            _ => {}
        }
    }

    fn has_verdict(&self) -> bool {
        self.passed.is_some() || self.is_failed
    }
}

/// The units of a registration, in the order in which the ledger first speaks of them. `facts` are in its order, and none
/// is voided.
pub fn units(facts: &[&Fact]) -> Vec<Unit> {
    let mut units: Vec<Unit> = Vec::new();
    let mut sessions: BTreeMap<Uuid, Vec<&str>> = BTreeMap::new();
    for (fact, cmi5, key) in facts.iter().filter_map(|fact| {
        let cmi5 = fact.cmi5.as_ref()?;
        Some((*fact, cmi5, cmi5.unit?))
    }) {
        let at = units.iter().position(|unit| unit.key == key).unwrap_or_else(|| {
            units.push(Unit::new(key));
            units.len() - 1
        });
        units[at].take(fact);
        let of_unit = sessions.entry(key).or_default();
        // A waiver has a session id of its own, though nobody was there.
        if let Some(session) = cmi5.session.as_deref().filter(|_| fact.effect != Effect::Waived)
            && !of_unit.contains(&session)
        {
            of_unit.push(session);
            units[at].sessions += 1;
        }
    }
    units
}

/// Seconds that the learner spent: of each session what its end says, or, while none is known, the most that a statement
/// of it says. `None`: nobody says anything.
pub(super) fn time_spent(facts: &[&Fact]) -> Option<i64> {
    let mut sessions: BTreeMap<Option<&str>, (bool, i64)> = BTreeMap::new();
    for (cmi5, effect, seconds) in
        facts.iter().filter_map(|fact| Some((fact.cmi5.as_ref()?, fact.effect, fact.seconds?)))
    {
        // Time inside of a session, of a question for example, is a part of it.
        if cmi5.unit.is_none() {
            continue;
        }
        let (is_ended, spent) = sessions.entry(cmi5.session.as_deref()).or_default();
        match (effect, *is_ended) {
            (Effect::Terminated | Effect::Abandoned, false) => (*is_ended, *spent) = (true, seconds),
            (_, false) => *spent = seconds.max(*spent),
            (_, true) => {}
        }
    }
    let total = sessions.values().fold(0_i64, |sum, (_, spent)| sum.saturating_add(*spent));
    (!sessions.is_empty()).then_some(total)
}

/// The score of the course: that of its one unit with a verdict. cmi5 has no rule that makes one of several.
pub(super) fn score(units: &[Unit]) -> Option<Score> {
    let mut with_verdict = units.iter().filter(|unit| unit.has_verdict());
    match (with_verdict.next(), with_verdict.next()) {
        (Some(unit), None) => unit.score,
        _ => None,
    }
}

/// What proves that the units are done, in their order.
pub(super) fn evidence(units: &[Unit]) -> impl Iterator<Item = Uuid> {
    units.iter().flat_map(|unit| [unit.completed, unit.passed, unit.waived]).flatten()
}

/// How a registration ends of which nobody speaks any more. One unit that is satisfied is the course; of several nobody
/// knows whether they are all.
pub(super) fn outcome_of_silence(facts: &[&Fact], units: &[Unit]) -> Outcome {
    if let [only] = units
        && only.is_satisfied()
    {
        return Outcome::Passed;
    }
    let is_session = |fact: &&&Fact| fact.cmi5.as_ref().is_some_and(|cmi5| cmi5.unit.is_some());
    match facts.iter().rev().find(is_session).map(|fact| fact.effect) {
        Some(Effect::Abandoned) => Outcome::Abandoned,
        _ => Outcome::Incomplete,
    }
}

#[cfg(test)]
mod tests;
