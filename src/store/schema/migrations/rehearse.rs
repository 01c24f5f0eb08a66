//! A dry run that means it: executes files in one transaction, notes locks and times, and rolls everything back.

use std::{collections::BTreeSet, time::Duration};

use tokio::time::Instant;
use tokio_postgres::Error;

use super::{Budget, ExecuteError, execute, quoted, record};
use crate::store::door::ddl::Session;

/// A lock that a file took on a table or index that was there before.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lock {
    pub relation: String,
    pub mode: String,
}

/// How one file went in rehearsal.
#[derive(Clone, Debug)]
pub struct Rehearsed {
    pub duration: Duration,
    pub locks: Vec<Lock>,
}

/// The open transaction of a rehearsal. Its work is lost when it ends, however it ends.
pub struct Rehearsal<'a> {
    session: &'a Session,
    budget: Budget,
    /// Relations made since the start have oids that are not in here.
    existing: BTreeSet<u32>,
    taken: BTreeSet<Lock>,
}

impl<'a> Rehearsal<'a> {
    pub async fn begin(session: &'a Session, budget: Budget) -> Result<Self, ExecuteError> {
        let client = session.client();
        client.batch_execute("BEGIN").await.map_err(|e| ExecuteError::of("", &e))?;
        let sql = "/* rehearse::migration_relations */ SELECT oid FROM pg_catalog.pg_class WHERE relnamespace NOT IN
            (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname IN ('pg_catalog', 'pg_toast', 'information_schema'))";
        let rows = client.query(sql, &[]).await.map_err(|e| ExecuteError::of("", &e))?;
        Ok(Self { session, budget, existing: rows.iter().map(|row| row.get(0)).collect(), taken: BTreeSet::new() })
    }

    /// Makes the schema as a real run would, where it is absent.
    pub async fn prepare(&self, schema: &str) -> Result<(), ExecuteError> {
        let sql = format!("CREATE SCHEMA {}; {}", quoted(schema), record::tables(schema));
        self.session.client().batch_execute(&sql).await.map_err(|e| ExecuteError::of("", &e))
    }

    /// Executes one file on top of those before it.
    pub async fn file(&mut self, schema: &str, sql: &str) -> Result<Rehearsed, ExecuteError> {
        let client = self.session.client();
        let settings = execute::transaction_settings(schema, &self.budget);
        client.batch_execute(&settings).await.map_err(|e| ExecuteError::of("", &e))?;
        let started = Instant::now();
        client.batch_execute(sql).await.map_err(|e| ExecuteError::of(sql, &e))?;
        let duration = started.elapsed();
        let now = self.locks().await.map_err(|e| ExecuteError::of("", &e))?;
        let locks = now.difference(&self.taken).cloned().collect();
        self.taken = now;
        Ok(Rehearsed { duration, locks })
    }

    async fn locks(&self) -> Result<BTreeSet<Lock>, Error> {
        let sql = "/* rehearse::migration_locks */
            SELECT c.oid, n.nspname || '.' || c.relname, l.mode FROM pg_catalog.pg_locks l
            JOIN pg_catalog.pg_class c ON c.oid = l.relation JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.granted";
        let rows = self.session.client().query(sql, &[]).await?;
        let old = rows.iter().filter(|row| self.existing.contains(&row.get::<_, u32>(0)));
        Ok(old.map(|row| Lock { relation: row.get(1), mode: row.get(2) }).collect())
    }

    /// Rolls everything back.
    pub async fn end(self) -> Result<(), ExecuteError> {
        let ended = self.session.client().batch_execute("ROLLBACK; RESET SESSION AUTHORIZATION; RESET ALL").await;
        ended.map_err(|e| ExecuteError::of("", &e))
    }
}
