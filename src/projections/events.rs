//! What is told to others about an attempt: at most one event of each kind, the same on every replay.

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use crate::{
    model::{
        TenantId,
        attempt::{Attempt, AttemptName, Outcome, ProjectionEvent},
        names::derived,
        score::Score,
    },
    xapi::time,
};

pub const ATTEMPT_STARTED: &str = "progress.attempt.started.v1";
pub const ATTEMPT_CLOSED: &str = "progress.attempt.closed.v1";
pub const COMPLETION_RECORDED: &str = "progress.completion.recorded.v1";
pub const SCORE_RECORDED: &str = "progress.score.recorded.v1";

/// The id of an attempt's completion record.
pub fn completion_id(tenant: TenantId, attempt: &str) -> Uuid {
    derived(tenant, "completion record", &[attempt])
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Started<'a> {
    attempt_id: &'a str,
    enrollment_id: &'a str,
    user_id: &'a str,
    course_version_id: &'a str,
    attempt_number: i32,
    started_at: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Closed<'a> {
    attempt_id: &'a str,
    enrollment_id: &'a str,
    user_id: &'a str,
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<Score>,
    duration_seconds: i64,
    ended_at: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Completed<'a> {
    completion_record_id: Uuid,
    attempt_id: &'a str,
    enrollment_id: &'a str,
    user_id: &'a str,
    course_id: &'a str,
    course_version_id: &'a str,
    completed_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<Score>,
    passed: bool,
    evidence_statement_ids: &'a [Uuid],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Scored<'a> {
    attempt_id: &'a str,
    user_id: &'a str,
    enrollment_id: &'a str,
    score: Score,
    grading_rule: &'a str,
    recorded_at: String,
}

/// Every event that the attempt's present state gives cause to; what was told before is told only once by its key.
pub fn events(
    tenant: TenantId,
    name: &AttemptName,
    number: i32,
    attempt: &Attempt,
) -> Result<Vec<ProjectionEvent>, serde_json::Error> {
    let AttemptName { id, enrollment, user, course, course_version, .. } = name;
    let started = Started {
        attempt_id: id,
        enrollment_id: enrollment,
        user_id: user,
        course_version_id: course_version,
        attempt_number: number,
        started_at: time::text(attempt.started_at),
    };
    let mut events = vec![event(tenant, ATTEMPT_STARTED, id, (attempt.started_at, attempt.started_by), &started)?];
    let Some(closing) = &attempt.closing else { return Ok(events) };
    let end = (closing.ended_at, closing.decided_by);
    let ended_at = time::text(closing.ended_at);
    let closed = Closed {
        attempt_id: id,
        enrollment_id: enrollment,
        user_id: user,
        outcome: closing.outcome,
        score: closing.score,
        duration_seconds: closing.seconds,
        ended_at: ended_at.clone(),
    };
    events.push(event(tenant, ATTEMPT_CLOSED, id, end, &closed)?);
    if let Some(score) = closing.score {
        let scored = Scored {
            attempt_id: id,
            user_id: user,
            enrollment_id: enrollment,
            score,
            grading_rule: Score::GRADING_RULE,
            recorded_at: ended_at.clone(),
        };
        events.push(event(tenant, SCORE_RECORDED, id, end, &scored)?);
    }
    if closing.outcome == Outcome::Passed {
        let completed = Completed {
            completion_record_id: completion_id(tenant, id),
            attempt_id: id,
            enrollment_id: enrollment,
            user_id: user,
            course_id: course,
            course_version_id: course_version,
            completed_at: ended_at,
            score: closing.score,
            passed: true,
            evidence_statement_ids: &closing.evidence,
        };
        events.push(event(tenant, COMPLETION_RECORDED, id, end, &completed)?);
    }
    Ok(events)
}

fn event(
    tenant: TenantId,
    kind: &'static str,
    attempt: &str,
    (time, cause): (DateTime<Utc>, Uuid),
    data: &impl Serialize,
) -> Result<ProjectionEvent, serde_json::Error> {
    Ok(ProjectionEvent { id: derived(tenant, kind, &[attempt]), kind, cause, time, data: serde_json::to_string(data)? })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::attempt::Closing;

    fn name() -> AttemptName {
        AttemptName {
            id: "a".into(),
            enrollment: "e".into(),
            user: "u".into(),
            course: "c".into(),
            course_version: "v".into(),
            wanted_number: None,
        }
    }

    fn attempt(outcome: Option<Outcome>) -> Attempt {
        let closing = |outcome| Closing {
            outcome,
            ended_at: DateTime::from_timestamp(1_800_000_060, 0).unwrap(),
            seconds: 60,
            decided_by: Uuid::from_u128(7),
            score: Score::parse("0.5"),
            evidence: vec![Uuid::from_u128(7)],
        };
        Attempt {
            started_at: DateTime::from_timestamp(1_800_000_000, 0).unwrap(),
            started_by: Uuid::from_u128(1),
            closing: outcome.map(closing),
        }
    }

    fn told(outcome: Option<Outcome>) -> Vec<ProjectionEvent> {
        events(TenantId::DEFAULT, &name(), 2, &attempt(outcome)).unwrap()
    }

    #[test]
    fn each_state_has_its_events() {
        let kinds = |outcome| told(outcome).iter().map(|event| event.kind).collect::<Vec<_>>();
        assert_eq!(kinds(None), [ATTEMPT_STARTED]);
        assert_eq!(kinds(Some(Outcome::Failed)), [ATTEMPT_STARTED, ATTEMPT_CLOSED, SCORE_RECORDED]);
        let all = [ATTEMPT_STARTED, ATTEMPT_CLOSED, SCORE_RECORDED, COMPLETION_RECORDED];
        assert_eq!(kinds(Some(Outcome::Passed)), all);
    }

    #[test]
    fn a_replay_tells_the_same_bytes() {
        assert_eq!(told(Some(Outcome::Passed)), told(Some(Outcome::Passed)));
        let ids: std::collections::HashSet<_> = told(Some(Outcome::Passed)).iter().map(|event| event.id).collect();
        assert_eq!(ids.len(), 4);
    }

    #[test]
    fn the_data_is_what_the_contract_names() {
        let all = told(Some(Outcome::Passed));
        let closed: Value = serde_json::from_str(&all[1].data).unwrap();
        assert_eq!(closed["outcome"], "passed");
        assert_eq!(closed["durationSeconds"], 60);
        assert_eq!(closed["endedAt"], "2027-01-15T08:01:00.000000Z");
        assert!(all[1].data.contains(r#""score":0.5000"#), "{}", all[1].data);
        let completed: Value = serde_json::from_str(&all[3].data).unwrap();
        assert_eq!(completed["evidenceStatementIds"], json!([Uuid::from_u128(7)]));
        assert_eq!(completed["courseId"], "c");
    }
}
