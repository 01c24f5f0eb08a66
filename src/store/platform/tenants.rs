//! Tenants: who shares this service, and whether they are served.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::model::TenantId;
use crate::store::{
    Store, StoreError,
    door::{
        tx::{Tx, column},
        whom::As,
    },
};

/// Whether a tenant's requests are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TenantStatus {
    Active,
    Suspended,
}

impl TenantStatus {
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
        }
    }

    pub(in crate::store) fn from_column(name: &'static str, text: &str) -> Result<Self, StoreError> {
        match text {
            "active" => Ok(Self::Active),
            "suspended" => Ok(Self::Suspended),
            other => Err(StoreError::Shape { name, detail: format!("unknown tenant status {other:?}") }),
        }
    }
}

/// One tenant as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    pub id: TenantId,
    pub name: String,
    pub status: TenantStatus,
    pub created_at: DateTime<Utc>,
    pub status_changed_at: DateTime<Utc>,
    pub cmi5: Cmi5Settings,
}

/// What a tenant decides for itself about cmi5.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cmi5Settings {
    /// Statements that break cmi5's rules are refused; else they are counted.
    pub strict: bool,
    /// `satisfied` is computed and sent for courses whose structure is known.
    pub satisfied: bool,
}

fn read(row: &tokio_postgres::Row) -> Result<Tenant, StoreError> {
    Ok(Tenant {
        id: TenantId(column(row, "tenant_id")?),
        name: column(row, "name")?,
        status: TenantStatus::from_column("tenants", column(row, "status")?)?,
        created_at: column(row, "created_at")?,
        status_changed_at: column(row, "status_changed_at")?,
        cmi5: Cmi5Settings { strict: column(row, "cmi5_strict")?, satisfied: column(row, "cmi5_satisfied")? },
    })
}

const INSERT: &str = "/* tenants::insert */
    INSERT INTO platform.tenants (tenant_id, name, created_at, status_changed_at)
    VALUES ($1 /* id */, $2 /* name */, $3 /* now */, $3)
    ON CONFLICT DO NOTHING";

/// Adds a tenant; `false` when its name or id is already taken.
pub async fn insert(tx: &Tx<'_>, id: TenantId, name: &str, now: DateTime<Utc>) -> Result<bool, StoreError> {
    Ok(tx.execute(INSERT, &[&id.0, &name, &now]).await? == 1)
}

const GET: &str = "/* tenants::get */
    SELECT tenant_id, name, status, created_at, status_changed_at, cmi5_strict, cmi5_satisfied
    FROM platform.tenants WHERE tenant_id = $1 /* id */";

/// One tenant, if the transaction may see it.
pub async fn get(tx: &Tx<'_>, id: TenantId) -> Result<Option<Tenant>, StoreError> {
    tx.query_opt(GET, &[&id.0]).await?.as_ref().map(read).transpose()
}

const NAMED: &str = "/* tenants::named */
    SELECT tenant_id, name, status, created_at, status_changed_at, cmi5_strict, cmi5_satisfied
    FROM platform.tenants WHERE name = $1 /* name */";

/// The tenant of this name, if the transaction may see it.
pub async fn named(tx: &Tx<'_>, name: &str) -> Result<Option<Tenant>, StoreError> {
    tx.query_opt(NAMED, &[&name]).await?.as_ref().map(read).transpose()
}

const LIST: &str = "/* tenants::list */
    SELECT tenant_id, name, status, created_at, status_changed_at, cmi5_strict, cmi5_satisfied
    FROM platform.tenants
    WHERE $1::text /* after */ IS NULL OR name > $1
    ORDER BY name LIMIT $2 /* limit */";

/// The tenants the transaction may see, by name, from the one after `after`.
/// Those of the tenants that hold their units to cmi5's rules.
pub async fn strict_among(tx: &Tx<'_>, tenants: &[TenantId]) -> Result<HashSet<TenantId>, StoreError> {
    let wanted: Vec<Uuid> = tenants.iter().map(|tenant| tenant.0).collect();
    let sql = "/* tenants::strict_among */ SELECT t.tenant_id FROM unnest($1::uuid[]) AS wanted (tenant_id)
        CROSS JOIN LATERAL (SELECT tenant_id FROM platform.tenants t
                            WHERE t.tenant_id = wanted.tenant_id AND t.cmi5_strict OFFSET 0) t";
    tx.query(sql, &[&wanted]).await?.iter().map(|row| column(row, "tenant_id").map(TenantId)).collect()
}

/// How many there are.
pub async fn count(tx: &Tx<'_>) -> Result<usize, StoreError> {
    let row = tx.query_one("/* tenants::count */ SELECT count(*) AS tenants FROM platform.tenants", &[]).await?;
    let tenants: i64 = column(&row, "tenants")?;
    Ok(usize::try_from(tenants).unwrap_or(usize::MAX))
}

pub async fn list(tx: &Tx<'_>, after: Option<&str>, limit: i64) -> Result<Vec<Tenant>, StoreError> {
    tx.query(LIST, &[&after, &limit]).await?.iter().map(read).collect()
}

const SET_STATUS: &str = "/* tenants::set_status */
    UPDATE platform.tenants SET status = $2 /* status */, status_changed_at = $3 /* now */
    WHERE tenant_id = $1 /* id */ AND status <> $2";

/// Suspends or resumes; `false` when that is how it already was.
pub async fn set_status(
    tx: &Tx<'_>,
    id: TenantId,
    status: TenantStatus,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    Ok(tx.execute(SET_STATUS, &[&id.0, &status.name(), &now]).await? == 1)
}

const SET_CMI5: &str = "/* tenants::set_cmi5 */
    UPDATE platform.tenants SET cmi5_strict = $2 /* strict */, cmi5_satisfied = $3 /* satisfied */
    WHERE tenant_id = $1 /* id */ AND (cmi5_strict, cmi5_satisfied) <> ($2, $3)";

/// Changes what a tenant decides about cmi5; `false` when that is how it already was.
pub async fn set_cmi5(tx: &Tx<'_>, id: TenantId, cmi5: Cmi5Settings) -> Result<bool, StoreError> {
    Ok(tx.execute(SET_CMI5, &[&id.0, &cmi5.strict, &cmi5.satisfied]).await? == 1)
}

impl Store {
    /// One tenant, seen with its own eyes: the data plane needs no wider role to ask this.
    pub async fn tenant(&self, id: TenantId) -> Result<Option<Tenant>, StoreError> {
        self.run_tx("tenant", As::Tenant(id), |tx| Box::pin(get(tx, id))).await
    }
}
