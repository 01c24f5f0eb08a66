//! The segments of archived months: a row for each, made before its objects, so that whatever a crash leaves has a name.

use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::model::{TenantId, partition::Month};
use crate::store::{
    StoreError,
    door::tx::{Tx, column},
    ledger::erasures::{self, Clean},
    platform::leases,
};

/// Where a segment is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Being written.
    Staged,
    /// It answers for its month.
    Published,
    /// Another revision answers in its place, or its time has come.
    Marked,
    /// Its objects are gone.
    Removed,
}

impl State {
    pub const ALL: [Self; 4] = [Self::Staged, Self::Published, Self::Marked, Self::Removed];

    pub fn name(self) -> &'static str {
        match self {
            Self::Staged => "staged",
            Self::Published => "published",
            Self::Marked => "marked",
            Self::Removed => "removed",
        }
    }

    fn parse(name: &str) -> Result<Self, StoreError> {
        let found = Self::ALL.into_iter().find(|state| state.name() == name);
        found.ok_or_else(|| StoreError::Shape { name: "segments", detail: format!("a segment is {name:?}") })
    }
}

/// Which segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name {
    pub tenant: TenantId,
    pub month: Month,
    pub revision: u32,
}

/// What is in one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    pub rows: i64,
    pub bytes: i64,
    pub first_stored: DateTime<Utc>,
    pub last_stored: DateTime<Utc>,
    pub digest: String,
    pub verbs: Value,
}

/// A segment as its row tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    pub name: Name,
    pub state: State,
    pub installation: Uuid,
    pub epoch: i64,
    pub retention_class: String,
    pub erasure_stamp: i64,
    /// `None` of one that is being written.
    pub contents: Option<Contents>,
    pub begun_at: DateTime<Utc>,
    pub published_at: Option<DateTime<Utc>>,
    pub marked_at: Option<DateTime<Utc>>,
}

/// One attempt at writing a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Writing {
    pub name: Name,
    pub id: Uuid,
    pub begun_at: DateTime<Utc>,
    /// Nothing was left of it then.
    pub is_cleared: bool,
}

macro_rules! columns {
    () => {
        "tenant_id, to_char(month, 'YYYY-MM') AS month, revision, state, installation_id, epoch, retention_class, erasure_stamp,
         rows, bytes, first_stored, last_stored, digest, verbs, begun_at, published_at, marked_at"
    };
}

const BEGIN: &str = "/* segments::begin */
    INSERT INTO ledger.segments AS s (tenant_id, month, revision, installation_id, epoch, retention_class, erasure_stamp, erasures_finished)
    VALUES ($1 /* tenant */, $2::text::date /* month */, $3 /* revision */, $4 /* installation */, $5 /* epoch */,
            $6 /* retention class */, $7 /* erasure stamp */, $8 /* finished */)
    ON CONFLICT (tenant_id, month, revision) DO UPDATE SET installation_id = excluded.installation_id,
        epoch = excluded.epoch, retention_class = excluded.retention_class, erasure_stamp = excluded.erasure_stamp, erasures_finished = excluded.erasures_finished,
        begun_at = clock_timestamp()
        WHERE s.state = 'staged'
    RETURNING revision";

const BEGIN_WRITING: &str = "/* segments::begin_writing */
    INSERT INTO ledger.writings (tenant_id, month, revision, writing)
    VALUES ($1 /* tenant */, $2::text::date /* month */, $3 /* revision */, $4 /* writing */)
    ON CONFLICT DO NOTHING";

/// A segment of which nothing was noted yet.
#[derive(Clone, Debug)]
pub struct Begun {
    pub name: Name,
    pub installation: Uuid,
    pub epoch: i64,
    pub retention_class: String,
    pub clean: Clean,
}

/// Says that a segment is about to be written. One that is published already is not written again: it needs another revision.
pub async fn begin(tx: &Tx<'_>, begun: &Begun, writing: Uuid) -> Result<(), StoreError> {
    register(tx, begun).await?;
    let (tenant, month, revision) = keys(&begun.name)?;
    tx.execute(BEGIN_WRITING, &[&tenant, &month, &revision, &writing]).await.map(drop)
}

/// Gives a segment its row, whoever has written it.
pub async fn register(tx: &Tx<'_>, begun: &Begun) -> Result<(), StoreError> {
    leases::check(tx).await?;
    let (tenant, month, revision) = keys(&begun.name)?;
    let Begun { installation, epoch, retention_class, clean: Clean { stamp, finished }, .. } = begun;
    let made = tx
        .query_opt(BEGIN, &[&tenant, &month, &revision, installation, epoch, retention_class, stamp, finished])
        .await?;
    if made.is_none() {
        let detail = format!("revision {revision} of {} is not staged any more", begun.name.month);
        return Err(StoreError::Shape { name: "segments", detail });
    }
    Ok(())
}

// Whatever answered for the month before gives way in the same moment.
const STEP_ASIDE: &str = "/* segments::step_aside */
    UPDATE ledger.segments SET state = 'marked', marked_at = clock_timestamp()
    WHERE tenant_id = $1 /* tenant */ AND month = $2::text::date /* month */ AND revision <> $3 /* revision */
      AND state = 'published'";

const PUBLISH: &str = "/* segments::publish */
    UPDATE ledger.segments SET state = 'published', published_at = coalesce(published_at, clock_timestamp()),
        rows = $4 /* rows */, bytes = $5 /* bytes */, first_stored = $6 /* first */, last_stored = $7 /* last */,
        digest = $8 /* digest */, verbs = $9 /* verbs */
    WHERE tenant_id = $1 /* tenant */ AND month = $2::text::date /* month */ AND revision = $3 /* revision */
      AND state IN ('staged', 'published')";

/// Says that a segment answers for its month from now on: it is published and proven. Answers false, and says nothing, where
/// somebody was erased from the month since its rows were read.
pub async fn publish(tx: &Tx<'_>, name: &Name, contents: &Contents) -> Result<bool, StoreError> {
    leases::check(tx).await?;
    let (tenant, month, revision) = keys(name)?;
    erasures::share(tx).await?;
    if erasures::was_since(tx, tenant, &month, revision).await? {
        return Ok(false);
    }
    tx.execute(STEP_ASIDE, &[&tenant, &month, &revision]).await?;
    let Contents { rows, bytes, first_stored, last_stored, digest, verbs } = contents;
    let done = tx
        .execute(PUBLISH, &[&tenant, &month, &revision, rows, bytes, first_stored, last_stored, digest, verbs])
        .await?;
    if done == 0 {
        let detail = format!("revision {revision} of {} is not staged", name.month);
        return Err(StoreError::Shape { name: "segments", detail });
    }
    Ok(true)
}

const MARK: &str = "/* segments::mark */
    UPDATE ledger.segments SET state = 'marked', marked_at = clock_timestamp()
    WHERE tenant_id = $1 /* tenant */ AND month = $2::text::date /* month */ AND revision = $3 /* revision */
      AND state = 'published'";

/// Says that a segment answers for nothing any more, and none in its place: nothing is left of it.
pub async fn mark(tx: &Tx<'_>, name: &Name) -> Result<(), StoreError> {
    leases::check(tx).await?;
    let (tenant, month, revision) = keys(name)?;
    tx.execute(MARK, &[&tenant, &month, &revision]).await.map(drop)
}

const PUBLISHED: &str = concat!(
    "/* segments::published */ SELECT ",
    columns!(),
    " FROM ledger.segments
      WHERE state = 'published' AND ($1::uuid /* tenant */ IS NULL OR tenant_id = $1)
        AND ($2::text /* month */ IS NULL OR month = $2::text::date)
      ORDER BY month, tenant_id"
);

/// Those that answer: of a tenant, of a month, or all.
pub async fn published(
    tx: &Tx<'_>,
    tenant: Option<TenantId>,
    month: Option<Month>,
) -> Result<Vec<Segment>, StoreError> {
    let (tenant, month) = (tenant.map(|tenant| tenant.0), month.map(date));
    tx.query(PUBLISHED, &[&tenant, &month]).await?.iter().map(segment).collect()
}

const LIST: &str = concat!(
    "/* segments::list */ SELECT ",
    columns!(),
    " FROM ledger.segments WHERE $1::text /* month */ IS NULL OR month = $1::text::date
      ORDER BY month, tenant_id, revision"
);

/// All that there ever were, of a month or of every one.
pub async fn list(tx: &Tx<'_>, month: Option<Month>) -> Result<Vec<Segment>, StoreError> {
    tx.query(LIST, &[&month.map(date)]).await?.iter().map(segment).collect()
}

const REMOVED: &str = "/* segments::removed */
    UPDATE ledger.segments SET state = 'removed', removed_at = clock_timestamp(), verbs = '{}'
    WHERE tenant_id = $1 /* tenant */ AND month = $2::text::date /* month */ AND revision = $3 /* revision */
      AND state = 'marked'";

/// Says that the objects of a marked one are gone.
pub async fn removed(tx: &Tx<'_>, name: &Name) -> Result<(), StoreError> {
    leases::check(tx).await?;
    let (tenant, month, revision) = keys(name)?;
    tx.execute(REMOVED, &[&tenant, &month, &revision]).await.map(drop)
}

const LEFT: &str = "/* segments::left */
    SELECT to_char(month, 'YYYY-MM') AS month FROM ledger.segments WHERE tenant_id = $1 /* tenant */ AND state IN ('published', 'marked')
    UNION SELECT to_char(month, 'YYYY-MM') FROM ledger.writings WHERE tenant_id = $1 AND cleared_at IS NULL ORDER BY 1";

/// The months of which a tenant may have objects. What was begun and never counted has a writing that is not cleared.
pub async fn left(tx: &Tx<'_>, tenant: TenantId) -> Result<Vec<Month>, StoreError> {
    let rows = tx.query(LEFT, &[&tenant.0]).await?;
    rows.iter().map(month).collect()
}

const OWN: &str = "/* segments::own */
    UPDATE ledger.segments SET installation_id = $4 /* installation */, epoch = $5 /* epoch */
    WHERE tenant_id = $1 /* tenant */ AND month = $2::text::date /* month */ AND revision = $3 /* revision */";

/// Says whose it is from now on.
pub async fn own(tx: &Tx<'_>, name: &Name, installation: Uuid, epoch: i64) -> Result<(), StoreError> {
    leases::check(tx).await?;
    let (tenant, month, revision) = keys(name)?;
    tx.execute(OWN, &[&tenant, &month, &revision, &installation, &epoch]).await.map(drop)
}

const WRITINGS: &str = "/* segments::writings */
    SELECT tenant_id, to_char(month, 'YYYY-MM') AS month, revision, writing, begun_at, cleared_at IS NOT NULL AS cleared FROM ledger.writings
    WHERE cleared_at IS NULL OR begun_at > clock_timestamp() - interval '7 days' ORDER BY month, tenant_id, begun_at, writing";

/// The attempts that may have left something: those that were not cleared away, and for a week the others as well, because
/// who wrote may only have been asleep.
pub async fn writings(tx: &Tx<'_>) -> Result<Vec<Writing>, StoreError> {
    let writing = |row: &Row| {
        let (id, begun_at) = (column(row, "writing")?, column(row, "begun_at")?);
        Ok(Writing { name: name(row)?, id, begun_at, is_cleared: column(row, "cleared")? })
    };
    tx.query(WRITINGS, &[]).await?.iter().map(writing).collect()
}

const CLEARED: &str = "/* segments::cleared */
    UPDATE ledger.writings SET cleared_at = clock_timestamp()
    WHERE tenant_id = $1 /* tenant */ AND month = $2::text::date /* month */ AND revision = $3 /* revision */
      AND writing = $4 /* writing */";

/// Says that nothing is left of an attempt.
pub async fn cleared(tx: &Tx<'_>, name: &Name, writing: Uuid) -> Result<(), StoreError> {
    leases::check(tx).await?;
    let (tenant, month, revision) = keys(name)?;
    tx.execute(CLEARED, &[&tenant, &month, &revision, &writing]).await.map(drop)
}

fn keys(name: &Name) -> Result<(Uuid, String, i32), StoreError> {
    let revision = i32::try_from(name.revision);
    let revision = revision.map_err(|e| StoreError::Shape { name: "segments", detail: e.to_string() })?;
    Ok((name.tenant.0, date(name.month), revision))
}

fn date(month: Month) -> String {
    format!("{month}-01")
}

fn month(row: &Row) -> Result<Month, StoreError> {
    let month: String = column(row, "month")?;
    month.parse().map_err(|detail| StoreError::Shape { name: "segments", detail })
}

fn name(row: &Row) -> Result<Name, StoreError> {
    let revision: i32 = column(row, "revision")?;
    Ok(Name { tenant: TenantId(column(row, "tenant_id")?), month: month(row)?, revision: revision.unsigned_abs() })
}

fn segment(row: &Row) -> Result<Segment, StoreError> {
    Ok(Segment {
        name: name(row)?,
        state: State::parse(column(row, "state")?)?,
        installation: column(row, "installation_id")?,
        epoch: column(row, "epoch")?,
        retention_class: column(row, "retention_class")?,
        erasure_stamp: column(row, "erasure_stamp")?,
        contents: contents(row)?,
        begun_at: column(row, "begun_at")?,
        published_at: column(row, "published_at")?,
        marked_at: column(row, "marked_at")?,
    })
}

fn contents(row: &Row) -> Result<Option<Contents>, StoreError> {
    let Some(rows) = column(row, "rows")? else { return Ok(None) };
    Ok(Some(Contents {
        rows,
        bytes: column(row, "bytes")?,
        first_stored: column(row, "first_stored")?,
        last_stored: column(row, "last_stored")?,
        digest: column(row, "digest")?,
        verbs: column(row, "verbs")?,
    }))
}
