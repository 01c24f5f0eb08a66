//! How long installations and upgrades take and for how long anybody waited, as figures: of `TEST_SOAK_ROWS` statements, on a server that
//! keeps its promises. What they are no test asserts; that all was measured and nothing was lost it does.

use std::time::{Duration, Instant};

use progress_service::{
    migrate::{Module, RunReport, Runner, modules, releases},
    model::Secret,
    store::{Endpoint, PoolSettings, Store, StoreSettings},
};

use super::{
    fixture::{count, run_all, settings as budget},
    lived_in, upgrades,
    writers::{Stored, Writers},
};
use crate::support::{patience, pgproc::PgServer, settings};

/// Statements where nobody says how many.
const STATEMENTS: i64 = 2_000;
/// Installations of either kind, of which the middle one counts.
const INSTALLATIONS: usize = 3;
/// Files that are shown, those that took longest.
const SHOWN: usize = 4;

fn endpoint(server: &PgServer) -> Endpoint {
    Endpoint { url: Secret::new(server.url()), ca_file: None }
}

fn runner(server: &PgServer, files: &[Module]) -> Runner {
    Runner::new(files.to_vec(), endpoint(server), budget())
}

async fn timed(runner: &Runner) -> (RunReport, Duration) {
    let began = Instant::now();
    let report = run_all(runner).await;
    assert_eq!(report.failed, None);
    (report, began.elapsed())
}

/// The middle of some new installations.
async fn installed(files: &[Module]) -> Duration {
    let mut all = Vec::new();
    for _ in 0..INSTALLATIONS {
        let server = PgServer::start().await;
        all.push(timed(&runner(&server, files)).await.1);
    }
    all.sort_unstable();
    all[INSTALLATIONS / 2]
}

async fn more_than(writers: &Writers, few: u64) -> Stored {
    patience::until("more statements", async || match writers.stored() {
        now if now.sum() > few => Ok(now),
        now => Err(now),
    })
    .await
}

/// Upgrades a database of these files with so many statements while more are written.
async fn upgraded(files: &[Module], statements: i64) -> (RunReport, Duration, u64) {
    let server = PgServer::start().await;
    run_all(&runner(&server, files)).await;
    let client = server.client().await;
    lived_in::write(&client, statements).await;
    for settle in ["VACUUM ANALYZE", "CHECKPOINT"] {
        client.batch_execute(settle).await.unwrap();
    }
    let (pool, login) = (PoolSettings { connections: 4, ..PoolSettings::default() }, endpoint(&server));
    let store = StoreSettings { service: login.clone(), owner: login, pool, worker_connections: 4 };
    let writers = Writers::over(&Store::open(&store).unwrap());
    let before = more_than(&writers, 0).await.sum();
    let (report, took) = timed(&runner(&server, &modules::internal().unwrap())).await;
    let meanwhile = more_than(&writers, before).await.sum() - before;
    let stored = writers.end().await.sum();
    // One that a writer was about to be told of may be there as well.
    assert!(count(&client, "ledger.statements").await >= statements + i64::try_from(stored).unwrap());
    (report, took, meanwhile)
}

fn show(version: &str, report: &RunReport, took: Duration, meanwhile: u64) {
    let rate = meanwhile as f64 / took.as_secs_f64();
    println!(
        "from {version}: {} files in {:.1} s, {rate:.0} statements a second stored meanwhile",
        report.done.len(),
        took.as_secs_f64()
    );
    let mut done: Vec<_> = report.done.iter().collect();
    done.sort_by_key(|one| std::cmp::Reverse(one.duration_ms));
    for one in done.iter().take(SHOWN) {
        println!("  {} ms {}/{}", one.duration_ms, one.module, one.file);
    }
    let waits = done.iter().filter_map(|one| Some((one.waits.as_ref()?, one)));
    let (longest, of) = waits.max_by_key(|(waits, _)| waits.longest_ms).expect("somebody watched");
    println!("  who waited longest: {}/{}: {longest}", of.module, of.file);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn installations_and_upgrades_are_measured() {
    let statements = settings::optional("TEST_SOAK_ROWS").map_or(STATEMENTS, |rows| rows.parse().unwrap());
    let (internal, squashed) = (modules::internal().unwrap(), upgrades::squashed());
    for (how, files) in [("by every file", &internal), ("by the squash", &squashed)] {
        let files_of_it: usize = files.iter().map(|module| module.files.len()).sum();
        println!("installed {how}: {files_of_it} files in {} ms", installed(files).await.as_millis());
    }
    for release in releases::supported().unwrap() {
        let files = releases::modules_at(&release, &internal).unwrap();
        let (report, took, meanwhile) = Box::pin(upgraded(&files, statements)).await;
        show(&format!("{} with {statements} statements", release.version), &report, took, meanwhile);
        assert!(report.done.iter().all(|one| one.waits.is_some()), "{}: every file is watched", release.version);
    }
}
