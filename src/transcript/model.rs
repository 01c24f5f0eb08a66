//! Attempts, progress and transcripts as others read them.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    model::score::Score,
    store::progress::reads::{AttemptRow, CompletionRow, EnrollmentRow},
};

/// One try of one learner at one course version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    #[schema(examples("01890a5d-ac96-774b-bcce-b302099a8057"))]
    pub id: String,
    pub enrollment_id: String,
    /// The account's UUID, or the key of an actor that is known otherwise.
    pub user_id: String,
    pub course_id: String,
    pub course_version_id: String,
    /// Grows within an enrollment, from 1.
    #[schema(minimum = 1)]
    pub attempt_number: i32,
    /// `open` or `closed`. Other values may come in a later version.
    #[schema(examples("closed"))]
    pub state: String,
    pub started_at: DateTime<Utc>,
    #[schema(required)]
    pub ended_at: Option<DateTime<Utc>>,
    /// `passed`, `failed`, `incomplete` or `abandoned`; null while the attempt is open. Other values may come.
    #[schema(required, examples("passed"))]
    pub outcome: Option<String>,
    /// Four decimals.
    #[schema(required, value_type = Option<f64>, minimum = 0, maximum = 1, examples(0.875))]
    pub score: Option<Score>,
    #[schema(required, minimum = 0)]
    pub duration_seconds: Option<i64>,
    /// The statements that prove how it ended; empty while it is open.
    pub evidence_statement_ids: Vec<Uuid>,
}

/// The proof that an attempt completed and passed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Completion {
    pub completion_record_id: Uuid,
    pub attempt_id: String,
    pub completed_at: DateTime<Utc>,
    #[schema(required, value_type = Option<f64>, minimum = 0, maximum = 1)]
    pub score: Option<Score>,
    pub passed: bool,
    pub evidence_statement_ids: Vec<Uuid>,
}

/// How far a learner is in a course.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OverallState {
    NotStarted,
    InProgress,
    Completed,
    Failed,
}

impl OverallState {
    /// Completed once any attempt passed; else the latest attempt says. One that ended without a verdict, incomplete or
    /// abandoned, leaves the course open.
    fn of(enrollment: &EnrollmentRow) -> Self {
        if enrollment.completion.is_some() {
            return Self::Completed;
        }
        match enrollment.attempts.last().map(|latest| latest.outcome.as_deref()) {
            None => Self::NotStarted,
            Some(Some("failed")) => Self::Failed,
            Some(_) => Self::InProgress,
        }
    }

    pub fn words(self) -> &'static str {
        match self {
            Self::NotStarted => "not started",
            Self::InProgress => "in progress",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }
}

/// How far a learner is in one assignable unit of a cmi5 course.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnitProgress {
    /// As the LMS launches it.
    pub activity_id: String,
    /// `in_progress`, `failed`, `completed`, `passed` or `waived`. Other values may come.
    #[schema(examples("passed"))]
    pub state: String,
    /// Whether it asks no more of the learner: it meets its `moveOn`, or is waived.
    pub satisfied: bool,
    /// What the latest launch says it asks for; null where none says so.
    #[schema(required, examples("CompletedOrPassed"))]
    pub move_on: Option<String>,
    /// Of its latest verdict. Four decimals.
    #[schema(required, value_type = Option<f64>, minimum = 0, maximum = 1)]
    pub score: Option<Score>,
    #[schema(minimum = 0)]
    pub sessions: u32,
}

/// A learner's place in a course.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Progress)]
pub struct EnrollmentProgress {
    pub enrollment_id: String,
    pub course_id: String,
    pub course_version_id: String,
    pub user_id: String,
    /// By their numbers.
    pub attempts: Vec<Attempt>,
    #[schema(required)]
    pub latest_attempt: Option<Attempt>,
    pub overall_state: OverallState,
    /// The first one.
    #[schema(required)]
    pub completion: Option<Completion>,
    /// Of the latest attempt, in the order in which they were first spoken of; empty outside of cmi5. Units that nobody has
    /// launched or waived yet are not among them.
    pub units: Vec<UnitProgress>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Learner {
    pub user_id: String,
    /// As the learner's latest statement names them.
    #[schema(required)]
    pub name: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Course {
    pub course_id: String,
    pub course_version_id: String,
    /// The activity that statements name.
    #[schema(required)]
    pub activity_id: Option<String>,
    /// In the language that was asked for, where the activity has a name in it.
    #[schema(required)]
    pub title: Option<String>,
}

/// What one learner achieved in one course, and what proves it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Transcript {
    pub enrollment_id: String,
    pub learner: Learner,
    pub course: Course,
    pub overall_state: OverallState,
    pub attempts: Vec<Attempt>,
    #[schema(required)]
    pub completion: Option<Completion>,
    pub generated_at: DateTime<Utc>,
}

/// What the ledger's statements call learner and course.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    pub learner: Option<String>,
    pub activity: Option<String>,
    pub title: Option<String>,
}

impl Transcript {
    pub fn new(enrollment: EnrollmentRow, names: Names, generated_at: DateTime<Utc>) -> Self {
        Self {
            overall_state: OverallState::of(&enrollment),
            enrollment_id: enrollment.id,
            learner: Learner { user_id: enrollment.user, name: names.learner },
            course: Course {
                course_id: enrollment.course,
                course_version_id: enrollment.course_version,
                activity_id: names.activity,
                title: names.title,
            },
            attempts: enrollment.attempts.into_iter().map(Attempt::from).collect(),
            completion: enrollment.completion.map(Completion::from),
            generated_at,
        }
    }
}

impl From<EnrollmentRow> for EnrollmentProgress {
    fn from(enrollment: EnrollmentRow) -> Self {
        let overall_state = OverallState::of(&enrollment);
        let attempts: Vec<Attempt> = enrollment.attempts.into_iter().map(Attempt::from).collect();
        Self {
            enrollment_id: enrollment.id,
            course_id: enrollment.course,
            course_version_id: enrollment.course_version,
            user_id: enrollment.user,
            latest_attempt: attempts.last().cloned(),
            attempts,
            overall_state,
            completion: enrollment.completion.map(Completion::from),
            units: Vec::new(),
        }
    }
}

impl From<AttemptRow> for Attempt {
    fn from(row: AttemptRow) -> Self {
        Self {
            id: row.id,
            enrollment_id: row.enrollment,
            user_id: row.user,
            course_id: row.course,
            course_version_id: row.course_version,
            attempt_number: row.number,
            state: row.state,
            started_at: row.started_at,
            ended_at: row.ended_at,
            outcome: row.outcome,
            score: row.score,
            duration_seconds: row.seconds,
            evidence_statement_ids: row.evidence,
        }
    }
}

impl From<CompletionRow> for Completion {
    fn from(row: CompletionRow) -> Self {
        Self {
            completion_record_id: row.id,
            attempt_id: row.attempt,
            completed_at: row.completed_at,
            score: row.score,
            passed: row.passed,
            evidence_statement_ids: row.evidence,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(outcome: Option<&str>) -> AttemptRow {
        AttemptRow {
            id: "a".into(),
            user: "u".into(),
            enrollment: "e".into(),
            course: "c".into(),
            course_version: "v".into(),
            number: 1,
            state: if outcome.is_some() { "closed" } else { "open" }.into(),
            started_at: DateTime::UNIX_EPOCH,
            ended_at: None,
            outcome: outcome.map(str::to_owned),
            score: Score::parse("0.875"),
            seconds: None,
            evidence: Vec::new(),
        }
    }

    fn progress(outcomes: &[Option<&str>], is_completed: bool) -> EnrollmentProgress {
        let completion = CompletionRow {
            id: Uuid::nil(),
            attempt: "a".into(),
            completed_at: DateTime::UNIX_EPOCH,
            score: None,
            passed: true,
            evidence: Vec::new(),
        };
        let enrollment = EnrollmentRow {
            id: "e".into(),
            user: "u".into(),
            course: "c".into(),
            course_version: "v".into(),
            attempts: outcomes.iter().map(|outcome| row(*outcome)).collect(),
            completion: is_completed.then_some(completion),
            latest_statement: None,
            latest_away: None,
        };
        enrollment.into()
    }

    #[test]
    fn the_latest_attempt_says_how_far_a_learner_is_until_one_passed() {
        use OverallState::{Completed, Failed, InProgress, NotStarted};
        for (outcomes, is_completed, expected) in [
            (&[][..], false, NotStarted),
            (&[None][..], false, InProgress),
            (&[Some("failed")][..], false, Failed),
            (&[Some("failed"), None][..], false, InProgress),
            (&[Some("incomplete")][..], false, InProgress),
            (&[Some("failed"), Some("abandoned")][..], false, InProgress),
            (&[Some("passed"), Some("failed")][..], true, Completed),
        ] {
            assert_eq!(progress(outcomes, is_completed).overall_state, expected, "{outcomes:?}");
        }
    }

    #[test]
    fn nulls_are_written_and_scores_keep_their_decimals() {
        let text = serde_json::to_string(&progress(&[None], false)).unwrap();
        assert!(text.contains(r#""score":0.8750"#) && text.contains(r#""endedAt":null"#), "{text}");
        assert!(text.contains(r#""overallState":"in_progress""#) && text.contains(r#""completion":null"#), "{text}");
    }
}
