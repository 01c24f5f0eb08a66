//! The separate door for DDL: one dedicated session of the schema's owner, outside any transaction.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_postgres::Client;

use crate::store::{Endpoint, StoreError};

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
