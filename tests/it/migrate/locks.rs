//! What the watcher of a run sees: who waits for it, for how long, and of what.

use std::sync::Mutex;

use progress_service::{
    migrate::{Event, Module, RunReport, Runner, modules},
    store::schema::migrations::{
        Budget,
        waits::{Wait, Waits},
    },
};
use serde_json::json;

use super::{
    fixture::{everything, headed, impatient, module, owner, run_all, runner, sql},
    writers::Writers,
};
use crate::support::{patience, pg::TestDatabase};

/// So long may anybody who writes wait for a migration.
const LONGEST_MS: i64 = 50;

/// Whether nobody was seen waiting longer for a file than anybody may.
pub fn judge(file: &str, waits: Option<&Waits>) -> Result<(), String> {
    let waits = waits.ok_or_else(|| format!("{file}: nobody watched"))?;
    if waits.longest_ms <= LONGEST_MS { Ok(()) } else { Err(format!("{file}: {waits}")) }
}

/// A file that holds the ledger, which no linter would let pass without being asked to.
fn planted() -> Module {
    let excuses: Vec<String> = ["lock-table", "dangerous-call", "other-module", "long-lock"]
        .map(|rule| format!("-- progress: allow {rule} because it is to be found"))
        .into();
    let hold = "LOCK TABLE ledger.statements IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(0.3);";
    module("alpha", &[("001_holds.sql", headed(&excuses.join("\n"), hold))])
}

/// Runs everything; answers also what was told of those who wait.
async fn run(runner: &Runner) -> (RunReport, Vec<Wait>) {
    let told = Mutex::new(Vec::new());
    let listen = |event| {
        if let Event::MakesWait { wait, .. } = event {
            told.lock().unwrap().push(wait);
        }
    };
    let report = runner.run(&everything(), &listen).await.unwrap();
    (report, told.into_inner().unwrap())
}

async fn is_writing(writers: &Writers) {
    patience::until("statements that are stored", async || match writers.stored().through_ingest {
        0 => Err("none"),
        _ => Ok(()),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_holds_the_ledger_is_found() {
    let db = TestDatabase::new(crate::support::pg::Server::newest().await).await;
    let mut modules = modules::internal().unwrap();
    modules.push(planted());
    let runner = runner(&db, modules);
    let writers = Writers::begin(&db);
    is_writing(&writers).await;
    let (report, told) = run(&runner).await;
    writers.end().await;
    assert_eq!((report.failed, report.done.len()), (None, 1), "{:?}", report.withheld);

    let waits = report.done[0].waits.as_ref();
    let found = judge("001_holds.sql", waits).expect_err("the file holds the ledger");
    assert!(found.contains("RowExclusiveLock on ledger.statements"), "{found}");
    let waits = waits.unwrap();
    assert!(waits.longest_ms >= waits.longest.as_ref().unwrap().waited_ms && waits.waits > 1, "{waits:?}");
    assert_eq!(told.len(), 1, "it is told once, as soon as it is seen");
    assert!(told[0].waited_ms > Budget::default().longest_wait().as_millis() as i64, "{told:?}");
    assert_eq!((told[0].on.as_str(), told[0].mode.as_str()), ("ledger.statements", "RowExclusiveLock"));

    let log = runner.logs(Some("alpha")).await.unwrap();
    assert_eq!(log[0].attempt.waits, Some(json!(waits)), "it stays in the history");
}

on_each_server! {
    async fn who_waits_for_a_row_is_seen_with_its_table(db: TestDatabase) {
        let table = ("001_table.sql", sql("CREATE TABLE alpha.t (a int); INSERT INTO alpha.t VALUES (1);"));
        run_all(&runner(&db, vec![module("alpha", std::slice::from_ref(&table))])).await;
        let excuse = "-- progress: allow dangerous-call because somebody is to wait for it";
        let holds = headed(excuse, "UPDATE alpha.t SET a = 2 WHERE a = 1; SELECT pg_sleep(0.3);");
        let runner = runner(&db, vec![module("alpha", &[table, ("DM001_holds.sql", holds)])]);
        let writer = db.owner().await;
        writer.batch_execute("SET application_name = 'writer'").await.unwrap();
        let ended = std::sync::atomic::AtomicBool::new(false);
        let writing = async {
            while !ended.load(std::sync::atomic::Ordering::Relaxed) {
                writer.batch_execute("UPDATE alpha.t SET a = a").await.unwrap();
            }
        };
        let running = async {
            let (report, _) = run(&runner).await;
            ended.store(true, std::sync::atomic::Ordering::Relaxed);
            report
        };
        let (report, ()) = tokio::join!(running, writing);
        assert_eq!(report.failed, None);
        let waits = report.done[0].waits.clone().unwrap();
        let Wait { application, on, mode, .. } = waits.longest.clone().unwrap();
        assert_eq!((application.as_str(), on.as_str(), mode.as_str()), ("writer", "a row of alpha.t", "ShareLock"));
        assert!(waits.looks > 1 && waits.gap_ms > 0 && waits.longest_ms > 0, "{waits:?}");
    }

    async fn what_a_file_waited_for_itself_is_in_its_report(db: TestDatabase) {
        let table = ("001_table.sql", sql("CREATE TABLE alpha.t (a int);"));
        run_all(&runner(&db, vec![module("alpha", std::slice::from_ref(&table))])).await;
        let reader = db.superuser().await;
        reader.batch_execute("BEGIN; SELECT a FROM alpha.t").await.unwrap();
        let more = ("002_more.sql", sql("ALTER TABLE alpha.t ADD COLUMN b text;"));
        let mut hasty = impatient();
        hasty.budget.lock_tries = 5;
        let runner = Runner::new(vec![module("alpha", &[table, more])], owner(&db), hasty);
        let failed = run_all(&runner).await.failed.unwrap();
        let waits = failed.waits.unwrap();
        let own = waits.own.unwrap();
        assert_eq!((own.on.as_str(), own.mode.as_str()), ("alpha.t", "AccessExclusiveLock"));
        assert_eq!((waits.behind.len(), waits.waits), (1, 0));
        let pid: i32 = reader.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
        assert_eq!(waits.behind[0].pid, pid);
        let log = runner.logs(Some("alpha")).await.unwrap();
        let told = &log.last().unwrap().attempt;
        assert_eq!(told.outcome.as_deref(), Some("failed"));
        assert_eq!(told.waits.as_ref().unwrap()["behind"][0]["pid"], pid);
    }
}
