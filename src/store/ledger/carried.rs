//! Statements that go along to another cell with their ids, digests and relations, byte for byte: read here in the order of the
//! ledger, put there once. Their months are made where they are missing.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::model::{TenantId, partition::Month};
use crate::store::{As, StoreError, Tx, door::tx::column};

/// So many statements, or so many bytes of them, at once.
const MOST: i64 = 1_000;
const MOST_BYTES: i64 = 4 << 20;
/// Relations at once.
const MOST_RELATIONS: i64 = 10_000;

/// A stretch of the ledger: after one moment, up to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    pub after: DateTime<Utc>,
    pub through: DateTime<Utc>,
}

/// A statement on its way.
#[derive(Clone, Debug)]
pub struct OnItsWay {
    pub stored: DateTime<Utc>,
    /// The row with the digest that the guard of ids has, as JSON.
    pub line: String,
    pub payload: String,
}

const PAGE: &str = "/* carried::statements */
    SELECT stored, payload, row_to_json(r)::text AS line
    FROM (SELECT s.*, i.digest, i.erased FROM (
              SELECT *, sum(octet_length(payload)) OVER (ORDER BY stored ROWS UNBOUNDED PRECEDING) - octet_length(payload) AS before
              FROM (SELECT * FROM ledger.statements WHERE tenant_id = $1 /* tenant */ AND stored > $2 /* after */
                    AND stored <= $3 /* through */ ORDER BY stored LIMIT $4 /* most */) s) s
          JOIN ledger.statement_ids i ON i.tenant_id = s.tenant_id AND i.id = s.id
          WHERE before < $5 /* most bytes */) r ORDER BY stored";

/// The next statements; none at the end.
pub async fn page(tx: &Tx<'_>, tenant: TenantId, of: Stretch) -> Result<Vec<OnItsWay>, StoreError> {
    let rows = tx.query(PAGE, &[&tenant.0, &of.after, &of.through, &MOST, &MOST_BYTES]).await?;
    rows.iter()
        .map(|row| {
            Ok(OnItsWay {
                stored: column(row, "stored")?,
                line: column(row, "line")?,
                payload: column(row, "payload")?,
            })
        })
        .collect()
}

const IDS: &str = "/* carried::put_ids */
    INSERT INTO ledger.statement_ids (tenant_id, id, stored, digest, erased)
    SELECT r.tenant_id, r.id, r.stored, r.digest, r.erased
    FROM json_populate_recordset(NULL::ledger.statement_ids, $2::text::json) r WHERE r.tenant_id = $1 /* tenant */
    ORDER BY r.id ON CONFLICT DO NOTHING RETURNING id";

const STATEMENTS: &str = "/* carried::put_statements */
    INSERT INTO ledger.statements (tenant_id, id, stored, occurred, verb_key, agent_key, activity_key, registration_key,
        refers_to, voiding, converts, payload)
    SELECT r.tenant_id, r.id, r.stored, r.occurred, r.verb_key, r.agent_key, r.activity_key, r.registration_key,
        r.refers_to, r.voiding, r.converts, r.payload
    FROM json_populate_recordset(NULL::ledger.statements, $2::text::json) r
    WHERE r.tenant_id = $1 /* tenant */ AND r.id = ANY ($3 /* new */)";

/// Puts statements whose ids nobody had; answers how many.
pub async fn put(tx: &Tx<'_>, tenant: TenantId, statements: &[OnItsWay]) -> Result<u64, StoreError> {
    let lines: Vec<&str> = statements.iter().map(|one| one.line.as_str()).collect();
    let rows = format!("[{}]", lines.join(","));
    tx.act_as(As::Tenant(tenant)).await?;
    let new = tx.query(IDS, &[&tenant.0, &rows]).await?;
    let new = new.iter().map(|row| column(row, "id")).collect::<Result<Vec<Uuid>, _>>()?;
    tx.execute(STATEMENTS, &[&tenant.0, &rows, &new]).await
}

/// Where the reading of relations is: the key and the moment of the last one.
pub type Place = (Uuid, DateTime<Utc>);

const RELATIONS: &str = "/* carried::relations */
    SELECT key, stored FROM ledger.relations WHERE tenant_id = $1 /* tenant */ AND stored > $2 /* after */ AND stored <= $3 /* through */
      AND (key, stored) > ($4 /* key */, $5 /* stored */) ORDER BY key, stored LIMIT $6 /* most */";

/// The next relations of statements of the stretch, by key; none at the end.
pub async fn relations(tx: &Tx<'_>, tenant: TenantId, of: Stretch, at: Place) -> Result<Vec<Place>, StoreError> {
    let rows = tx.query(RELATIONS, &[&tenant.0, &of.after, &of.through, &at.0, &at.1, &MOST_RELATIONS]).await?;
    rows.iter().map(|row| Ok((column(row, "key")?, column(row, "stored")?))).collect()
}

const PUT_RELATIONS: &str = "/* carried::put_relations */
    INSERT INTO ledger.relations (tenant_id, key, stored)
    SELECT $1 /* tenant */, new.key, new.stored FROM unnest($2::uuid[] /* keys */, $3::timestamptz[] /* moments */) AS new (key, stored)
    WHERE NOT EXISTS (SELECT FROM ledger.relations r WHERE r.tenant_id = $1 AND r.key = new.key AND r.stored = new.stored)";

/// Puts relations that are not there.
pub async fn put_relations(tx: &Tx<'_>, tenant: TenantId, relations: &[Place]) -> Result<u64, StoreError> {
    let (keys, moments): (Vec<Uuid>, Vec<DateTime<Utc>>) = relations.iter().copied().unzip();
    tx.act_as(As::Tenant(tenant)).await?;
    tx.execute(PUT_RELATIONS, &[&tenant.0, &keys, &moments]).await
}

const SUM_OF_RELATIONS: &str = "/* carried::sum_of_relations */
    SELECT count(*) AS rows, coalesce(sum(('x' || left(md5(key::text || extract(epoch FROM stored)::text), 16))::bit(64)::bigint::numeric), 0)::text AS sum
    FROM ledger.relations WHERE tenant_id = $1 /* tenant */ AND stored > $2 /* after */ AND stored <= $3 /* through */";

/// What the relations of the stretch come to, in whatever order.
pub async fn sum_of_relations(tx: &Tx<'_>, tenant: TenantId, of: Stretch) -> Result<(i64, String), StoreError> {
    let row = tx.query_one(SUM_OF_RELATIONS, &[&tenant.0, &of.after, &of.through]).await?;
    Ok((column(&row, "rows")?, column(&row, "sum")?))
}

const MONTHS: &str = "/* carried::months */
    SELECT p.lower_bound, p.state, EXISTS (SELECT FROM ledger.statements s WHERE s.tenant_id = $1 /* tenant */
            AND s.stored >= p.lower_bound AND s.stored < p.upper_bound) AS hot,
        p.state NOT IN ('open', 'sealed') AND EXISTS (SELECT FROM ledger.statement_ids i WHERE i.tenant_id = $1
            AND NOT i.erased AND i.stored >= p.lower_bound AND i.stored < p.upper_bound) AS away
    FROM ledger.partitions p ORDER BY p.lower_bound";

/// The months in which the tenant has something in place, and those in which it has something that is not, with their state.
pub async fn months(tx: &Tx<'_>, tenant: TenantId) -> Result<(Vec<Month>, Vec<(Month, String)>), StoreError> {
    let (mut hot, mut away) = (Vec::new(), Vec::new());
    for row in tx.query(MONTHS, &[&tenant.0]).await? {
        let month = Month::of(column(&row, "lower_bound")?);
        if column(&row, "hot")? && hot.last() != Some(&month) {
            hot.push(month);
        }
        if column(&row, "away")? {
            away.push((month, column(&row, "state")?));
        }
    }
    Ok((hot, away))
}

const ERASING: &str = "/* carried::is_erasing */ SELECT EXISTS (SELECT FROM ledger.erasures
    WHERE tenant_id = $1 /* tenant */ AND state IN ('requested', 'hidden')) AS erasing";

/// Whether an erasure of the tenant is under way.
pub async fn is_erasing(tx: &Tx<'_>, tenant: TenantId) -> Result<bool, StoreError> {
    column(&tx.query_one(ERASING, &[&tenant.0]).await?, "erasing")
}

const ERASED_SINCE: &str = "/* carried::has_erased_since */ SELECT EXISTS (SELECT FROM ledger.erasures
    WHERE tenant_id = $1 /* tenant */ AND (state IN ('requested', 'hidden') OR state = 'erased' AND finished_at > $2 /* since */)) AS erased";

/// Whether an erasure of the tenant has ended since, or is under way.
pub async fn has_erased_since(tx: &Tx<'_>, tenant: TenantId, since: DateTime<Utc>) -> Result<bool, StoreError> {
    column(&tx.query_one(ERASED_SINCE, &[&tenant.0, &since]).await?, "erased")
}

const COUNT: &str = "/* carried::count */ SELECT count(*) AS ids FROM ledger.statement_ids WHERE tenant_id = $1 /* tenant */ AND NOT erased";

/// How many statements the tenant has.
pub async fn count(tx: &Tx<'_>, tenant: TenantId) -> Result<i64, StoreError> {
    column(&tx.query_one(COUNT, &[&tenant.0]).await?, "ids")
}
