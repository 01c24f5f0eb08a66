//! The process is gone at its k-th step, for every k: a step ends wherever it waits for the database or the store. What it had under
//! way is cut off as by SIGKILL: its sessions are closed, and nothing is tidied up. Whoever comes next finishes it. And the other way
//! round: the process lives on, and the database ends all of its sessions at the k-th step, or is killed.

use std::{collections::BTreeMap, path::Path, pin::pin, time::Duration};

use progress_service::{
    archive::{Archive, ArchiveError, jobs},
    model::partition::{Change, State},
};

use serde_json::Value;
use tempfile::TempDir;

use super::{archive_over, forget_segments, sealed_march, state, work};
use crate::{
    lifecycle::{MARCH, make, month},
    support::{
        cut::cut_off,
        past, patience,
        pg::TestDatabase,
        pgproc::PgServer,
        process::{Process, Service, command},
        segments::{RealStore, keys},
    },
};

/// Where a job begins: brings March back to it, from wherever the one before has left it.
async fn begin(archive: &Archive, db: &TestDatabase, real: &RealStore, kind: &str) {
    match (kind, state(db).await) {
        (jobs::RUN, _) => {
            make(&archive.store, MARCH, Change::Attach).await.unwrap();
            for key in keys(&real.store()).await {
                archive.objects.delete(&key).await.unwrap();
            }
            forget_segments(db).await;
        }
        (jobs::DROP, State::Dropped) => drop(work(archive, jobs::RESTORE).await.unwrap()),
        (jobs::RESTORE, State::Archived) => drop(work(archive, jobs::DROP).await.unwrap()),
        _ => {}
    }
}

/// What comes over a job in its middle.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Blow {
    /// Its process is gone.
    Cut,
    /// All sessions of the database end, and it goes on as it can.
    Sessions,
}

/// The job's answer where the blow came too late to meet it; `Err` holds what one said that was met and could not go on.
async fn struck(
    db: &TestDatabase,
    archive: &Archive,
    kind: &str,
    blow: Blow,
    waits: usize,
) -> Result<Value, Option<ArchiveError>> {
    let mut work = pin!(work(archive, kind));
    match cut_off(work.as_mut(), waits).await {
        Some(done) => Ok(done.unwrap_or_else(|error| panic!("{kind}, {waits} waits: {error}"))),
        None if blow == Blow::Cut => Err(None),
        None => {
            let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'";
            db.superuser().await.query(sql, &[]).await.unwrap();
            Err(work.await.err())
        }
    }
}

async fn sweep(db: TestDatabase, blow: Blow) {
    let app = sealed_march(db, 8).await;
    app.stop_loops().await;
    let rows = past::contents(&app.db, month(MARCH)).await;
    let real = RealStore::Folder(tempfile::tempdir().unwrap());
    let archive = archive_over(&app.db, real.store());
    work(&archive, jobs::RUN).await.unwrap();
    let wanted = keys(&real.store()).await;
    let mut cuts = 0;
    for (kind, ends) in [(jobs::DROP, State::Dropped), (jobs::RESTORE, State::Archived), (jobs::RUN, State::Archived)] {
        for waits in 0.. {
            begin(&archive, &app.db, &real, kind).await;
            let answer = struck(&app.db, &archive, kind, blow, waits).await;
            if state(&app.db).await != State::Dropped {
                assert_eq!(past::contents(&app.db, month(MARCH)).await, rows, "{kind}, {waits} waits");
            }
            match answer {
                Ok(_) => {
                    assert!(waits > 10, "{kind} waited {waits} times only");
                    assert_eq!(state(&app.db).await, ends);
                    break;
                }
                Err(error) => assert!(error.is_none_or(|error| error.is_passing()), "{kind}, {waits} waits"),
            }
            cuts += 1;
            work(&archive, kind).await.unwrap_or_else(|error| panic!("{kind}, {waits} waits: {error}"));
            assert_eq!(state(&app.db).await, ends, "{kind}, {waits} waits");
            let expected: &[String] = if ends == State::Dropped { &[] } else { &rows };
            assert_eq!(past::contents(&app.db, month(MARCH)).await, expected, "{kind}, {waits} waits");
            work(&archive, jobs::GC).await.unwrap();
            assert_eq!(keys(&real.store()).await, wanted, "{kind}, {waits} waits");
        }
    }
    assert!(cuts > 60, "{cuts} cuts");
}

/// Files below a folder.
fn files(folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries.flatten().map(|entry| entry.path()).map(|path| if path.is_dir() { files(&path) } else { 1 }).sum()
}

/// The rows of a month, in one word.
async fn digest(server: &PgServer, month: &str) -> Option<String> {
    let of = |table: &str| {
        format!(
            "SELECT s::text AS row FROM ledger.{table} s WHERE to_char(s.stored AT TIME ZONE 'UTC', 'YYYY-MM') = '{month}'"
        )
    };
    let all = ["statements", "detached_statements", "relations", "detached_relations"].map(of).join(" UNION ALL ");
    let sql = format!("SELECT md5(string_agg(row, '|' ORDER BY row)) FROM ({all}) rows");
    server.client().await.query_one(&sql, &[]).await.unwrap().get(0)
}

/// A server of a test's own with a sealed March, and the commands that work on it.
pub struct Stage {
    pub server: PgServer,
    folder: TempDir,
    pub variables: BTreeMap<String, String>,
}

impl Stage {
    pub async fn set(server: PgServer) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let variables = [
            ("PROGRESS_DATABASE_URL", server.url()),
            ("PROGRESS_DATABASE_MIGRATION_URL", server.url()),
            ("PROGRESS_ARCHIVE_URL", format!("file://{}", folder.path().display())),
            ("PROGRESS_DATABASE_STATEMENT_TIMEOUT", "5s".to_owned()),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value)).into();
        drop(Service::start(&[("PROGRESS_DATABASE_URL", &server.url())]).await);
        let stage = Self { server, folder, variables };
        stage.run(&format!("demo seed --tenants 3 --statements 3000 --months 1 --until {MARCH} --apply --json"));
        stage.run(&format!("partitions seal --month {MARCH} --apply"));
        stage
    }

    /// The rows of March, in one word.
    pub async fn digest(&self) -> Option<String> {
        digest(&self.server, MARCH).await
    }

    pub fn run(&self, line: &str) {
        let output = command(&line.split(' ').collect::<Vec<_>>(), &self.variables).output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    }

    async fn running(&self, verb: &str) -> Result<bool, String> {
        let sql = "SELECT EXISTS (SELECT FROM platform.jobs WHERE state = 'running' AND kind = 'archive.' || $1)";
        let row = self.server.client().await.query_one(sql, &[&verb]).await;
        row.map(|row| row.get(0)).map_err(|error| error.to_string())
    }

    /// Begins the verb, and kills the server of the database and the command at about this moment of its work; answers whether the
    /// command was quicker.
    async fn kill_in(&mut self, verb: &str, moment: u32) -> bool {
        let before = files(self.folder.path());
        let arguments = ["archive", verb, "--month", MARCH, "--apply", "--json"];
        let mut process = Process::start(command(&arguments, &self.variables));
        patience::until("the job to begin", async || {
            if self.running(verb).await? || !process.is_running() { Ok(()) } else { Err("not yet".to_owned()) }
        })
        .await;
        if verb == "run" {
            patience::until("its files", async || {
                let more = files(self.folder.path()).saturating_sub(before);
                if more > moment as usize || !process.is_running() { Ok(()) } else { Err(more) }
            })
            .await;
        } else {
            tokio::time::sleep(Duration::from_millis(u64::from(moment) * 60)).await;
        }
        let was_quicker = !process.is_running();
        self.server.kill();
        process.kill();
        self.server.resume().await;
        let free = "UPDATE platform.leases SET expires_at = '-infinity' WHERE name LIKE 'job/%'";
        self.server.client().await.batch_execute(free).await.unwrap();
        was_quicker
    }
}

#[tokio::test]
async fn whenever_the_server_of_the_database_is_killed_the_month_goes_and_comes_back_whole() {
    let mut stage = Stage::set(PgServer::start().await).await;
    let rows = stage.digest().await;
    assert!(rows.is_some());
    let mut kills = 0;
    for verb in ["run", "drop", "restore"] {
        // At first early in the job, then later and later, until it is quicker than that.
        for moment in 0..6 {
            if stage.kill_in(verb, moment).await {
                break;
            }
            kills += 1;
            let now = stage.digest().await;
            assert!(verb == "restore" || now.is_none() || now == rows, "archive {verb}, kill {moment}");
        }
        stage.run(&format!("archive {verb} --month {MARCH} --apply"));
        let expected = if verb == "drop" { None } else { rows.clone() };
        assert_eq!(stage.digest().await, expected, "archive {verb}");
        stage.run("archive gc --apply");
        stage.run("archive verify");
    }
    assert!(kills >= 6, "{kills} kills");
}

on_the_newest_server! {
    async fn wherever_a_process_dies_the_next_one_comes_to_the_same_end(db: TestDatabase) {
        sweep(db, Blow::Cut).await;
    }

    async fn wherever_the_database_ends_its_sessions_the_next_try_comes_to_the_same_end(db: TestDatabase) {
        sweep(db, Blow::Sessions).await;
    }
}
