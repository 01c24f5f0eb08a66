//! What the internal API reads of attempts, completion records and scores. Never writes, but for the trail of who read.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::model::{TenantId, score::Score};
use crate::store::{
    As, Store, StoreError, Tx,
    door::tx::{Param, column},
    ledger::voids::voids_at,
    platform::audit::{self, Reading},
};

/// An attempt as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRow {
    pub id: String,
    pub user: String,
    pub enrollment: String,
    pub course: String,
    pub course_version: String,
    pub number: i32,
    pub state: String,
    pub started_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
    pub outcome: Option<String>,
    pub score: Option<Score>,
    pub seconds: Option<i64>,
    /// The statements that prove how it ended; empty while it is open.
    pub evidence: Vec<Uuid>,
}

/// Which attempts, and after which one. Absent means any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttemptFilter {
    pub enrollment: Option<String>,
    pub outcome: Option<String>,
    pub state: Option<String>,
    pub users: Option<Vec<String>>,
    /// The id that the page before ended with.
    pub after: Option<String>,
    pub limit: i64,
}

/// The proof that an attempt completed and passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompletionRow {
    pub id: Uuid,
    pub attempt: String,
    pub completed_at: DateTime<Utc>,
    pub score: Option<Score>,
    pub passed: bool,
    pub evidence: Vec<Uuid>,
}

/// Everything about one learner's place in a course.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnrollmentRow {
    pub id: String,
    pub user: String,
    pub course: String,
    pub course_version: String,
    /// By their numbers. Empty when every statement of the enrollment is voided.
    pub attempts: Vec<AttemptRow>,
    /// The first one.
    pub completion: Option<CompletionRow>,
    /// The statement that said something of it last, from which the names of learner and course are read.
    pub latest_statement: Option<String>,
    /// When that statement was stored, where the hot tables do not hold it.
    pub latest_away: Option<DateTime<Utc>>,
}

/// One page of a user's enrollments, in the order of their ids.
#[derive(Clone, Debug)]
pub struct EnrollmentPage {
    pub user: String,
    pub after: Option<String>,
    pub limit: i64,
}

/// The statement that closed an attempt is the deciding one that was said at its end.
const COLUMNS: &str = "a.id, a.user_id, a.enrollment_id, a.course_id, a.course_version_id, a.attempt_number, a.state,
    a.started_at, a.ended_at, a.outcome, (a.score * 10000)::int AS score, a.duration_seconds,
    CASE WHEN a.state = 'closed' THEN coalesce(
        (SELECT c.evidence_statement_ids FROM progress.completion_records c
         WHERE c.tenant_id = a.tenant_id AND c.attempt_id = a.id),
        ARRAY(SELECT f.statement_id FROM progress.attempt_statements f
              WHERE f.tenant_id = a.tenant_id AND f.attempt_id = a.id AND f.effect <> 'belongs'
                AND f.occurred = a.ended_at ORDER BY f.stored LIMIT 1)) ELSE '{}' END AS evidence";

fn attempt(row: &Row) -> Result<AttemptRow, StoreError> {
    Ok(AttemptRow {
        id: column(row, "id")?,
        user: column(row, "user_id")?,
        enrollment: column(row, "enrollment_id")?,
        course: column(row, "course_id")?,
        course_version: column(row, "course_version_id")?,
        number: column(row, "attempt_number")?,
        state: column(row, "state")?,
        started_at: column(row, "started_at")?,
        ended_at: column(row, "ended_at")?,
        outcome: column(row, "outcome")?,
        score: column::<Option<i32>>(row, "score")?.and_then(Score::from_ten_thousandths),
        seconds: column(row, "duration_seconds")?,
        evidence: column(row, "evidence")?,
    })
}

impl Store {
    pub async fn attempt_by_id(&self, tenant: TenantId, id: &str) -> Result<Option<AttemptRow>, StoreError> {
        let id = id.to_owned();
        self.run_tx("read_attempt", As::Tenant(tenant), |tx| {
            let id = id.clone();
            Box::pin(async move {
                let sql = format!(
                    "/* reads::read_attempt */ SELECT {COLUMNS} FROM progress.attempts a WHERE a.tenant_id = $1 AND a.id = $2"
                );
                tx.query_opt(&sql, &[&tenant.0, &id]).await?.as_ref().map(attempt).transpose()
            })
        })
        .await
    }

    /// Attempts in the order of their ids.
    pub async fn attempts(&self, tenant: TenantId, filter: &AttemptFilter) -> Result<Vec<AttemptRow>, StoreError> {
        self.run_tx("read_attempts", As::Tenant(tenant), |tx| {
            let filter = filter.clone();
            Box::pin(async move { attempts(tx, tenant, &filter).await })
        })
        .await
    }

    /// An enrollment that the ledger has named. With `reading` the read leaves an entry, or does not happen.
    pub async fn enrollment(
        &self,
        tenant: TenantId,
        id: &str,
        reading: Option<&Reading>,
    ) -> Result<Option<EnrollmentRow>, StoreError> {
        self.run("read_enrollment", As::Tenant(tenant), Reading::repeats(reading), |tx| {
            let (id, reading) = (id.to_owned(), reading.cloned());
            Box::pin(async move {
                let found = enrollment(tx, tenant, &id).await?;
                if let (Some(found), Some(reading)) = (&found, reading) {
                    audit::append(tx, &reading.entry(tenant, &found.user, 1)).await?;
                }
                Ok(found)
            })
        })
        .await
    }

    /// A page of a user's enrollments. With `reading` the read leaves an entry, or does not happen.
    pub async fn enrollments(
        &self,
        tenant: TenantId,
        page: &EnrollmentPage,
        reading: Option<&Reading>,
    ) -> Result<Vec<EnrollmentRow>, StoreError> {
        self.run("read_enrollments", As::Tenant(tenant), Reading::repeats(reading), |tx| {
            let (page, reading) = (page.clone(), reading.cloned());
            Box::pin(async move {
                let mut found = Vec::new();
                for id in enrollment_ids(tx, tenant, &page).await? {
                    found.extend(enrollment(tx, tenant, &id).await?);
                }
                if let Some(reading) = reading {
                    audit::append(tx, &reading.entry(tenant, &page.user, found.len())).await?;
                }
                Ok(found)
            })
        })
        .await
    }
}

async fn attempts(tx: &Tx<'_>, tenant: TenantId, filter: &AttemptFilter) -> Result<Vec<AttemptRow>, StoreError> {
    let mut sql =
        format!("/* reads::read_attempts */ SELECT {COLUMNS} FROM progress.attempts a WHERE a.tenant_id = $1");
    let mut params: Vec<Param<'_>> = vec![&tenant.0];
    for (condition, value) in [
        ("a.enrollment_id =", &filter.enrollment),
        ("a.outcome =", &filter.outcome),
        ("a.state =", &filter.state),
        ("a.id >", &filter.after),
    ] {
        if let Some(value) = value {
            params.push(value);
            let _ = write!(sql, " AND {condition} ${}", params.len());
        }
    }
    if let Some(users) = &filter.users {
        params.push(users);
        let _ = write!(sql, " AND a.user_id = ANY(${})", params.len());
    }
    params.push(&filter.limit);
    let _ = write!(sql, " ORDER BY a.id LIMIT ${}", params.len());
    tx.query(&sql, &params).await?.iter().map(attempt).collect()
}

async fn enrollment_ids(tx: &Tx<'_>, tenant: TenantId, page: &EnrollmentPage) -> Result<Vec<String>, StoreError> {
    let rows = tx
        .query(
            "/* reads::read_enrollment_ids */ SELECT DISTINCT enrollment_id FROM progress.attempts
             WHERE tenant_id = $1 AND user_id = $2 AND enrollment_id > $3 ORDER BY enrollment_id LIMIT $4",
            &[&tenant.0, &page.user, &page.after.as_deref().unwrap_or_default(), &page.limit],
        )
        .await?;
    rows.iter().map(|row| column(row, "enrollment_id")).collect()
}

async fn enrollment(tx: &Tx<'_>, tenant: TenantId, id: &str) -> Result<Option<EnrollmentRow>, StoreError> {
    let named = tx
        .query_opt(
            "/* reads::read_enrollment_name */ SELECT user_id, course_id, course_version_id FROM progress.attempt_names
             WHERE tenant_id = $1 AND enrollment_id = $2 ORDER BY attempt_number DESC LIMIT 1",
            &[&tenant.0, &id],
        )
        .await?;
    let Some(named) = named else { return Ok(None) };
    let sql = format!(
        "/* reads::read_enrollment_attempts */ SELECT {COLUMNS} FROM progress.attempts a
         WHERE a.tenant_id = $1 AND a.enrollment_id = $2 ORDER BY a.attempt_number"
    );
    let rows = tx.query(&sql, &[&tenant.0, &id]).await?;
    let (latest_statement, latest_away) = latest_statement(tx, tenant, id).await?;
    Ok(Some(EnrollmentRow {
        id: id.to_owned(),
        user: column(&named, "user_id")?,
        course: column(&named, "course_id")?,
        course_version: column(&named, "course_version_id")?,
        attempts: rows.iter().map(attempt).collect::<Result<_, _>>()?,
        completion: completion(tx, tenant, id).await?,
        latest_statement,
        latest_away,
    }))
}

async fn completion(tx: &Tx<'_>, tenant: TenantId, enrollment: &str) -> Result<Option<CompletionRow>, StoreError> {
    let row = tx
        .query_opt(
            "/* reads::read_completion */ SELECT id, attempt_id, completed_at, (score * 10000)::int AS score, passed,
                    evidence_statement_ids
             FROM progress.completion_records WHERE tenant_id = $1 AND enrollment_id = $2
             ORDER BY completed_at, attempt_id LIMIT 1",
            &[&tenant.0, &enrollment],
        )
        .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(CompletionRow {
        id: column(&row, "id")?,
        attempt: column(&row, "attempt_id")?,
        completed_at: column(&row, "completed_at")?,
        score: column::<Option<i32>>(&row, "score")?.and_then(Score::from_ten_thousandths),
        passed: column(&row, "passed")?,
        evidence: column(&row, "evidence_statement_ids")?,
    }))
}

/// The text of the statement, or when it was stored where the hot tables have it not. What is voided is not asked for a name.
async fn latest_statement(
    tx: &Tx<'_>,
    tenant: TenantId,
    enrollment: &str,
) -> Result<(Option<String>, Option<DateTime<Utc>>), StoreError> {
    let row = tx
        .query_opt(
            concat!(
                "/* reads::latest_statement */ SELECT f.stored, s.payload
             FROM progress.attempt_names n
             CROSS JOIN LATERAL (
                 SELECT f.stored, f.statement_id FROM progress.attempt_statements f
                 WHERE f.tenant_id = n.tenant_id AND f.attempt_id = n.id
                   AND NOT EXISTS (SELECT FROM ledger.refs v WHERE v.tenant_id = f.tenant_id
                                   AND v.target_id = f.statement_id AND ",
                voids_at!("f.stored"),
                ")
                 ORDER BY f.stored DESC LIMIT 1) f
             LEFT JOIN ledger.statements s ON s.tenant_id = n.tenant_id AND s.stored = f.stored AND s.id = f.statement_id
             WHERE n.tenant_id = $1 AND n.enrollment_id = $2
             ORDER BY n.attempt_number DESC LIMIT 1"
            ),
            &[&tenant.0, &enrollment],
        )
        .await?;
    let Some(row) = row else { return Ok((None, None)) };
    let text: Option<String> = column(&row, "payload")?;
    let away = if text.is_none() { Some(column(&row, "stored")?) } else { None };
    Ok((text, away))
}
