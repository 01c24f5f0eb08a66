//! Attempts, completion records, scores and their events, as the projections write them.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::model::{
    TenantId,
    attempt::{Attempt, AttemptName, Closing, ProjectionEvent},
    score::Score,
};
use crate::store::{
    StoreError, Tx,
    progress::{
        outbox::{self, Telling},
        projections::{Numbered, Of, Side},
    },
};

/// An attempt as it now is, with the rows that follow from its end.
#[derive(Clone, Debug)]
pub struct Projected {
    pub named: Numbered,
    pub attempt: Attempt,
    /// Of its completion record, if it is passed.
    pub completion: Option<Uuid>,
    pub events: Vec<ProjectionEvent>,
}

impl Projected {
    fn name(&self) -> &AttemptName {
        &self.named.name
    }

    fn closing(&self) -> Option<&Closing> {
        self.attempt.closing.as_ref()
    }

    fn score(&self) -> Option<i32> {
        self.closing().and_then(|closing| closing.score).map(Score::ten_thousandths)
    }
}

/// Makes the tables say of `all` the attempts what `standing` says: an attempt that is not in it is gone. Rows that
/// are right already are not touched. Only what is live tells its events.
pub async fn put(tx: &Tx<'_>, of: Of, all: &[String], standing: &[Projected]) -> Result<(), StoreError> {
    forget(tx, of, all, standing).await?;
    put_attempts(tx, of, standing).await?;
    let completed: Vec<&Projected> = standing.iter().filter(|projected| projected.completion.is_some()).collect();
    put_completions(tx, of, &completed).await?;
    let scored: Vec<&Projected> = standing.iter().filter(|projected| projected.score().is_some()).collect();
    put_scores(tx, of, &scored).await?;
    if of.side == Side::Live { tell(tx, of.tenant, standing).await } else { Ok(()) }
}

async fn forget(tx: &Tx<'_>, of: Of, all: &[String], standing: &[Projected]) -> Result<(), StoreError> {
    let but = |stands: fn(&Projected) -> bool| -> Vec<&str> {
        let kept: HashSet<&str> = standing
            .iter()
            .filter(|projected| stands(projected))
            .map(|projected| projected.name().id.as_str())
            .collect();
        all.iter().map(String::as_str).filter(|id| !kept.contains(id)).collect()
    };
    for (sql, gone) in [
        (
            "/* attempts::forget_attempts */ DELETE FROM progress.attempts WHERE tenant_id = $1 AND id = ANY($2)",
            but(|_| true),
        ),
        (
            "/* attempts::forget_completions */ DELETE FROM progress.completion_records
             WHERE tenant_id = $1 AND attempt_id = ANY($2)",
            but(|projected| projected.completion.is_some()),
        ),
        (
            "/* attempts::forget_scores */ DELETE FROM progress.scores WHERE tenant_id = $1 AND attempt_id = ANY($2)",
            but(|projected| projected.score().is_some()),
        ),
    ] {
        if !gone.is_empty() {
            tx.execute(&of.sql(sql), &[&of.tenant.0, &gone]).await?;
        }
    }
    Ok(())
}

async fn put_attempts(tx: &Tx<'_>, of: Of, standing: &[Projected]) -> Result<(), StoreError> {
    let text = |of: fn(&AttemptName) -> &str| standing.iter().map(|p| of(p.name())).collect::<Vec<_>>();
    let numbers: Vec<i32> = standing.iter().map(|p| p.named.number).collect();
    let started: Vec<DateTime<Utc>> = standing.iter().map(|p| p.attempt.started_at).collect();
    let ended: Vec<Option<DateTime<Utc>>> = standing.iter().map(|p| p.closing().map(|c| c.ended_at)).collect();
    let outcomes: Vec<Option<&str>> = standing.iter().map(|p| p.closing().map(|c| c.outcome.as_str())).collect();
    let scores: Vec<Option<i32>> = standing.iter().map(Projected::score).collect();
    let seconds: Vec<Option<i64>> = standing.iter().map(|p| p.closing().map(|c| c.seconds)).collect();
    tx.execute(
        &of.sql(
            "/* attempts::put_attempts */ INSERT INTO progress.attempts AS a
             (tenant_id, id, enrollment_id, user_id, course_id, course_version_id, attempt_number, started_at,
              ended_at, outcome, score, duration_seconds, state)
         SELECT $1, new.id, new.enrollment, new.learner, new.course, new.version, new.number, new.started, new.ended,
                new.outcome, (new.score * 0.0001)::numeric(5, 4), new.seconds,
                CASE WHEN new.outcome IS NULL THEN 'open' ELSE 'closed' END
         FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::int[], $8::timestamptz[],
                     $9::timestamptz[], $10::text[], $11::int[], $12::bigint[])
              AS new (id, enrollment, learner, course, version, number, started, ended, outcome, score, seconds)
         ON CONFLICT (tenant_id, id) DO UPDATE
         SET started_at = excluded.started_at, ended_at = excluded.ended_at, outcome = excluded.outcome,
             score = excluded.score, duration_seconds = excluded.duration_seconds, state = excluded.state
         WHERE (a.started_at, a.ended_at, a.outcome, a.score, a.duration_seconds) IS DISTINCT FROM
               (excluded.started_at, excluded.ended_at, excluded.outcome, excluded.score, excluded.duration_seconds)",
        ),
        &[
            &of.tenant.0,
            &text(|name| &name.id),
            &text(|name| &name.enrollment),
            &text(|name| &name.user),
            &text(|name| &name.course),
            &text(|name| &name.course_version),
            &numbers,
            &started,
            &ended,
            &outcomes,
            &scores,
            &seconds,
        ],
    )
    .await
    .map(drop)
}

async fn put_completions(tx: &Tx<'_>, of: Of, completed: &[&Projected]) -> Result<(), StoreError> {
    if completed.is_empty() {
        return Ok(());
    }
    let text = |of: fn(&AttemptName) -> &str| completed.iter().map(|p| of(p.name())).collect::<Vec<_>>();
    let ids: Vec<Option<Uuid>> = completed.iter().map(|p| p.completion).collect();
    let ended: Vec<Option<DateTime<Utc>>> = completed.iter().map(|p| p.closing().map(|c| c.ended_at)).collect();
    let scores: Vec<Option<i32>> = completed.iter().map(|p| p.score()).collect();
    let evidence: Vec<String> = completed.iter().map(|p| array(p.closing().map_or(&[], |c| &c.evidence))).collect();
    tx.execute(
        &of.sql(
            "/* attempts::put_completions */ INSERT INTO progress.completion_records AS c
             (tenant_id, attempt_id, enrollment_id, user_id, course_id, course_version_id, id, completed_at, score,
              evidence_statement_ids, passed)
         SELECT $1, new.attempt, new.enrollment, new.learner, new.course, new.version, new.id, new.completed,
                (new.score * 0.0001)::numeric(5, 4), new.evidence::uuid[], true
         FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::uuid[], $8::timestamptz[],
                     $9::int[], $10::text[])
              AS new (attempt, enrollment, learner, course, version, id, completed, score, evidence)
         ON CONFLICT (tenant_id, id) DO UPDATE
         SET completed_at = excluded.completed_at, score = excluded.score,
             evidence_statement_ids = excluded.evidence_statement_ids
         WHERE (c.completed_at, c.score, c.evidence_statement_ids) IS DISTINCT FROM
               (excluded.completed_at, excluded.score, excluded.evidence_statement_ids)",
        ),
        &[
            &of.tenant.0,
            &text(|name| &name.id),
            &text(|name| &name.enrollment),
            &text(|name| &name.user),
            &text(|name| &name.course),
            &text(|name| &name.course_version),
            &ids,
            &ended,
            &scores,
            &evidence,
        ],
    )
    .await
    .map(drop)
}

/// An array inside an array parameter travels as PostgreSQL writes it.
fn array(ids: &[Uuid]) -> String {
    let ids: Vec<String> = ids.iter().map(Uuid::to_string).collect();
    format!("{{{}}}", ids.join(","))
}

async fn put_scores(tx: &Tx<'_>, of: Of, scored: &[&Projected]) -> Result<(), StoreError> {
    if scored.is_empty() {
        return Ok(());
    }
    let text = |of: fn(&AttemptName) -> &str| scored.iter().map(|p| of(p.name())).collect::<Vec<_>>();
    let ended: Vec<Option<DateTime<Utc>>> = scored.iter().map(|p| p.closing().map(|c| c.ended_at)).collect();
    let scores: Vec<Option<i32>> = scored.iter().map(|p| p.score()).collect();
    tx.execute(
        &of.sql(
            "/* attempts::put_scores */ INSERT INTO progress.scores AS s
             (tenant_id, attempt_id, enrollment_id, user_id, score, recorded_at, grading_rule)
         SELECT $1, new.attempt, new.enrollment, new.learner, (new.score * 0.0001)::numeric(5, 4), new.recorded, $7
         FROM unnest($2::text[], $3::text[], $4::text[], $5::int[], $6::timestamptz[])
              AS new (attempt, enrollment, learner, score, recorded)
         ON CONFLICT (tenant_id, attempt_id) DO UPDATE
         SET score = excluded.score, recorded_at = excluded.recorded_at
         WHERE (s.score, s.recorded_at) IS DISTINCT FROM (excluded.score, excluded.recorded_at)",
        ),
        &[
            &of.tenant.0,
            &text(|name| &name.id),
            &text(|name| &name.enrollment),
            &text(|name| &name.user),
            &scores,
            &ended,
            &Score::GRADING_RULE,
        ],
    )
    .await
    .map(drop)
}

/// The events of these attempts.
async fn tell(tx: &Tx<'_>, tenant: TenantId, standing: &[Projected]) -> Result<(), StoreError> {
    let all: Vec<Telling<'_>> =
        standing.iter().flat_map(|p| p.events.iter().map(|event| telling(p.name(), event))).collect();
    outbox::put(tx, tenant, &all).await
}

fn telling<'a>(name: &'a AttemptName, event: &'a ProjectionEvent) -> Telling<'a> {
    Telling {
        id: event.id,
        kind: event.kind,
        key: &name.id,
        correlation: &name.enrollment,
        causation: event.cause,
        occurred: event.time,
        data: &event.data,
    }
}
