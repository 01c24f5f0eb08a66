//! What the attempts of a schema tell since one looked last, as the service's own login reads them.

use super::{quoted, tables::ATTEMPTS};
use crate::store::{
    StoreError,
    door::tx::{Tx, column},
};

/// An attempt that ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    pub id: i64,
    pub action: String,
    pub outcome: String,
    /// Without the time lost to locks.
    pub seconds: f64,
    pub rows: Option<i64>,
    /// The longest wait that it was seen to cause; absent where nobody watched.
    pub caused_wait_seconds: Option<f64>,
}

/// What this login may read; a schema nobody has prepared or shared yet tells nothing.
const READABLE: &str = "/* told::migration_told_readable */
    SELECT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                   WHERE n.nspname = $1 AND c.relname = $2 AND has_schema_privilege(n.oid, 'USAGE')
                     AND has_table_privilege(c.oid, 'SELECT')) AS readable";

async fn is_readable(tx: &Tx<'_>, schema: &str) -> Result<bool, StoreError> {
    column(&tx.query_one(READABLE, &[&schema, &ATTEMPTS]).await?, "readable")
}

/// The last attempt there is; zero where there is none.
pub async fn last(tx: &Tx<'_>, schema: &str) -> Result<i64, StoreError> {
    if !is_readable(tx, schema).await? {
        return Ok(0);
    }
    let sql = format!(
        "/* told::migration_told_last */ SELECT coalesce(max(attempt_id), 0) AS last FROM {}.{ATTEMPTS}",
        quoted(schema)
    );
    column(&tx.query_one(&sql, &[]).await?, "last")
}

/// The attempts after `id`, up to the first that has not ended: one runner at a time, so none before it ends later.
/// A first start's own mark is not waited for: it lies around all others.
pub async fn after(tx: &Tx<'_>, schema: &str, id: i64) -> Result<Vec<Told>, StoreError> {
    if !is_readable(tx, schema).await? {
        return Ok(Vec::new());
    }
    // A table of an older runner has no columns for rows and waits.
    let sql = format!(
        "/* told::migration_told */
         SELECT a.attempt_id, a.action, a.outcome, (to_jsonb(a) ->> 'rows')::bigint AS rows,
                (to_jsonb(a) -> 'waits' ->> 'longest_ms')::float8 / 1000 AS caused_wait_seconds,
                (extract(epoch FROM a.finished_at - a.started_at) - coalesce(a.lock_wait_ms, 0) / 1000.0)::float8 AS seconds
         FROM {0}.{ATTEMPTS} a WHERE a.attempt_id > $1 AND a.action <> 'bootstrap' AND a.attempt_id < coalesce(
             (SELECT min(o.attempt_id) FROM {0}.{ATTEMPTS} o
              WHERE o.attempt_id > $1 AND o.finished_at IS NULL AND o.action <> 'bootstrap'), a.attempt_id + 1)
         ORDER BY a.attempt_id",
        quoted(schema)
    );
    let rows = tx.query(&sql, &[&id]).await?;
    rows.iter()
        .map(|row| {
            Ok(Told {
                id: column(row, "attempt_id")?,
                action: column(row, "action")?,
                outcome: column::<Option<String>>(row, "outcome")?.unwrap_or_default(),
                seconds: column(row, "seconds")?,
                rows: column(row, "rows")?,
                caused_wait_seconds: column(row, "caused_wait_seconds")?,
            })
        })
        .collect()
}
