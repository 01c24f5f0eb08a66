//! A person leaving the projections: their attempts with all that follows from them, and the events that were told of them.

use uuid::Uuid;

use crate::model::TenantId;
use crate::store::{
    As, StoreError, Tx,
    door::tx::{Param, column},
    progress::{
        activity::{self, Leaving, stand_still},
        projections::{Of, Side},
    },
};

const ATTEMPTS: &str = "/* erasing::attempts */
    SELECT id FROM progress.attempt_names WHERE tenant_id = $1 /* tenant */ AND user_id = ANY ($2 /* users */)
    UNION SELECT id FROM progress.attempts WHERE tenant_id = $1 AND user_id = ANY ($2)";

/// The attempts of these users.
pub async fn attempts(tx: &Tx<'_>, tenant: TenantId, users: &[String]) -> Result<Vec<String>, StoreError> {
    let rows = tx.query(ATTEMPTS, &[&tenant.0, &users]).await?;
    rows.iter().map(|row| column(row, "id")).collect()
}

const COUNT: &str = "/* erasing::count */
    SELECT (SELECT count(*) FROM progress.completion_records WHERE tenant_id = $1 /* tenant */ AND attempt_id = ANY ($2 /* attempts */)) AS completions,
           (SELECT count(*) FROM progress.scores WHERE tenant_id = $1 AND attempt_id = ANY ($2)) AS scores,
           (SELECT count(*) FROM progress.outbox WHERE tenant_id = $1 AND key = ANY ($2)) AS events";

/// How many completions, scores and events there are of these attempts.
pub async fn count(tx: &Tx<'_>, tenant: TenantId, attempts: &[String]) -> Result<(i64, i64, i64), StoreError> {
    let row = tx.query_one(COUNT, &[&tenant.0, &attempts]).await?;
    Ok((column(&row, "completions")?, column(&row, "scores")?, column(&row, "events")?))
}

// Where fewer people took a course, living and erased, a count would tell of one of them.
const KEEP_COUNTS: &str = "/* erasing::keep_counts */
    INSERT INTO progress.anonymous_counts AS kept (tenant_id, course_id, course_version_id, outcome, attempts, people)
    SELECT $1 /* tenant */, a.course_id, a.course_version_id, coalesce(a.outcome, 'open'), count(*), count(DISTINCT a.user_id)
    FROM progress.attempts a WHERE a.tenant_id = $1 AND a.id = ANY ($2 /* attempts */)
      AND (SELECT count(DISTINCT o.user_id) FROM progress.attempts o
           WHERE o.tenant_id = $1 AND o.course_id = a.course_id AND o.course_version_id = a.course_version_id)
        + coalesce((SELECT sum(k.people) FROM progress.anonymous_counts k
           WHERE k.tenant_id = $1 AND k.course_id = a.course_id AND k.course_version_id = a.course_version_id), 0) >= $3::bigint /* least */
    GROUP BY a.course_id, a.course_version_id, coalesce(a.outcome, 'open')
    ON CONFLICT (tenant_id, course_id, course_version_id, outcome)
    DO UPDATE SET attempts = kept.attempts + excluded.attempts, people = kept.people + excluded.people";

const FORGET: [&str; 9] = [
    "/* erasing::attempts_gone */ DELETE FROM progress.attempts WHERE tenant_id = $1 AND id = ANY ($2)",
    "/* erasing::names_gone */ DELETE FROM progress.attempt_names WHERE tenant_id = $1 AND id = ANY ($2)",
    "/* erasing::facts_gone */ DELETE FROM progress.attempt_statements WHERE tenant_id = $1 AND attempt_id = ANY ($2)",
    "/* erasing::completions_gone */ DELETE FROM progress.completion_records WHERE tenant_id = $1 AND attempt_id = ANY ($2)",
    "/* erasing::scores_gone */ DELETE FROM progress.scores WHERE tenant_id = $1 AND attempt_id = ANY ($2)",
    "/* erasing::closures_gone */ DELETE FROM progress.attempt_closures WHERE tenant_id = $1 AND attempt_id = ANY ($2)",
    "/* erasing::silences_gone */ DELETE FROM progress.silences WHERE tenant_id = $1 AND attempt_id = ANY ($2)",
    "/* erasing::satisfied_gone */ DELETE FROM progress.satisfied_due WHERE tenant_id = $1 AND attempt_id = ANY ($2)",
    "/* erasing::events_gone */ DELETE FROM progress.outbox WHERE tenant_id = $1 AND key = ANY ($2)",
];

/// Removes attempts with all that follows from them, while the tenant's projections stand still; answers how many rows that were.
/// How many there were stays for courses that at least so many people took.
pub async fn forget(tx: &Tx<'_>, tenant: TenantId, attempts: &[String], least_people: i64) -> Result<u64, StoreError> {
    stand_still(tx, tenant).await?;
    tx.execute(KEEP_COUNTS, &[&tenant.0, &attempts, &least_people]).await?;
    let these: [Param<'_>; 2] = [&tenant.0, &attempts];
    let mut gone = 0;
    for sql in FORGET {
        gone += tx.execute(sql, &these).await?;
    }
    Ok(gone)
}

const SAID: &str = "/* erasing::said */
    DELETE FROM progress.attempt_statements a USING unnest($2::uuid[] /* ids */) AS gone (id)
    WHERE a.tenant_id = $1 /* tenant */ AND a.statement_id = gone.id RETURNING a.attempt_id";

const CAUSED: &str = "/* erasing::caused */
    DELETE FROM progress.outbox o WHERE o.tenant_id = $1 /* tenant */ AND o.causation_id = ANY ($2 /* ids */)";

const MARKED: &str = "/* erasing::marked */
    DELETE FROM progress.cmi5_marks m WHERE m.tenant_id = $1 /* tenant */ AND m.statement_id = ANY ($2 /* ids */)";

/// Removes what these statements said of attempts, with the events they gave cause to, and counts them no more; answers the attempts
/// that are another's and have to be folded again.
pub async fn forget_said(tx: &Tx<'_>, tenant: TenantId, leaving: &[Leaving]) -> Result<Vec<String>, StoreError> {
    stand_still(tx, tenant).await?;
    activity::take_off_erased(tx, Of { tenant, side: Side::Live }, leaving).await?;
    let ids: Vec<Uuid> = leaving.iter().map(|one| one.id).collect();
    let mut attempts: Vec<String> = tx
        .query(SAID, &[&tenant.0, &ids])
        .await?
        .iter()
        .map(|row| column(row, "attempt_id"))
        .collect::<Result<_, _>>()?;
    tx.execute(CAUSED, &[&tenant.0, &ids]).await?;
    tx.act_as(As::Eraser(tenant)).await?;
    tx.execute(MARKED, &[&tenant.0, &ids]).await?;
    tx.act_as(As::Worker).await?;
    attempts.sort_unstable();
    attempts.dedup();
    Ok(attempts)
}

const COUNTS: &str = "/* erasing::anonymous */
    SELECT course_id, course_version_id, outcome, attempts, people FROM progress.anonymous_counts
    WHERE tenant_id = $1 /* tenant */ ORDER BY course_id, course_version_id, outcome";

/// What is still counted of the erased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    pub course: String,
    pub version: String,
    pub outcome: String,
    pub attempts: i64,
    pub people: i64,
}

/// How many attempts of the erased there were, by course.
pub async fn counted(tx: &Tx<'_>, tenant: TenantId) -> Result<Vec<Counted>, StoreError> {
    let rows = tx.query(COUNTS, &[&tenant.0]).await?;
    rows.iter()
        .map(|row| {
            Ok(Counted {
                course: column(row, "course_id")?,
                version: column(row, "course_version_id")?,
                outcome: column(row, "outcome")?,
                attempts: column(row, "attempts")?,
                people: column(row, "people")?,
            })
        })
        .collect()
}
