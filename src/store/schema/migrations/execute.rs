//! Executes one file: in a transaction together with its history row, or by itself with an attempt row around it.

use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::Instant;
use tokio_postgres::{Error, SimpleQueryMessage};

use super::{
    Budget, ExecuteError,
    alone::Door,
    concurrent::{self, Alone},
    literal, millis,
    patience::{Waited, Waiting, patiently},
    quoted,
    record::{self, NewRow},
};
use crate::store::door::ddl::Session;

/// How an applied file went.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    pub duration: Duration,
    /// Time lost in tries that ended in a lock timeout, and between them.
    pub lock_wait: Duration,
    pub tries: u32,
    /// Rows inserted, changed and deleted, where a transaction can tell.
    pub rows: Option<i64>,
}

/// What happens to the history in the file's own transaction.
#[derive(Clone, Copy, Debug)]
pub enum HistoryEntry<'a> {
    Add(NewRow<'a>),
    Remove { schema: &'a str, file: &'a str },
}

impl HistoryEntry<'_> {
    fn schema(&self) -> &str {
        match self {
            Self::Add(row) => row.schema,
            Self::Remove { schema, .. } => schema,
        }
    }

    fn written(self, duration: Duration) -> String {
        match self {
            Self::Add(row) => record::applied(row, millis(duration)),
            Self::Remove { schema, file } => record::undone(schema, file),
        }
    }
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
    entry: HistoryEntry<'_>,
    waiting: Waiting<'_>,
) -> Result<Timing, ExecuteError> {
    let budget = waiting.budget;
    let attempt =
        |lock_timeout| -> BoxFuture<'_, _> { Box::pin(once(session, sql, entry, Budget { lock_timeout, ..*budget })) };
    let ((duration, rows), Waited { lost, tries }) = patiently(waiting, attempt).await?;
    Ok(Timing { duration, lock_wait: lost, tries, rows: Some(rows) })
}

async fn once(
    session: &Session,
    sql: &str,
    entry: HistoryEntry<'_>,
    budget: Budget,
) -> Result<(Duration, i64), ExecuteError> {
    let client = session.client();
    client.batch_execute("BEGIN").await.map_err(plain)?;
    let result = async {
        client.batch_execute(&transaction_settings(entry.schema(), &budget)).await.map_err(plain)?;
        let (transaction, touched_before) = begun(session).await.map_err(plain)?;
        let started = Instant::now();
        client.batch_execute(sql).await.map_err(|e| ExecuteError::of(sql, &e))?;
        let duration = started.elapsed();
        let touched = end(session, &transaction, &entry.written(duration)).await?;
        Ok((duration, touched.saturating_sub(touched_before).max(0)))
    }
    .await;
    if result.is_err() {
        let _ = client.batch_execute("ROLLBACK").await;
    }
    refresh(session).await;
    result
}

fn plain(error: Error) -> ExecuteError {
    ExecuteError::of("", &error)
}

/// Rows of tables that a session has inserted, changed and deleted and that the server has not yet added to its
/// statistics: it may do that between transactions, never in one. Those of dropped tables are gone.
const TOUCHED: &str =
    "/* execute::touched_rows */ SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint AS touched
           FROM pg_catalog.pg_stat_xact_user_tables";

/// The transaction that a file begins in, and what was touched before.
async fn begun(session: &Session) -> Result<(String, i64), Error> {
    let client = session.client();
    let row = client.query_one("SELECT pg_catalog.pg_current_xact_id()::text", &[]).await?;
    Ok((row.get(0), client.query_one(TOUCHED, &[]).await?.try_get("touched")?))
}

/// What the server says where a file has left the transaction that it began in.
const LEFT: &str = "XLEFT";

/// Ends the transaction in one message, because until then others wait for what the file has locked; answers how many rows
/// were touched. Where the file has left its transaction the server does nothing of it.
async fn end(session: &Session, transaction: &str, entry: &str) -> Result<i64, ExecuteError> {
    let is_the_same = format!(
        "DO $end$ BEGIN IF pg_catalog.pg_current_xact_id()::text <> {} THEN
           RAISE EXCEPTION 'another transaction' USING ERRCODE = '{LEFT}'; END IF; END $end$",
        literal(transaction)
    );
    let text = format!("{is_the_same}; {TOUCHED}; {entry}; COMMIT");
    let answers = session.client().simple_query(&text).await.map_err(|error| match error.code() {
        Some(code) if code.code() == LEFT => ExecuteError::LeftTransaction,
        _ => plain(error),
    })?;
    let touched = answers.iter().find_map(|answer| match answer {
        SimpleQueryMessage::Row(row) => row.try_get("touched").ok().flatten(),
        _ => None,
    });
    Ok(touched.and_then(|rows| rows.parse().ok()).unwrap_or_default())
}

/// Undoes what a plain SET in a file would otherwise hand on to the next one. The server shall notice a runner that
/// was killed, and end its work and its lock, rather than go on for hours; where it cannot, it refuses the setting.
pub async fn refresh(session: &Session) {
    let _ = session.client().batch_execute("RESET SESSION AUTHORIZATION; RESET ALL").await;
    let _ = session.client().batch_execute("SET client_connection_check_interval = 1000").await;
}

/// Runs the one statement of a no-transaction file as its kind demands, then writes its entry.
pub async fn alone(
    session: &Session,
    sql: &str,
    kind: &Alone,
    entry: HistoryEntry<'_>,
    waiting: Waiting<'_>,
) -> Result<Timing, ExecuteError> {
    let set = settings("", entry.schema(), Duration::ZERO, waiting.budget.autocommit_timeout);
    session.client().batch_execute(&set).await.map_err(plain)?;
    let door = Door::new(session, waiting);
    let started = Instant::now();
    let result = match kind {
        Alone::Brief => door.briefly(sql).await,
        Alone::Concurrent => door.concurrently(sql).await,
        Alone::BuildIndex(parts) => concurrent::build_index(&door, sql, parts).await,
        Alone::DropIndex(name) => concurrent::drop_index(&door, sql, name).await,
    };
    let duration = started.elapsed();
    refresh(session).await;
    result?;
    session.client().batch_execute(&entry.written(duration)).await.map_err(plain)?;
    let waited = door.waited();
    Ok(Timing {
        duration: duration.saturating_sub(waited.lost),
        lock_wait: waited.lost,
        tries: waited.tries,
        rows: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_local_in_a_transaction_and_quote_the_schema() {
        let sql = transaction_settings("odd\"name", &Budget::default());
        assert!(sql.starts_with("SET LOCAL lock_timeout = 50;"), "{sql}");
        assert!(sql.contains("SET LOCAL search_path = \"odd\"\"name\", pg_temp"), "{sql}");
    }
}
