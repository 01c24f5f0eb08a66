//! Entries that have no place in the log yet, and the keys with which they will be committed to.

use uuid::Uuid;

use super::Recorded;
use crate::{
    model::TenantId,
    store::{
        StoreError,
        door::tx::{Tx, column},
        platform::audit::EntryId,
    },
};

const OLDER: &str = "/* waiting::older */
    SELECT a.audit_id, a.at, a.tenant_id, a.actor, a.action, a.subject, a.detail
    FROM platform.audit_log g JOIN platform.audit a ON a.audit_id > g.taken_over AND a.audit_id <= g.take_over_to
    WHERE NOT EXISTS (SELECT FROM platform.audit_leaves l WHERE l.audit_id = a.audit_id)
    ORDER BY a.audit_id LIMIT $1 /* most */";

const TAKEN_OVER: &str = "/* waiting::taken_over */
    UPDATE platform.audit_log SET taken_over = coalesce($1 /* through */, take_over_to)
    WHERE taken_over < take_over_to";

/// Takes entries that were there before the log was.
pub async fn older(tx: &Tx<'_>, most: i64) -> Result<Vec<Recorded>, StoreError> {
    let rows = tx.query(OLDER, &[&most]).await?;
    let found: Vec<Recorded> = rows.iter().map(Recorded::read).collect::<Result<_, _>>()?;
    let is_all = (found.len() as i64) < most;
    let through = found.last().filter(|_| !is_all).map(|last| last.id.0);
    tx.execute(TAKEN_OVER, &[&through]).await?;
    Ok(found)
}

// What waits for an entry that is not there keeps waiting: it is for a person to look at.
const WAITING: &str = "/* waiting::waiting */
    WITH few AS (
        SELECT p.audit_id FROM platform.audit_pending p
        WHERE EXISTS (SELECT FROM platform.audit a WHERE a.audit_id = p.audit_id)
        ORDER BY p.audit_id LIMIT $1 /* most */
    ), taken AS (
        DELETE FROM platform.audit_pending p USING few WHERE p.audit_id = few.audit_id RETURNING p.audit_id
    )
    SELECT a.audit_id, a.at, a.tenant_id, a.actor, a.action, a.subject, a.detail
    FROM taken JOIN platform.audit a USING (audit_id)
    WHERE NOT EXISTS (SELECT FROM platform.audit_leaves l WHERE l.audit_id = a.audit_id)
    ORDER BY a.audit_id";

/// Takes committed entries off the list of those that wait.
pub async fn waiting(tx: &Tx<'_>, most: i64) -> Result<Vec<Recorded>, StoreError> {
    tx.query(WAITING, &[&most]).await?.iter().map(Recorded::read).collect()
}

/// With what the entries of a tenant are committed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    pub id: i64,
    pub tenant: Option<TenantId>,
    pub key: [u8; 32],
}

const IN_USE: &str = "/* waiting::in_use */
    SELECT key_id, tenant_id, key FROM platform.audit_keys
    WHERE destroyed_at IS NULL AND coalesce(tenant_id, '00000000-0000-0000-0000-000000000000') = ANY($1 /* tenants */)";

/// The keys in use of these tenants; without a tenant, that of the installation.
pub async fn in_use(tx: &Tx<'_>, tenants: &[Option<TenantId>]) -> Result<Vec<Key>, StoreError> {
    let tenants: Vec<Uuid> = tenants.iter().map(|tenant| tenant.map_or(Uuid::nil(), |tenant| tenant.0)).collect();
    let rows = tx.query(IN_USE, &[&tenants]).await?;
    rows.iter()
        .map(|row| {
            let tenant: Option<Uuid> = column(row, "tenant_id")?;
            Ok(Key { id: column(row, "key_id")?, tenant: tenant.map(TenantId), key: bytes(column(row, "key")?)? })
        })
        .collect()
}

const MAKE_KEY: &str = "/* waiting::make_key */
    INSERT INTO platform.audit_keys (tenant_id, key) VALUES ($1 /* tenant */, $2 /* key */) RETURNING key_id";

pub async fn make_key(tx: &Tx<'_>, tenant: Option<TenantId>, key: [u8; 32]) -> Result<Key, StoreError> {
    let row = tx.query_one(MAKE_KEY, &[&tenant.map(|tenant| tenant.0), &key.as_slice()]).await?;
    Ok(Key { id: column(&row, "key_id")?, tenant, key })
}

// One statement, so that an entry that gets its place meanwhile is seen on one side or the other.
const UNPLACED: &str = "/* waiting::unplaced */
    SELECT a.audit_id, true AS is_there FROM platform.audit a
    WHERE NOT EXISTS (SELECT FROM platform.audit_leaves l WHERE l.audit_id = a.audit_id)
      AND NOT EXISTS (SELECT FROM platform.audit_pending p WHERE p.audit_id = a.audit_id)
      AND NOT EXISTS (SELECT FROM platform.audit_log g WHERE a.audit_id > g.taken_over AND a.audit_id <= g.take_over_to)
    UNION ALL
    SELECT p.audit_id, false FROM platform.audit_pending p
    WHERE NOT EXISTS (SELECT FROM platform.audit a WHERE a.audit_id = p.audit_id)
    ORDER BY 1 LIMIT $1 /* most */";

/// Entries that stand in the trail and neither have a place in the log nor wait for one, and such that wait and are not there.
pub async fn unplaced(tx: &Tx<'_>, most: i64) -> Result<Vec<(EntryId, bool)>, StoreError> {
    let rows = tx.query(UNPLACED, &[&most]).await?;
    rows.iter().map(|row| Ok((EntryId(column(row, "audit_id")?), column(row, "is_there")?))).collect()
}

/// 32 bytes of a column.
pub(super) fn bytes(found: Vec<u8>) -> Result<[u8; 32], StoreError> {
    found.try_into().map_err(|found: Vec<u8>| {
        let detail = format!("{} bytes where 32 were expected", found.len());
        StoreError::Shape { name: "audit_log", detail }
    })
}

const IS_WAITED_FOR: &str = "/* waiting::is_waited_for */
    SELECT EXISTS (SELECT FROM platform.audit_pending p WHERE EXISTS (SELECT FROM platform.audit a WHERE a.audit_id = p.audit_id))
        OR EXISTS (SELECT FROM platform.audit_log WHERE taken_over < take_over_to) AS waits";

/// Whether any entry waits for its place.
pub async fn is_waited_for(tx: &Tx<'_>) -> Result<bool, StoreError> {
    column(&tx.query_one(IS_WAITED_FOR, &[]).await?, "waits")
}
