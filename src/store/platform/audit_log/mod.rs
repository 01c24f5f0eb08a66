//! The audit trail as a log: which entry stands at which place, what was committed to there, and the checkpoints over it. Places are
//! given by one transaction at a time; nothing here is ever changed.

pub mod checkpoints;
pub mod keys;
mod leaves;
mod waiting;

pub use self::{
    leaves::{
        Leaf, Placed, Span, append, append_subtrees, beyond, commitments, hashes, place_many, place_of, placed, size,
    },
    waiting::{Key, in_use, is_waited_for, make_key, older, unplaced, waiting},
};

use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio_postgres::Row;

use crate::{
    model::TenantId,
    store::{
        StoreError,
        door::tx::{Tx, column},
        platform::audit::EntryId,
    },
};

/// An entry as it stands in the trail.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    pub id: EntryId,
    pub at: DateTime<Utc>,
    pub tenant: Option<TenantId>,
    pub actor: String,
    pub action: String,
    pub subject: String,
    pub detail: Value,
}

impl Recorded {
    fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: EntryId(column(row, "audit_id")?),
            at: column(row, "at")?,
            tenant: column::<Option<_>>(row, "tenant_id")?.map(TenantId),
            actor: column(row, "actor")?,
            action: column(row, "action")?,
            subject: column(row, "subject")?,
            detail: column(row, "detail")?,
        })
    }
}

/// Lets one transaction at a time give places and sign, on whichever node, to its end.
pub async fn alone(tx: &Tx<'_>) -> Result<(), StoreError> {
    let sql = "/* audit_log::alone */ SELECT pg_advisory_xact_lock(hashtextextended('platform.audit_log', 0))";
    tx.execute(sql, &[]).await.map(drop)
}

const LIST: &str = "/* audit_log::list */
    SELECT a.audit_id, a.at, a.tenant_id, a.actor, a.action, a.subject, a.detail, l.leaf_index
    FROM platform.audit a LEFT JOIN platform.audit_leaves l USING (audit_id)
    WHERE ($1::uuid IS NULL OR a.tenant_id = $1 /* tenant */) AND ($2::text IS NULL OR a.action = $2 /* action */)
      AND ($3::bigint IS NULL OR a.audit_id < $3 /* before */)
    ORDER BY a.audit_id DESC LIMIT $4 /* most */";

/// Entries of a tenant, or of everybody, the newest first, with their places.
pub async fn list(
    tx: &Tx<'_>,
    tenant: Option<TenantId>,
    action: Option<&str>,
    before: Option<EntryId>,
    most: i64,
) -> Result<Vec<(Recorded, Option<i64>)>, StoreError> {
    let (tenant, before) = (tenant.map(|tenant| tenant.0), before.map(|id| id.0));
    let rows = tx.query(LIST, &[&tenant, &action, &before, &most]).await?;
    rows.iter().map(|row| Ok((Recorded::read(row)?, column(row, "leaf_index")?))).collect()
}
