//! The statements of a month that is detached, whole and in their order, tenant by tenant: how a month is written down, and how it is
//! compared with what was.
//!
//! Relations are found by tenant and moment, for which such a month gets an index of its own.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::model::{TenantId, partition::Bounds};
use crate::store::{
    StoreError,
    door::tx::{Tx, column},
    platform::leases,
};

/// So many rows, or so many bytes of payload, come at once.
const MOST: i64 = 2_000;
const MOST_BYTES: i64 = 4 << 20;

/// A statement with the keys it is found by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MonthRow {
    pub id: Uuid,
    pub stored: DateTime<Utc>,
    pub occurred: Option<DateTime<Utc>>,
    pub verb_key: Uuid,
    pub agent_key: Option<Uuid>,
    pub activity_key: Option<Uuid>,
    pub registration_key: Option<Uuid>,
    pub refers_to: Option<Uuid>,
    pub voiding: bool,
    /// If it voids only what is under one authority: that authority's key.
    pub voids_only_of: Option<Uuid>,
    /// One that voids it.
    pub voided_by: Option<Uuid>,
    pub converts: bool,
    /// In ascending order.
    pub relations: Vec<Uuid>,
    pub payload: String,
}

const READY: &str = "/* month_rows::ready */ SELECT ledger.ready_month_for_reading($1 /* moment */)";

/// Builds what the reading needs, if it is not there. May take long, and keeps nobody waiting.
pub async fn ready(tx: &Tx<'_>, month: &Bounds) -> Result<(), StoreError> {
    leases::check(tx).await?;
    tx.execute(READY, &[&month.lower]).await.map(drop)
}

const NEXT_TENANT: &str = "/* month_rows::next_tenant */
    SELECT tenant_id FROM ledger.detached_statements
    WHERE tenant_id > $1 /* after */ AND stored >= $2 /* lower */ AND stored < $3 /* upper */ ORDER BY tenant_id LIMIT 1";

/// The first tenant after this one that has statements in the month.
pub async fn next_tenant(tx: &Tx<'_>, month: &Bounds, after: TenantId) -> Result<Option<TenantId>, StoreError> {
    let row = tx.query_opt(NEXT_TENANT, &[&after.0, &month.lower, &month.upper]).await?;
    row.map(|row| column(&row, "tenant_id").map(TenantId)).transpose()
}

const COUNT: &str = "/* month_rows::count */
    SELECT count(*) AS rows FROM ledger.detached_statements
    WHERE tenant_id = $1 /* tenant */ AND stored >= $2 /* lower */ AND stored < $3 /* upper */";

/// How many statements the tenant has in the month.
pub async fn count(tx: &Tx<'_>, month: &Bounds, tenant: TenantId) -> Result<i64, StoreError> {
    column(&tx.query_one(COUNT, &[&tenant.0, &month.lower, &month.upper]).await?, "rows")
}

// The length of a value is known without reading it.
const PAGE: &str = "/* month_rows::page */
    SELECT id, stored, occurred, verb_key, agent_key, activity_key, registration_key, refers_to, voiding, converts, payload
    FROM (SELECT *, sum(octet_length(payload)) OVER (ORDER BY stored ROWS UNBOUNDED PRECEDING) - octet_length(payload) AS before
          FROM (SELECT * FROM ledger.detached_statements
                WHERE tenant_id = $1 /* tenant */ AND stored > $2 /* after */ AND stored >= $3 /* lower */
                  AND stored < $4 /* upper */
                ORDER BY stored LIMIT $5 /* most */) s) s
    WHERE before < $6 /* most bytes */ ORDER BY stored";

const RELATIONS: &str = "/* month_rows::relations */
    SELECT stored, array_agg(key ORDER BY key) AS keys FROM ledger.detached_relations
    WHERE tenant_id = $1 /* tenant */ AND stored >= $2 /* from */ AND stored <= $3 /* to */ GROUP BY stored";

// A sender who may void only what has its own authority voids nothing else: as everywhere, but in a month that is detached.
const VOIDED: &str = "/* month_rows::voided */
    SELECT v.target_id, (array_agg(v.referrer_id ORDER BY v.referrer_id))[1] AS voided_by
    FROM unnest($2::uuid[] /* ids */, $3::timestamptz[] /* moments */) AS s (id, stored)
    JOIN ledger.refs v ON v.tenant_id = $1 /* tenant */ AND v.target_id = s.id AND v.voids
    WHERE v.voids_only_of IS NULL OR EXISTS (
        SELECT FROM ledger.detached_relations whose
        WHERE whose.tenant_id = $1 AND whose.key = v.voids_only_of AND whose.stored = s.stored)
    GROUP BY v.target_id";

const VOIDS: &str = "/* month_rows::voids */
    SELECT referrer_id, voids_only_of FROM ledger.refs
    WHERE tenant_id = $1 /* tenant */ AND referrer_id = ANY ($2 /* ids */) AND voids AND voids_only_of IS NOT NULL";

/// The next statements of a tenant in the month, after this moment; none at the end.
pub async fn page(
    tx: &Tx<'_>,
    month: &Bounds,
    tenant: TenantId,
    after: DateTime<Utc>,
) -> Result<Vec<MonthRow>, StoreError> {
    let Bounds { lower, upper } = month;
    let rows = tx.query(PAGE, &[&tenant.0, &after, lower, upper, &MOST, &MOST_BYTES]).await?;
    let mut page = rows.iter().map(statement).collect::<Result<Vec<_>, _>>()?;
    let (Some(first), Some(last)) = (page.first(), page.last()) else { return Ok(page) };
    let (from, to) = (first.stored, last.stored);
    let ids: Vec<Uuid> = page.iter().map(|row| row.id).collect();
    let moments: Vec<DateTime<Utc>> = page.iter().map(|row| row.stored).collect();
    let voiding: Vec<Uuid> = page.iter().filter(|row| row.voiding).map(|row| row.id).collect();
    let mut related: HashMap<DateTime<Utc>, Vec<Uuid>> =
        pairs(&tx.query(RELATIONS, &[&tenant.0, &from, &to]).await?, "stored", "keys")?;
    let voided: HashMap<Uuid, Uuid> =
        pairs(&tx.query(VOIDED, &[&tenant.0, &ids, &moments]).await?, "target_id", "voided_by")?;
    let limited: HashMap<Uuid, Uuid> = if voiding.is_empty() {
        HashMap::new()
    } else {
        pairs(&tx.query(VOIDS, &[&tenant.0, &voiding]).await?, "referrer_id", "voids_only_of")?
    };
    for row in &mut page {
        row.relations = related.remove(&row.stored).unwrap_or_default();
        row.voided_by = voided.get(&row.id).copied();
        row.voids_only_of = limited.get(&row.id).copied();
    }
    Ok(page)
}

fn statement(row: &Row) -> Result<MonthRow, StoreError> {
    Ok(MonthRow {
        id: column(row, "id")?,
        stored: column(row, "stored")?,
        occurred: column(row, "occurred")?,
        verb_key: column(row, "verb_key")?,
        agent_key: column(row, "agent_key")?,
        activity_key: column(row, "activity_key")?,
        registration_key: column(row, "registration_key")?,
        refers_to: column(row, "refers_to")?,
        voiding: column(row, "voiding")?,
        voids_only_of: None,
        voided_by: None,
        converts: column(row, "converts")?,
        relations: Vec::new(),
        payload: column(row, "payload")?,
    })
}

fn pairs<K, V>(rows: &[Row], key: &'static str, value: &'static str) -> Result<HashMap<K, V>, StoreError>
where
    K: for<'r> tokio_postgres::types::FromSql<'r> + Eq + std::hash::Hash,
    V: for<'r> tokio_postgres::types::FromSql<'r>,
{
    rows.iter().map(|row| Ok((column(row, key)?, column(row, value)?))).collect()
}
