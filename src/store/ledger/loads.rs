//! Statements that come with the moment at which another ledger stored them: their ids claimed, appended to a month that is open,
//! or copied into one that is being filled, and what follows once that month is there.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{
    fills::{self, Fill, FullRow},
    links,
    statements::{self, NewStatement, relation_keys},
};
use crate::model::{TenantId, partition::Month};
use crate::store::{
    As, StoreError, Tx,
    door::tx::{Param, column},
    platform::leases,
    progress::projections::{self, Of, Side},
};

/// An id that was not new: what the ledger has under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    pub id: Uuid,
    pub digest: Vec<u8>,
    pub erased: bool,
    pub stored: DateTime<Utc>,
    /// The sender's own timestamp, where it gave one and the month is at hand.
    pub occurred: Option<DateTime<Utc>>,
}

const CLAIM: &str = "/* loads::claim */
    INSERT INTO ledger.statement_ids (tenant_id, id, stored, digest)
    SELECT $1 /* tenant */, new.id, new.stored, new.digest
    FROM unnest($2 /* ids */::uuid[], $3 /* stored */::timestamptz[], $4 /* digests */::bytea[]) AS new (id, stored, digest)
    ORDER BY new.id ON CONFLICT DO NOTHING RETURNING id";

const KNOWN: &str = "/* loads::known */
    SELECT s.*, there.occurred FROM unnest($2 /* ids */::uuid[]) AS wanted (id)
    CROSS JOIN LATERAL (SELECT id, digest, erased, stored FROM ledger.statement_ids s
                        WHERE s.tenant_id = $1 /* tenant */ AND s.id = wanted.id OFFSET 0) s
    LEFT JOIN LATERAL (SELECT occurred FROM ledger.statements t WHERE t.tenant_id = $1 AND t.stored = s.stored LIMIT 1) there ON true";

/// Claims the ids of these statements, each of them once among them; answers those that somebody had before.
pub async fn claim(tx: &Tx<'_>, tenant: TenantId, entries: &[NewStatement<'_>]) -> Result<Vec<Claimed>, StoreError> {
    let ids: Vec<Uuid> = entries.iter().map(|entry| entry.statement.id).collect();
    let stored: Vec<DateTime<Utc>> = entries.iter().map(|entry| entry.stored).collect();
    let digests: Vec<&[u8]> = entries.iter().map(|entry| entry.statement.digest.as_slice()).collect();
    let claimed = tx.query(CLAIM, &[&tenant.0, &ids, &stored, &digests]).await?;
    if claimed.len() == ids.len() {
        return Ok(Vec::new());
    }
    let new = claimed.iter().map(|row| column(row, "id")).collect::<Result<HashSet<Uuid>, _>>()?;
    let others: Vec<Uuid> = ids.into_iter().filter(|id| !new.contains(id)).collect();
    known(tx, tenant, &others).await
}

/// Those of the ids that somebody has had.
pub async fn known(tx: &Tx<'_>, tenant: TenantId, ids: &[Uuid]) -> Result<Vec<Claimed>, StoreError> {
    let rows = tx.query(KNOWN, &[&tenant.0, &ids]).await?;
    rows.iter()
        .map(|row| {
            Ok(Claimed {
                id: column(row, "id")?,
                digest: column(row, "digest")?,
                erased: column(row, "erased")?,
                stored: column(row, "stored")?,
                occurred: column(row, "occurred")?,
            })
        })
        .collect()
}

/// What follows in this transaction is done as the tenant would: its own policies hold whatever is written.
pub async fn for_tenant(tx: &Tx<'_>, tenant: TenantId) -> Result<(), StoreError> {
    leases::check(tx).await?;
    tx.act_as(As::Tenant(tenant)).await
}

/// Copies statements into a month that is being filled. The rest of the transaction is the worker's.
pub async fn into_fill(
    tx: &Tx<'_>,
    tenant: TenantId,
    fill: &Fill,
    entries: &[NewStatement<'_>],
) -> Result<(), StoreError> {
    tx.act_as(As::Worker).await?;
    let relations: Vec<Vec<Uuid>> = entries.iter().map(|entry| relation_keys(entry.statement).collect()).collect();
    let rows: Vec<FullRow<'_>> = entries.iter().zip(&relations).map(|(entry, keys)| row(tenant, entry, keys)).collect();
    fills::copy(tx, fill, &rows).await
}

fn row<'a>(tenant: TenantId, entry: &NewStatement<'a>, relations: &'a [Uuid]) -> FullRow<'a> {
    let NewStatement { statement, stored } = entry;
    FullRow {
        tenant,
        id: statement.id,
        stored: *stored,
        occurred: statement.has_timestamp.then_some(statement.timestamp),
        verb_key: statement.verb_key,
        agent_key: statement.agent_key,
        activity_key: statement.activity_key,
        registration_key: statement.registration_key,
        refers_to: statement.refers_to,
        voiding: statement.is_voiding,
        converts: false,
        payload: &statement.payload,
        relations,
    }
}

// Who changes a month's state takes the same lock alone, so that the answer holds to the end of the transaction.
const STATE: &str = "/* loads::state */
    SELECT (SELECT p.state FROM ledger.partitions p WHERE p.lower_bound <= $1 /* moment */ AND $1 < p.upper_bound LIMIT 1) AS state
    FROM pg_advisory_xact_lock_shared(76301, 2)";

/// The state of the month, which stays as it is until the transaction ends.
pub async fn state(tx: &Tx<'_>, month: Month) -> Result<Option<String>, StoreError> {
    column(&tx.query_one(STATE, &[&month.begin()]).await?, "state")
}

const TAKEN: &str = "/* loads::taken */
    SELECT wanted.stored FROM unnest($2 /* stored */::timestamptz[]) AS wanted (stored)
    CROSS JOIN LATERAL (SELECT FROM ledger.statements s WHERE s.tenant_id = $1 /* tenant */ AND s.stored = wanted.stored LIMIT 1) s
    LIMIT 1";

/// A moment among these at which the ledger has a statement of the tenant already.
pub async fn taken(
    tx: &Tx<'_>,
    tenant: TenantId,
    stored: &[DateTime<Utc>],
) -> Result<Option<DateTime<Utc>>, StoreError> {
    tx.query_opt(TAKEN, &[&tenant.0, &stored]).await?.map(|row| column(&row, "stored")).transpose()
}

const ALL_TAKEN: &str = "/* loads::all_taken */
    SELECT wanted.stored FROM unnest($2 /* stored */::timestamptz[]) AS wanted (stored)
    CROSS JOIN LATERAL (SELECT FROM ledger.statements s WHERE s.tenant_id = $1 /* tenant */ AND s.stored = wanted.stored LIMIT 1) s";

/// The moments among these at which the ledger has a statement of the tenant already.
pub async fn all_taken(
    tx: &Tx<'_>,
    tenant: TenantId,
    stored: &[DateTime<Utc>],
) -> Result<HashSet<DateTime<Utc>>, StoreError> {
    tx.query(ALL_TAKEN, &[&tenant.0, &stored]).await?.iter().map(|row| column(row, "stored")).collect()
}

/// Appends statements whose ids are claimed to a month that is there.
pub async fn append(tx: &Tx<'_>, tenant: TenantId, entries: &[NewStatement<'_>]) -> Result<(), StoreError> {
    // From here on whoever settles references waits for this transaction, as it does for everybody who stores.
    statements::now(tx).await?;
    statements::append_claimed(tx, entries).await?;
    let ids: Vec<Uuid> = entries.iter().map(|entry| entry.statement.id).collect();
    links::look_again(tx, tenant, &ids, &[]).await
}

/// Two statements of one tenant that were copied with the same moment.
pub async fn twice(tx: &Tx<'_>, fill: &Fill) -> Result<Option<(TenantId, DateTime<Utc>)>, StoreError> {
    let sql = format!(
        "/* loads::twice */ SELECT tenant_id, stored FROM ledger.filling_statements_{}
         GROUP BY tenant_id, stored HAVING count(*) > 1 LIMIT 1",
        fill.month.begin().format("%Y_%m")
    );
    let row = tx.query_opt(&sql, &[]).await?;
    row.map(|row| Ok((TenantId(column(&row, "tenant_id")?), column(&row, "stored")?))).transpose()
}

const AWAITED: &str = "/* loads::awaited */
    INSERT INTO ledger.links_due (tenant_id, statement_id)
    SELECT $1 /* tenant */, s.id FROM ledger.statements s
    WHERE s.tenant_id = $1 AND s.stored >= $2 /* begins */ AND s.stored < $3 /* ends */
      AND EXISTS (SELECT FROM ledger.refs r WHERE r.tenant_id = $1 AND r.target_id = s.id)";

const REFERRING: &str = "/* loads::referring */
    INSERT INTO ledger.refs (tenant_id, target_id, referrer_id, stored, voids)
    SELECT $1 /* tenant */, s.refers_to, s.id, s.stored, s.voiding FROM ledger.statements s
    WHERE s.tenant_id = $1 AND s.stored >= $2 /* begins */ AND s.stored < $3 /* ends */ AND s.refers_to IS NOT NULL
    ORDER BY s.refers_to, s.id ON CONFLICT DO NOTHING";

/// Whose statements were copied: from tenant to tenant along the index.
async fn tenants(tx: &Tx<'_>, fill: &Fill) -> Result<Vec<TenantId>, StoreError> {
    let sql = format!(
        "/* loads::tenants */ SELECT tenant_id FROM ledger.filling_statements_{} WHERE tenant_id > $1 /* after */
         ORDER BY tenant_id LIMIT 1",
        fill.month.begin().format("%Y_%m")
    );
    let mut tenants = Vec::new();
    let mut after = Uuid::nil();
    while let Some(row) = tx.query_opt(&sql, &[&after]).await? {
        after = column(&row, "tenant_id")?;
        tenants.push(TenantId(after));
    }
    Ok(tenants)
}

/// Makes a partition of what was copied and indexed, with what follows from its being there: the references of its statements, and
/// another look at those who referred to one of them before.
pub async fn finish(tx: &Tx<'_>, fill: &Fill) -> Result<(), StoreError> {
    let tenants = tenants(tx, fill).await?;
    fills::finish(tx, fill).await?;
    statements::now(tx).await?;
    for tenant in tenants {
        tx.act_as(As::Tenant(tenant)).await?;
        let (begins, ends) = (fill.month.begin(), fill.month.end());
        let range: [Param<'_>; 3] = [&tenant.0, &begins, &ends];
        tx.execute(AWAITED, &range).await?;
        tx.execute(REFERRING, &range).await?;
    }
    tx.act_as(As::Worker).await
}

const CATCH_UP: [&str; 2] = [
    "/* loads::relay_cursor */ INSERT INTO progress.relay_cursors AS c (tenant_id, position)
     SELECT $1 /* tenant */, $2 /* position */
     WHERE NOT EXISTS (SELECT FROM ledger.statements s WHERE s.tenant_id = $1 AND s.stored <= $2 AND s.stored >
         coalesce((SELECT position FROM progress.relay_cursors WHERE tenant_id = $1), 'epoch'))
     ON CONFLICT (tenant_id) DO UPDATE SET position = excluded.position, updated_at = clock_timestamp()
         WHERE c.position < excluded.position",
    "/* loads::projection_cursor */ UPDATE progress.projection_cursors c SET position = $2, updated_at = clock_timestamp()
     WHERE tenant_id = $1 AND position < $2
       AND NOT EXISTS (SELECT FROM ledger.statements s WHERE s.tenant_id = $1 AND s.stored > c.position AND s.stored <= $2)
       AND NOT EXISTS (SELECT FROM progress.attempt_closures s WHERE s.tenant_id = $1 AND s.stored > c.position AND s.stored <= $2)
       AND NOT EXISTS (SELECT FROM progress.silences s WHERE s.tenant_id = $1 AND s.stored > c.position AND s.stored <= $2)",
];

const QUIET: &str = "/* loads::quiet */
    SELECT least(coalesce((SELECT position FROM progress.relay_cursors WHERE tenant_id = $1 /* tenant */), 'epoch'),
                 coalesce((SELECT position FROM progress.projection_cursors WHERE tenant_id = $1), 'epoch')) AS until";

/// The moment up to which nothing of the tenant is told any more, neither by the relay nor by the projections. Where nothing waits
/// for them they are brought to the present first.
pub async fn quiet_until(tx: &Tx<'_>, tenant: TenantId, effects_version: i32) -> Result<DateTime<Utc>, StoreError> {
    leases::check(tx).await?;
    let of = Of { tenant, side: Side::Live };
    projections::lock_cursor(tx, of, effects_version).await?;
    let present = statements::safe_bound(tx).await? - TimeDelta::microseconds(1);
    for sql in CATCH_UP {
        tx.execute(sql, &[&tenant.0, &present]).await?;
    }
    column(&tx.query_one(QUIET, &[&tenant.0]).await?, "until")
}
