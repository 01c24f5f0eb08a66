//! Processes and servers that die in the middle: the real binary is killed, a server of the test's own too.

use std::{collections::BTreeMap, path::Path, time::Duration};

use progress_service::{
    migrate::{Runner, silent},
    model::Secret,
    store::Endpoint,
};
use tempfile::TempDir;
use tokio_postgres::Client;

use super::fixture::{count, everything, headed, history, module, run_all, runner, settings, sql};
use crate::support::{
    patience,
    pg::TestDatabase,
    pgproc::PgServer,
    process::{Process, command},
};

/// A plug-in folder with one module.
pub fn plugins(name: &str, files: &[(&str, String)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join(name)).unwrap();
    for (file, text) in files {
        std::fs::write(folder.path().join(name).join(file), text).unwrap();
    }
    folder
}

/// The binary's `migrations` command over this database and plug-in folder.
pub fn migrations(url: &str, plugins: &Path, arguments: &[&str]) -> std::process::Command {
    let variables = BTreeMap::from([
        ("PROGRESS_DATABASE_URL".to_owned(), url.to_owned()),
        ("PROGRESS_MIGRATIONS_PLUGIN_DIR".to_owned(), plugins.to_string_lossy().into_owned()),
    ]);
    command(&[&["migrations"], arguments].concat(), &variables)
}

/// Waits until some session of this database runs a statement that starts so.
async fn runs(client: &Client, statement: &str) {
    let select = "SELECT count(*) FROM pg_stat_activity
                  WHERE datname = current_database() AND state = 'active' AND pid <> pg_backend_pid() AND query LIKE $1";
    let pattern = format!("%{statement}%");
    patience::until("the statement under test", async || {
        match client.query_one(select, &[&pattern]).await.unwrap().get::<_, i64>(0) {
            0 => Err("nobody runs it"),
            _ => Ok(()),
        }
    })
    .await;
}

/// In the head of a file that waits to be killed.
const SLEEPS: &str = "-- progress: allow dangerous-call because somebody ends it";

fn table() -> (&'static str, String) {
    ("001_table.sql", sql("CREATE TABLE alpha.t (a int); INSERT INTO alpha.t SELECT generate_series(1, 100);"))
}

async fn killed_in_a_transaction(db: TestDatabase) {
    let slow = ("002_slow.sql", headed(SLEEPS, "CREATE TABLE alpha.half (a int); SELECT pg_sleep(600);"));
    let folder = plugins("alpha", &[table(), slow]);
    let mut process = Process::start(migrations(&db.owner_url(), folder.path(), &["run", "--module", "alpha"]));
    let client = db.superuser().await;
    runs(&client, "pg_sleep(600)").await;
    process.kill();
    // The server notices that its client is gone, undoes the file and frees the lock: the next runner needs no help.
    let quick = ("002_slow.sql", sql("CREATE TABLE alpha.half (a int);"));
    let next = runner(&db, vec![module("alpha", &[table(), quick])]);
    assert_eq!(run_all(&next).await.done.len(), 1);
    assert_eq!(history(&client, "alpha").await, ["001_table.sql", "002_slow.sql"]);
    let interrupted =
        "alpha.schema_migration_attempts WHERE migration_name = '002_slow.sql' AND outcome = 'interrupted'";
    assert_eq!(count(&client, interrupted).await, 1);
}

async fn killed_outside_a_transaction(db: TestDatabase) {
    let index = (
        "100_index.sql",
        headed("-- progress: no-transaction", "CREATE INDEX CONCURRENTLY IF NOT EXISTS t_a ON alpha.t (a);"),
    );
    let files = [table(), index];
    let next = runner(&db, vec![module("alpha", &files)]);
    let mut first = everything();
    first.wish.steps = Some(1);
    next.run(&first, &silent).await.unwrap();
    // The build waits for this snapshot after it has made the index, which is not valid yet.
    let reader = db.superuser().await;
    reader.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM alpha.t").await.unwrap();
    let folder = plugins("alpha", &files);
    let arguments = ["run", "--module", "alpha", "--force"];
    let mut process = Process::start(migrations(&db.owner_url(), folder.path(), &arguments));
    let client = db.superuser().await;
    let invalid = "pg_index WHERE NOT indisvalid AND indexrelid = to_regclass('alpha.t_a')";
    patience::until("the invalid index", async || match count(&client, invalid).await {
        0 => Err("there is none"),
        _ => Ok(()),
    })
    .await;
    process.kill();
    reader.batch_execute("COMMIT").await.unwrap();
    assert_eq!(run_all(&next).await.failed, None);
    assert_eq!(history(&client, "alpha").await, ["001_table.sql", "100_index.sql"]);
    assert_eq!(count(&client, "pg_index WHERE indisvalid AND indexrelid = to_regclass('alpha.t_a')").await, 1);
}

on_each_server! {
    async fn the_process_is_killed_in_a_transaction(db: TestDatabase) {
        killed_in_a_transaction(db).await;
    }

    async fn the_process_is_killed_outside_a_transaction(db: TestDatabase) {
        killed_outside_a_transaction(db).await;
    }

    async fn a_first_start_that_was_killed_goes_on_at_the_next(db: TestDatabase) {
        let slow = ("100_slow.sql", headed(SLEEPS, "SELECT pg_sleep(600);"));
        let starting = runner(&db, vec![module("alpha", &[table(), slow])]);
        let task = tokio::spawn(async move { starting.startup("node", &silent).await });
        let client = db.superuser().await;
        runs(&client, "pg_sleep(600)").await;
        task.abort();
        let quick = ("100_slow.sql", sql("SELECT 1;"));
        let next = runner(&db, vec![module("alpha", &[table(), quick])]);
        // Without the mark of the first start the release file would now wait for an operator.
        let verdict = next.startup("node", &silent).await.unwrap();
        assert_eq!(verdict, progress_service::migrate::Verdict::Ready { applied: 1 });
    }

    async fn a_crash_between_statement_and_row_repeats_the_statement(db: TestDatabase) {
        let index = (
            "100_index.sql",
            headed("-- progress: no-transaction", "CREATE INDEX CONCURRENTLY IF NOT EXISTS t_a ON alpha.t (a);"),
        );
        let runner = runner(&db, vec![module("alpha", &[table(), index])]);
        run_all(&runner).await;
        let client = db.owner().await;
        // What the database looks like when the process dies after the statement: all but the row.
        client.batch_execute(
            "DELETE FROM alpha.schema_migrations WHERE migration_name = '100_index.sql';
             UPDATE alpha.schema_migration_attempts SET finished_at = NULL, outcome = NULL
                 WHERE migration_name = '100_index.sql'",
        ).await.unwrap();
        assert_eq!(run_all(&runner).await.done.len(), 1);
        assert_eq!(count(&client, "alpha.schema_migration_attempts WHERE outcome = 'interrupted'").await, 1);
    }
}

#[tokio::test]
async fn the_server_dies_half_way() {
    let mut server = PgServer::start().await;
    let endpoint = Endpoint { url: Secret::new(server.url()), ca_file: None };
    let slow = |seconds: u32| {
        ("002_slow.sql", headed(SLEEPS, &format!("CREATE TABLE alpha.half (a int); SELECT pg_sleep({seconds});")))
    };
    let first = Runner::new(vec![module("alpha", &[table(), slow(600)])], endpoint.clone(), settings());
    let running = tokio::spawn(async move { first.run(&everything(), &silent).await });
    runs(&server.client().await, "pg_sleep(600)").await;
    server.kill();
    let report = running.await.unwrap().unwrap();
    assert!(report.failed.is_some_and(|failure| failure.connection_lost));
    assert_eq!(report.done.len(), 1);
    server.resume().await;
    let patient = settings();
    assert!(patient.patience > Duration::from_secs(5));
    let next = Runner::new(vec![module("alpha", &[table(), slow(0)])], endpoint, patient);
    assert_eq!(run_all(&next).await.done.len(), 1);
    assert_eq!(history(&server.client().await, "alpha").await, ["001_table.sql", "002_slow.sql"]);
}
