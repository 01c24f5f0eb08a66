//! The tables of the history, by name.

use crate::store::{StoreError, door::ddl::Session};

pub const HISTORY: &str = "schema_migrations";
pub const ATTEMPTS: &str = "schema_migration_attempts";
pub const BASELINES: &str = "schema_migration_baselines";

/// How the name of a release begins that stands among the baselines: it was promised to live with the file.
pub const PROMISED: &str = "for ";

/// The columns of a table in their order, looked up without any right on its schema.
pub(super) async fn columns(session: &Session, schema: &str, table: &str) -> Result<Option<Vec<String>>, StoreError> {
    let sql = "/* tables::migration_columns */
        SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_catalog.pg_attribute a
        JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped";
    let row = session.client().query_one(sql, &[&schema, &table]).await;
    Ok(row.map_err(|e| StoreError::from_pg("migration_columns", &e))?.get(0))
}
