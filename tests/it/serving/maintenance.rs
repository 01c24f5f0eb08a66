//! A schema that waits for somebody, or goes away beneath a node: what the node says, and when it opens again.

use std::{fs, path::Path};

use progress_service::{
    migrate::{self, Request, Runner, Wish, down::DownRequest, modules, silent},
    model::Secret,
    store::Endpoint,
};
use reqwest::StatusCode;

use super::{get, start};
use crate::support::{
    app::{ready, send},
    http, patience,
    pg::{Server, TestDatabase},
};

/// A plug-in module with one migration that waits for a person.
fn plugin(root: &Path) {
    let folder = root.join("extra");
    fs::create_dir(&folder).unwrap();
    let head = "-- Description: a thing\n-- Breaking: no\n-- Manual: no\n-- Lock: none\n\n";
    fs::write(folder.join("100_thing.sql"), format!("{head}CREATE TABLE extra.thing (id integer PRIMARY KEY);\n"))
        .unwrap();
    fs::write(folder.join("100_thing.down.sql"), "DROP TABLE extra.thing;\n").unwrap();
}

#[tokio::test]
async fn pending_migrations_close_the_data_plane_until_somebody_runs_them() {
    let db = TestDatabase::new(Server::newest().await).await;
    let plugins = tempfile::tempdir().unwrap();
    plugin(plugins.path());
    let service = start(&db, &[("PROGRESS_MIGRATIONS_PLUGIN_DIR", plugins.path().to_str().unwrap())]).await;
    get(&service, "/healthz").await.expect(200);
    let readiness = get(&service, "/readyz").await.expect(503).json();
    assert_eq!(readiness["phase"], "maintenance");
    assert!(readiness["pending"].to_string().contains("100_thing"), "{readiness}");
    let refused = get(&service, "/xapi/about").await.expect(503);
    assert_ne!(refused.header("retry-after"), "");
    assert!(refused.text().contains("100_thing"), "{}", refused.text());

    let owner = Endpoint { url: Secret::new(db.owner_url()), ca_file: None };
    let runner = Runner::new(modules::all(&[plugins.path().to_owned()]).unwrap(), owner, migrate::Settings::default());
    let wish = Wish { force: true, ..Wish::default() };
    let request = Request { wish, dry_run: false, applied_by: "test".to_owned() };
    let report = runner.run(&request, &silent).await.unwrap();
    assert!(report.failed.is_none(), "{:?}", report.failed);
    ready(&service.url).await;
}

#[tokio::test]
async fn a_start_into_maintenance_makes_the_operators_key_and_says_once_what_it_waits_for() {
    let db = TestDatabase::new(Server::newest().await).await;
    let plugins = tempfile::tempdir().unwrap();
    plugin(plugins.path());
    let folder = plugins.path().to_str().unwrap();
    let variables =
        [("PROGRESS_MIGRATIONS_PLUGIN_DIR", folder), ("PROGRESS_BOOTSTRAP_CREDENTIAL", "first-key:first-secret")];
    let service = start(&db, &variables).await;
    let request = http::client().get(format!("{}/api/v1/admin/migrations/status", service.url));
    send(request.basic_auth("first-key", Some("first-secret"))).await.expect(200);
    // Each look is a session of its own.
    let superuser = db.superuser().await;
    let sessions = async || -> i64 {
        let sql = "SELECT sessions FROM pg_stat_database WHERE datname = current_database()";
        superuser.query_one(sql, &[]).await.unwrap().get(0)
    };
    let before = sessions().await;
    patience::until("some more looks", async || match sessions().await {
        more if more >= before + 4 => Ok(()),
        few => Err(few),
    })
    .await;
    let said = service.process.log.lines().iter().filter(|line| line.contains("migrations wait")).count();
    assert_eq!(said, 1, "{}", service.process.log.lines().join("\n"));
}

/// A plug-in module whose files run by themselves, but for two that destroy something.
fn destructive_plugin(root: &Path) {
    let folder = root.join("extra");
    fs::create_dir(&folder).unwrap();
    let head = "-- Description: a thing\n-- Breaking: no\n-- Manual: no\n-- Lock: none\n\n";
    for (file, sql) in [
        ("001_things.sql", "CREATE TABLE extra.thing (id integer PRIMARY KEY);"),
        ("002_drop.sql", "DROP TABLE extra.thing;"),
        ("S001_clear.sql", "DELETE FROM extra.thing WHERE id = 1;"),
        ("S002_fill.sql", "INSERT INTO extra.thing VALUES (2) ON CONFLICT DO NOTHING;"),
    ] {
        fs::write(folder.join(file), format!("{head}{sql}\n")).unwrap();
        fs::write(folder.join(file.replace(".sql", ".down.sql")), "SELECT 1;\n").unwrap();
    }
}

#[tokio::test]
async fn a_file_that_a_start_withholds_is_named_with_the_reason_and_the_data_plane_stays_closed() {
    let db = TestDatabase::new(Server::newest().await).await;
    let plugins = tempfile::tempdir().unwrap();
    destructive_plugin(plugins.path());
    let service = start(&db, &[("PROGRESS_MIGRATIONS_PLUGIN_DIR", plugins.path().to_str().unwrap())]).await;
    let readiness = get(&service, "/readyz").await.expect(503).json();
    assert_eq!(readiness["phase"], "maintenance", "{readiness}");
    let pending = readiness["pending"].to_string();
    for waiting in ["extra/002_drop.sql (the linter", "extra/S001_clear.sql (the linter", "extra/S002_fill.sql (after"]
    {
        assert!(pending.contains(waiting), "{waiting}: {pending}");
    }
    assert!(!pending.contains("001_things"), "{pending}");
    assert!(get(&service, "/xapi/about").await.expect(503).text().contains("002_drop.sql"));
}

#[tokio::test]
async fn a_node_whose_schema_is_taken_away_beneath_it_stops_serving_until_it_is_back() {
    let db = TestDatabase::new(Server::newest().await).await;
    let plugins = tempfile::tempdir().unwrap();
    plugin(plugins.path());
    let owner = Endpoint { url: Secret::new(db.owner_url()), ca_file: None };
    let runner = Runner::new(modules::all(&[plugins.path().to_owned()]).unwrap(), owner, migrate::Settings::default());
    let wish = Wish { force: true, ..Wish::default() };
    let request = Request { wish, dry_run: false, applied_by: "test".to_owned() };
    assert!(runner.run(&request, &silent).await.unwrap().failed.is_none());
    let service = start(&db, &[("PROGRESS_MIGRATIONS_PLUGIN_DIR", plugins.path().to_str().unwrap())]).await;
    ready(&service.url).await;
    let leads = async |value: &str| {
        let metrics = get(&service, "/metrics").await.text();
        metrics.lines().any(|line| line.starts_with("progress_worker_leading") && line.ends_with(value))
    };
    patience::until("loops", async || if leads(" 1").await { Ok(()) } else { Err("none leads") }).await;

    let (module, approved_by) = (Some("extra".to_owned()), Some("Ada".to_owned()));
    let down = DownRequest { module, steps: 1, approved_by, by: "test".to_owned(), apply: true };
    assert!(runner.down(&down, &silent).await.unwrap().failed.is_none());
    let readiness = patience::until("the end of readiness", async || {
        let answer = get(&service, "/readyz").await;
        if answer.status == StatusCode::SERVICE_UNAVAILABLE { Ok(answer.json()) } else { Err(answer.text()) }
    })
    .await;
    assert_eq!(readiness["phase"], "maintenance", "{readiness}");
    assert!(readiness["pending"].to_string().contains("extra/100_thing.sql"), "{readiness}");
    get(&service, "/xapi/about").await.expect(503);
    patience::until("the end of the loops", async || if leads(" 1").await { Err("one leads") } else { Ok(()) }).await;

    assert!(runner.run(&request, &silent).await.unwrap().failed.is_none());
    ready(&service.url).await;
    get(&service, "/xapi/about").await.expect(200);
    patience::until("loops again", async || if leads(" 1").await { Ok(()) } else { Err("none leads") }).await;
}
