//! Checks that stop a run, and the one way past them: by name, with a reason that stays.

use std::path::Path;

use serde_json::Value;
use tokio_postgres::Client;

use super::{
    command::json,
    crashes::{migrations, plugins},
    fixture::{count, headed, history, sql},
};
use crate::support::pg::TestDatabase;

const PEOPLE: &str = "CREATE TABLE alpha.people (tenant_id uuid, name text);
    ALTER TABLE alpha.people ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
    CREATE POLICY everybody ON alpha.people TO CURRENT_USER USING (true) WITH CHECK (true);";

fn files() -> Vec<(&'static str, String)> {
    let pairs = [
        ("001_table.sql", "001_table.down.sql", sql(PEOPLE), "DROP TABLE alpha.people;"),
        (
            "100_more.sql",
            "100_more.down.sql",
            headed("-- Lock: exclusive-brief", "ALTER TABLE alpha.people ADD COLUMN b int;"),
            "ALTER TABLE alpha.people DROP COLUMN b;",
        ),
    ];
    pairs.into_iter().flat_map(|(up, down, text, undo)| [(up, text), (down, undo.to_owned())]).collect()
}

async fn run(db: &TestDatabase, folder: &Path, more: &[&str]) -> (i32, Value) {
    json(db, folder, &[&["run", "--module", "alpha", "--force"], more].concat()).await
}

/// The first file applied, and a learner in its table.
async fn with_data(db: &TestDatabase, folder: &Path) -> Client {
    let (code, said) = json(db, folder, &["run", "--module", "alpha", "--category", "startup"]).await;
    assert_eq!(code, 0, "{said:#}");
    let client = db.owner().await;
    client.batch_execute("INSERT INTO alpha.people VALUES (gen_random_uuid(), 'Ann')").await.unwrap();
    client
}

fn line<'a>(run: &'a Value, side: &str, name: &str) -> &'a Value {
    let lines = run["checks"][side].as_array().unwrap();
    lines.iter().find(|line| line["name"] == name).unwrap_or_else(|| panic!("no line {name}: {run:#}"))
}

on_each_server! {
    async fn without_a_backup_no_release_file_touches_learners_data(db: TestDatabase) {
        let folder = plugins("alpha", &files());
        let client = with_data(&db, folder.path()).await;
        let (code, said) = run(&db, folder.path(), &[]).await;
        assert_eq!((code, &said["kind"], &said["done"]), (4, &"run".into(), &Value::Array(Vec::new())), "{said:#}");
        assert!(said["error"].as_str().unwrap().contains("backup"), "{said:#}");
        assert_eq!(line(&said, "before", "backup")["status"], "fail");
        assert_eq!(history(&client, "alpha").await, ["001_table.sql"]);
        for (arguments, why) in [
            (vec!["--override", "backup"], "reason"),
            (vec!["--override", "backups", "--reason", "x"], "no check"),
            (vec!["--override", "schema-state", "--reason", "x"], "nothing goes past"),
        ] {
            let (code, said) = run(&db, folder.path(), &arguments).await;
            assert!(code == 1 && said["message"].as_str().unwrap().contains(why), "{said:#}");
        }
        let past = ["--override", "backup", "--reason", "dumped by hand at noon", "--by", "Ada"];
        let (code, said) = run(&db, folder.path(), &past).await;
        assert_eq!(
            (code, &said["done"][0]["file"], &said["checks"]["overridden"][0]),
            (0, &"100_more.sql".into(), &"backup".into()),
            "{said:#}"
        );
        let (_, logs) = json(&db, folder.path(), &["logs"]).await;
        let told = logs["attempts"].as_array().unwrap().iter().find(|attempt| attempt["action"] == "override").unwrap();
        assert!(told["detail"].as_str().unwrap().contains("dumped by hand at noon") && told["done_by"] == "Ada", "{told:#}");
    }

    async fn a_fresh_backup_is_enough_and_an_old_one_is_not(db: TestDatabase) {
        let folder = plugins("alpha", &files());
        let client = with_data(&db, folder.path()).await;
        let marker = tempfile::NamedTempFile::new().unwrap();
        let run = async || {
            let mut command = migrations(&db.owner_url(), folder.path(), &["run", "--module", "alpha", "--force"]);
            command.env("PROGRESS_DATABASE_BACKUP_MARKER", marker.path());
            tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap().status.code()
        };
        let long_ago = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
        marker.as_file().set_modified(long_ago).unwrap();
        assert_eq!(run().await, Some(4));
        marker.as_file().set_modified(progress_service::model::Clock::system().now().into()).unwrap();
        assert_eq!(run().await, Some(0));
        assert_eq!(history(&client, "alpha").await, ["001_table.sql", "100_more.sql"]);
    }

    async fn where_nobody_has_data_yet_nothing_is_there_to_back_up(db: TestDatabase) {
        let folder = plugins("alpha", &files());
        let (code, said) = run(&db, folder.path(), &[]).await;
        assert_eq!((code, said["done"].as_array().unwrap().len()), (0, 2), "{said:#}");
    }

    async fn a_check_that_fails_afterwards_fails_the_run_and_says_what_was_applied(db: TestDatabase) {
        let folder = plugins("alpha", &files());
        let (code, _) = json(&db, folder.path(), &["run", "--module", "alpha", "--category", "startup"]).await;
        assert_eq!(code, 0);
        let client = db.owner().await;
        client.batch_execute("CREATE TABLE alpha.twice (a int); INSERT INTO alpha.twice VALUES (1), (1)").await.unwrap();
        client.batch_execute("CREATE UNIQUE INDEX CONCURRENTLY broken ON alpha.twice (a)").await.unwrap_err();
        let (code, said) = run(&db, folder.path(), &[]).await;
        assert_eq!((code, &said["done"][0]["file"]), (4, &"100_more.sql".into()), "{said:#}");
        let why = said["error"].as_str().unwrap();
        assert!(why.contains("applied alpha/100_more.sql") && why.contains("indexes"), "{why}");
        // The next run says so again, until somebody mends it or goes past it.
        assert_eq!(run(&db, folder.path(), &[]).await.0, 4);
        assert_eq!(run(&db, folder.path(), &["--override", "indexes", "--reason", "dropped tomorrow"]).await.0, 0);
        assert_eq!(
            count(
                &client,
                "platform.schema_migration_attempts WHERE action = 'override' AND detail LIKE 'indexes%tomorrow'"
            )
            .await,
            1
        );
    }
}
