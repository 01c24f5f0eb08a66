//! What no reader is shown from now on. The tables leave it out by their policies; whoever reads segments asks here.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::model::TenantId;
use crate::store::{
    StoreError,
    door::tx::{Tx, column},
    ledger::tables::Tables,
    platform::leases,
};

const ARCHIVED: &str = "/* hidden::archived */
    SELECT h.stored FROM ledger.hidden h WHERE h.tenant_id = $1 /* tenant */";

/// The moments at which something was stored that is hidden. Few, and none at most times.
pub async fn archived(tx: &Tx<'_>, tenant: TenantId) -> Result<BTreeSet<DateTime<Utc>>, StoreError> {
    tx.query(ARCHIVED, &[&tenant.0]).await?.iter().map(|row| column(row, "stored")).collect()
}

// Whoever has the person as the actor, and with `$4` also whoever is found by one of these relations.
const HIDE_FOUND: &str = "/* hidden::hide_found */
    INSERT INTO ledger.hidden (tenant_id, stored, id, erasure_id)
    SELECT tenant_id, stored, id, $2::uuid /* erasure */ FROM ledger.statements s
    WHERE s.tenant_id = $1 /* tenant */ AND s.agent_key = ANY ($3 /* actors */)
    UNION
    SELECT s.tenant_id, s.stored, s.id, $2::uuid FROM ledger.relations r
    JOIN ledger.statements s ON s.tenant_id = r.tenant_id AND s.stored = r.stored
    WHERE r.tenant_id = $1 AND r.key = ANY ($4 /* relations */)
    ON CONFLICT DO NOTHING";

/// Hides the statements in the tables of a tier whose actor is one of these, or which have one of these relations.
pub async fn hide_found(
    tx: &Tx<'_>,
    (tenant, erasure): (TenantId, Uuid),
    tables: Tables,
    actors: &[Uuid],
    relations: &[Uuid],
) -> Result<u64, StoreError> {
    leases::check(tx).await?;
    tx.execute(&tables.sql(HIDE_FOUND), &[&tenant.0, &erasure, &actors, &relations]).await
}

// Some minutes are looked at twice: what is stored earlier may become visible later.
const HIDE_ARRIVED: &str = "/* hidden::hide_arrived */
    INSERT INTO ledger.hidden (tenant_id, stored, id, erasure_id)
    SELECT tenant_id, stored, id, $2::uuid /* erasure */ FROM ledger.statements s
    WHERE s.tenant_id = $1 /* tenant */ AND s.agent_key = ANY ($3 /* actors */)
      AND s.stored > coalesce((SELECT max(h.stored) FROM ledger.hidden h WHERE h.erasure_id = $2), '-infinity') - interval '10 minutes'
    ON CONFLICT DO NOTHING";

/// Hides what has come since from these actors, while a law keeps it.
pub async fn hide_arrived(
    tx: &Tx<'_>,
    (tenant, erasure): (TenantId, Uuid),
    actors: &[Uuid],
) -> Result<u64, StoreError> {
    leases::check(tx).await?;
    tx.execute(HIDE_ARRIVED, &[&tenant.0, &erasure, &actors]).await
}

const HIDE: &str = "/* hidden::hide */
    INSERT INTO ledger.hidden (tenant_id, stored, id, erasure_id)
    SELECT $1 /* tenant */, new.stored, new.id, $2 /* erasure */
    FROM unnest($3::timestamptz[] /* stored */, $4::uuid[] /* ids */) AS new (stored, id) ON CONFLICT DO NOTHING";

/// Hides these statements, wherever they are.
pub async fn hide(
    tx: &Tx<'_>,
    (tenant, erasure): (TenantId, Uuid),
    statements: &[(Uuid, DateTime<Utc>)],
) -> Result<u64, StoreError> {
    leases::check(tx).await?;
    let (ids, stored): (Vec<Uuid>, Vec<DateTime<Utc>>) = statements.iter().copied().unzip();
    tx.execute(HIDE, &[&tenant.0, &erasure, &stored, &ids]).await
}

const HIDE_PERSON: &str = "/* hidden::hide_person */
    INSERT INTO ledger.hidden_persons (tenant_id, erasure_id, agent_key, user_id)
    SELECT $1::uuid /* tenant */, $2::uuid /* erasure */, k, NULL::text FROM unnest($3::uuid[] /* keys */) k
    WHERE NOT EXISTS (SELECT FROM ledger.hidden_persons h WHERE h.tenant_id = $1 AND h.erasure_id = $2 AND h.agent_key = k)
    UNION ALL
    SELECT $1::uuid, $2::uuid, NULL::uuid, u FROM unnest($4::text[] /* users */) u
    WHERE NOT EXISTS (SELECT FROM ledger.hidden_persons h WHERE h.tenant_id = $1 AND h.erasure_id = $2 AND h.user_id = u)";

/// Hides a person: documents, names, attempts, completions and scores.
pub async fn hide_person(
    tx: &Tx<'_>,
    (tenant, erasure): (TenantId, Uuid),
    keys: &[Uuid],
    users: &[String],
) -> Result<(), StoreError> {
    leases::check(tx).await?;
    tx.execute(HIDE_PERSON, &[&tenant.0, &erasure, &keys, &users]).await.map(drop)
}

const SHOW: [&str; 2] = [
    "/* hidden::show */ DELETE FROM ledger.hidden WHERE erasure_id = $1 /* erasure */",
    "/* hidden::show_person */ DELETE FROM ledger.hidden_persons WHERE erasure_id = $1 /* erasure */",
];

/// Ends the hiding: what it was about is gone.
pub async fn end(tx: &Tx<'_>, erasure: Uuid) -> Result<(), StoreError> {
    for sql in SHOW {
        tx.execute(sql, &[&erasure]).await?;
    }
    Ok(())
}

const FORGET_PART: &str = "/* hidden::forget_part */
    INSERT INTO ledger.forgotten_parts (sha256, bytes) SELECT * FROM unnest($1::text[] /* parts */, $2::bigint[] /* bytes */)";

/// Tells every node to forget these parts of segments.
pub async fn forget_parts(tx: &Tx<'_>, parts: &[(String, i64)]) -> Result<(), StoreError> {
    let (names, bytes): (Vec<&str>, Vec<i64>) = parts.iter().map(|(name, bytes)| (name.as_str(), *bytes)).unzip();
    tx.execute(FORGET_PART, &[&names, &bytes]).await.map(drop)
}

const FORGOTTEN: &str = "/* hidden::forgotten */
    SELECT number, sha256, bytes FROM ledger.forgotten_parts WHERE number > $1 /* after */ ORDER BY number LIMIT 1000";

/// The parts to forget after this number. Numbers may become visible out of order: look again at some.
pub async fn forgotten(tx: &Tx<'_>, after: i64) -> Result<Vec<(i64, String, i64)>, StoreError> {
    let rows = tx.query(FORGOTTEN, &[&after]).await?;
    rows.iter().map(|row| Ok((column(row, "number")?, column(row, "sha256")?, column(row, "bytes")?))).collect()
}

const NEWEST: &str = "/* hidden::newest */
    SELECT coalesce(max(stamp), 0) AS stamp FROM ledger.erasures WHERE state = 'erased'";

/// The stamp of the newest erasure that is done.
pub async fn newest(tx: &Tx<'_>) -> Result<i64, StoreError> {
    column(&tx.query_one(NEWEST, &[]).await?, "stamp")
}
