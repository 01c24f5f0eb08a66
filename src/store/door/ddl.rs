//! The separate door for DDL: one dedicated session of the schema's owner, outside any transaction.

use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio_postgres::Client;

use crate::store::{Endpoint, StoreError};

const NEXT: &str = "/* ddl::ddl_unseen */ SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint";

// A transaction elsewhere on the server counts too: whoever begins here while it runs keeps what it could see. Cleaning tables does not.
const RUNNING: &str = "/* ddl::ddl_unseen */
    SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint,
        coalesce(array_agg('process ' || l.pid || ' in ' || l.virtualtransaction ORDER BY l.pid) FILTER (WHERE l.pid IS NOT NULL), '{}')
    FROM pg_locks l LEFT JOIN pg_stat_activity a USING (pid)
    WHERE l.locktype = 'virtualxid' AND l.granted AND l.pid <> pg_backend_pid() AND coalesce(a.datname = current_database(), true)
        AND NOT EXISTS (SELECT FROM pg_stat_progress_vacuum v WHERE v.pid = l.pid)";

// Rows that a replica can still see (by its feedback, through a slot or without) or that a slot keeps are taken along by a rewrite as well.
// What this login may not see of a replica may be just that.
const KEPT: &str = "/* ddl::ddl_unseen */
    SELECT 'the replication slot ' || s.slot_name AS by FROM pg_replication_slots s
    WHERE pg_snapshot_xmax(pg_current_snapshot())::text::bigint - greatest(age(s.xmin), age(s.catalog_xmin)) < $1 /* next */
    UNION ALL
    SELECT CASE WHEN r.state IS NULL THEN 'a replica of which this login sees nothing without pg_read_all_stats, process '
                ELSE 'the replica ' || r.application_name || ', process ' END || r.pid
    FROM pg_stat_replication r
    WHERE r.state IS NULL OR pg_snapshot_xmax(pg_current_snapshot())::text::bigint - age(r.backend_xmin) < $1 /* next */";

/// A session that runs one statement at a time in autocommit, so that `CREATE INDEX CONCURRENTLY`,
/// `DETACH PARTITION CONCURRENTLY` and their kin can run. Dropping it closes the connection.
pub struct Session {
    client: Client,
    driver: JoinHandle<()>,
}

impl Session {
    pub async fn connect(endpoint: &Endpoint) -> Result<Self, StoreError> {
        let (mut config, tls) = endpoint.resolve("progress_owner")?;
        config.connect_timeout(Duration::from_secs(10));
        let (client, connection) = config.connect(tls).await.map_err(|e| StoreError::from_pg("ddl_connect", &e))?;
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "the owner's connection ended");
            }
        });
        let session = Self { client, driver };
        // What it reads of the catalogs is priced as dear, and compiling that takes longer than reading it.
        session.client.batch_execute("SET jit = off").await.map_err(|e| StoreError::from_pg("ddl_connect", &e))?;
        Ok(session)
    }

    /// Runs one statement in autocommit; refuses anything that would open or end a transaction.
    pub async fn run(&self, name: &'static str, statement: &str, lock_timeout: Duration) -> Result<(), StoreError> {
        let first = statement.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
        if matches!(first.as_str(), "BEGIN" | "START" | "COMMIT" | "ROLLBACK" | "SAVEPOINT" | "END") {
            return Err(StoreError::Config(format!("{name}: the DDL door refuses transactions")));
        }
        let set = format!("SET lock_timeout = {}", lock_timeout.as_millis());
        self.client.batch_execute(&set).await.map_err(|e| StoreError::from_pg(name, &e))?;
        self.client.batch_execute(statement).await.map_err(|e| StoreError::from_pg(name, &e))
    }

    /// Waits until nobody on the server, and no replica of it, can see rows any more that are gone now: only then does a rewrite leave them behind.
    pub async fn until_unseen(&self, longest: Duration) -> Result<(), StoreError> {
        let failed = |error| StoreError::from_pg("ddl_unseen", &error);
        let next: i64 = self.client.query_one(NEXT, &[]).await.map_err(failed)?.get(0);
        let begun = Instant::now();
        // Who begins while an older transaction runs keeps what that one could see: so those end first, and then everybody who is here.
        let mut before: Option<Vec<String>> = None;
        loop {
            let now = self.client.query_one(RUNNING, &[]).await.map_err(failed)?;
            let (oldest, here): (i64, Vec<String>) = (now.get(0), now.get(1));
            if oldest >= next {
                let waited_for = before.get_or_insert_with(|| here.clone());
                waited_for.retain(|one| here.contains(one));
            }
            let kept = self.client.query(KEPT, &[&next]).await.map_err(failed)?;
            let kept: Vec<String> = kept.iter().map(|row| row.get("by")).collect();
            if kept.is_empty() && before.as_ref().is_some_and(Vec::is_empty) {
                return Ok(());
            }
            if begun.elapsed() >= longest {
                let elsewhere = || vec!["in another database of the server".to_owned()];
                let by = [before.unwrap_or_else(elsewhere), kept].concat();
                return Err(StoreError::Seen { by, after: longest });
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The server's process that works for this session.
    pub async fn process(&self) -> Result<i32, StoreError> {
        let row = self.client.query_one("/* ddl::ddl_process */ SELECT pg_catalog.pg_backend_pid()", &[]).await;
        Ok(row.map_err(|e| StoreError::from_pg("ddl_process", &e))?.get(0))
    }

    /// The bare client, for the store's own files that need its rows.
    pub(in crate::store) fn client(&self) -> &Client {
        &self.client
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
