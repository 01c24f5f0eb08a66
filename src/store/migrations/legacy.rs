//! Histories that other tools left behind: found, read, and taken over into the canonical table.

use chrono::{DateTime, Utc};

use super::{
    facts::{self, HISTORY},
    quoted,
    record::{self, NewRow},
};
use crate::store::{StoreError, ddl::Session};

/// Names under which migration tools keep their history.
const KNOWN: [&str; 6] = [
    "refinery_schema_history",
    "flyway_schema_history",
    "_sqlx_migrations",
    "__diesel_schema_migrations",
    "databasechangelog",
    "schema_migrations_legacy",
];

/// One row of another tool's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegacyRow {
    /// The number, where the tool keeps one apart from the name.
    pub version: Option<i64>,
    pub name: String,
    pub applied_at: DateTime<Utc>,
}

/// The tables of other tools in this schema or in `public`, as `schema.table`.
pub async fn detect(session: &Session, schema: &str) -> Result<Vec<String>, StoreError> {
    let sql = "/* migration_legacy */
        SELECT n.nspname || '.' || c.relname FROM pg_catalog.pg_class c
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname IN ($1, 'public') AND c.relkind = 'r'
          AND (c.relname = ANY ($2) OR (n.nspname = 'public' AND c.relname = $3)) ORDER BY 1";
    let known: Vec<&str> = KNOWN.to_vec();
    let rows = session.client().query(sql, &[&schema, &known, &HISTORY]).await;
    Ok(rows.map_err(|e| StoreError::from_pg("migration_legacy", &e))?.iter().map(|row| row.get(0)).collect())
}

/// Reads a `refinery_schema_history` or a `(name, applied_at)` table in the order in which it was written; `None`
/// where the table has neither form.
pub async fn read(session: &Session, schema: &str, table: &str) -> Result<Option<Vec<LegacyRow>>, StoreError> {
    let Some(columns) = facts::columns(session, schema, table).await? else { return Ok(None) };
    let has = |wanted: &[&str]| wanted.iter().all(|name| columns.iter().any(|column| column == name));
    let select = if has(&["version", "name", "applied_on"]) {
        "SELECT version::bigint, name::text, applied_on::timestamptz"
    } else if has(&["name", "applied_at"]) {
        "SELECT NULL::bigint, name::text, applied_at::timestamptz"
    } else {
        return Ok(None);
    };
    let sql =
        format!("/* migration_legacy_rows */ {select} FROM {}.{} ORDER BY 3, 1, 2", quoted(schema), quoted(table));
    let rows = session.client().query(&sql, &[]).await.map_err(|e| StoreError::from_pg("migration_legacy_rows", &e))?;
    rows.iter()
        .map(|row| Ok(LegacyRow { version: row.try_get(0)?, name: row.try_get(1)?, applied_at: row.try_get(2)? }))
        .collect::<Result<_, tokio_postgres::Error>>()
        .map(Some)
        .map_err(|e| StoreError::from_pg("migration_legacy_rows", &e))
}

/// Writes the adopted rows with their old timestamps in one transaction. A table that stands where the canonical
/// one belongs is renamed first; no other table is touched.
pub async fn adopt(
    session: &Session,
    schema: &str,
    schema_exists: bool,
    in_the_way: bool,
    rows: &[(NewRow<'_>, DateTime<Utc>)],
) -> Result<(), StoreError> {
    let name = "migration_adopt";
    let client = session.client();
    let rename = format!("ALTER TABLE {}.{HISTORY} RENAME TO {HISTORY}_legacy", quoted(schema));
    let insert = format!(
        "/* migration_adopt */ INSERT INTO {}.{HISTORY}
           (migration_name, category, checksum, applied_at, applied_by, duration_ms) VALUES ($1, $2, $3, $4, $5, 0)",
        quoted(schema)
    );
    client.batch_execute("BEGIN").await.map_err(|e| StoreError::from_pg(name, &e))?;
    let written = async {
        if !schema_exists {
            client.batch_execute(&format!("CREATE SCHEMA {}", quoted(schema))).await?;
        }
        if in_the_way {
            client.batch_execute(&rename).await?;
        }
        client.batch_execute(&record::tables(schema)).await?;
        for (row, at) in rows {
            client.execute(&insert, &[&row.file, &row.category, &row.checksum, at, &row.by]).await?;
        }
        client.batch_execute("COMMIT").await
    }
    .await;
    if written.is_err() {
        let _ = client.batch_execute("ROLLBACK").await;
    }
    written.map_err(|e| StoreError::from_pg(name, &e))
}
