//! The keys that entries are committed to with, and their end.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::{
    model::TenantId,
    store::{
        StoreError,
        door::{
            ddl::Session,
            tx::{Tx, column},
        },
    },
};

/// A key without itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyLine {
    pub id: i64,
    /// Absent for the installation's own.
    pub tenant: Option<TenantId>,
    pub made_at: DateTime<Utc>,
    pub destroyed_at: Option<DateTime<Utc>>,
    /// Places in the log that were committed to with it.
    pub entries: i64,
}

const ALL: &str = "/* keys::all */
    SELECT k.key_id, k.tenant_id, k.made_at, k.destroyed_at, coalesce(l.entries, 0) AS entries
    FROM platform.audit_keys k
    LEFT JOIN (SELECT key_id, count(*) AS entries FROM platform.audit_leaves GROUP BY key_id) l USING (key_id)
    WHERE $1::uuid IS NULL OR k.tenant_id = $1 /* tenant */ ORDER BY k.key_id";

/// Every key there was, of a tenant or of everybody, the oldest first.
pub async fn all(tx: &Tx<'_>, tenant: Option<TenantId>) -> Result<Vec<KeyLine>, StoreError> {
    let tenant: Option<Uuid> = tenant.map(|tenant| tenant.0);
    tx.query(ALL, &[&tenant]).await?.iter().map(line).collect()
}

fn line(row: &Row) -> Result<KeyLine, StoreError> {
    Ok(KeyLine {
        id: column(row, "key_id")?,
        tenant: column::<Option<_>>(row, "tenant_id")?.map(TenantId),
        made_at: column(row, "made_at")?,
        destroyed_at: column(row, "destroyed_at")?,
        entries: column(row, "entries")?,
    })
}

const DESTROY: &str = "/* keys::destroy */
    SELECT platform.destroy_audit_key($1 /* key */, $2 /* by */, $3 /* reason */) AS was_there";

/// Destroys a key of a tenant for good, with the entry that tells of it; answers whether it was there. For the owner of the schema.
pub async fn destroy(owner: &Session, key: i64, by: &str, reason: &str) -> Result<bool, StoreError> {
    let row = owner.client().query_one(DESTROY, &[&key, &by, &reason]).await;
    column(&row.map_err(|error| StoreError::from_pg("destroy_audit_key", &error))?, "was_there")
}

/// Rewrites the table of keys, so that no free space of it holds one that was destroyed.
pub async fn scrub(owner: &Session, longest: Duration) -> Result<(), StoreError> {
    owner.until_unseen(longest).await?;
    let rewrite = "/* keys::scrub */ VACUUM (FULL) platform.audit_keys";
    owner.run("scrub_audit_keys", rewrite, longest).await
}
