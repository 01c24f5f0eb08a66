//! What the runner writes about itself: the history, the attempts, the superseded files.

use tokio_postgres::types::Json;

use super::{
    literal, quoted,
    tables::{ATTEMPTS, BASELINES, HISTORY, PROMISED},
    waits::Waits,
};
use crate::store::{StoreError, door::ddl::Session};

/// A history row about to be written.
#[derive(Clone, Copy, Debug)]
pub struct NewRow<'a> {
    pub schema: &'a str,
    pub file: &'a str,
    pub category: &'a str,
    pub checksum: &'a str,
    pub by: &'a str,
    /// The release that is promised to live with it.
    pub promised: Option<&'a str>,
}

/// An attempt about to be made.
#[derive(Clone, Copy, Debug)]
pub struct NewAttempt<'a> {
    pub file: &'a str,
    pub action: &'a str,
    pub checksum: Option<&'a str>,
    pub by: &'a str,
    pub approved_by: Option<&'a str>,
}

/// What a file cost that was applied or undone.
#[derive(Clone, Copy, Debug)]
pub struct Cost<'a> {
    pub lock_wait_ms: i64,
    pub rows: Option<i64>,
    /// Absent where nobody watched.
    pub waits: Option<&'a Waits>,
}

/// The bookkeeping tables of a schema; the schema too where it is absent. Repeatable; call it under the lock.
pub fn tables(schema: &str) -> String {
    let s = quoted(schema);
    format!(
        "CREATE TABLE IF NOT EXISTS {s}.{HISTORY} (
            migration_name text PRIMARY KEY,
            category text NOT NULL CHECK (category IN ('startup', 'release', 'seed', 'data')),
            checksum text NOT NULL,
            applied_at timestamptz NOT NULL,
            applied_by text NOT NULL,
            duration_ms bigint NOT NULL CHECK (duration_ms >= 0));
         CREATE TABLE IF NOT EXISTS {s}.{ATTEMPTS} (
            attempt_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            migration_name text NOT NULL,
            action text NOT NULL,
            checksum text,
            started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            finished_at timestamptz,
            outcome text,
            detail text,
            lock_wait_ms bigint,
            done_by text NOT NULL,
            approved_by text,
            rows bigint,
            waits jsonb);
         DO $$ BEGIN
           IF (SELECT count(*) FROM pg_catalog.pg_attribute
               WHERE attrelid = '{s}.{ATTEMPTS}'::regclass AND attname IN ('rows', 'waits')) < 2 THEN
             ALTER TABLE {s}.{ATTEMPTS} ADD COLUMN IF NOT EXISTS rows bigint, ADD COLUMN IF NOT EXISTS waits jsonb;
           END IF;
         END $$;
         CREATE TABLE IF NOT EXISTS {s}.{BASELINES} (
            baseline text NOT NULL,
            superseded text NOT NULL,
            checksum text NOT NULL,
            recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            recorded_by text NOT NULL,
            PRIMARY KEY (baseline, superseded));"
    )
}

/// Makes schema and tables where they are absent, in one transaction.
pub async fn prepare(session: &Session, schema: &str, schema_exists: bool) -> Result<(), StoreError> {
    // CREATE SCHEMA asks for a right on the database even when the schema is there already.
    let create = if schema_exists { String::new() } else { format!("CREATE SCHEMA {};", quoted(schema)) };
    // "already exists, skipping" is what is meant to happen, not something to log.
    let sql = format!("BEGIN; SET LOCAL client_min_messages = warning; {create} {} COMMIT;", tables(schema));
    let done = session.client().batch_execute(&sql).await;
    if done.is_err() {
        let _ = session.client().batch_execute("ROLLBACK").await;
    }
    done.map_err(|e| StoreError::from_pg("migration_prepare", &e))
}

/// Lets the service's own login read the bookkeeping: a node that was given no owner's login can still see that
/// everything is applied, and serve. Where the role does not exist there is nobody to let.
pub async fn share(session: &Session, schema: &str) -> Result<(), StoreError> {
    let s = quoted(schema);
    let sql = format!(
        "DO $$ BEGIN
           IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'progress_service') THEN
             GRANT USAGE ON SCHEMA {s} TO progress_service;
             GRANT SELECT ON {s}.{HISTORY}, {s}.{ATTEMPTS}, {s}.{BASELINES} TO progress_service;
           END IF;
         END $$"
    );
    session.client().batch_execute(&sql).await.map_err(|e| StoreError::from_pg("migration_share", &e))
}

/// What writes the row that says a file is applied, after what is promised of it; for whatever transaction is open.
pub fn applied(row: NewRow<'_>, duration_ms: i64) -> String {
    let NewRow { schema, file, category, checksum, by, promised } = row;
    let (s, file, checksum, by) = (quoted(schema), literal(file), literal(checksum), literal(by));
    let promise = promised.map_or_else(String::new, |release| {
        format!(
            "/* record::migration_promise */ INSERT INTO {s}.{BASELINES} (baseline, superseded, checksum, recorded_by)
             VALUES ({}, {file}, {checksum}, {by}) ON CONFLICT DO NOTHING; ",
            literal(&format!("{PROMISED}{release}"))
        )
    });
    format!(
        "{promise}/* record::migration_applied */ INSERT INTO {s}.{HISTORY}
           (migration_name, category, checksum, applied_at, applied_by, duration_ms)
         VALUES ({file}, {}, {checksum}, clock_timestamp(), {by}, {duration_ms})",
        literal(category)
    )
}

/// What removes the row of a file that was undone, and what was promised of it; for whatever transaction is open.
pub fn undone(schema: &str, file: &str) -> String {
    let (s, file) = (quoted(schema), literal(file));
    format!(
        "/* record::migration_undone */ DELETE FROM {s}.{HISTORY} WHERE migration_name = {file};
         /* record::migration_promise_undone */ DELETE FROM {s}.{BASELINES}
         WHERE superseded = {file} AND starts_with(baseline, '{PROMISED}')"
    )
}

/// Withdraws what was promised to other releases than this one: older ones know nothing of what comes now.
pub async fn withdraw(session: &Session, schema: &str, but: Option<&str>) -> Result<(), StoreError> {
    let sql = format!(
        "/* record::migration_withdraw */ DELETE FROM {}.{BASELINES}
         WHERE starts_with(baseline, '{PROMISED}') AND baseline IS DISTINCT FROM '{PROMISED}' || $1::text",
        quoted(schema)
    );
    session.client().execute(&sql, &[&but]).await.map(drop).map_err(|e| StoreError::from_pg("migration_withdraw", &e))
}

/// Opens an attempt, committed at once so that it outlives a crash.
pub async fn begin(session: &Session, schema: &str, attempt: NewAttempt<'_>) -> Result<i64, StoreError> {
    let sql = format!(
        "/* record::migration_attempt */ INSERT INTO {}.{ATTEMPTS} (migration_name, action, checksum, done_by, approved_by)
         VALUES ($1, $2, $3, $4, $5) RETURNING attempt_id",
        quoted(schema)
    );
    let values: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
        [&attempt.file, &attempt.action, &attempt.checksum, &attempt.by, &attempt.approved_by];
    let row = session.client().query_one(&sql, &values).await;
    Ok(row.map_err(|e| StoreError::from_pg("migration_attempt", &e))?.get(0))
}

/// Says that a file was applied or undone, and what it cost.
pub async fn done(
    session: &Session,
    schema: &str,
    attempt: i64,
    outcome: &str,
    cost: Cost<'_>,
) -> Result<(), StoreError> {
    let sql = format!(
        "/* record::migration_attempt_done */ UPDATE {}.{ATTEMPTS}
         SET finished_at = clock_timestamp(), outcome = $2, lock_wait_ms = $3, rows = $4, waits = $5 WHERE attempt_id = $1",
        quoted(schema)
    );
    let Cost { lock_wait_ms, rows, waits } = cost;
    let values: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
        [&attempt, &outcome, &lock_wait_ms, &rows, &waits.map(Json)];
    let done = session.client().execute(&sql, &values).await;
    done.map(drop).map_err(|e| StoreError::from_pg("migration_attempt_done", &e))
}

/// Says how an attempt ended.
pub async fn finish(
    session: &Session,
    schema: &str,
    attempt: i64,
    outcome: &str,
    detail: Option<&str>,
    waits: Option<&Waits>,
) -> Result<(), StoreError> {
    let sql = format!(
        "/* record::migration_attempt_end */ UPDATE {}.{ATTEMPTS}
         SET finished_at = clock_timestamp(), outcome = $2, detail = $3, waits = $4 WHERE attempt_id = $1",
        quoted(schema)
    );
    let values: [&(dyn tokio_postgres::types::ToSql + Sync); 4] = [&attempt, &outcome, &detail, &waits.map(Json)];
    let done = session.client().execute(&sql, &values).await;
    done.map(drop).map_err(|e| StoreError::from_pg("migration_attempt_end", &e))
}

/// Closes every attempt whose runner is gone. Under the lock, an open attempt can only be that.
pub async fn close_interrupted(session: &Session, schema: &str) -> Result<u64, StoreError> {
    let sql = format!(
        "/* record::migration_interrupted */ UPDATE {}.{ATTEMPTS}
         SET finished_at = clock_timestamp(), outcome = 'interrupted', detail = 'the runner went away'
         WHERE finished_at IS NULL AND action <> 'bootstrap'",
        quoted(schema)
    );
    session.client().execute(&sql, &[]).await.map_err(|e| StoreError::from_pg("migration_interrupted", &e))
}

/// Records a squash on a database that has all the files it takes the place of; nothing is executed.
pub async fn baseline(session: &Session, row: NewRow<'_>, supersedes: &[(&str, &str)]) -> Result<(), StoreError> {
    let name = "migration_baseline";
    let client = session.client();
    let sql = format!(
        "/* record::migration_baseline */ INSERT INTO {}.{BASELINES} (baseline, superseded, checksum, recorded_by)
         VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        quoted(row.schema)
    );
    client.batch_execute("BEGIN").await.map_err(|e| StoreError::from_pg(name, &e))?;
    let written = async {
        for (file, checksum) in supersedes {
            client.execute(&sql, &[&row.file, file, checksum, &row.by]).await?;
        }
        client.batch_execute(&format!("{}; COMMIT", applied(row, 0))).await
    }
    .await;
    if written.is_err() {
        let _ = client.batch_execute("ROLLBACK").await;
    }
    written.map_err(|e| StoreError::from_pg(name, &e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_file_is_called_it_stays_a_value() {
        let row = NewRow {
            schema: "ledger",
            file: r"001_o'brien\'.sql",
            category: "startup",
            checksum: "c",
            by: "cli",
            promised: Some("0.2.0"),
        };
        let sql = applied(row, 7);
        assert!(
            sql.contains(r"VALUES (E'001_o''brien\\''.sql', E'startup', E'c', clock_timestamp(), E'cli', 7)"),
            "{sql}"
        );
        assert!(
            sql.contains(r"VALUES (E'for 0.2.0', E'001_o''brien\\''.sql', E'c', E'cli') ON CONFLICT DO NOTHING; "),
            "{sql}"
        );
        assert!(undone("ledger", "a'b").contains("migration_name = E'a''b';"));
    }
}
