//! Any moment by the log that is kept, and the backup that a release's migrations leave behind them.

use std::fs;

use progress_service::embedded::physical;
use tokio_postgres::NoTls;

use super::{Home, files};
use crate::support::patience;

async fn as_superuser(home: &Home, sql: &str) {
    let url = physical::superuser_url(home.data.path()).await.unwrap().expect("a running server");
    let config: tokio_postgres::Config = url.expose().parse().unwrap();
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute(sql).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_comes_back_as_of_a_moment() {
    let home = Home::new().set("PROGRESS_BACKUP_LOG", "true");
    let service = home.serve().await;
    service.say("bob", "before").await;
    home.make();
    home.done(&["backup", "verify"]);
    service.say("bob", "meanwhile").await;
    let moment = progress_service::model::Clock::system().now();
    service.say("bob", "later").await;
    let log = home.backups().join("log");
    let kept = files(&log).len();
    as_superuser(&home, "SELECT pg_switch_wal()").await;
    patience::until("the log is kept", async || {
        if files(&log).len() > kept { Ok(()) } else { Err(service.0.process.log.lines().join("\n")) }
    })
    .await;
    service.stop().await;
    fs::remove_dir_all(home.postgres()).unwrap();

    let early = "2020-01-01T00:00:00Z";
    assert!(home.refused(&["backup", "restore", "--at", early], 1).contains("no backup was verified"));
    let late = (moment + chrono::Duration::days(1)).to_rfc3339();
    let said = home.refused(&["backup", "restore", "--at", &late, "--apply"], 1);
    assert!(said.contains("recovery ended before configured recovery target was reached"), "{said}");
    assert!(!home.postgres().exists());
    home.done(&["backup", "restore", "--at", &moment.to_rfc3339(), "--apply"]);
    let service = home.serve().await;
    assert_eq!(service.did("bob").await, ["before", "meanwhile"]);
    // Its log goes on beside the old one, and a backup of it is one.
    service.say("bob", "after").await;
    home.make();
    home.done(&["backup", "verify"]);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn before_a_releases_files_a_backup_is_made_and_the_way_back_is_one_command() {
    let home = Home::new();
    // With learners' rows, for which the checks ask for a backup of the last day.
    let service = home.serve().await;
    service.say("bob", "one").await;
    service.stop().await;
    let plugins = super::open_folder();
    let module = plugins.path().join("extra");
    fs::create_dir(&module).unwrap();
    let head = "-- Description: notes\n-- Breaking: no\n-- Manual: no\n-- Lock: none\n\n";
    let text = format!("{head}CREATE TABLE extra.notes (id integer PRIMARY KEY);\n");
    fs::write(module.join("100_notes.sql"), text).unwrap();
    fs::write(module.join("100_notes.down.sql"), "DROP TABLE extra.notes;\n").unwrap();
    let home = home.set("PROGRESS_MIGRATIONS_PLUGIN_DIR", plugins.path().to_str().unwrap());
    home.run(&["migrations", "run"]);
    assert!(files(&home.backups()).is_empty(), "what runs by itself needs none");
    let said = home.refused(&["migrations", "run", "--force", "--no-backup"], 4);
    assert!(said.contains("make a backup before release"), "{said}");
    let run = home.run(&["migrations", "run", "--force"]);
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(said.contains("is made first"), "{said}\n{}", String::from_utf8_lossy(&run.stdout));
    assert!(home.refused(&["backup", "list"], 4).contains("before migrations"));

    let plan = home.done(&["emergency", "rollback"]);
    assert!(plan.contains("extra/100_notes.sql") && plan.contains("nothing was done"), "{plan}");
    home.done(&["emergency", "rollback", "--apply", "--approved-by", "ada"]);
    let status = home.run(&["migrations", "status", "--json"]);
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(status["gated"], serde_json::json!(["extra/100_notes.sql"]), "{status}");
    let service = home.serve_closed().await;
    assert_eq!(service.ask(reqwest::Method::GET, "/xapi/about", None).await.status, 503, "it waits for a person again");
    service.stop().await;
    let said = home.refused(&["emergency", "rollback"], 1);
    assert!(said.contains("nothing to go back to"), "{said}");
}
