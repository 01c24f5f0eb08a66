//! No migration of the product blocks who writes: each file is applied, taken back and applied again while statements are stored,
//! and the watcher of the run finds nobody who waited for it longer than anybody may.
//!
//! What counts is how long the server says that a session waits for a lock, not how long a request takes. A machine that is busy
//! may hold up a file in the middle of its lock; a file that holds a lock itself does so each time.

use progress_service::{
    migrate::{
        Module, Runner,
        down::DownRequest,
        modules::{self, File},
        releases, silent,
    },
    store::schema::migrations::waits::Waits,
};

use super::{
    fixture::{self, owner, run_all, runner},
    lived_in,
    locks::judge,
    writers::{Stored, Writers},
};
use crate::support::{
    patience,
    pg::{Server, TestDatabase},
    settings,
};

/// How often a file goes up or down at most, until it did both without keeping anybody waiting.
const WAYS: usize = 60;
/// How often it asks for its locks each time; it comes again anyhow.
const TRIES: u32 = 6;
/// Statements that are there before the first file comes.
const DATA: u64 = 2_000;

/// What a database of the release before holds; nothing at all where every file is to be tried.
fn before(all: &[Module]) -> Vec<Module> {
    let empty = |module: &Module| Module { files: Vec::new(), ..module.clone() };
    if settings::optional("TEST_EVERY_MIGRATION").is_some() {
        return all.iter().map(empty).collect();
    }
    let known = releases::supported().unwrap();
    releases::modules_at(releases::previous(&known, all).unwrap().expect("files of this release"), all).unwrap()
}

/// Each file that `all` has more, as it comes in an upgrade, with the modules up to it.
fn stages(before: &[Module], all: &[Module]) -> Vec<(String, Vec<Module>)> {
    let (mut now, mut stages) = (before.to_vec(), Vec::new());
    for (place, module) in all.iter().enumerate() {
        for file in module.files.iter().filter(|file| before[place].find(&file.file()).is_none()) {
            let there = |one: &File| now[place].find(&one.file()).is_some() || one.file() == file.file();
            now[place].files = module.files.iter().filter(|one| there(one)).cloned().collect();
            stages.push((format!("{}/{}", module.name, file.file()), now.clone()));
        }
    }
    stages
}

/// What a file cost others, up and down, at its best.
#[derive(Default)]
struct Best {
    up: Option<Waits>,
    down: Option<Waits>,
    /// How often it went one way, and how often it stepped back for good.
    ways: usize,
    gave_way: usize,
}

impl Best {
    fn verdict(&self, file: &str) -> Result<(), String> {
        judge(file, self.up.as_ref()).and_then(|()| judge(&format!("the way back of {file}"), self.down.as_ref()))
    }
}

fn better(best: &mut Option<Waits>, now: Option<Waits>) {
    let longest = |waits: &Option<Waits>| waits.as_ref().map_or(i64::MAX, |waits| waits.longest_ms);
    if longest(&now) < longest(best) {
        *best = now;
    }
}

/// The file goes up, or down where it is up; `None` where others held its locks all the time.
async fn go(runner: &Runner, file: &str, is_up: bool) -> Option<Option<Waits>> {
    let (done, failed) = if is_up {
        let (module, approved_by) = (None, Some("Ada".into()));
        let back = DownRequest { module, steps: 1, approved_by, by: "test".into(), apply: true };
        let report = runner.down(&back, &silent).await.unwrap();
        (report.done, report.failed)
    } else {
        let report = run_all(runner).await;
        (report.done, report.failed)
    };
    if failed.as_ref().is_some_and(|failure| failure.code.as_deref() == Some("55P03")) {
        return None;
    }
    assert_eq!((failed, done.len()), (None, 1), "{file}");
    assert_eq!(format!("{}/{}", done[0].module, done[0].file), file);
    Some(done[0].waits.clone())
}

/// Up, down and up again, and once more as long as somebody waited too long each time.
async fn there_and_back(runner: &Runner, file: &str) -> Best {
    let (mut best, mut is_up) = (Best::default(), false);
    while !is_up || (best.ways < WAYS && best.verdict(file).is_err()) {
        match go(runner, file, is_up).await {
            Some(waits) => {
                better(if is_up { &mut best.down } else { &mut best.up }, waits);
                (is_up, best.ways) = (!is_up, best.ways + 1);
            }
            None => best.gave_way += 1,
        }
        assert!(best.gave_way < WAYS, "{file} does not get its locks");
    }
    best
}

fn cost(waits: &Option<Waits>) -> String {
    waits.as_ref().map_or(String::new(), |waits| format!("{waits}, looked each {} ms", waits.gap_ms))
}

async fn more_than(writers: &Writers, stored: u64) -> Stored {
    patience::until("more statements", async || match writers.stored() {
        now if now.sum() > stored => Ok(now),
        now => Err(now),
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_migration_keeps_a_writer_waiting() {
    let mut db = TestDatabase::empty(Server::newest().await).await;
    db.leaves("ledger.links_due");
    let all = modules::internal().unwrap();
    let before = before(&all);
    let stages = stages(&before, &all);
    assert!(!stages.is_empty());
    run_all(&runner(&db, before.clone())).await;
    if let Some(rows) = settings::optional("TEST_SOAK_ROWS") {
        lived_in::write(&db.superuser().await, rows.parse().unwrap()).await;
    }
    let writers = Writers::begin(&db);
    if before.iter().any(|module| !module.files.is_empty()) {
        more_than(&writers, DATA).await;
    }
    let (mut refused, mut patient) = (Vec::new(), fixture::settings());
    patient.budget.lock_tries = TRIES;
    for (file, modules) in &stages {
        let stored = writers.stored();
        let best = there_and_back(&Runner::new(modules.clone(), owner(&db), patient.clone()), file).await;
        if stored.sum() > 0 {
            more_than(&writers, stored.sum()).await;
        }
        let (ways, gave_way) = (best.ways, best.gave_way);
        println!("{file}: {ways} ways, gave way {gave_way} times; up {}; down {}", cost(&best.up), cost(&best.down));
        refused.extend(best.verdict(file).err());
    }
    let through_ingest = writers.stored().through_ingest;
    patience::until("statements through the ingest", async || match writers.stored().through_ingest {
        now if now > through_ingest => Ok(()),
        now => Err(now),
    })
    .await;
    println!("{} files, {}", stages.len(), writers.end().await);
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}
