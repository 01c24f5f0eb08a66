//! By what the erased are recognised when something of theirs comes again: hashes of lookup keys under a key that the database keeps.

use std::collections::HashSet;

use uuid::Uuid;

use crate::model::TenantId;
use crate::store::{
    StoreError,
    door::tx::{Tx, column},
};

const REMEMBER: &str = "/* erased::remember */
    INSERT INTO ledger.erased_identifiers (tenant_id, hash, erasure_id, erases)
    SELECT $1 /* tenant */, h, $2 /* erasure */, $4 /* erases */ FROM unnest(ledger.erasure_marks($3 /* keys */)) h
    ON CONFLICT DO NOTHING";

/// Remembers a person by these keys from now on; `erases`: what comes under them is erased on arrival.
pub async fn remember(
    tx: &Tx<'_>,
    (tenant, erasure): (TenantId, Uuid),
    keys: &[Uuid],
    erases: bool,
) -> Result<(), StoreError> {
    tx.execute(REMEMBER, &[&tenant.0, &erasure, &keys, &erases]).await.map(drop)
}

const KNOWN: &str = "/* erased::known */
    SELECT asked.key FROM unnest($2::uuid[] /* keys */, ledger.erasure_marks($2)) AS asked (key, hash)
    WHERE EXISTS (SELECT FROM ledger.erased_identifiers e
                  WHERE e.tenant_id = $1 /* tenant */ AND e.hash = asked.hash AND (e.erases OR NOT $3 /* only those */))";

const ANYBODY: &str = "/* erased::anybody */
    SELECT EXISTS (SELECT FROM ledger.erased_identifiers WHERE tenant_id = $1 /* tenant */) AS anybody";

/// Those of the keys under which somebody was erased who is erased on arrival as well. Ask it after the microseconds of what
/// arrives are reserved: then whoever erases waits for this transaction, or is seen by it.
pub async fn arriving(tx: &Tx<'_>, tenant: TenantId, keys: &[Uuid]) -> Result<HashSet<Uuid>, StoreError> {
    // One step into an index for most tenants.
    if keys.is_empty() || !column::<bool>(&tx.query_one(ANYBODY, &[&tenant.0]).await?, "anybody")? {
        return Ok(HashSet::new());
    }
    known(tx, tenant, keys, true).await
}

const TENANTS: &str = "/* erased::tenants */
    SELECT asked.id FROM unnest($1::uuid[] /* tenants */) AS asked (id)
    WHERE EXISTS (SELECT FROM ledger.erased_identifiers e WHERE e.tenant_id = asked.id)";

/// Those of the tenants of which somebody was erased.
pub async fn tenants(tx: &Tx<'_>, tenants: &[TenantId]) -> Result<HashSet<TenantId>, StoreError> {
    let ids: Vec<Uuid> = tenants.iter().map(|tenant| tenant.0).collect();
    tx.query(TENANTS, &[&ids]).await?.iter().map(|row| column(row, "id").map(TenantId)).collect()
}

/// Those of the keys under which somebody was erased; with `only_arrivals` those that are erased on arrival.
pub async fn known(
    tx: &Tx<'_>,
    tenant: TenantId,
    keys: &[Uuid],
    only_arrivals: bool,
) -> Result<HashSet<Uuid>, StoreError> {
    let rows = tx.query(KNOWN, &[&tenant.0, &keys, &only_arrivals]).await?;
    rows.iter().map(|row| column(row, "key")).collect()
}

const MARKS: &str =
    "/* erased::marks */ SELECT hash FROM ledger.erased_identifiers WHERE erasure_id = $1 /* erasure */ ORDER BY hash";

/// By what an erasure recognises its person.
pub async fn marks(tx: &Tx<'_>, erasure: Uuid) -> Result<Vec<Vec<u8>>, StoreError> {
    tx.query(MARKS, &[&erasure]).await?.iter().map(|row| column(row, "hash")).collect()
}

const REMEMBER_MARKS: &str = "/* erased::remember_marks */
    INSERT INTO ledger.erased_identifiers (tenant_id, hash, erasure_id, erases)
    SELECT $1 /* tenant */, h, $2 /* erasure */, $4 /* erases */ FROM unnest($3::bytea[] /* marks */) h ON CONFLICT DO NOTHING";

/// As [`remember`], by marks that were kept elsewhere.
pub async fn remember_marks(
    tx: &Tx<'_>,
    (tenant, erasure): (TenantId, Uuid),
    marks: &[Vec<u8>],
    erases: bool,
) -> Result<(), StoreError> {
    tx.execute(REMEMBER_MARKS, &[&tenant.0, &erasure, &marks, &erases]).await.map(drop)
}

const OF_ERASURE: &str = "/* erased::of_erasure */
    SELECT asked.key FROM unnest($3::uuid[] /* keys */, ledger.erasure_marks($3)) AS asked (key, hash)
    WHERE EXISTS (SELECT FROM ledger.erased_identifiers e
                  WHERE e.tenant_id = $1 /* tenant */ AND e.hash = asked.hash AND e.erasure_id = $2 /* erasure */)";

/// Those of the keys that an erasure recognises.
pub async fn of_erasure(
    tx: &Tx<'_>,
    (tenant, erasure): (TenantId, Uuid),
    keys: &[Uuid],
) -> Result<Vec<Uuid>, StoreError> {
    tx.query(OF_ERASURE, &[&tenant.0, &erasure, &keys]).await?.iter().map(|row| column(row, "key")).collect()
}

const FORGET: &str = "/* erased::forget */ DELETE FROM ledger.erased_identifiers WHERE erasure_id = $1 /* erasure */";

/// Forgets a person of whom nothing is erased now.
pub async fn forget(tx: &Tx<'_>, erasure: Uuid) -> Result<(), StoreError> {
    tx.execute(FORGET, &[&erasure]).await.map(drop)
}

const MARK_OF_NOBODY: &str = "/* erased::mark_of_nobody */
    SELECT (ledger.erasure_marks('{00000000-0000-0000-0000-000000000000}'))[1] AS mark";

/// The mark of a key that is nobody's: the same wherever marks are made with the same key.
pub async fn mark_of_nobody(tx: &Tx<'_>) -> Result<Vec<u8>, StoreError> {
    column(&tx.query_one(MARK_OF_NOBODY, &[]).await?, "mark")
}
