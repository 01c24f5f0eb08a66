//! What belongs to a person beside statements: documents, names, attachments, launches, and words that nobody else uses.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{statements::related_form, tables::Tables};
use crate::model::TenantId;
use crate::store::{
    As, StoreError,
    door::tx::{Param, Tx, column},
    platform::leases,
};
use crate::xapi::keys::Ifi;

const ALIASES: &str = "/* belongings::aliases */
    SELECT key, ifi, names FROM ledger.agents WHERE tenant_id = $1 /* tenant */ AND key = ANY ($2 /* keys */)";

/// What the ledger knows of agents: their identifiers, and the names they were seen under.
pub async fn agents(tx: &Tx<'_>, tenant: TenantId, keys: &[Uuid]) -> Result<Vec<(Uuid, Ifi, Vec<String>)>, StoreError> {
    let rows = tx.query(ALIASES, &[&tenant.0, &keys]).await?;
    rows.iter().map(agent).collect()
}

const ALL_AGENTS: &str = "/* belongings::all_agents */
    SELECT key, ifi, names FROM ledger.agents WHERE tenant_id = $1 /* tenant */ AND key > $2 /* after */ ORDER BY key LIMIT 10000";

/// The next agents of a tenant, by key.
pub async fn agents_after(
    tx: &Tx<'_>,
    tenant: TenantId,
    after: Uuid,
) -> Result<Vec<(Uuid, Ifi, Vec<String>)>, StoreError> {
    let rows = tx.query(ALL_AGENTS, &[&tenant.0, &after]).await?;
    rows.iter().map(agent).collect()
}

fn agent(row: &tokio_postgres::Row) -> Result<(Uuid, Ifi, Vec<String>), StoreError> {
    let text: String = column(row, "ifi")?;
    let shape = |detail: String| StoreError::Shape { name: "agents", detail };
    let map = serde_json::from_str(&text).map_err(|error| shape(error.to_string()))?;
    let ifi = Ifi::of(&map).ok_or_else(|| shape("an agent has no identifier".to_owned()))?;
    Ok((column(row, "key")?, ifi, column(row, "names")?))
}

const FORGET_AGENTS: &str = "/* belongings::forget_agents */
    DELETE FROM ledger.agents WHERE tenant_id = $1 /* tenant */ AND key = ANY ($2 /* keys */)";

/// Forgets agents and their names. As the eraser.
pub async fn forget_agents(tx: &Tx<'_>, tenant: TenantId, keys: &[Uuid]) -> Result<u64, StoreError> {
    leases::check(tx).await?;
    tx.execute(FORGET_AGENTS, &[&tenant.0, &keys]).await
}

const COUNT_DOCUMENTS: &str = "/* belongings::count_documents */
    SELECT count(*) AS documents FROM ledger.documents
    WHERE tenant_id = $1 /* tenant */ AND (agent_key = ANY ($2 /* agents */) OR scope_key = ANY ($3 /* scopes */))";

const DELETE_DOCUMENTS: [&str; 2] = [
    "/* belongings::delete_documents */
     DELETE FROM ledger.documents WHERE tenant_id = $1 /* tenant */ AND agent_key = ANY ($2 /* agents */)",
    "/* belongings::delete_older_documents */
     DELETE FROM ledger.documents WHERE tenant_id = $1 /* tenant */ AND scope_key = ANY ($2 /* scopes */)",
];

/// How many documents are of these agents, or lie in these scopes.
pub async fn count_documents(
    tx: &Tx<'_>,
    tenant: TenantId,
    agents: &[Uuid],
    scopes: &[Uuid],
) -> Result<i64, StoreError> {
    column(&tx.query_one(COUNT_DOCUMENTS, &[&tenant.0, &agents, &scopes]).await?, "documents")
}

/// Deletes them. As the eraser.
pub async fn delete_documents(
    tx: &Tx<'_>,
    tenant: TenantId,
    agents: &[Uuid],
    scopes: &[Uuid],
) -> Result<u64, StoreError> {
    leases::check(tx).await?;
    let [of_agents, in_scopes] = DELETE_DOCUMENTS;
    let gone = tx.execute(of_agents, &[&tenant.0, &agents]).await?;
    if scopes.is_empty() {
        return Ok(gone);
    }
    Ok(gone + tx.execute(in_scopes, &[&tenant.0, &scopes]).await?)
}

const ACTIVITIES: &str = "/* belongings::activities */
    SELECT key FROM ledger.activities WHERE tenant_id = $1 /* tenant */ AND key > $2 /* after */ ORDER BY key LIMIT 10000";

/// The next activities that a tenant knows, by key.
pub async fn activities_after(tx: &Tx<'_>, tenant: TenantId, after: Uuid) -> Result<Vec<Uuid>, StoreError> {
    let rows = tx.query(ACTIVITIES, &[&tenant.0, &after]).await?;
    rows.iter().map(|row| column(row, "key")).collect()
}

const USED: [&str; 3] = [
    "/* belongings::used_activity */ SELECT k FROM unnest($2::uuid[] /* keys */) k
     WHERE EXISTS (SELECT FROM ledger.statements s WHERE s.tenant_id = $1 /* tenant */ AND s.activity_key = k LIMIT 1)",
    "/* belongings::used_related */ SELECT k FROM unnest($2::uuid[] /* keys */, $3::uuid[] /* forms */) AS wanted (k, form)
     WHERE EXISTS (SELECT FROM ledger.relations r WHERE r.tenant_id = $1 /* tenant */ AND r.key = form LIMIT 1)",
    "/* belongings::used_verb */ SELECT k FROM unnest($2::uuid[] /* keys */) k
     WHERE EXISTS (SELECT FROM ledger.statements s WHERE s.tenant_id = $1 /* tenant */ AND s.verb_key = k LIMIT 1)",
];

/// Those of the activities that a statement in the tables of a tier names.
pub async fn used_activities(
    tx: &Tx<'_>,
    tenant: TenantId,
    tables: Tables,
    keys: &[Uuid],
) -> Result<Vec<Uuid>, StoreError> {
    let forms: Vec<Uuid> = keys.iter().map(|key| related_form(*key)).collect();
    let mut rows = tx.query(&tables.sql(USED[0]), &[&tenant.0, &keys]).await?;
    rows.extend(tx.query(&tables.sql(USED[1]), &[&tenant.0, &keys, &forms]).await?);
    rows.iter().map(|row| column(row, "k")).collect()
}

/// Those of the verbs that a statement in the tables of a tier uses.
pub async fn used_verbs(tx: &Tx<'_>, tenant: TenantId, tables: Tables, keys: &[Uuid]) -> Result<Vec<Uuid>, StoreError> {
    let rows = tx.query(&tables.sql(USED[2]), &[&tenant.0, &keys]).await?;
    rows.iter().map(|row| column(row, "k")).collect()
}

const FORGET_WORDS: [&str; 2] = [
    "/* belongings::forget_activities */ DELETE FROM ledger.activities WHERE tenant_id = $1 AND key = ANY ($2)",
    "/* belongings::forget_verbs */ DELETE FROM ledger.verbs_seen WHERE tenant_id = $1 AND key = ANY ($2)",
];

/// Forgets activities and verbs that nobody uses any more. As the eraser.
pub async fn forget_words(
    tx: &Tx<'_>,
    tenant: TenantId,
    activities: &[Uuid],
    verbs: &[Uuid],
) -> Result<u64, StoreError> {
    leases::check(tx).await?;
    let gone = tx.execute(FORGET_WORDS[0], &[&tenant.0, &activities]).await?;
    Ok(gone + tx.execute(FORGET_WORDS[1], &[&tenant.0, &verbs]).await?)
}

const BROUGHT: &str = "/* belongings::brought */
    SELECT sha2, stored_at FROM ledger.attachments WHERE tenant_id = $1 /* tenant */ AND sha2 = ANY ($2 /* hashes */)";

/// Those of the contents that the tenant has, and since when.
pub async fn brought(
    tx: &Tx<'_>,
    tenant: TenantId,
    hashes: &[Vec<u8>],
) -> Result<Vec<(Vec<u8>, DateTime<Utc>)>, StoreError> {
    let rows = tx.query(BROUGHT, &[&tenant.0, &hashes]).await?;
    rows.iter().map(|row| Ok((column(row, "sha2")?, column(row, "stored_at")?))).collect()
}

// Whoever brings the same content at this moment claims its row, and waits for it or is waited for.
const KEEP_STILL: &str = "/* belongings::keep_still */
    DELETE FROM ledger.attachments WHERE tenant_id = $1 /* tenant */ AND sha2 = $2 /* hash */";

const NAMED: &str = "/* belongings::named */
    SELECT EXISTS (SELECT FROM ledger.statements s
                   WHERE s.tenant_id = $1 /* tenant */ AND s.stored >= $2 /* since */ AND s.payload ~* $3 /* hash */ LIMIT 1) AS named";

/// Whether a statement in the tables of a tier, stored since then, names this content.
pub async fn is_named(
    tx: &Tx<'_>,
    tenant: TenantId,
    tables: Tables,
    (hash, since): (&str, DateTime<Utc>),
) -> Result<bool, StoreError> {
    column(&tx.query_one(&tables.sql(NAMED), &[&tenant.0, &since, &hash]).await?, "named")
}

const FORGET_CONTENT: [&str; 2] = [
    "/* belongings::forget_pieces */ DELETE FROM ledger.attachment_pieces WHERE tenant_id = $1 AND sha2 = $2",
    "/* belongings::forget_bringers */ DELETE FROM ledger.attachment_bringers WHERE tenant_id = $1 AND sha2 = $2",
];

/// Removes a content, and answers whether no statement in the tables names it by now: where one does, roll back. As the eraser.
pub async fn forget_content(
    tx: &Tx<'_>,
    tenant: TenantId,
    sha2: &[u8],
    since: DateTime<Utc>,
) -> Result<bool, StoreError> {
    leases::check(tx).await?;
    let this: [Param<'_>; 2] = [&tenant.0, &sha2];
    tx.execute(KEEP_STILL, &this).await?;
    let hash = hex::encode(sha2);
    for tables in [Tables::Hot, Tables::Detached] {
        if is_named(tx, tenant, tables, (&hash, since)).await? {
            return Ok(false);
        }
    }
    for sql in FORGET_CONTENT {
        tx.execute(sql, &this).await?;
    }
    Ok(true)
}

const LAUNCHES: &str = "/* belongings::launches */
    SELECT credential_id, launch_actor::text AS actor FROM platform.credentials
    WHERE tenant_id = $1 /* tenant */ AND launch_actor IS NOT NULL";

const FORGET_LAUNCHES: &str = "/* belongings::forget_launches */
    DELETE FROM platform.credentials WHERE tenant_id = $1 /* tenant */ AND credential_id = ANY ($2 /* ids */)";

/// The launches of a tenant whose learner `is_them`.
pub async fn launches(
    tx: &Tx<'_>,
    tenant: TenantId,
    is_them: &(dyn Fn(&Ifi) -> bool + Sync),
) -> Result<Vec<Uuid>, StoreError> {
    let mut found = Vec::new();
    for row in tx.query(LAUNCHES, &[&tenant.0]).await? {
        let text: String = column(&row, "actor")?;
        let ifi = serde_json::from_str(&text).ok().and_then(|map| Ifi::of(&map));
        if ifi.is_some_and(|ifi| is_them(&ifi)) {
            found.push(column(&row, "credential_id")?);
        }
    }
    Ok(found)
}

/// Takes launches back, with whose they are. As the eraser.
pub async fn forget_launches(tx: &Tx<'_>, tenant: TenantId, ids: &[Uuid]) -> Result<u64, StoreError> {
    leases::check(tx).await?;
    tx.execute(FORGET_LAUNCHES, &[&tenant.0, &ids]).await
}

/// What follows in this transaction is done as the eraser of this tenant.
pub async fn as_eraser(tx: &Tx<'_>, tenant: TenantId) -> Result<(), StoreError> {
    leases::check(tx).await?;
    tx.act_as(As::Eraser(tenant)).await
}

/// What follows is done as the worker again.
pub async fn as_worker(tx: &Tx<'_>) -> Result<(), StoreError> {
    tx.act_as(As::Worker).await
}
