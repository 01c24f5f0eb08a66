//! What is marked to go, and how it goes: rows in batches, ids as tombstones, archived months by giving way.
//!
//! Run the removing as [`crate::store::As::Retention`], after [`super::holds::standing`] in the same transaction.

use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::model::{TenantId, partition::Month, retention::Place};
use crate::store::{
    StoreError,
    door::tx::{Tx, column},
    ledger::tables::Tables,
    platform::leases,
};

/// Where a removal is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Marked,
    /// It has begun, and ends.
    Removing,
    Removed,
    /// A hold or a rule came in between.
    Spared,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            Self::Marked => "marked",
            Self::Removing => "removing",
            Self::Removed => "removed",
            Self::Spared => "spared",
        }
    }

    fn parse(name: &str) -> Result<Self, StoreError> {
        let all = [Self::Marked, Self::Removing, Self::Removed, Self::Spared];
        let found = all.into_iter().find(|state| state.name() == name);
        found.ok_or_else(|| StoreError::Shape { name: "removals", detail: format!("a removal is {name:?}") })
    }
}

/// What a removal is of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Of {
    pub tenant: TenantId,
    pub place: Place,
    /// Absent for what is not kept by months.
    pub month: Option<Month>,
    /// Of a segment; absent for rows of tables.
    pub revision: Option<u32>,
    /// Only what is of this course.
    pub course: Option<Uuid>,
}

/// A removal as its row tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    pub id: Uuid,
    pub of: Of,
    pub until: DateTime<Utc>,
    pub rule: i64,
    pub principle: String,
    pub plan: String,
    pub marked_by: String,
    pub marked_at: DateTime<Utc>,
    pub due_at: DateTime<Utc>,
    pub state: State,
    pub spared_by: Option<String>,
    pub rows: i64,
}

const MARK: &str = "/* removals::mark */
    INSERT INTO ledger.removals (tenant_id, removal_id, place, month, revision, course_key, until, rule, principle,
        plan_digest, marked_by, marked_at, due_at)
    VALUES ($1, $2, $3, $4::text::date, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT DO NOTHING";

/// Marks; nothing is removed by it.
pub async fn mark(tx: &Tx<'_>, removal: &Removal) -> Result<(), StoreError> {
    leases::check(tx).await?;
    let Removal { id, of, until, rule, principle, plan, marked_by, marked_at, due_at, .. } = removal;
    let (tenant, place, month, revision) = (of.tenant.0, of.place.name(), of.month.map(date), number(of.revision)?);
    tx.execute(
        MARK,
        &[
            &tenant, id, &place, &month, &revision, &of.course, until, rule, principle, plan, marked_by, marked_at,
            due_at,
        ],
    )
    .await
    .map(drop)
}

const LIST: &str = "/* removals::list */
    SELECT tenant_id, removal_id, place, to_char(month, 'YYYY-MM') AS month, revision, course_key, until, rule, principle,
        plan_digest, marked_by, marked_at, due_at, state, spared_by, rows_removed
    FROM ledger.removals WHERE ($1::uuid IS NULL OR tenant_id = $1) AND ($2 OR state IN ('marked', 'removing'))
    ORDER BY tenant_id, marked_at, removal_id";

/// The removals of a tenant or of all; those that are over only where they are asked for.
pub async fn list(tx: &Tx<'_>, tenant: Option<TenantId>, with_ended: bool) -> Result<Vec<Removal>, StoreError> {
    let tenant = tenant.map(|tenant| tenant.0);
    tx.query(LIST, &[&tenant, &with_ended]).await?.iter().map(removal).collect()
}

const MOVE: &str = "/* removals::move_to */
    UPDATE ledger.removals SET state = $3, spared_by = $4, rows_removed = rows_removed + $5,
        ended_at = CASE WHEN $3 IN ('removed', 'spared') THEN clock_timestamp() END
    WHERE tenant_id = $1 AND removal_id = $2 AND state IN ('marked', 'removing')";

/// Says how far a removal is; so many rows more are gone.
pub async fn move_to(
    tx: &Tx<'_>,
    removal: &Removal,
    state: State,
    spared_by: Option<&str>,
    rows: i64,
) -> Result<bool, StoreError> {
    leases::check(tx).await?;
    let (tenant, state) = (removal.of.tenant.0, state.name());
    Ok(tx.execute(MOVE, &[&tenant, &removal.id, &state, &spared_by, &rows]).await? > 0)
}

/// Which rows of a month of statements.
#[derive(Clone, Debug)]
pub struct Rows<'r> {
    pub tenant: TenantId,
    pub tables: Tables,
    pub from: DateTime<Utc>,
    /// Itself included.
    pub until: DateTime<Utc>,
    /// Only what has one of these keys, in any form; all where there are none.
    pub only: &'r [Uuid],
    /// Not what has one of these.
    pub but: &'r [Uuid],
}

const WHICH: &str = "s.tenant_id = $1 AND s.stored >= $2 AND s.stored <= $3
        AND (cardinality($4::uuid[]) = 0 OR s.activity_key = ANY ($4) OR EXISTS (
            SELECT FROM ledger.relations r WHERE r.key = ANY ($4) AND r.stored = s.stored AND r.tenant_id = $1))
        AND NOT coalesce(s.agent_key = ANY ($5::uuid[]), false) AND NOT coalesce(s.activity_key = ANY ($5), false)
        AND NOT coalesce(s.registration_key = ANY ($5), false) AND NOT EXISTS (
            SELECT FROM ledger.relations r WHERE r.key = ANY ($5) AND r.stored = s.stored AND r.tenant_id = $1)";

/// How many there are.
pub async fn count(tx: &Tx<'_>, rows: &Rows<'_>) -> Result<i64, StoreError> {
    let sql = format!("/* removals::count */ SELECT count(*) AS rows FROM ledger.statements s WHERE {WHICH}");
    let row =
        tx.query_one(&rows.tables.sql(sql), &[&rows.tenant.0, &rows.from, &rows.until, &rows.only, &rows.but]).await?;
    column(&row, "rows")
}

/// Removes at most so many, oldest first, with what refers by them; their ids become tombstones. Answers how many they were.
pub async fn remove_some(tx: &Tx<'_>, rows: &Rows<'_>, most: i64) -> Result<i64, StoreError> {
    leases::check(tx).await?;
    let sql = format!(
        "/* removals::next */ SELECT s.stored, s.id FROM ledger.statements s WHERE {WHICH} ORDER BY s.stored LIMIT $6"
    );
    let found = tx
        .query(&rows.tables.sql(sql), &[&rows.tenant.0, &rows.from, &rows.until, &rows.only, &rows.but, &most])
        .await?;
    if found.is_empty() {
        return Ok(0);
    }
    let moments: Vec<DateTime<Utc>> = found.iter().map(|row| column(row, "stored")).collect::<Result<_, _>>()?;
    let ids: Vec<Uuid> = found.iter().map(|row| column(row, "id")).collect::<Result<_, _>>()?;
    bury(tx, rows.tenant, &ids).await?;
    let sql = rows.tables.sql(
        "/* removals::statements */ DELETE FROM ledger.statements s WHERE s.tenant_id = $1 AND s.stored = ANY ($2)",
    );
    let gone = tx.execute(&sql, &[&rows.tenant.0, &moments]).await?;
    Ok(i64::try_from(gone).unwrap_or(i64::MAX))
}

/// Removes the relations of statements that are gone, of a stretch of time, and the days on which nothing is left of who was active.
pub async fn remove_relations(tx: &Tx<'_>, rows: &Rows<'_>) -> Result<(), StoreError> {
    let sql = rows.tables.sql(
        "/* removals::learner_days */ DELETE FROM progress.learner_days l WHERE l.tenant_id = $1
           AND l.day >= ($2 AT TIME ZONE 'UTC')::date AND l.day <= ($3 AT TIME ZONE 'UTC')::date
           AND NOT EXISTS (SELECT FROM ledger.statements s WHERE s.tenant_id = $1 AND s.agent_key = l.learner
                           AND s.stored >= l.day::timestamp AT TIME ZONE 'UTC'
                           AND s.stored < (l.day + 1)::timestamp AT TIME ZONE 'UTC')",
    );
    tx.execute(&sql, &[&rows.tenant.0, &rows.from, &rows.until]).await?;
    let sql = rows.tables.sql(
        "/* removals::relations */ DELETE FROM ledger.relations r WHERE r.tenant_id = $1 AND r.stored >= $2 AND r.stored <= $3
         AND NOT EXISTS (SELECT FROM ledger.statements s WHERE s.tenant_id = $1 AND s.stored = r.stored)",
    );
    tx.execute(&sql, &[&rows.tenant.0, &rows.from, &rows.until]).await.map(drop)
}

const TOMBSTONES: &str = "/* removals::tombstones */ UPDATE ledger.statement_ids SET erased = true
    WHERE tenant_id = $1 AND id = ANY ($2) AND NOT erased";

/// What stays of statements that go: their ids, under which nothing comes back. What was reached through them is forgotten. Answers how
/// many were not buried before.
pub async fn bury(tx: &Tx<'_>, tenant: TenantId, ids: &[Uuid]) -> Result<i64, StoreError> {
    let buried = tx.execute(TOMBSTONES, &[&tenant.0, &ids]).await?;
    for sql in [
        "/* removals::reached */ WITH RECURSIVE upstream (id) AS (
             SELECT unnest($2::uuid[])
             UNION SELECT r.referrer_id FROM upstream u JOIN ledger.refs r ON r.tenant_id = $1 AND r.target_id = u.id)
         DELETE FROM ledger.reaches e USING upstream u
         WHERE e.tenant_id = $1 AND e.referrer_id = u.id AND (e.reached_id = ANY ($2) OR u.id = ANY ($2))",
        "/* removals::refs */ DELETE FROM ledger.refs WHERE tenant_id = $1 AND referrer_id = ANY ($2)",
    ] {
        tx.execute(sql, &[&tenant.0, &ids]).await?;
    }
    Ok(i64::try_from(buried).unwrap_or(i64::MAX))
}

const GIVE_WAY: &str = "/* removals::give_way */
    UPDATE ledger.segments SET state = 'marked', marked_at = clock_timestamp()
    WHERE tenant_id = $1 AND month = $2::text::date AND revision = $3 AND state = 'published'";

const MONTH_OF_LEARNERS: &str = "/* removals::month_of_learners */
    DELETE FROM progress.learner_days WHERE tenant_id = $1 AND day >= $2::text::date AND day < $2::text::date + interval '1 month'";

/// A segment answers for its month no more, nor does anything say who was active in it. Its objects are the archive's to remove.
pub async fn give_way(tx: &Tx<'_>, of: &Of) -> Result<bool, StoreError> {
    leases::check(tx).await?;
    let (month, revision) = (of.month.map(date), number(of.revision)?);
    tx.execute(MONTH_OF_LEARNERS, &[&of.tenant.0, &month]).await?;
    Ok(tx.execute(GIVE_WAY, &[&of.tenant.0, &month, &revision]).await? > 0)
}

const UNFINISHED: &str = "/* removals::unfinished */
    SELECT tenant_id, to_char(month, 'YYYY-MM') AS month, revision FROM ledger.removals
    WHERE state = 'removing' AND revision IS NOT NULL";

/// The segments that gave way and whose ids are not tombstones yet: their objects are still needed.
pub async fn unfinished(tx: &Tx<'_>) -> Result<Vec<(TenantId, Month, u32)>, StoreError> {
    let one = |row: &Row| {
        let month = month(row)?.ok_or_else(|| shape("a segment without its month"))?;
        let revision = revision(row)?.ok_or_else(|| shape("a segment without its revision"))?;
        Ok((TenantId(column(row, "tenant_id")?), month, revision))
    };
    tx.query(UNFINISHED, &[]).await?.iter().map(one).collect()
}

fn removal(row: &Row) -> Result<Removal, StoreError> {
    let (place, state): (String, String) = (column(row, "place")?, column(row, "state")?);
    let of = Of {
        tenant: TenantId(column(row, "tenant_id")?),
        place: Place::parse(&place).ok_or_else(|| shape(&place))?,
        month: month(row)?,
        revision: revision(row)?,
        course: column(row, "course_key")?,
    };
    Ok(Removal {
        id: column(row, "removal_id")?,
        of,
        until: column(row, "until")?,
        rule: column(row, "rule")?,
        principle: column(row, "principle")?,
        plan: column(row, "plan_digest")?,
        marked_by: column(row, "marked_by")?,
        marked_at: column(row, "marked_at")?,
        due_at: column(row, "due_at")?,
        state: State::parse(&state)?,
        spared_by: column(row, "spared_by")?,
        rows: column(row, "rows_removed")?,
    })
}

fn month(row: &Row) -> Result<Option<Month>, StoreError> {
    let text: Option<String> = column(row, "month")?;
    text.map(|text| text.parse().map_err(|why: String| shape(&why))).transpose()
}

fn revision(row: &Row) -> Result<Option<u32>, StoreError> {
    let number: Option<i32> = column(row, "revision")?;
    Ok(number.and_then(|number| u32::try_from(number).ok()))
}

fn date(month: Month) -> String {
    format!("{month}-01")
}

fn number(revision: Option<u32>) -> Result<Option<i32>, StoreError> {
    revision.map(|revision| i32::try_from(revision).map_err(|e| shape(&e.to_string()))).transpose()
}

fn shape(detail: &str) -> StoreError {
    StoreError::Shape { name: "removals", detail: detail.to_owned() }
}
