//! What reports read: counts of activity, how attempts went, and how many people were active. Never writes.

use chrono::{DateTime, NaiveDate, Utc};
use tokio_postgres::Row;

use crate::model::TenantId;
use crate::store::{As, Store, StoreError, Tx, door::tx::column, progress::activity::days_kept};

/// For how many days it is known who was active, the present one among them.
pub fn days_of_learners() -> i64 {
    days_kept!().parse().unwrap_or_default()
}

/// By what a report adds up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Day,
    Verb,
    Course,
}

/// What a report is asked for: both days are in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub by: By,
    pub from: NaiveDate,
    pub to: NaiveDate,
    /// Of this course alone.
    pub course: Option<String>,
    /// The key that the page before ended with.
    pub after: Option<String>,
    pub limit: i64,
}

/// How many statements there were of one day, verb or course.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActivityRow {
    /// The day, the key of the verb, or the course; empty for what is of no course.
    pub key: String,
    pub verb: Option<String>,
    pub statements: i64,
}

/// How the attempts went that began on one day, or in one course.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompletionRow {
    pub key: String,
    pub begun: i64,
    pub open: i64,
    pub passed: i64,
    pub failed: i64,
    pub incomplete: i64,
    pub abandoned: i64,
}

/// What of the ledger is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Only what was stored after this; absent where it is everything.
    pub since: Option<DateTime<Utc>>,
    /// Only what was stored up to this; absent where nothing was read yet.
    pub through: Option<DateTime<Utc>>,
}

// Where the projections have come further than the counts, these begin anew.
const COUNTED: &str = "/* reports::counted */
    SELECT p.position, nullif(CASE WHEN c.until = p.position THEN c.since ELSE p.position END, 'epoch') AS since
    FROM progress.projection_cursors p LEFT JOIN progress.activity_counted c USING (tenant_id)
    WHERE p.tenant_id = $1 AND p.position > 'epoch'";

async fn counted(tx: &Tx<'_>, tenant: TenantId) -> Result<Counted, StoreError> {
    let Some(row) = tx.query_opt(COUNTED, &[&tenant.0]).await? else { return Ok(Counted::default()) };
    Ok(Counted { since: column(&row, "since")?, through: column(&row, "position")? })
}

impl By {
    fn activity(self) -> &'static str {
        match self {
            Self::Day => "to_char(day, 'YYYY-MM-DD')",
            Self::Verb => "verb_key::text",
            Self::Course => "course_id",
        }
    }

    fn attempts(self) -> &'static str {
        match self {
            Self::Course => "course_id",
            Self::Day | Self::Verb => "to_char(started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')",
        }
    }
}

async fn activity(tx: &Tx<'_>, tenant: TenantId, asked: &Asked) -> Result<Vec<ActivityRow>, StoreError> {
    let key = asked.by.activity();
    let verb = match asked.by {
        By::Verb => "(SELECT v.iri FROM ledger.verbs_seen v WHERE v.tenant_id = $1 AND v.key = one.key::uuid)",
        By::Day | By::Course => "NULL::text",
    };
    let sql = format!(
        "/* reports::activity */ SELECT one.key, one.statements, {verb} AS verb FROM (
             SELECT {key} COLLATE \"C\" AS key, sum(statements)::bigint AS statements FROM progress.activity
             WHERE tenant_id = $1 AND day BETWEEN $2 AND $3 AND ($4::text IS NULL OR course_id = $4) GROUP BY 1) one
         WHERE $5::text IS NULL OR one.key > $5 ORDER BY one.key LIMIT $6"
    );
    let Asked { from, to, course, after, limit, .. } = asked;
    let row = |row: &Row| {
        Ok(ActivityRow { key: column(row, "key")?, verb: column(row, "verb")?, statements: column(row, "statements")? })
    };
    tx.query(&sql, &[&tenant.0, from, to, course, after, limit]).await?.iter().map(row).collect()
}

async fn completions(tx: &Tx<'_>, tenant: TenantId, asked: &Asked) -> Result<Vec<CompletionRow>, StoreError> {
    let key = asked.by.attempts();
    let sql = format!(
        "/* reports::completions */ SELECT one.* FROM (
             SELECT {key} COLLATE \"C\" AS key, count(*) AS begun, count(*) FILTER (WHERE outcome IS NULL) AS open,
                    count(*) FILTER (WHERE outcome = 'passed') AS passed, count(*) FILTER (WHERE outcome = 'failed') AS failed,
                    count(*) FILTER (WHERE outcome = 'incomplete') AS incomplete,
                    count(*) FILTER (WHERE outcome = 'abandoned') AS abandoned
             FROM progress.attempts
             WHERE tenant_id = $1 AND started_at >= $2::date::timestamp AT TIME ZONE 'UTC'
               AND started_at < ($3::date + 1)::timestamp AT TIME ZONE 'UTC' AND ($4::text IS NULL OR course_id = $4)
             GROUP BY 1) one
         WHERE $5::text IS NULL OR one.key > $5 ORDER BY one.key LIMIT $6"
    );
    let Asked { from, to, course, after, limit, .. } = asked;
    let row = |row: &Row| {
        Ok(CompletionRow {
            key: column(row, "key")?,
            begun: column(row, "begun")?,
            open: column(row, "open")?,
            passed: column(row, "passed")?,
            failed: column(row, "failed")?,
            incomplete: column(row, "incomplete")?,
            abandoned: column(row, "abandoned")?,
        })
    };
    tx.query(&sql, &[&tenant.0, from, to, course, after, limit]).await?.iter().map(row).collect()
}

// A day of somebody counts for the days that begin with it, until they are active again: each counts once, and all is read once.
const LEARNERS: &str = "/* reports::learners */
    WITH seen AS (
        SELECT day, lead(day) OVER (PARTITION BY learner ORDER BY day) AS next FROM progress.learner_days
        WHERE tenant_id = $1 AND day > $2::date - $4::integer AND day <= $3),
    edges AS (
        SELECT day AS at, 1 AS more FROM seen
        UNION ALL SELECT least(coalesce(next, day + $4), day + $4), -1 FROM seen),
    days AS (SELECT at, sum(sum(more)) OVER (ORDER BY at) AS learners FROM edges GROUP BY at)
    SELECT d.day::date AS day, coalesce((SELECT learners FROM days WHERE at <= d.day ORDER BY at DESC LIMIT 1), 0)::bigint AS learners
    FROM generate_series($2::date::timestamp, $3::date::timestamp, interval '1 day') AS d (day) ORDER BY d.day";

const EVERYBODY: &str = "/* reports::of_everybody */
    SELECT one.day, sum(one.statements)::bigint AS statements FROM platform.tenants t CROSS JOIN LATERAL (
        SELECT a.day, sum(a.statements) AS statements FROM progress.activity a
        WHERE a.tenant_id = t.tenant_id AND a.day >= $1 GROUP BY a.day) one
    GROUP BY one.day ORDER BY one.day";

impl Store {
    /// How many statements stand that were stored within some days.
    pub async fn activity(&self, tenant: TenantId, asked: &Asked) -> Result<(Counted, Vec<ActivityRow>), StoreError> {
        self.run_tx("report_activity", As::Tenant(tenant), |tx| {
            Box::pin(async move { Ok((counted(tx, tenant).await?, activity(tx, tenant, asked).await?)) })
        })
        .await
    }

    /// How the attempts went that began within some days.
    pub async fn completions(&self, tenant: TenantId, asked: &Asked) -> Result<Vec<CompletionRow>, StoreError> {
        self.run_tx("report_completions", As::Tenant(tenant), |tx| Box::pin(completions(tx, tenant, asked))).await
    }

    /// How many people were active within the `window` days that end with each day.
    pub async fn active_learners(
        &self,
        tenant: TenantId,
        (from, to): (NaiveDate, NaiveDate),
        window: i32,
    ) -> Result<(Counted, Vec<(NaiveDate, i64)>), StoreError> {
        self.run_tx("report_learners", As::Tenant(tenant), |tx| {
            Box::pin(async move {
                let rows = tx.query(LEARNERS, &[&tenant.0, &from, &to, &window]).await?;
                let day = |row: &Row| Ok((column(row, "day")?, column(row, "learners")?));
                Ok((counted(tx, tenant).await?, rows.iter().map(day).collect::<Result<_, StoreError>>()?))
            })
        })
        .await
    }

    /// How many statements of all tenants were stored on each day since one, where there were any.
    pub async fn activity_of_everybody(&self, from: NaiveDate) -> Result<Vec<(NaiveDate, i64)>, StoreError> {
        self.run_tx("activity_of_everybody", As::Worker, |tx| {
            Box::pin(async move {
                let rows = tx.query(EVERYBODY, &[&from]).await?;
                rows.iter().map(|row| Ok((column(row, "day")?, column(row, "statements")?))).collect()
            })
        })
        .await
    }
}
