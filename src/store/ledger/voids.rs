//! Whether a reference voids its target: a sender who may void only what has its own authority voids nothing else, in
//! whatever order the two arrive. Every reader of `ledger.refs` asks it in these words.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    model::TenantId,
    store::{StoreError, Tx, door::tx::column, ledger::tables::Tables},
};

/// The condition, in SQL, on the reference `v` of a target that is stored at the moment `$at`.
macro_rules! voids_at {
    ($at:literal) => {
        concat!(
            "v.voids AND (v.voids_only_of IS NULL OR EXISTS (SELECT FROM ledger.relations whose
                 WHERE whose.tenant_id = v.tenant_id AND whose.key = v.voids_only_of AND whose.stored = ",
            $at,
            "))"
        )
    };
}
pub(in crate::store) use voids_at;

/// The references that void one of these statements, each with the authority it is limited to.
pub async fn among(tx: &Tx<'_>, tenant: TenantId, ids: &[Uuid]) -> Result<Vec<(Uuid, Option<Uuid>)>, StoreError> {
    let rows = tx
        .query(
            "/* voids::among */ SELECT v.* FROM unnest($2::uuid[]) AS wanted (id)
             CROSS JOIN LATERAL (SELECT target_id, voids_only_of FROM ledger.refs v
                                 WHERE v.tenant_id = $1 AND v.target_id = wanted.id AND v.voids OFFSET 0) v",
            &[&tenant.0, &ids],
        )
        .await?;
    rows.iter().map(|row| Ok((column(row, "target_id")?, column(row, "voids_only_of")?))).collect()
}

/// Takes the limit off the voidings that hold of statements in the month that begins at `lower`: what is under an authority
/// stays under it, and once the month has left these tables nobody could look every time.
pub(in crate::store) async fn settle(tx: &Tx<'_>, tables: Tables, lower: DateTime<Utc>) -> Result<u64, StoreError> {
    let sql = tables.sql(
        "/* voids::settle */ UPDATE ledger.refs v SET voids_only_of = NULL
         FROM ledger.partitions p, ledger.statement_ids i
         WHERE p.lower_bound = $1 AND v.voids AND v.voids_only_of IS NOT NULL
           AND i.tenant_id = v.tenant_id AND i.id = v.target_id
           AND i.stored >= p.lower_bound AND i.stored < p.upper_bound
           AND EXISTS (SELECT FROM ledger.relations whose WHERE whose.tenant_id = v.tenant_id
                       AND whose.key = v.voids_only_of AND whose.stored = i.stored)",
    );
    tx.execute(&sql, &[&lower]).await
}
