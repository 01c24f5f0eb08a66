//! Long readers, and writers behind a migration: it steps back again and again, names who is in the way, and nobody
//! queues behind it for longer than its short wait.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use progress_service::{
    migrate::{Event, RunReport, Runner},
    store::schema::migrations::{Budget, blockers::Blocker},
};
use tokio_postgres::Client;

use super::fixture::{count, everything, headed, module, owner, run_all, runner, settings, sql};
use crate::support::{patience, pg::TestDatabase};

/// The long reader of these tests: its application's name, and a query whose text nobody is to see.
const APPLICATION: &str = "month end report";
const SECRET: &str = "Ann Example failed";

async fn long_reader(db: &TestDatabase) -> (Client, i32) {
    let reader = db.superuser().await;
    let begin = format!("SET application_name = '{APPLICATION}'; BEGIN; SELECT a, '{SECRET}' FROM alpha.t");
    reader.batch_execute(&begin).await.unwrap();
    let pid = reader.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
    (reader, pid)
}

/// What a run met: its steps back with those in the way.
type Steps = Arc<Mutex<Vec<Vec<Blocker>>>>;

fn begin(runner: Runner) -> (tokio::task::JoinHandle<RunReport>, Steps) {
    let steps = Steps::default();
    let seen = Arc::clone(&steps);
    let listen = move |event| {
        if let Event::Blocked { blockers, .. } = event {
            seen.lock().unwrap().push(blockers);
        }
    };
    (tokio::spawn(async move { runner.run(&everything(), &listen).await.unwrap() }), steps)
}

/// Writes again and again; answers how often.
fn writer(client: Client, stop: Arc<AtomicBool>) -> tokio::task::JoinHandle<u32> {
    tokio::spawn(async move {
        let mut written = 0;
        while !stop.load(Ordering::Relaxed) {
            client.batch_execute("INSERT INTO alpha.t (a) VALUES (7)").await.unwrap();
            written += 1;
        }
        written
    })
}

/// The longest wait for a lock that anybody but the migration was seen in, in seconds, while the run steps back `times`.
async fn longest_wait(client: &Client, steps: &Steps, times: usize) -> f64 {
    let longest = "SELECT coalesce(max(extract(epoch FROM clock_timestamp() - l.waitstart)), 0)::float8
        FROM pg_locks l JOIN pg_stat_activity a USING (pid)
        WHERE NOT l.granted AND a.datname = current_database() AND a.query LIKE 'INSERT INTO alpha.t%'";
    let worst = Mutex::new(0.0_f64);
    patience::until("the migration to step back", async || {
        let now: f64 = client.query_one(longest, &[]).await.unwrap().get(0);
        let mut worst = worst.lock().unwrap();
        *worst = worst.max(now);
        let so_far = steps.lock().unwrap().len();
        if so_far < times { Err(so_far) } else { Ok(()) }
    })
    .await;
    worst.into_inner().unwrap()
}

/// Runs the last of `files` while a reader holds the table and a writer writes into it.
async fn under_load(db: TestDatabase, files: &[(&'static str, String)]) {
    run_all(&runner(&db, vec![module("alpha", &files[..1])])).await;
    let (reader, pid) = long_reader(&db).await;
    let stop = Arc::new(AtomicBool::new(false));
    let writing = writer(db.owner().await, Arc::clone(&stop));
    let (running, steps) = begin(Runner::new(vec![module("alpha", files)], owner(&db), settings()));
    let watching = db.superuser().await;
    let worst = longest_wait(&watching, &steps, 5).await;
    let lock_timeout = Budget::default().lock_timeout.as_secs_f64();
    assert!(lock_timeout <= 0.1, "a try is short");
    assert!(worst < 10.0 * lock_timeout, "a writer waited {worst} s behind tries of {lock_timeout} s");
    reader.batch_execute("COMMIT").await.unwrap();
    let report = running.await.unwrap();
    stop.store(true, Ordering::Relaxed);
    assert!(writing.await.unwrap() > 5, "the writer got through between the tries");
    assert_eq!(report.failed, None);
    assert!(report.done[0].tries > 5 && report.done[0].lock_wait_ms > 0, "{:?}", report.done);
    let steps = steps.lock().unwrap();
    let named = steps.iter().flatten().find(|blocker| blocker.pid == pid);
    let named = named.unwrap_or_else(|| panic!("the reader {pid} is not among {steps:?}"));
    assert!(named.application == APPLICATION || named.application.is_empty(), "{named}");
}

fn table() -> (&'static str, String) {
    ("001_table.sql", sql("CREATE TABLE alpha.t (a int); INSERT INTO alpha.t SELECT generate_series(1, 100);"))
}

on_each_server! {
    async fn no_writer_queues_behind_a_column_that_waits_for_a_reader(db: TestDatabase) {
        under_load(db, &[table(), ("002_more.sql", sql("ALTER TABLE alpha.t ADD COLUMN b text;"))]).await;
    }

    async fn no_writer_queues_behind_a_statement_outside_a_transaction(db: TestDatabase) {
        let full = ("100_full.sql", headed(
            "-- progress: no-transaction\n-- progress: allow long-lock because it is to wait for a lock",
            "VACUUM FULL alpha.t;",
        ));
        under_load(db, &[table(), full]).await;
    }

    async fn who_is_in_the_way_is_named_and_what_they_read_is_not(db: TestDatabase) {
        run_all(&runner(&db, vec![module("alpha", &[table()])])).await;
        let (_reader, pid) = long_reader(&db).await;
        let mut hasty = settings();
        hasty.budget.lock_tries = 2;
        let more = ("002_more.sql", sql("ALTER TABLE alpha.t ADD COLUMN b text;"));
        // A superuser sees all there is to see of others.
        let all_seeing = progress_service::store::Endpoint {
            url: progress_service::model::Secret::new(db.superuser_url()),
            ca_file: None,
        };
        let report = run_all(&Runner::new(vec![module("alpha", &[table(), more])], all_seeing, hasty)).await;
        let failed = report.failed.unwrap();
        assert_eq!(failed.code.as_deref(), Some("55P03"));
        let said = format!("process {pid} ({APPLICATION}, idle in transaction");
        assert!(failed.error.contains(&said) && failed.error.contains("s old"), "{}", failed.error);
        assert!(!failed.error.contains("Ann"), "{}", failed.error);
        let detail = "SELECT detail FROM alpha.schema_migration_attempts WHERE outcome = 'failed'";
        let detail: String = db.owner().await.query_one(detail, &[]).await.unwrap().get(0);
        assert!(detail.contains(&said) && !detail.contains("Ann"), "{detail}");
    }

    async fn an_autovacuum_in_the_way_is_waited_for_until_it_yields(db: TestDatabase) {
        let client = db.superuser().await;
        run_all(&runner(&db, vec![module("alpha", &[table()])])).await;
        // Slow enough to be met, for a table with enough pages and rows that are dead.
        client.batch_execute(
            "ALTER TABLE alpha.t SET (autovacuum_vacuum_threshold = 1, autovacuum_vacuum_scale_factor = 0,
                 autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1);
             INSERT INTO alpha.t SELECT generate_series(1, 200000); DELETE FROM alpha.t WHERE a % 2 = 0").await.unwrap();
        let vacuuming = "pg_locks l JOIN pg_stat_activity a USING (pid)
            WHERE a.backend_type = 'autovacuum worker' AND l.relation = 'alpha.t'::regclass AND l.granted";
        client.batch_execute("ALTER SYSTEM SET autovacuum_naptime = '1s'").await.unwrap();
        client.batch_execute("SELECT pg_reload_conf()").await.unwrap();
        patience::until("an autovacuum", async || match count(&client, vacuuming).await {
            0 => Err("none is at work"),
            _ => Ok(()),
        })
        .await;
        client.batch_execute("ALTER SYSTEM RESET autovacuum_naptime").await.unwrap();
        client.batch_execute("SELECT pg_reload_conf()").await.unwrap();
        let more = ("002_more.sql", sql("ALTER TABLE alpha.t ADD COLUMN b text;"));
        let report = run_all(&runner(&db, vec![module("alpha", &[table(), more])])).await;
        assert_eq!(report.failed, None);
        // The short tries alone never end it: it yields to the first that waits for `deadlock_timeout`.
        assert!(report.done[0].tries <= 4, "{:?}", report.done);
        assert!(Duration::from_millis(report.done[0].lock_wait_ms.unsigned_abs()) < patience::PATIENCE);
    }
}
