//! Statements that go along to another cell with their ids, digests and relations, byte for byte: read here in the order of the
//! ledger, put there once. Their months are made where they are missing.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::model::{TenantId, partition::Month};
use crate::store::{
    As, StoreError, Tx,
    door::tx::{Param, column},
    ledger::tables::Tables,
};

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
    /// In which tables it is read.
    pub tables: Tables,
}

impl Stretch {
    /// A whole month.
    pub fn month(month: Month, tables: Tables) -> Self {
        let moment = TimeDelta::microseconds(1);
        Self { after: month.begin() - moment, through: month.end() - moment, tables }
    }

    /// What is left of it without these months, which come in their order.
    #[must_use]
    pub fn without(self, months: &[Month]) -> Vec<Self> {
        let (mut pieces, mut after) = (Vec::new(), self.after);
        for month in months.iter().map(|month| Self::month(*month, self.tables)) {
            if month.through <= after || month.after >= self.through {
                continue;
            }
            if month.after > after {
                pieces.push(Self { after, through: month.after, ..self });
            }
            after = month.through;
        }
        if after < self.through {
            pieces.push(Self { after, ..self });
        }
        pieces
    }
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
    let asked: [Param<'_>; 5] = [&tenant.0, &of.after, &of.through, &MOST, &MOST_BYTES];
    let rows = tx.query(&of.tables.sql(PAGE), &asked).await?;
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
    let asked: [Param<'_>; 6] = [&tenant.0, &of.after, &of.through, &at.0, &at.1, &MOST_RELATIONS];
    let rows = tx.query(&of.tables.sql(RELATIONS), &asked).await?;
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
    let row = tx.query_one(&of.tables.sql(SUM_OF_RELATIONS), &[&tenant.0, &of.after, &of.through]).await?;
    Ok((column(&row, "rows")?, column(&row, "sum")?))
}

const SUM: &str = "/* carried::sum */
    SELECT coalesce(sum(('x' || left(md5(key::text || extract(epoch FROM stored)::text), 16))::bit(64)::bigint::numeric), 0)::text AS sum
    FROM unnest($1::uuid[] /* keys */, $2::timestamptz[] /* moments */) AS r (key, stored)";

/// What these relations come to, wherever they are from: the same words as of those in a table.
pub async fn sum_of(tx: &Tx<'_>, relations: &[Place]) -> Result<String, StoreError> {
    let (keys, moments): (Vec<Uuid>, Vec<DateTime<Utc>>) = relations.iter().copied().unzip();
    column(&tx.query_one(SUM, &[&keys, &moments]).await?, "sum")
}

const MONTHS: &str = "/* carried::months */
    SELECT p.lower_bound FROM ledger.partitions p
    WHERE p.upper_bound > $2 /* after */ AND EXISTS (SELECT FROM ledger.statements s WHERE s.tenant_id = $1 /* tenant */
        AND s.stored >= p.lower_bound AND s.stored < p.upper_bound AND s.stored > $2)
    ORDER BY p.lower_bound";

/// The months in which the tenant has something in place that was stored after a moment.
pub async fn months(tx: &Tx<'_>, tenant: TenantId, after: DateTime<Utc>) -> Result<Vec<Month>, StoreError> {
    let rows = tx.query(MONTHS, &[&tenant.0, &after]).await?;
    let mut months = rows.iter().map(|row| column(row, "lower_bound").map(Month::of)).collect::<Result<Vec<_>, _>>()?;
    months.dedup();
    Ok(months)
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

const BY_MONTH: &str = "/* carried::by_month */
    SELECT date_trunc('month', stored AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' AS begins, count(*) AS ids
    FROM ledger.statement_ids WHERE tenant_id = $1 /* tenant */ AND NOT erased GROUP BY 1 ORDER BY 1";

/// How many statements the tenant has by what the guard of ids knows, month by month, wherever they are.
pub async fn by_month(tx: &Tx<'_>, tenant: TenantId) -> Result<Vec<(Month, i64)>, StoreError> {
    let rows = tx.query(BY_MONTH, &[&tenant.0]).await?;
    rows.iter().map(|row| Ok((Month::of(column(row, "begins")?), column(row, "ids")?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_without_months_has_the_rest_of_them() {
        let at = |day: &str| -> DateTime<Utc> { format!("2026-{day}T00:00:00Z").parse().unwrap() };
        let months = |names: &[&str]| -> Vec<Month> { names.iter().map(|name| name.parse().unwrap()).collect() };
        let all = Stretch { after: at("01-10"), through: at("06-10"), tables: Tables::Hot };
        let pieces = |names: &[&str]| -> Vec<(DateTime<Utc>, DateTime<Utc>)> {
            all.without(&months(names)).iter().map(|piece| (piece.after, piece.through)).collect()
        };
        let before = |day: &str| at(day) - TimeDelta::microseconds(1);
        assert_eq!(pieces(&[]), [(all.after, all.through)]);
        assert_eq!(pieces(&["2025-01", "2026-07"]), [(all.after, all.through)]);
        assert_eq!(pieces(&["2026-01", "2026-02"]), [(before("03-01"), all.through)]);
        assert_eq!(pieces(&["2026-03", "2026-06"]), [(all.after, before("03-01")), (before("04-01"), before("06-01"))]);
        let whole = Stretch::month("2026-03".parse().unwrap(), Tables::Hot);
        assert!(whole.without(&months(&["2026-03"])).is_empty());
    }
}
