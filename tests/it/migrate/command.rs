//! The command line: exit codes, JSON, and that nothing destructive happens without `--apply`.

use std::{collections::BTreeMap, process::Output};

use serde_json::Value;

use super::{
    crashes::{migrations, plugins},
    fixture::{count, headed, history, sql},
};
use crate::support::{
    pg::{Server, TestDatabase},
    process::{Process, command},
};

/// Runs to its end: exit code, and standard output as JSON.
pub async fn json(db: &TestDatabase, folder: &std::path::Path, arguments: &[&str]) -> (i32, Value) {
    let mut command = migrations(&db.owner_url(), folder, &[arguments, &["--json"]].concat());
    let output: Output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let value = serde_json::from_str(&text)
        .unwrap_or_else(|e| panic!("{e}: {text}{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code().unwrap(), value)
}

fn files() -> Vec<(&'static str, String)> {
    vec![
        ("001_table.sql", sql("CREATE TABLE alpha.t (a int);")),
        ("001_table.down.sql", "DROP TABLE alpha.t;".to_owned()),
        ("100_more.sql", headed("-- Lock: exclusive-brief", "ALTER TABLE alpha.t ADD COLUMN b int;")),
        ("100_more.down.sql", "ALTER TABLE alpha.t DROP COLUMN b;".to_owned()),
    ]
}

on_each_server! {
    async fn from_nothing_to_applied_and_back(db: TestDatabase) {
        let folder = plugins("alpha", &files());
        let (code, status) = json(&db, folder.path(), &["status", "--module", "alpha"]).await;
        assert_eq!((code, &status["format"], &status["kind"]), (5, &1.into(), &"status".into()));
        assert_eq!(status["modules"][0]["files"][0]["state"], "pending");
        let (code, run) = json(&db, folder.path(), &["run", "--module", "alpha"]).await;
        assert_eq!(
            (code, &run["done"][0]["file"], &run["withheld"][0]["because"]),
            (5, &"001_table.sql".into(), &"gate".into())
        );
        let (code, dry) =
            json(&db, folder.path(), &["run", "--module", "alpha", "--category", "release", "--force", "--dry-run"])
                .await;
        assert_eq!((code, &dry["planned"][0]["rehearsal"]["locks"][0]["mode"]), (0, &"AccessExclusiveLock".into()));
        let (code, _) = json(&db, folder.path(), &["up", "--module", "alpha", "--force", "--by", "Ada"]).await;
        assert_eq!(code, 0);
        let client = db.owner().await;
        assert_eq!(count(&client, "alpha.schema_migrations WHERE applied_by = 'Ada'").await, 1);
        let (code, plan) = json(&db, folder.path(), &["down", "--module", "alpha"]).await;
        assert_eq!((code, &plan["applied"], &plan["planned"][0]["file"]), (0, &false.into(), &"100_more.sql".into()));
        let (code, error) = json(&db, folder.path(), &["down", "--module", "alpha", "--apply"]).await;
        assert_eq!((code, &error["kind"]), (1, &"error".into()));
        let (code, _) =
            json(&db, folder.path(), &["down", "--module", "alpha", "--steps", "2", "--apply", "--approved-by", "Ada"])
                .await;
        assert_eq!((code, history(&client, "alpha").await.len()), (0, 0));
        let (_, logs) = json(&db, folder.path(), &["logs", "--module", "alpha"]).await;
        assert_eq!(logs["attempts"].as_array().unwrap().len(), 4);
    }

    async fn findings_have_their_own_exit_code(db: TestDatabase) {
        let folder = plugins("alpha", &files());
        json(&db, folder.path(), &["run", "--module", "alpha", "--force"]).await;
        assert_eq!(json(&db, folder.path(), &["verify", "--module", "alpha"]).await.0, 0);
        std::fs::write(folder.path().join("alpha/001_table.sql"), sql("CREATE TABLE alpha.t (a bigint);")).unwrap();
        let (code, verify) = json(&db, folder.path(), &["verify"]).await;
        assert_eq!((code, &verify["problems"][0]["problem"]), (4, &"tampered".into()));
        assert_eq!(json(&db, folder.path(), &["run", "--force"]).await.0, 4);
        std::fs::write(folder.path().join("alpha/1_wrong.sql"), sql("SELECT 1;")).unwrap();
        let (code, error) = json(&db, folder.path(), &["validate"]).await;
        assert_eq!(code, 4);
        assert!(error["message"].as_str().unwrap().contains("1_wrong.sql"));
    }

    async fn an_older_binary_refuses_to_serve(db: TestDatabase) {
        let add = "INSERT INTO platform.schema_migrations VALUES ('900_future.sql', 'release', 'sha256:00', now(), \
            'a newer release', 1)";
        db.owner().await.batch_execute(add).await.unwrap();
        let data = tempfile::tempdir().unwrap();
        let variables = [
            ("PROGRESS_DATABASE_URL", db.service_url()),
            ("PROGRESS_DATABASE_MIGRATION_URL", db.owner_url()),
            ("PROGRESS_LISTEN", "127.0.0.1:0".to_owned()),
            ("PROGRESS_DATA_DIR", data.path().to_string_lossy().into_owned()),
        ];
        let variables = variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let mut process = Process::start(command(&["serve"], &variables));
        assert!(!process.ended().await.success());
        process.says("900_future.sql was applied by a newer release").await;
    }
}

#[tokio::test]
async fn an_unreachable_database_has_its_own_exit_code() {
    let folder = plugins("alpha", &files());
    let output = migrations("postgres://nobody@127.0.0.1:1/none", folder.path(), &["status"]).output().unwrap();
    assert_eq!(output.status.code(), Some(7), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn new_files_are_written_in_pairs() {
    let folder = tempfile::tempdir().unwrap();
    let db = TestDatabase::empty(Server::newest().await).await;
    let into = folder.path().to_string_lossy().into_owned();
    let arguments = ["create", "alpha", "release", "Add", "a", "column", "--into", &into];
    let (code, made) = json(&db, folder.path(), &arguments).await;
    assert_eq!(code, 0, "{made}");
    assert!(folder.path().join("alpha/100_add_a_column.sql").exists());
    assert!(folder.path().join("alpha/100_add_a_column.down.sql").exists());
}

on_each_server! {
    async fn a_run_stands_between_its_checks_and_a_failing_one_stops_it(db: TestDatabase) {
        let empty = TestDatabase::empty(db.server()).await;
        let run = |more: &[&str], url: String| {
            let variables = BTreeMap::from([("PROGRESS_DATABASE_URL".to_owned(), url)]);
            command(&[&["migrations", "run"], more].concat(), &variables).output().expect("the binary runs")
        };
        let done = run(&[], empty.superuser_url());
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(said.contains("connection:") && said.contains("row-level-security"), "{said}");
        // The service's own login may not migrate: the checks say so before anything is tried.
        let refused = run(&[], db.service_url());
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(4), "{said}");
        assert!(said.contains("fail") && said.contains("nothing was applied"), "{said}");
    }
}
