//! Whether a table holds the same in both cells: by sums over all of it, or row by row over what was written before or since a moment.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Ask, Carried, Shape, TABLES, Written, lines};
use crate::{
    model::TenantId,
    store::{StoreError, Tx, door::tx::column},
};

/// Rows of which the digests go over at once.
const MOST: Option<i64> = Some(2_000);

impl Shape {
    /// A digest of a row `t`: of all of it, but for bytes that another column has the hash of.
    fn digest(&self, of: &Carried) -> String {
        let columns = self.columns.iter().map(String::as_str).filter(|name| !of.hashed.contains(name));
        let columns: Vec<String> = columns.map(|name| format!("t.{name}")).collect();
        format!("md5((SELECT row_to_json(d)::text FROM (SELECT {}) d))", columns.join(", "))
    }
}

/// How many rows there are, and a sum over what they say that does not depend on their order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum {
    pub rows: i64,
    pub sum: String,
}

/// What a table comes to.
pub async fn sum(tx: &Tx<'_>, of: &Carried, shape: &Shape, tenant: TenantId) -> Result<Sum, StoreError> {
    let sql = format!(
        "/* compared::sum */ SELECT count(*) AS rows, coalesce(sum(('x' || left({}, 16))::bit(64)::bigint::numeric), 0)::text AS sum
         FROM {} t WHERE t.tenant_id = $1 AND ({})",
        shape.digest(of),
        of.table,
        of.only
    );
    let row = tx.query_one(&sql, &[&tenant.0]).await?;
    Ok(Sum { rows: column(&row, "rows")?, sum: column(&row, "sum")? })
}

/// How many rows each table has, in the order of the tables.
pub async fn counts(tx: &Tx<'_>, tenant: TenantId) -> Result<Vec<i64>, StoreError> {
    let each = TABLES.iter().enumerate().map(|(n, of)| {
        format!("SELECT {n} AS n, count(*) AS rows FROM {} WHERE tenant_id = $1 AND ({})", of.table, of.only)
    });
    let sql = format!("/* compared::counts */ {} ORDER BY n", each.collect::<Vec<_>>().join(" UNION ALL "));
    tx.query(&sql, &[&tenant.0]).await?.iter().map(|row| column(row, "rows")).collect()
}

/// The next rows after one, each by its key and a digest.
pub async fn digests(
    tx: &Tx<'_>,
    of: &Carried,
    shape: &Shape,
    (tenant, written): (TenantId, Written<'_>),
    after: Option<&str>,
) -> Result<Vec<String>, StoreError> {
    let select = format!("{}, {} AS row_digest", of.keys("t."), shape.digest(of));
    lines(tx, of, ("/* compared::digests */", &select), Ask { tenant, written, after, most: MOST }).await
}

/// The first of these rows that is not the same here, or is not here at all, by its key.
pub async fn differing(
    tx: &Tx<'_>,
    of: &Carried,
    shape: &Shape,
    tenant: TenantId,
    digests: &[String],
) -> Result<Option<String>, StoreError> {
    let (table, only, same, digest) = (of.table, of.only, of.same_key("t.", "r."), shape.digest(of));
    let sql = format!(
        "/* compared::differing */ SELECT e.line::jsonb - 'row_digest' AS key
         FROM json_array_elements($2::text::json) e(line) CROSS JOIN LATERAL json_populate_record(NULL::{table}, e.line) r
         LEFT JOIN LATERAL (SELECT {digest} AS digest FROM {table} t WHERE t.tenant_id = $1 AND {same} AND ({only}) OFFSET 0) there ON true
         WHERE there.digest IS DISTINCT FROM e.line ->> 'row_digest' LIMIT 1"
    );
    let rows = format!("[{}]", digests.join(","));
    let found = tx.query_opt(&sql, &[&tenant.0, &rows]).await?;
    found.map(|row| Ok(column::<Value>(&row, "key")?.to_string())).transpose()
}

/// The next keys after one, each as JSON.
pub async fn keys(tx: &Tx<'_>, of: &Carried, tenant: TenantId, after: Option<&str>) -> Result<Vec<String>, StoreError> {
    let ask = Ask { tenant, written: Written::Ever, after, most: MOST };
    lines(tx, of, ("/* compared::keys */", &of.keys("t.")), ask).await
}

/// Those of the keys of which there is no row here.
pub async fn missing(tx: &Tx<'_>, of: &Carried, tenant: TenantId, keys: &[String]) -> Result<Vec<String>, StoreError> {
    let (table, only, same) = (of.table, of.only, of.same_key("t.", "r."));
    let sql = format!(
        "/* compared::missing */ SELECT e.line::text AS line
         FROM json_array_elements($2::text::json) e(line) CROSS JOIN LATERAL json_populate_record(NULL::{table}, e.line) r
         LEFT JOIN LATERAL (SELECT true AS is_there FROM {table} t WHERE t.tenant_id = $1 AND {same} AND ({only}) OFFSET 0) there ON true
         WHERE there.is_there IS NULL"
    );
    let keys = format!("[{}]", keys.join(","));
    tx.query(&sql, &[&tenant.0, &keys]).await?.iter().map(|row| column(row, "line")).collect()
}

/// Takes the rows of these keys away; answers how many went.
pub async fn remove(tx: &Tx<'_>, of: &Carried, tenant: TenantId, keys: &[String]) -> Result<u64, StoreError> {
    tx.act_as(of.writer.of(tenant)).await?;
    let sql = format!(
        "/* compared::remove */ DELETE FROM {0} t USING json_populate_recordset(NULL::{0}, $2::text::json) r
         WHERE t.tenant_id = $1 AND {1}",
        of.table,
        of.same_key("t.", "r.")
    );
    tx.execute(&sql, &[&tenant.0, &format!("[{}]", keys.join(","))]).await
}
