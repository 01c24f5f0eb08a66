//! The server behind a database, for whoever copies it: who it is, as whom it is used, what was applied to it, and whether all that
//! is in a copy can be read.

use crate::store::{StoreError, door::ddl::Session};

/// Who a server and its database are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Its own number, which a copy of its files shares.
    pub system: String,
    pub major: u32,
    pub database: String,
    /// As whom the session is logged in.
    pub login: String,
    pub superuser: String,
}

const FACTS: &str = "/* server::facts */
    SELECT system_identifier::text AS system, current_setting('server_version_num')::int / 10000 AS major,
           current_database()::text AS database, session_user::text AS login,
           (SELECT rolname::text FROM pg_catalog.pg_roles WHERE oid = 10) AS superuser
    FROM pg_catalog.pg_control_system()";

/// Asks the server.
pub async fn facts(session: &Session) -> Result<Facts, StoreError> {
    let row = session.client().query_one(FACTS, &[]).await.map_err(|e| StoreError::from_pg("server_facts", &e))?;
    let read = || {
        Ok::<_, tokio_postgres::Error>(Facts {
            system: row.try_get("system")?,
            major: row.try_get::<_, i32>("major")?.unsigned_abs(),
            database: row.try_get("database")?,
            login: row.try_get("login")?,
            superuser: row.try_get("superuser")?,
        })
    };
    read().map_err(|e| StoreError::from_pg("server_facts", &e))
}

/// The migrations that were applied to these schemas, as `schema/file`.
pub async fn applied(session: &Session, schemas: &[String]) -> Result<Vec<String>, StoreError> {
    let mut found = Vec::new();
    for schema in schemas {
        let failed = |e: tokio_postgres::Error| StoreError::from_pg("server_applied", &e);
        let history = format!("{}.{}", super::migrations::quoted(schema), super::migrations::tables::HISTORY);
        let there = "/* server::has_history */ SELECT to_regclass($1) IS NOT NULL AS there";
        let there: bool = session.client().query_one(there, &[&history]).await.map_err(failed)?.get("there");
        if there {
            let sql = format!("/* server::applied */ SELECT migration_name FROM {history} ORDER BY 1");
            for row in session.client().query(&sql, &[]).await.map_err(failed)? {
                found.push(format!("{schema}/{}", row.get::<_, String>(0)));
            }
        }
    }
    Ok(found)
}

/// Databases of the server that are neither this one nor PostgreSQL's own.
pub async fn other_databases(session: &Session) -> Result<Vec<String>, StoreError> {
    let sql = "/* server::other_databases */ SELECT datname::text AS name FROM pg_catalog.pg_database
               WHERE NOT datistemplate AND datname NOT IN ('postgres', current_database()) ORDER BY 1";
    let rows = session.client().query(sql, &[]).await.map_err(|e| StoreError::from_pg("server_databases", &e))?;
    Ok(rows.iter().map(|row| row.get("name")).collect())
}

/// What people have brought besides statements, in words that are equal where it is.
pub async fn brought(session: &Session) -> Result<String, StoreError> {
    let sql = "/* server::brought */ SELECT format('%s documents up to %s, %s erasures',
                   (SELECT count(*) FROM ledger.documents), (SELECT max(updated_at) FROM ledger.documents),
                   (SELECT count(*) FROM ledger.erasures)) AS said";
    let row = session.client().query_one(sql, &[]).await.map_err(|e| StoreError::from_pg("server_brought", &e))?;
    Ok(row.get("said"))
}

/// Keeps the server's log from being recycled for as long as the session lives.
pub async fn hold_log(session: &Session, name: &str) -> Result<(), StoreError> {
    let sql = "/* server::hold_log */ SELECT pg_create_physical_replication_slot($1, true, true)";
    let held = session.client().query(sql, &[&name]).await;
    held.map(drop).map_err(|e| StoreError::from_pg("hold_log", &e))
}

const TABLES: &str = "/* server::tables */
    SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_catalog.pg_tables
    WHERE schemaname = ANY ($1 /* schemas */) ORDER BY 1";

/// Reads every row of every table of these schemas to its last byte, as somebody whom no policy binds; answers how many tables and
/// rows there are. A damaged page or value fails, and is named.
pub async fn read_all(session: &Session, schemas: &[String]) -> Result<(usize, i64), StoreError> {
    let failed = |e: tokio_postgres::Error| StoreError::from_pg("read_all", &e);
    let tables = session.client().query(TABLES, &[&schemas]).await.map_err(failed)?;
    let mut rows = 0;
    for table in &tables {
        let name: String = table.get("name");
        let sql =
            format!("/* server::read_all */ SELECT count(*) AS rows, max(length(t::text)) AS longest FROM {name} t");
        let row = session.client().query_one(&sql, &[]).await.map_err(failed)?;
        rows += row.get::<_, i64>("rows");
    }
    Ok((tables.len(), rows))
}
