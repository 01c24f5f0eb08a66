//! Flags and settings of tenants, with their history: rows are only added, and the newest of its kind is in force.

use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::model::TenantId;
use crate::store::{
    StoreError,
    door::tx::{Tx, column},
};

/// A change as it was made, in force or not.
#[derive(Clone, Debug, PartialEq)]
pub struct Set {
    pub number: i64,
    pub name: String,
    /// `None`: for every tenant that has none of its own.
    pub tenant: Option<TenantId>,
    /// `None`: taken back.
    pub value: Option<Value>,
    pub reason: String,
    pub by: String,
    pub at: DateTime<Utc>,
}

/// A change that is to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct Change<'a> {
    pub name: &'a str,
    pub tenant: Option<TenantId>,
    pub value: Option<Value>,
    pub reason: &'a str,
}

// One after the other, so that numbers become visible in their order: who has seen a number has seen all before it.
const IN_ORDER: &str = "/* flags::in_order */ SELECT pg_advisory_xact_lock(hashtextextended('platform.flags', 0))";

const ADD: &str = "/* flags::add */ INSERT INTO platform.flags (name, tenant_id, value, reason, set_by)
    VALUES ($1 /* name */, $2 /* tenant */, $3 /* value */, $4 /* reason */, $5 /* by */) RETURNING number";

/// Makes a change; answers its number.
pub async fn add(tx: &Tx<'_>, change: &Change<'_>, by: &str) -> Result<i64, StoreError> {
    tx.execute(IN_ORDER, &[]).await?;
    let Change { name, tenant, value, reason } = change;
    let row = tx.query_one(ADD, &[name, &tenant.map(|tenant| tenant.0), value, reason, &by]).await?;
    column(&row, "number")
}

/// The number of the newest change; 0 before the first.
pub async fn newest(tx: &Tx<'_>) -> Result<i64, StoreError> {
    let sql = "/* flags::newest */ SELECT coalesce(max(number), 0) AS number FROM platform.flags";
    column(&tx.query_one(sql, &[]).await?, "number")
}

const IN_FORCE: &str = "/* flags::in_force */
    SELECT * FROM (SELECT DISTINCT ON (name, tenant_id) number, name, tenant_id, value, reason, set_by, set_at
                   FROM platform.flags ORDER BY name, tenant_id, number DESC) newest
    WHERE value IS NOT NULL ORDER BY name, tenant_id NULLS FIRST";

/// What is in force.
pub async fn in_force(tx: &Tx<'_>) -> Result<Vec<Set>, StoreError> {
    tx.query(IN_FORCE, &[]).await?.iter().map(set).collect()
}

const HISTORY: &str = "/* flags::history */
    SELECT number, name, tenant_id, value, reason, set_by, set_at FROM platform.flags
    WHERE ($1::text /* name */ IS NULL OR name = $1) AND ($2::uuid /* tenant */ IS NULL OR tenant_id = $2 OR tenant_id IS NULL)
    ORDER BY number DESC LIMIT $3 /* most */";

/// Changes, the newest first: of one flag or all, and of one tenant and everybody, or all.
pub async fn history(
    tx: &Tx<'_>,
    name: Option<&str>,
    tenant: Option<TenantId>,
    most: i64,
) -> Result<Vec<Set>, StoreError> {
    tx.query(HISTORY, &[&name, &tenant.map(|tenant| tenant.0), &most]).await?.iter().map(set).collect()
}

fn set(row: &Row) -> Result<Set, StoreError> {
    Ok(Set {
        number: column(row, "number")?,
        name: column(row, "name")?,
        tenant: column::<Option<Uuid>>(row, "tenant_id")?.map(TenantId),
        value: column(row, "value")?,
        reason: column(row, "reason")?,
        by: column(row, "set_by")?,
        at: column(row, "set_at")?,
    })
}
