//! Executes one file: in a transaction together with its history row, or by itself with an attempt row around it.

use std::time::Duration;

use tokio::time::Instant;
use tokio_postgres::Error;

use super::{
    Budget, ExecuteError, quoted,
    record::{self, NewRow},
};
use crate::store::ddl::Session;

/// How an applied file went.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    pub duration: Duration,
    /// Time lost in tries that ended in a lock timeout.
    pub lock_wait: Duration,
    pub tries: u32,
    /// Rows inserted, changed and deleted, where a transaction can tell.
    pub rows: Option<i64>,
}

/// What happens to the history in the file's own transaction.
#[derive(Clone, Copy, Debug)]
pub enum Entry<'a> {
    Add(NewRow<'a>),
    Remove { schema: &'a str, file: &'a str },
}

impl Entry<'_> {
    fn schema(&self) -> &str {
        match self {
            Self::Add(row) => row.schema,
            Self::Remove { schema, .. } => schema,
        }
    }

    async fn write(self, session: &Session, duration: Duration) -> Result<(), Error> {
        match self {
            Self::Add(row) => record::applied(session, row, millis(duration)).await,
            Self::Remove { schema, file } => record::undone(session, schema, file).await,
        }
    }
}

/// Whole milliseconds, for the record.
pub fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// The settings of a migration's transaction or, without `LOCAL`, of its session. Names found without a schema are
/// the module's own; objects of other schemas have to be named in full.
fn settings(scope: &str, schema: &str, lock_timeout: Duration, statement_timeout: Duration) -> String {
    format!(
        "SET {scope} lock_timeout = {}; SET {scope} statement_timeout = {}; SET {scope} search_path = {}, pg_temp; \
         SET {scope} idle_in_transaction_session_timeout = 0; SET {scope} client_min_messages = warning",
        lock_timeout.as_millis(),
        statement_timeout.as_millis(),
        quoted(schema)
    )
}

pub(super) fn transaction_settings(schema: &str, budget: &Budget) -> String {
    settings("LOCAL", schema, budget.lock_timeout, budget.statement_timeout)
}

/// Runs a transactional file and its history entry in one transaction; tries again while others hold the locks.
pub async fn transactional(
    session: &Session,
    sql: &str,
    entry: Entry<'_>,
    budget: &Budget,
) -> Result<Timing, ExecuteError> {
    let started = Instant::now();
    let mut tries = 1;
    loop {
        let lock_wait = started.elapsed();
        match once(session, sql, entry, budget).await {
            Ok((duration, rows)) => return Ok(Timing { duration, lock_wait, tries, rows: Some(rows) }),
            Err(error) if error.is_contention() && tries < budget.lock_tries.max(1) => {
                tracing::info!(tries, %error, "a migration steps back from a lock and will try again");
                tokio::time::sleep(back_off(tries)).await;
                tries += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Longer after each try, so that whoever queued behind us gets through.
fn back_off(tries: u32) -> Duration {
    Duration::from_millis(100 << tries.min(6))
}

async fn once(
    session: &Session,
    sql: &str,
    entry: Entry<'_>,
    budget: &Budget,
) -> Result<(Duration, i64), ExecuteError> {
    let client = session.client();
    let plain = |e: Error| ExecuteError::of("", &e);
    client.batch_execute("BEGIN").await.map_err(plain)?;
    let result = async {
        client.batch_execute(&transaction_settings(entry.schema(), budget)).await.map_err(plain)?;
        let before = transaction_id(session).await.map_err(plain)?;
        let touched_before = touched_rows(session).await.map_err(plain)?;
        let started = Instant::now();
        client.batch_execute(sql).await.map_err(|e| ExecuteError::of(sql, &e))?;
        let duration = started.elapsed();
        if transaction_id(session).await.map_err(plain)? != before {
            return Err(ExecuteError::LeftTransaction);
        }
        let rows = touched_rows(session).await.map_err(plain)?.saturating_sub(touched_before).max(0);
        entry.write(session, duration).await.map_err(plain)?;
        client.batch_execute("COMMIT").await.map_err(plain)?;
        Ok((duration, rows))
    }
    .await;
    if result.is_err() {
        let _ = client.batch_execute("ROLLBACK").await;
    }
    refresh(session).await;
    result
}

/// Undoes what a plain SET in a file would otherwise hand on to the next one. The server shall notice a runner that
/// was killed, and end its work and its lock, rather than go on for hours; where it cannot, it refuses the setting.
pub async fn refresh(session: &Session) {
    let _ = session.client().batch_execute("RESET SESSION AUTHORIZATION; RESET ALL").await;
    let _ = session.client().batch_execute("SET client_connection_check_interval = 1000").await;
}

/// Rows of tables that this session has inserted, changed and deleted and that the server has not yet added to its
/// statistics: it may do that between transactions, never in one. Those of dropped tables are gone.
async fn touched_rows(session: &Session) -> Result<i64, Error> {
    let sql = "/* touched_rows */ SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint AS touched
               FROM pg_stat_xact_user_tables";
    session.client().query_one(sql, &[]).await?.try_get("touched")
}

async fn transaction_id(session: &Session) -> Result<String, Error> {
    let row = session.client().query_one("SELECT pg_catalog.pg_current_xact_id()::text", &[]).await?;
    Ok(row.get(0))
}

/// Runs the one statement of a no-transaction file, then writes its entry.
///
/// There is no lock timeout: it would also cut short a concurrent index build's wait for old snapshots and leave an
/// invalid index behind.
pub async fn alone(
    session: &Session,
    sql: &str,
    index: Option<&str>,
    entry: Entry<'_>,
    budget: &Budget,
) -> Result<Timing, ExecuteError> {
    let client = session.client();
    let set = settings("", entry.schema(), Duration::ZERO, budget.autocommit_timeout);
    client.batch_execute(&set).await.map_err(|e| ExecuteError::of("", &e))?;
    let started = Instant::now();
    let result = match index {
        None => client.batch_execute(sql).await.map_err(|e| ExecuteError::of(sql, &e)),
        Some(index) => build_index(session, entry.schema(), sql, index).await,
    };
    let duration = started.elapsed();
    refresh(session).await;
    result?;
    entry.write(session, duration).await.map_err(|e| ExecuteError::of("", &e))?;
    Ok(Timing { duration, lock_wait: Duration::ZERO, tries: 1, rows: None })
}

/// An interrupted build leaves an invalid index, which IF NOT EXISTS would take for the finished one.
async fn build_index(session: &Session, schema: &str, sql: &str, index: &str) -> Result<(), ExecuteError> {
    for _ in 0..2 {
        if is_valid(session, schema, index).await? == Some(false) {
            let drop = format!("DROP INDEX CONCURRENTLY IF EXISTS {}.{index}", quoted(schema));
            session.client().batch_execute(&drop).await.map_err(|e| ExecuteError::of(&drop, &e))?;
        }
        session.client().batch_execute(sql).await.map_err(|e| ExecuteError::of(sql, &e))?;
        if is_valid(session, schema, index).await? == Some(true) {
            return Ok(());
        }
    }
    Err(ExecuteError::InvalidIndex(index.to_owned()))
}

async fn is_valid(session: &Session, schema: &str, index: &str) -> Result<Option<bool>, ExecuteError> {
    let sql = "/* migration_index */
        SELECT i.indisvalid FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2";
    let bare = match index.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(inner) => inner.replace("\"\"", "\""),
        None => index.to_lowercase(),
    };
    let row = session.client().query_opt(sql, &[&schema, &bare]).await.map_err(|e| ExecuteError::of("", &e))?;
    Ok(row.map(|row| row.get(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_stay_bounded() {
        assert!(back_off(1) < back_off(3));
        assert_eq!(back_off(60), back_off(6));
    }

    #[test]
    fn settings_are_local_in_a_transaction_and_quote_the_schema() {
        let sql = transaction_settings("odd\"name", &Budget::default());
        assert!(sql.starts_with("SET LOCAL lock_timeout = 2000;"), "{sql}");
        assert!(sql.contains("SET LOCAL search_path = \"odd\"\"name\", pg_temp"), "{sql}");
    }
}
