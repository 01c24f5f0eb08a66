//! Rewriting tables, so that free space in their pages holds nothing of rows that are gone. Each is locked while it is rewritten.

use std::time::Duration;

use crate::store::{Store, StoreError};

const TABLES: &str = "/* scrub::tables */
    SELECT format('%I.%I', n.nspname, c.relname) AS name, pg_total_relation_size(c.oid) AS bytes
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND (n.nspname IN ('ledger', 'progress') OR n.nspname = 'platform' AND c.relname IN ('credentials', 'jobs', 'audit_keys'))
    ORDER BY bytes, name";

/// The tables that can have had something of a person or a key that was destroyed, the smallest first, with their sizes.
pub async fn tables(store: &Store) -> Result<Vec<(String, i64)>, StoreError> {
    let session = store.ddl().await?;
    let rows =
        session.client().query(TABLES, &[]).await.map_err(|error| StoreError::from_pg("scrub_tables", &error))?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// Waits until no transaction can see any more what was removed: a rewrite would take it along.
pub async fn until_unseen(store: &Store, longest: Duration) -> Result<(), StoreError> {
    store.ddl().await?.until_unseen(longest).await
}

/// Rewrites one of them.
pub async fn rewrite(store: &Store, table: &str, lock_timeout: Duration) -> Result<(), StoreError> {
    store.ddl().await?.run("scrub", &format!("VACUUM (FULL, ANALYZE) {table}"), lock_timeout).await
}

const PARENTS: &str = "/* scrub::parents */
    SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'p' AND n.nspname = 'ledger' ORDER BY name";

/// Takes samples anew of what is divided, and rewrites the catalog that keeps them: they are of values that rows had.
pub async fn samples(store: &Store, lock_timeout: Duration) -> Result<(), StoreError> {
    let session = store.ddl().await?;
    let rows =
        session.client().query(PARENTS, &[]).await.map_err(|error| StoreError::from_pg("scrub_parents", &error))?;
    for row in rows {
        session.run("scrub_samples", &format!("ANALYZE {}", row.get::<_, String>(0)), lock_timeout).await?;
    }
    allowed(session.run("scrub_samples", "VACUUM (FULL) pg_catalog.pg_statistic", lock_timeout).await)
}

/// What the login may not do is left to a superuser.
fn allowed(done: Result<(), StoreError>) -> Result<(), StoreError> {
    match done {
        Err(error) if error.code() == Some("42501") => Ok(()),
        done => done,
    }
}

/// Brings what was rewritten to the disk at once, where the login may ask for that; else the server does in a while.
pub async fn checkpoint(store: &Store) -> Result<(), StoreError> {
    allowed(store.ddl().await?.run("scrub_checkpoint", "CHECKPOINT", Duration::ZERO).await)
}
