//! Statements of a person leaving the tables of a tier, and those that mention them written anew, with everything by which they are
//! found. As `progress_eraser`; what the law holds the database itself refuses.

use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use uuid::Uuid;

use super::{
    erasures,
    fills::FullRow,
    statements::{authority_form, found_by, related_form},
    tables::Tables,
};
use crate::model::TenantId;
use crate::store::{
    As, StoreError,
    door::tx::{Tx, column},
    ledger::links,
    platform::leases,
    progress::activity::Leaving,
};
use crate::xapi::stored;

/// Under which keys somebody is looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sought {
    /// Lookup keys of their identifiers.
    pub keys: Vec<Uuid>,
}

impl Sought {
    /// The forms in which those who mention them have these keys in `relations`.
    pub fn relations(&self) -> Vec<Uuid> {
        self.keys.iter().flat_map(|key| [*key, related_form(*key), authority_form(*key)]).collect()
    }
}

/// A statement that was found.
#[derive(Clone, Debug)]
pub struct Found {
    pub id: Uuid,
    pub stored: DateTime<Utc>,
    pub occurred: Option<DateTime<Utc>>,
    pub verb_key: Uuid,
    pub agent_key: Option<Uuid>,
    pub activity_key: Option<Uuid>,
    pub registration_key: Option<Uuid>,
    pub refers_to: Option<Uuid>,
    pub voiding: bool,
    pub converts: bool,
    pub payload: String,
}

impl Found {
    /// As what counted it is told that it goes.
    pub fn leaving(&self) -> Leaving {
        Leaving { id: self.id, stored: self.stored, verb: self.verb_key, voiding: self.voiding }
    }
}

const COUNT: &str = "/* erasing::count */
    SELECT count(*) FILTER (WHERE is_actor) AS actor, count(*) FILTER (WHERE NOT is_actor) AS mentioned,
           coalesce(array_agg(DISTINCT to_char(stored AT TIME ZONE 'UTC', 'YYYY-MM')), '{}') AS months
    FROM (SELECT stored, bool_or(is_actor) AS is_actor FROM (
              SELECT s.stored, true AS is_actor FROM ledger.statements s
              WHERE s.tenant_id = $1 /* tenant */ AND s.agent_key = ANY ($2 /* keys */)
              UNION ALL
              SELECT r.stored, false FROM ledger.relations r WHERE r.tenant_id = $1 AND r.key = ANY ($3 /* relations */)) found
          GROUP BY stored) each";

/// How many statements the tables of a tier have by the person and about them, and of which months.
pub async fn count(
    tx: &Tx<'_>,
    tenant: TenantId,
    tables: Tables,
    sought: &Sought,
) -> Result<(i64, i64, Vec<String>), StoreError> {
    let row = tx.query_one(&tables.sql(COUNT), &[&tenant.0, &sought.keys, &sought.relations()]).await?;
    Ok((column(&row, "actor")?, column(&row, "mentioned")?, column(&row, "months")?))
}

// As the table's own guard sees it, row for row.
const STANDS_UNDER: &str = "/* erasing::stands_under */
    SELECT EXISTS (SELECT FROM (
            SELECT s.stored FROM ledger.statements s WHERE s.tenant_id = $1 /* tenant */ AND s.agent_key = ANY ($2 /* keys */)
            UNION ALL
            SELECT r.stored FROM ledger.relations r WHERE r.tenant_id = $1 AND r.key = ANY ($3 /* relations */)) theirs
        JOIN ledger.statements s ON s.tenant_id = $1 AND s.stored = theirs.stored
        WHERE s.agent_key = ANY ($4 /* held */) OR s.activity_key = ANY ($4) OR s.registration_key = ANY ($4)
            OR EXISTS (SELECT FROM ledger.relations h WHERE h.tenant_id = $1 AND h.stored = s.stored AND h.key = ANY ($4))) AS held";

/// Whether any of the person's statements in the tables of a tier, or of those with one of these relations, is found by what a hold
/// stands over.
pub async fn stands_under(
    tx: &Tx<'_>,
    tenant: TenantId,
    tables: Tables,
    (keys, relations): (&[Uuid], &[Uuid]),
    held: &[Uuid],
) -> Result<bool, StoreError> {
    column(&tx.query_one(&tables.sql(STANDS_UNDER), &[&tenant.0, &keys, &relations, &held]).await?, "held")
}

const OF_ACTOR: &str = "/* erasing::of_actor */
    SELECT s.* FROM ledger.statements s WHERE s.tenant_id = $1 /* tenant */ AND s.agent_key = ANY ($2 /* keys */) LIMIT $3 /* most */";

const MENTIONING: &str = "/* erasing::mentioning */
    SELECT DISTINCT ON (s.stored) s.* FROM (
        SELECT DISTINCT r.stored FROM ledger.relations r
        WHERE r.tenant_id = $1 /* tenant */ AND r.key = ANY ($2 /* relations */) LIMIT $3 /* most */) r
    JOIN ledger.statements s ON s.tenant_id = $1 AND s.stored = r.stored";

/// Some statements whose actor the person is.
pub async fn of_actor(
    tx: &Tx<'_>,
    tenant: TenantId,
    tables: Tables,
    sought: &Sought,
    most: i64,
) -> Result<Vec<Found>, StoreError> {
    let rows = tx.query(&tables.sql(OF_ACTOR), &[&tenant.0, &sought.keys, &most]).await?;
    rows.iter().map(found).collect()
}

/// Some statements that mention the person.
pub async fn mentioning(
    tx: &Tx<'_>,
    tenant: TenantId,
    tables: Tables,
    sought: &Sought,
    most: i64,
) -> Result<Vec<Found>, StoreError> {
    let rows = tx.query(&tables.sql(MENTIONING), &[&tenant.0, &sought.relations(), &most]).await?;
    rows.iter().map(found).collect()
}

const DELETE: &str = "/* erasing::delete */
    DELETE FROM ledger.statements s USING unnest($2::timestamptz[] /* stored */, $3::uuid[] /* ids */) AS gone (stored, id)
    WHERE s.tenant_id = $1 /* tenant */ AND s.stored = gone.stored AND s.id = gone.id";

const UNRELATE: &str = "/* erasing::unrelate */
    DELETE FROM ledger.relations r USING unnest($2::uuid[] /* keys */, $3::timestamptz[] /* stored */) AS gone (key, stored)
    WHERE r.tenant_id = $1 /* tenant */ AND r.key = gone.key AND r.stored = gone.stored";

/// Deletes these statements of a tier, with everything by which they are found; their ids stay as tombstones. Holds are asked by
/// the database, row for row.
pub async fn delete(
    tx: &Tx<'_>,
    (tenant, erasure): (TenantId, Uuid),
    tables: Tables,
    statements: &[Found],
) -> Result<u64, StoreError> {
    leases::check(tx).await?;
    let these: Vec<(Uuid, DateTime<Utc>)> = statements.iter().map(|one| (one.id, one.stored)).collect();
    let (ids, moments): (Vec<Uuid>, Vec<DateTime<Utc>>) = these.iter().copied().unzip();
    erasures::note(tx, (tenant, erasure), &these, false).await?;
    tx.act_as(As::Eraser(tenant)).await?;
    // No month moves while its rows leave.
    tx.query_one("/* erasing::stay */ SELECT pg_advisory_xact_lock_shared(76301, 2)", &[]).await?;
    let gone = tx.execute(&tables.sql(DELETE), &[&tenant.0, &moments, &ids]).await?;
    let (keys, stored) = related(tenant, statements)?;
    tx.execute(&tables.sql(UNRELATE), &[&tenant.0, &keys, &stored]).await?;
    bury(tx, tenant, &ids).await?;
    Ok(gone)
}

const TOMBSTONE: &str = "/* erasing::tombstone */
    UPDATE ledger.statement_ids i SET erased = true, digest = ''::bytea FROM unnest($2::uuid[] /* ids */) AS gone (id)
    WHERE i.tenant_id = $1 /* tenant */ AND i.id = gone.id AND NOT i.erased";

// A voiding keeps what it voids voided, whoever said so: the row has nothing but ids.
const UNREFER: &str = "/* erasing::unrefer */
    DELETE FROM ledger.refs r USING unnest($2::uuid[] /* ids */) AS gone (id)
    WHERE r.tenant_id = $1 /* tenant */ AND r.referrer_id = gone.id AND NOT r.voids";

const UNREACH: &str = "/* erasing::unreach */
    WITH RECURSIVE upstream (id, steps) AS (
        SELECT id, 0 FROM unnest($2::uuid[] /* ids */) AS gone (id)
        UNION
        SELECT r.referrer_id, u.steps + 1 FROM upstream u
        CROSS JOIN LATERAL (SELECT referrer_id FROM ledger.refs r WHERE r.tenant_id = $1 AND r.target_id = u.id OFFSET 0) r
        WHERE u.steps < 64)
    DELETE FROM ledger.reaches r USING (SELECT DISTINCT id FROM upstream) u
    WHERE r.tenant_id = $1 /* tenant */ AND r.referrer_id = u.id";

/// Leaves tombstones of these ids, and takes away what others reach by them: the background finds out anew what is left of that.
/// As the eraser; the rest of the transaction is the worker's.
pub async fn bury(tx: &Tx<'_>, tenant: TenantId, ids: &[Uuid]) -> Result<(), StoreError> {
    tx.act_as(As::Eraser(tenant)).await?;
    for sql in [TOMBSTONE, UNREACH, UNREFER] {
        tx.execute(sql, &[&tenant.0, &ids]).await?;
    }
    tx.act_as(As::Worker).await?;
    links::look_again(tx, tenant, ids, &[]).await
}

/// The pairs under which `relations` has these statements.
fn related(tenant: TenantId, statements: &[Found]) -> Result<(Vec<Uuid>, Vec<DateTime<Utc>>), StoreError> {
    let mut pairs = Vec::new();
    for one in statements {
        pairs.extend(relations_of(tenant, &one.payload)?.into_iter().map(|key| (key, one.stored)));
    }
    Ok(pairs.into_iter().unzip())
}

/// The keys under which `relations` has a statement, in ascending order.
pub fn relations_of(tenant: TenantId, payload: &str) -> Result<Vec<Uuid>, StoreError> {
    let keys = stored::keys(tenant.0, payload)
        .map_err(|error| StoreError::Shape { name: "erasing", detail: format!("a payload cannot be read: {error}") })?;
    let mut all: Vec<Uuid> = found_by(&keys.other_agents, &keys.related, keys.authority).collect();
    all.sort_unstable();
    Ok(all)
}

const WRITE: &str = "/* erasing::write */
    INSERT INTO ledger.statements (tenant_id, id, stored, occurred, verb_key, agent_key, activity_key, registration_key,
        refers_to, voiding, converts, payload)
    VALUES ($1 /* tenant */, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12 /* payload */)";

const RELATE: &str = "/* erasing::relate */
    INSERT INTO ledger.relations (tenant_id, key, stored)
    SELECT $1 /* tenant */, k, $3 /* stored */ FROM unnest($2::uuid[] /* keys */) k";

/// Puts a statement in the place of itself: the same one with another payload.
pub async fn rewrite(
    tx: &Tx<'_>,
    (tenant, erasure): (TenantId, Uuid),
    tables: Tables,
    one: &Found,
    payload: &str,
) -> Result<(), StoreError> {
    leases::check(tx).await?;
    erasures::note(tx, (tenant, erasure), &[(one.id, one.stored)], true).await?;
    tx.act_as(As::Eraser(tenant)).await?;
    tx.query_one("/* erasing::stay */ SELECT pg_advisory_xact_lock_shared(76301, 2)", &[]).await?;
    let gone = tx.execute(&tables.sql(DELETE), &[&tenant.0, &vec![one.stored], &vec![one.id]]).await?;
    if gone > 0 {
        let (keys, stored) = related(tenant, std::slice::from_ref(one))?;
        tx.execute(&tables.sql(UNRELATE), &[&tenant.0, &keys, &stored]).await?;
        let row = full(tenant, one, payload);
        tx.execute(
            &tables.sql(WRITE),
            &[
                &tenant.0,
                &row.id,
                &row.stored,
                &row.occurred,
                &row.verb_key,
                &row.agent_key,
                &row.activity_key,
                &row.registration_key,
                &row.refers_to,
                &row.voiding,
                &row.converts,
                &row.payload,
            ],
        )
        .await?;
        tx.execute(&tables.sql(RELATE), &[&tenant.0, &relations_of(tenant, payload)?, &one.stored]).await?;
        // By what others reach it is found out anew.
        tx.execute(UNREACH, &[&tenant.0, &vec![one.id]]).await?;
    }
    tx.act_as(As::Worker).await?;
    links::look_again(tx, tenant, &[one.id], &[]).await
}

fn full<'a>(tenant: TenantId, one: &Found, payload: &'a str) -> FullRow<'a> {
    FullRow {
        tenant,
        id: one.id,
        stored: one.stored,
        occurred: one.occurred,
        verb_key: one.verb_key,
        agent_key: one.agent_key,
        activity_key: one.activity_key,
        registration_key: one.registration_key,
        refers_to: one.refers_to,
        voiding: one.voiding,
        converts: one.converts,
        payload,
        relations: &[],
    }
}

const STILL: &str = "/* erasing::still */
    SELECT count(*) AS still FROM unnest($2::timestamptz[] /* stored */, $3::uuid[] /* ids */) AS gone (stored, id)
    JOIN ledger.statements s ON s.tenant_id = $1 /* tenant */ AND s.stored = gone.stored AND s.id = gone.id";

/// How many of these statements the tables of a tier have.
pub async fn still(
    tx: &Tx<'_>,
    tenant: TenantId,
    tables: Tables,
    statements: &[(Uuid, DateTime<Utc>)],
) -> Result<i64, StoreError> {
    let (ids, stored): (Vec<Uuid>, Vec<DateTime<Utc>>) = statements.iter().copied().unzip();
    column(&tx.query_one(&tables.sql(STILL), &[&tenant.0, &stored, &ids]).await?, "still")
}

fn found(row: &Row) -> Result<Found, StoreError> {
    Ok(Found {
        id: column(row, "id")?,
        stored: column(row, "stored")?,
        occurred: column(row, "occurred")?,
        verb_key: column(row, "verb_key")?,
        agent_key: column(row, "agent_key")?,
        activity_key: column(row, "activity_key")?,
        registration_key: column(row, "registration_key")?,
        refers_to: column(row, "refers_to")?,
        voiding: column(row, "voiding")?,
        converts: column(row, "converts")?,
        payload: column(row, "payload")?,
    })
}
