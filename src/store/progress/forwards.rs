//! Forwards: what of a tenant goes on to another LRS, how far each has come, and what was refused there.

use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use uuid::Uuid;

use super::relay::Share;
use crate::model::TenantId;
use crate::store::{StoreError, Tx, door::tx::column, platform::leases};

/// Refused statements that are kept of one forward; their number is counted without end.
const KEPT: i64 = 1_000;

/// One forward as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Forward {
    pub number: i64,
    pub tenant: TenantId,
    /// What the tenant is called.
    pub tenant_name: String,
    pub name: String,
    /// Where to: a name of the configuration.
    pub target: String,
    pub verbs: Vec<String>,
    pub activities: Vec<String>,
    pub is_paused: bool,
    /// Whether its tenant is served here: active, and at home.
    pub is_served: bool,
    /// Whether it does not wait after a failure.
    pub is_due: bool,
    /// Up to here everything is settled.
    pub position: DateTime<Utc>,
    pub position_id: Option<Uuid>,
    pub sent: i64,
    pub refused: i64,
    pub sent_at: Option<DateTime<Utc>>,
    pub failures: i32,
    pub last_error: Option<String>,
    pub failed_at: Option<DateTime<Utc>>,
    pub retry_at: Option<DateTime<Utc>>,
    pub created_by: String,
    /// When the first statement behind its position was stored, whether it is meant to go or not.
    pub oldest: Option<DateTime<Utc>>,
}

const READ: &str = "SELECT f.*, t.name AS tenant_name,
        t.status = 'active' AND NOT EXISTS (SELECT FROM platform.residences r
                                            WHERE r.tenant_id = f.tenant_id AND r.standing <> 'home') AS is_served,
        coalesce(f.retry_at <= clock_timestamp(), true) AS is_due,
        (SELECT stored FROM ledger.statements s WHERE s.tenant_id = f.tenant_id AND s.stored > f.position
         ORDER BY stored LIMIT 1) AS oldest
    FROM progress.forwards f JOIN platform.tenants t USING (tenant_id)";

fn forward(row: &Row) -> Result<Forward, StoreError> {
    Ok(Forward {
        number: column(row, "number")?,
        tenant: TenantId(column(row, "tenant_id")?),
        tenant_name: column(row, "tenant_name")?,
        name: column(row, "name")?,
        target: column(row, "target")?,
        verbs: column(row, "verbs")?,
        activities: column(row, "activities")?,
        is_paused: column(row, "is_paused")?,
        is_served: column(row, "is_served")?,
        is_due: column(row, "is_due")?,
        position: column(row, "position")?,
        position_id: column(row, "position_id")?,
        sent: column(row, "sent")?,
        refused: column(row, "refused")?,
        sent_at: column(row, "sent_at")?,
        failures: column(row, "failures")?,
        last_error: column(row, "last_error")?,
        failed_at: column(row, "failed_at")?,
        retry_at: column(row, "retry_at")?,
        created_by: column(row, "created_by")?,
        oldest: column(row, "oldest")?,
    })
}

/// All forwards of a share, or of a tenant, in the order in which they were made.
pub async fn list(tx: &Tx<'_>, share: Share, tenant: Option<TenantId>) -> Result<Vec<Forward>, StoreError> {
    let sql = format!(
        "/* forwards::list */ {READ} WHERE f.number % $2 /* of */ = $1 /* share */
           AND ($3::uuid /* tenant */ IS NULL OR f.tenant_id = $3) ORDER BY f.number"
    );
    let (index, of) = (i64::from(share.index), i64::from(share.of));
    tx.query(&sql, &[&index, &of, &tenant.map(|tenant| tenant.0)]).await?.iter().map(forward).collect()
}

/// One by its name.
pub async fn get(tx: &Tx<'_>, tenant: TenantId, name: &str) -> Result<Option<Forward>, StoreError> {
    let sql = format!("/* forwards::get */ {READ} WHERE f.tenant_id = $1 /* tenant */ AND f.name = $2 /* name */");
    tx.query_opt(&sql, &[&tenant.0, &name]).await?.as_ref().map(forward).transpose()
}

/// One that is to be.
#[derive(Clone, Debug)]
pub struct New {
    pub tenant: TenantId,
    pub name: String,
    pub target: String,
    pub verbs: Vec<String>,
    pub activities: Vec<String>,
    /// What was stored after this goes.
    pub after: DateTime<Utc>,
}

const ADD: &str = "/* forwards::add */
    INSERT INTO progress.forwards (tenant_id, name, target, verbs, activities, position, created_by)
    VALUES ($1 /* tenant */, $2 /* name */, $3 /* target */, $4 /* verbs */, $5 /* activities */, $6 /* after */, $7 /* by */)
    ON CONFLICT DO NOTHING";

/// Adds one; `false` where the tenant has one of that name.
pub async fn add(tx: &Tx<'_>, new: &New, by: &str) -> Result<bool, StoreError> {
    let New { tenant, name, target, verbs, activities, after } = new;
    Ok(tx.execute(ADD, &[&tenant.0, name, target, verbs, activities, after, &by]).await? == 1)
}

const PAUSE: &str = "/* forwards::pause */
    UPDATE progress.forwards SET is_paused = $3 /* paused */, failures = 0, retry_at = NULL
    WHERE tenant_id = $1 /* tenant */ AND name = $2 /* name */";

/// Pauses one, or lets it go on, at once.
pub async fn pause(tx: &Tx<'_>, tenant: TenantId, name: &str, is_paused: bool) -> Result<bool, StoreError> {
    Ok(tx.execute(PAUSE, &[&tenant.0, &name, &is_paused]).await? == 1)
}

const REMOVE: &str = "/* forwards::remove */
    DELETE FROM progress.forwards WHERE tenant_id = $1 /* tenant */ AND name = $2 /* name */";

/// Removes one with all it knows.
pub async fn remove(tx: &Tx<'_>, tenant: TenantId, name: &str) -> Result<bool, StoreError> {
    Ok(tx.execute(REMOVE, &[&tenant.0, &name]).await? == 1)
}

/// A statement that the other side does not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub id: Uuid,
    pub stored: DateTime<Utc>,
    pub reason: String,
}

/// How far a forward has come with what it sent.
#[derive(Clone, Debug)]
pub struct Advance {
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    pub id: Uuid,
    pub sent: i64,
    pub refused: Option<Refusal>,
}

const ADVANCE: &str = "/* forwards::advance */
    UPDATE progress.forwards SET position = $4 /* to */, position_id = $5 /* id */, sent = sent + $6 /* sent */,
        refused = refused + $7 /* refused */, failures = 0, last_error = NULL, retry_at = NULL,
        sent_at = CASE WHEN $6 > 0 THEN clock_timestamp() ELSE sent_at END
    WHERE tenant_id = $1 /* tenant */ AND number = $2 /* number */ AND position = $3 /* from */
    RETURNING NOT is_paused AS goes_on";

const REFUSE: &str = "/* forwards::refuse */
    INSERT INTO progress.forward_refusals (tenant_id, name, stored, statement_id, reason)
    VALUES ($1 /* tenant */, $2 /* name */, $3 /* stored */, $4 /* id */, $5 /* reason */) ON CONFLICT DO NOTHING";

const FORGET: &str = "/* forwards::forget */
    DELETE FROM progress.forward_refusals WHERE tenant_id = $1 /* tenant */ AND name = $2 /* name */ AND stored < (
        SELECT stored FROM progress.forward_refusals WHERE tenant_id = $1 AND name = $2 ORDER BY stored DESC OFFSET $3 /* kept */ LIMIT 1)";

/// Moves a forward on, unless somebody else has meanwhile; answers whether it is to go on after that.
pub async fn advance(tx: &Tx<'_>, of: &Forward, to: &Advance) -> Result<bool, StoreError> {
    leases::check(tx).await?;
    let refused = i64::from(to.refused.is_some());
    let moved =
        tx.query_opt(ADVANCE, &[&of.tenant.0, &of.number, &to.from, &to.to, &to.id, &to.sent, &refused]).await?;
    let Some(moved) = moved else { return Ok(false) };
    if let Some(Refusal { id, stored, reason }) = &to.refused {
        tx.execute(REFUSE, &[&of.tenant.0, &of.name, stored, id, reason]).await?;
        tx.execute(FORGET, &[&of.tenant.0, &of.name, &(KEPT - 1)]).await?;
    }
    column(&moved, "goes_on")
}

const FAIL: &str = "/* forwards::fail */
    UPDATE progress.forwards SET failures = failures + 1, last_error = $3 /* why */, failed_at = clock_timestamp(),
        retry_at = clock_timestamp() + $4::double precision /* seconds */ * interval '1 second'
    WHERE tenant_id = $1 /* tenant */ AND number = $2 /* number */";

/// Notes that a try came to nothing, and in how many seconds the next one is.
pub async fn fail(tx: &Tx<'_>, of: &Forward, why: &str, seconds: f64) -> Result<(), StoreError> {
    leases::check(tx).await?;
    tx.execute(FAIL, &[&of.tenant.0, &of.number, &why, &seconds]).await.map(drop)
}

const REFUSALS: &str = "/* forwards::refusals */
    SELECT statement_id, stored, reason FROM progress.forward_refusals
    WHERE tenant_id = $1 /* tenant */ AND name = $2 /* name */ ORDER BY stored DESC LIMIT $3 /* most */";

/// What was refused, the newest first.
pub async fn refusals(tx: &Tx<'_>, tenant: TenantId, name: &str, most: i64) -> Result<Vec<Refusal>, StoreError> {
    let refusal = |row: &Row| {
        Ok(Refusal { id: column(row, "statement_id")?, stored: column(row, "stored")?, reason: column(row, "reason")? })
    };
    tx.query(REFUSALS, &[&tenant.0, &name, &most]).await?.iter().map(refusal).collect()
}

/// What became of a refused statement that was sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Again {
    Taken,
    Refused(String),
    /// It is not here any more, or hidden.
    Gone,
}

const REFUSED_AGAIN: &str = "/* forwards::refused_again */
    UPDATE progress.forward_refusals SET reason = $4 /* reason */, refused_at = clock_timestamp()
    WHERE tenant_id = $1 /* tenant */ AND name = $2 /* name */ AND stored = $3 /* stored */";

const NOT_REFUSED: &str = "/* forwards::not_refused */
    WITH gone AS (DELETE FROM progress.forward_refusals
                  WHERE tenant_id = $1 /* tenant */ AND name = $2 /* name */ AND stored = $3 /* stored */ RETURNING 1)
    UPDATE progress.forwards SET refused = refused - 1, sent = sent + $4 /* sent */,
        sent_at = CASE WHEN $4 > 0 THEN clock_timestamp() ELSE sent_at END
    WHERE tenant_id = $1 AND name = $2 AND EXISTS (SELECT FROM gone)";

/// Notes what became of it; nothing where somebody has sent it again meanwhile.
pub async fn again(tx: &Tx<'_>, of: &Forward, refused: &Refusal, again: &Again) -> Result<(), StoreError> {
    let (tenant, name, stored) = (&of.tenant.0, &of.name, &refused.stored);
    match again {
        Again::Refused(reason) => tx.execute(REFUSED_AGAIN, &[tenant, name, stored, reason]).await?,
        Again::Taken | Again::Gone => {
            let sent = i64::from(*again == Again::Taken);
            tx.execute(NOT_REFUSED, &[tenant, name, stored, &sent]).await?
        }
    };
    Ok(())
}

const HIDDEN: &str = "/* forwards::hidden */
    SELECT h.stored, e.state IS DISTINCT FROM 'queued' AS is_going
    FROM ledger.hidden h LEFT JOIN ledger.erasures e ON e.tenant_id = h.tenant_id AND e.id = h.erasure_id
    WHERE h.tenant_id = $1 /* tenant */ AND h.stored BETWEEN $2 /* first */ AND $3 /* last */";

/// What is hidden of that stretch, and whether it is being removed now: what only mentions somebody comes back without them. The rest
/// is kept by a law, and hidden until that ends.
pub async fn hidden(
    tx: &Tx<'_>,
    tenant: TenantId,
    (first, last): (DateTime<Utc>, DateTime<Utc>),
) -> Result<Vec<(DateTime<Utc>, bool)>, StoreError> {
    let rows = tx.query(HIDDEN, &[&tenant.0, &first, &last]).await?;
    rows.iter().map(|row| Ok((column(row, "stored")?, column(row, "is_going")?))).collect()
}

const STORED: &str = "/* forwards::stored */
    SELECT stored FROM ledger.statement_ids WHERE tenant_id = $1 /* tenant */ AND id = $2 /* id */ AND NOT erased";

/// When a statement was stored that is there.
pub async fn stored(tx: &Tx<'_>, tenant: TenantId, id: Uuid) -> Result<Option<DateTime<Utc>>, StoreError> {
    tx.query_opt(STORED, &[&tenant.0, &id]).await?.map(|row| column(&row, "stored")).transpose()
}
