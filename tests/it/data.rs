//! A tenant's data out and in: equal on both sides, gone on with after a kill, and refused by name when anything is wrong.

mod elsewhere;
mod forwarded;
mod gate;
mod lrsql;
mod parquet;
mod pulled_documents;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_postgres::Client;

use crate::support::{
    patience,
    pg::TestDatabase,
    pgproc::SmallDisk,
    process::{Process, command},
};

/// Where archived months and exports of a test lie.
struct Desk {
    folder: TempDir,
}

impl Desk {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn variables(&self, db: &TestDatabase) -> BTreeMap<String, String> {
        let archive = format!("file://{}", self.path(&format!("archive-{}", db.name())).display());
        let all = [
            ("PROGRESS_DATABASE_URL", db.service_url()),
            ("PROGRESS_DATABASE_MIGRATION_URL", db.owner_url()),
            ("PROGRESS_ARCHIVE_URL", archive),
        ];
        all.map(|(name, value)| (name.to_owned(), value)).into()
    }

    fn command(&self, db: &TestDatabase, line: &str) -> Command {
        let here = self.folder.path().display().to_string();
        let words: Vec<String> = line.split(' ').map(|word| word.replace('@', &here)).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        command(&words, &self.variables(db))
    }

    /// Exit code, the last line of JSON, and what was said on standard error. `@` stands for the folder.
    fn run(&self, db: &TestDatabase, line: &str) -> (Option<i32>, Value, String) {
        let output = self.command(db, &format!("{line} --json")).output().unwrap();
        let (said, errors) = (
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        );
        let last = said.lines().last().and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default();
        (output.status.code(), last, errors)
    }

    /// A command that has to succeed.
    fn done(&self, db: &TestDatabase, line: &str) -> Value {
        let (code, said, errors) = self.run(db, line);
        assert_eq!(code, Some(0), "{line}: {said} {errors}");
        said
    }

    /// A command that has to fail; answers what it said.
    fn refused(&self, db: &TestDatabase, line: &str) -> String {
        let (code, said, errors) = self.run(db, line);
        assert_eq!(code, Some(1), "{line}: {said} {errors}");
        format!("{said} {errors}")
    }

    fn manifest(&self, export: &str) -> Value {
        serde_json::from_slice(&fs::read(self.path(export).join("manifest.json")).unwrap()).unwrap()
    }

    fn installation(&self, export: &str) -> String {
        self.manifest(export)["installation"].as_str().unwrap().to_owned()
    }

    fn copy(&self, from: &str, to: &str) {
        let status = Command::new("cp").arg("-r").arg(self.path(from)).arg(self.path(to)).status().unwrap();
        assert!(status.success());
    }
}

const SEED: &str = "demo seed --tenants 1 --statements 1500 --months 3 --until 2026-03 --apply";
const EXPORT: &str = "data export --tenant demo-1 --output @/out";

async fn count(client: &Client, what: &str) -> i64 {
    client.query_one(&format!("SELECT count(*) FROM {what}"), &[]).await.unwrap().get(0)
}

/// That nothing of a tenant came in.
async fn nothing_came(db: &TestDatabase) {
    let eyes = db.superuser().await;
    for table in [
        "ledger.statements",
        "ledger.statement_ids",
        "ledger.documents",
        "ledger.attachments",
        "ledger.month_fills",
        "progress.attempts",
        "platform.tenants WHERE name <> 'default'",
    ] {
        assert_eq!(count(&eyes, table).await, 0, "{table}");
    }
}

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A demo tenant with a month in the archive, dropped here.
fn seeded(desk: &Desk, db: &TestDatabase) {
    desk.done(db, SEED);
    for verb in ["partitions seal", "archive run", "archive drop"] {
        desk.done(db, &format!("{verb} --month 2026-02 --apply"));
    }
}

on_each_server! {
    async fn what_is_exported_comes_back_equal_archived_months_included(db: TestDatabase) {
        let desk = Desk::new();
        seeded(&desk, &db);
        assert!(count(&db.superuser().await, "ledger.statements").await < 1_500, "a month is only in the archive");
        let said = desk.done(&db, EXPORT);
        assert_eq!((&said["statements"], said["months"].as_array().unwrap().len()), (&json!(1500), 3), "{said}");
        for kind in ["documents", "attachments", "attempts", "completions", "scores", "registries", "settings"] {
            assert!(said["counts"][kind].as_u64() > Some(0), "{kind}: {said}");
        }
        assert_eq!(desk.done(&db, "data compare @/out --to current")["equal"], true);
        assert!(desk.refused(&db, EXPORT).contains("holds a whole export already"));

        // Into an empty installation.
        let other = TestDatabase::new(db.server()).await;
        let why = desk.refused(&other, "data import --file @/out --dry-run");
        let from = desk.installation("out");
        assert!(why.contains(&format!("say --from {from}")), "{why}");
        let plan = desk.done(&other, &format!("data import --file @/out --from {from} --dry-run"));
        assert_eq!((&plan["plan"]["coming"]["statements"], &plan["plan"]["makesTenant"], &plan["problemCount"]), (&json!(1500), &json!(true), &json!(0)), "{plan}");
        nothing_came(&other).await;
        let why = desk.refused(&other, &format!("data import --file @/out --from {from} --apply --plan 0123"));
        assert!(why.contains("the plan is not 0123 any more"), "{why}");
        let digest = plan["digest"].as_str().unwrap();
        let done = desk.done(&other, &format!("data import --file @/out --from {from} --apply --plan {digest}"));
        assert_eq!((&done["done"]["new"], &done["done"]["same"]), (&json!(1500), &json!(0)), "{done}");

        let compared = desk.done(&other, "data compare @/out --to current");
        assert_eq!((&compared["equal"], &compared["compared"]["statements"]), (&json!(true), &json!(1500)), "{compared}");
        desk.done(&other, "data export --tenant demo-1 --output @/back");
        assert_eq!(desk.done(&other, "data compare @/out @/back")["differences"], json!([]));
        desk.done(&other, "projections verify");
        let eyes = other.superuser().await;
        assert_eq!((count(&eyes, "progress.outbox").await, count(&eyes, "ledger.refs WHERE NOT settled").await), (0, 0), "nobody is told");
        assert_eq!(count(&eyes, "platform.audit WHERE action = 'data.import'").await, 1);

        let again = desk.done(&other, &format!("data import --file @/out --from {from} --apply"));
        assert_eq!((&again["done"]["new"], &again["done"]["same"]), (&json!(0), &json!(1500)), "{again}");
        // What came in is one more difference for whoever compares with something else.
        eyes.batch_execute("ALTER TABLE ledger.statements DISABLE TRIGGER statements_are_append_only;
            UPDATE ledger.statements SET payload = replace(payload, '\"version\":\"', '\"version\": \"') WHERE stored = (SELECT min(stored) FROM ledger.statements);
            ALTER TABLE ledger.statements ENABLE ALWAYS TRIGGER statements_are_append_only").await.unwrap();
        let id: String = eyes.query_one("SELECT id::text FROM ledger.statements ORDER BY stored LIMIT 1", &[]).await.unwrap().get(0);
        let (code, said, _) = desk.run(&other, "data compare @/out --to current");
        assert_eq!((code, &said["differences"][0]["different"], &said["differences"][0]["month"]), (Some(4), &json!([id]), &json!("2026-01")), "{said}");
    }

    async fn what_is_wrong_is_named_and_nothing_comes(db: TestDatabase) {
        let desk = Desk::new();
        desk.done(&db, SEED);
        desk.done(&db, EXPORT);
        let other = TestDatabase::new(db.server()).await;
        let from = desk.installation("out");
        let import = format!("data import --file @/bad --from {from} --apply");
        let refused = |spoil: &dyn Fn(&Path), words: &[&str]| {
            desk.copy("out", "bad");
            spoil(&desk.path("bad"));
            let why = desk.refused(&other, &import);
            for word in words {
                assert!(why.contains(word), "{word}: {why}");
            }
            fs::remove_dir_all(desk.path("bad")).unwrap();
        };
        let march = "statements/2026-03.ndjson";
        let change = |folder: &Path, file: &str, change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = fs::read(folder.join(file)).unwrap();
            change(&mut bytes);
            fs::write(folder.join(file), bytes).unwrap();
        };
        refused(&|folder| change(folder, march, &|bytes| bytes.truncate(bytes.len() / 2)), &[march, "the file was cut off", "[truncated]"]);
        refused(&|folder| change(folder, march, &|bytes| {
            let at = bytes.windows(9).position(|word| word == b"completed").unwrap();
            bytes[at] ^= 1;
        }), &[march, "it was changed after it was made", "[digest]", "statements of 2026-03 with the verb"]);
        refused(&|folder| change(folder, march, &|bytes| bytes[0] ^= 1), &["\"line\":1", "[json"]);
        refused(&|folder| change(folder, "documents.ndjson", &|bytes| *bytes.last_mut().unwrap() ^= 1), &["documents.ndjson", "[digest]"]);
        refused(&|folder| fs::remove_file(folder.join("attempts.ndjson")).unwrap(), &["attempts.ndjson", "ends after 0 bytes"]);
        refused(&|folder| change(folder, "manifest.json", &|bytes| {
            let text = String::from_utf8(bytes.clone()).unwrap().replace("\"format\": 1", "\"format\": 9");
            *bytes = text.into_bytes();
        }), &["format 9 is newer than this release knows"]);
        refused(&|folder| change(folder, "manifest.json", &|bytes| {
            let text = String::from_utf8(bytes.clone()).unwrap().replace("demo-1", "demo-2");
            *bytes = text.into_bytes();
        }), &["manifest.json", "it was changed"]);
        refused(&|folder| fs::remove_file(folder.join("manifest.json")).unwrap(), &["has no manifest.json"]);
        nothing_came(&other).await;

        // An id that is there with another content, and one of somebody who was erased.
        desk.done(&other, &format!("data import --file @/out --from {from} --apply"));
        let eyes = other.superuser().await;
        let ids: Vec<String> = eyes.query("SELECT id::text FROM ledger.statements ORDER BY stored LIMIT 2", &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
        eyes.batch_execute(&format!("UPDATE ledger.statement_ids SET digest = '\\x00' WHERE id = '{}'", ids[0])).await.unwrap();
        let why = desk.refused(&other, &format!("data import --file @/out --from {from} --apply"));
        assert!(why.contains(&format!("statement {}: another statement has this id already", ids[0])) && why.contains("statements/2026-01.ndjson:1"), "{why}");
        assert!(why.contains("1 problems: nothing was done"), "{why}");
    }

    async fn who_is_killed_goes_on(db: TestDatabase) {
        let desk = Desk::new();
        desk.done(&db, SEED);
        // In the middle of an export: after the first month that is whole.
        let mut process = Process::start(desk.command(&db, EXPORT));
        patience::until("a month is written", async || {
            let written = desk.path("out").join("statements").exists() && !files(&desk.path("out/statements")).is_empty();
            if written || !process.is_running() { Ok(()) } else { Err("nothing yet") }
        }).await;
        process.kill();
        if !desk.path("out/manifest.json").exists() {
            assert!(desk.refused(&db, "data compare @/out --to current").contains("has no manifest.json"));
            assert!(desk.refused(&db, "data export --tenant default --output @/out").contains("the beginning of another export"));
            assert_eq!(desk.done(&db, EXPORT)["statements"], 1_500);
        }
        assert!(!files(&desk.path("out")).iter().any(|name| name.contains("part") || name.contains("unfinished")), "{:?}", files(&desk.path("out")));
        assert_eq!(desk.done(&db, "data compare @/out --to current")["equal"], true);

        let other = TestDatabase::new(db.server()).await;
        let import = format!("data import --file @/out --from {} --apply", desk.installation("out"));
        let eyes = other.superuser().await;
        for wanted in [1_i64, 900] {
            let mut process = Process::start(desk.command(&other, &import));
            patience::until("some of it is taken", async || {
                let ids = count(&eyes, "ledger.statement_ids").await;
                if ids >= wanted || !process.is_running() { Ok(()) } else { Err(ids) }
            }).await;
            process.kill();
        }
        desk.done(&other, &import);
        assert_eq!(desk.done(&other, "data compare @/out --to current")["equal"], true);
        desk.done(&other, "projections verify");
    }

    async fn a_part_a_zip_and_another_tenant(db: TestDatabase) {
        let desk = Desk::new();
        desk.done(&db, SEED);
        desk.done(&db, "tenants create other");
        let said = desk.done(&db, "data export --tenant demo-1 --output @/out.zip --zip");
        assert_eq!(files(desk.folder.path()).iter().filter(|name| name.starts_with("out")).count(), 1, "{said}");
        let eyes = db.superuser().await;
        let done = desk.done(&db, "data import --file @/out.zip --tenant other --apply");
        assert_eq!((&done["done"]["new"], &done["done"]["documents"]), (&json!(1500), &said["counts"]["documents"]), "{done}");
        assert_eq!(desk.done(&db, "data compare @/out.zip --to current --tenant other")["equal"], true);
        // Keys are the other tenant's own.
        let shared = "(SELECT key FROM ledger.documents GROUP BY key HAVING count(*) > 1 UNION ALL
                       SELECT authority_key FROM ledger.attachment_bringers GROUP BY authority_key HAVING count(DISTINCT tenant_id) > 1) shared";
        assert_eq!(count(&eyes, shared).await, 0);
        assert_eq!(count(&eyes, "(SELECT tenant_id FROM ledger.attachment_bringers GROUP BY tenant_id) t").await, 2);

        let some = desk.done(&db, "data export --tenant demo-1 --output @/some --kind statements --since 2026-02-01T00:00:00Z --until 2026-02-28T23:59:59Z");
        let months: Vec<&Value> = some["months"].as_array().unwrap().iter().map(|one| &one["month"]).collect();
        assert_eq!((months, files(&desk.path("some"))), (vec![&json!("2026-02")], vec!["manifest.json".to_owned(), "statements".to_owned(), "voidings.ndjson".to_owned()]));
        assert_eq!(desk.done(&db, "data compare @/some --to current")["equal"], true);

        let user: String = eyes.query_one("SELECT user_id FROM progress.attempts WHERE length(user_id) = 36 ORDER BY 1 LIMIT 1", &[]).await.unwrap().get(0);
        let own = desk.done(&db, &format!("data export --tenant demo-1 --output @/own --learner {user}"));
        assert!(own["statements"].as_u64() > Some(0) && own["statements"].as_u64() < Some(1_500), "{own}");
        let lines = fs::read_to_string(desk.path("own/attempts.ndjson")).unwrap();
        assert!(lines.lines().all(|line| line.contains(&user)) && !desk.path("own/credentials.ndjson").exists());
        assert_eq!(desk.done(&db, "data compare @/own --to current")["equal"], true);
        assert!(desk.refused(&db, "data export --tenant demo-1 --output @/nobody --learner 00000000-0000-4000-8000-00000000dead").contains("nobody is known"));
    }

    async fn what_is_replayed_is_told(db: TestDatabase) {
        let desk = Desk::new();
        desk.done(&db, SEED);
        desk.done(&db, EXPORT);
        let mut other = TestDatabase::new(db.server()).await;
        other.leaves("progress.outbox");
        let import = format!("data import --file @/out --from {} --apply --events replay", desk.installation("out"));
        desk.done(&other, &import);
        let (store, eyes) = (other.store(), other.superuser().await);
        assert_eq!(count(&eyes, "progress.attempts").await, 0, "the service makes them");
        while progress_service::projections::run::step(&store).await.unwrap() > 0 {}
        assert!(count(&eyes, "progress.outbox").await > 0);
        desk.done(&other, "projections verify");
        assert!(desk.refused(&other, &import).contains("--events replay is for one that has none"));
    }
}

on_each_server! {
    async fn what_does_not_hold_its_rules_is_found_and_repaired_where_nothing_is_made_up(db: TestDatabase) {
        let desk = Desk::new();
        seeded(&desk, &db);
        let clean = desk.done(&db, "data validate --tenant demo-1");
        assert_eq!((&clean["findings"]["statements"], &clean["findings"]["byRule"]), (&json!(1500), &json!({})), "{clean}");
        let eyes = db.superuser().await;
        let broken = |table: &str, sql: &str| format!("ALTER TABLE {table} DISABLE TRIGGER USER; {sql}; ALTER TABLE {table} ENABLE TRIGGER USER;");
        eyes.batch_execute(&[
            broken("ledger.statement_ids", "DELETE FROM ledger.statement_ids WHERE id = (SELECT id FROM ledger.statements ORDER BY stored LIMIT 1)"),
            broken("ledger.statement_ids", "UPDATE ledger.statement_ids SET digest = '\\x00' WHERE id = (SELECT id FROM ledger.statements ORDER BY stored DESC LIMIT 1)"),
            broken("ledger.refs", "DELETE FROM ledger.refs WHERE referrer_id = (SELECT referrer_id FROM ledger.refs WHERE NOT voids ORDER BY referrer_id LIMIT 1)"),
            broken("ledger.documents", "UPDATE ledger.documents SET content = '\\x00' WHERE key = (SELECT key FROM ledger.documents ORDER BY key LIMIT 1)"),
            broken("ledger.attachment_pieces", "UPDATE ledger.attachment_pieces SET content = '\\x00' WHERE sha2 = (SELECT sha2 FROM ledger.attachments ORDER BY sha2 LIMIT 1)"),
            broken("progress.scores", "DELETE FROM progress.scores WHERE attempt_id = (SELECT attempt_id FROM progress.scores ORDER BY 1 LIMIT 1)"),
        ].concat()).await.unwrap();
        let wanted = json!({"attachment": 1, "digest": 1, "etag": 1, "guard-missing": 1, "reference": 1});
        let found = |said: &(Option<i32>, Value, String)| (said.0, said.1["findings"]["byRule"].clone(), said.1["projectionRows"].clone());
        let validate = "data validate --tenant demo-1";
        assert_eq!(found(&desk.run(&db, validate)), (Some(4), wanted.clone(), json!(1)));
        assert_eq!(found(&desk.run(&db, "data repair --tenant demo-1 --dry-run")), (Some(4), wanted.clone(), json!(1)));
        assert_eq!(found(&desk.run(&db, validate)), (Some(4), wanted, json!(1)), "that changed nothing");
        let repaired = desk.run(&db, "data repair --tenant demo-1 --confirm");
        assert_eq!((repaired.0, &repaired.1["findings"]["repaired"]), (Some(4), &json!(2)), "{repaired:?}");
        let left = desk.run(&db, validate);
        assert_eq!(found(&left), (Some(4), json!({"attachment": 1, "digest": 1, "etag": 1}), json!(0)));
        assert!(left.1["findings"]["found"].as_array().unwrap().iter().all(|one| one["isRepairable"] == false), "{left:?}");
        assert_eq!(count(&eyes, "ledger.refs WHERE NOT settled").await, 0);
        assert_eq!(count(&eyes, "platform.audit WHERE action = 'data.repair'").await, 1);
        assert_eq!(desk.command(&db, "data repair --tenant demo-1").output().unwrap().status.code(), Some(2), "how, has to be said");
    }
}

on_the_newest_server! {
    async fn a_disk_that_fills_up_leaves_what_was_whole(db: TestDatabase) {
        let desk = Desk::new();
        desk.done(&db, &SEED.replace("1500", "4000"));
        let small = desk.path("small");
        fs::create_dir(&small).unwrap();
        let disk = SmallDisk::mount(&small, 1);
        let why = desk.refused(&db, "data export --tenant demo-1 --output @/small/out");
        assert!(why.contains("no space is left"), "{why}");
        let parts = files(&small.join("out")).into_iter().filter(|name| name.ends_with(".part")).count();
        assert_eq!((parts, small.join("out/manifest.json").exists()), (0, false));
        disk.grow(64);
        assert_eq!(desk.done(&db, "data export --tenant demo-1 --output @/small/out")["statements"], 4_000);
        assert_eq!(desk.done(&db, "data compare @/small/out --to current")["equal"], true);
        drop(disk);
    }
}
