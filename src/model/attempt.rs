//! Attempts: how one is named, what a statement says of it, and what it amounts to.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::score::Score;

/// What a verb does to the attempt that its statement names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// It is part of the attempt and decides nothing.
    Belongs,
    Passed,
    Failed,
    /// Decides by `result.success`; without one it waits for passed or failed.
    Completed,
    Terminated,
    Abandoned,
    /// cmi5: a session begins.
    Launched,
    /// cmi5: the LMS says that the course is done.
    Satisfied,
    /// cmi5: the LMS lets the learner off a unit.
    Waived,
    /// No verb: nothing was said of a registration for so long that it is taken as left.
    Silent,
    /// It speaks of something else than an attempt.
    Apart,
}

impl Effect {
    const ALL: [Self; 11] = [
        Self::Belongs,
        Self::Passed,
        Self::Failed,
        Self::Completed,
        Self::Terminated,
        Self::Abandoned,
        Self::Launched,
        Self::Satisfied,
        Self::Waived,
        Self::Silent,
        Self::Apart,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Belongs => "belongs",
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Completed => "completed",
            Self::Terminated => "terminated",
            Self::Abandoned => "abandoned",
            Self::Launched => "launched",
            Self::Satisfied => "satisfied",
            Self::Waived => "waived",
            Self::Silent => "silent",
            Self::Apart => "apart",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|effect| effect.as_str() == name)
    }
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Passed,
    Failed,
    Incomplete,
    Abandoned,
}

impl Outcome {
    const ALL: [Self; 4] = [Self::Passed, Self::Failed, Self::Incomplete, Self::Abandoned];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Incomplete => "incomplete",
            Self::Abandoned => "abandoned",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == name)
    }

    /// The effect of a verb that leads to it.
    pub fn effect(self) -> Effect {
        match self {
            Self::Passed => Effect::Passed,
            Self::Failed => Effect::Failed,
            Self::Incomplete => Effect::Terminated,
            Self::Abandoned => Effect::Abandoned,
        }
    }
}

/// Who tries what: taken from the first statement that names the attempt, and never changed by a later one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AttemptName {
    pub id: String,
    pub enrollment: String,
    pub user: String,
    pub course: String,
    pub course_version: String,
    /// The number the statement asks for; the ledger's order decides whether it gets it.
    pub wanted_number: Option<i32>,
}

/// What one statement says of its attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    pub statement: Uuid,
    pub stored: DateTime<Utc>,
    /// The statement's timestamp, in the ledger's precision.
    pub occurred: DateTime<Utc>,
    pub effect: Effect,
    pub success: Option<bool>,
    pub score: Option<Score>,
    /// `result.duration`, in whole seconds.
    pub seconds: Option<i64>,
    pub voided: bool,
    /// Present in a cmi5 statement, which is folded by that specification's rules.
    pub cmi5: Option<Cmi5>,
}

/// What a cmi5 statement says beside its verb.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cmi5 {
    /// The key of the assignable unit; absent where the statement is about something inside of it, or the course.
    pub unit: Option<Uuid>,
    pub session: Option<String>,
    /// Of a `launched` statement.
    pub move_on: Option<MoveOn>,
}

/// What a unit asks of a learner before it counts as satisfied (cmi5 10.2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MoveOn {
    Passed,
    Completed,
    CompletedAndPassed,
    CompletedOrPassed,
    NotApplicable,
}

impl MoveOn {
    pub const ALL: [Self; 5] =
        [Self::Passed, Self::Completed, Self::CompletedAndPassed, Self::CompletedOrPassed, Self::NotApplicable];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "Passed",
            Self::Completed => "Completed",
            Self::CompletedAndPassed => "CompletedAndPassed",
            Self::CompletedOrPassed => "CompletedOrPassed",
            Self::NotApplicable => "NotApplicable",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|move_on| move_on.as_str() == name)
    }
}

/// An attempt as its facts make it. What is closed has an outcome: there is no other way to write it down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    pub started_at: DateTime<Utc>,
    pub started_by: Uuid,
    pub closing: Option<Closing>,
}

/// The end of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closing {
    pub outcome: Outcome,
    pub ended_at: DateTime<Utc>,
    pub decided_by: Uuid,
    pub seconds: i64,
    pub score: Option<Score>,
    /// The statements that prove it: whatever completed it, and the one that decided.
    pub evidence: Vec<Uuid>,
}

/// An event of a projection, before it gets its envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectionEvent {
    /// Made of tenant, kind and attempt: the same event is never told twice.
    pub id: Uuid,
    pub kind: &'static str,
    /// The statement that made it happen.
    pub cause: Uuid,
    pub time: DateTime<Utc>,
    /// JSON text.
    pub data: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_effect_is_found_by_its_name() {
        for effect in Effect::ALL {
            assert_eq!(Effect::named(effect.as_str()), Some(effect));
            assert_eq!(serde_json::to_value(effect).unwrap(), effect.as_str());
        }
        assert_eq!(Effect::named("Passed"), None);
        assert!(MoveOn::ALL.into_iter().all(|move_on| MoveOn::named(move_on.as_str()) == Some(move_on)));
        assert!(Outcome::ALL.into_iter().all(|outcome| Outcome::named(outcome.as_str()) == Some(outcome)));
    }
}
