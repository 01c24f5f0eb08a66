//! The migration runner over HTTP: who may, what is told, and a run as a job that opens the data plane.

use std::{path::Path, time::Duration};

use progress_service::{
    identity::{Identity, IdentitySettings},
    migrate::lint::lock_taken,
    model::{Clock, Ids, Secret},
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::migrate::crashes::migrations;
use crate::support::{
    app::{KEY, SECRET, TestApp, ready, send},
    patience::until,
    pg::TestDatabase,
};

const ROOT: &str = "/api/v1/admin/migrations";

/// The credential that a first start would make; one in maintenance makes none.
pub async fn credential(db: &TestDatabase) {
    let settings = IdentitySettings {
        account_home_page: "https://lrs.example/credentials".to_owned(),
        credential_cache: Duration::from_secs(30),
        issuer: None,
    };
    let identity = Identity::new(db.store(), Clock::system(), Ids::random(), settings).unwrap();
    identity.ensure_bootstrap(&Secret::new(format!("{KEY}:{SECRET}"))).await.unwrap();
}

/// A plug-in module with a release file that waits for an operator.
pub fn plug_in(folder: &Path, release: &str) {
    let head = "-- Description: for a test\n-- Breaking: no\n-- Manual: no\n";
    let small = "-- progress: allow plain-index because the table is small\n";
    let excuse = if release.contains("INDEX") { small } else { "" };
    let release = format!("-- Lock: {}\n{excuse}{release}", lock_taken(release));
    std::fs::create_dir(folder.join("extra")).unwrap();
    for (file, body) in [
        ("001_a.sql", "CREATE TABLE extra.t (a int); INSERT INTO extra.t VALUES (1), (2), (3);"),
        ("100_b.sql", release.as_str()),
    ] {
        std::fs::write(folder.join("extra").join(file), format!("{head}{body}\n")).unwrap();
        let down = file.replace(".sql", ".down.sql");
        std::fs::write(folder.join("extra").join(down), "SELECT 1;\n").unwrap();
    }
}

async fn with_plug_in(db: TestDatabase, release: &str) -> (TestApp, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    plug_in(folder.path(), release);
    credential(&db).await;
    let path = folder.path().to_string_lossy().into_owned();
    let variables = [("PROGRESS_MIGRATIONS_PLUGIN_DIR", path.as_str())];
    (TestApp::with(db, &variables, Clock::system(), Ids::random()).await, folder)
}

async fn finished(app: &TestApp, href: &str) -> Value {
    until("the end of the run", async || {
        let run = app.get(href).await.expect(200).json();
        if run["state"] == "running" { Err(run) } else { Ok(run) }
    })
    .await
}

on_each_server! {
    async fn one_module_is_told_of_alone(db: TestDatabase) {
        let app = TestApp::start(db).await;
        for path in ["/modules", "/status", "/verify"] {
            let names = async |module: &str| -> Vec<String> {
                let told = app.get(&format!("{ROOT}{path}?module={module}")).await.expect(200).json();
                let modules = if told["modules"].is_array() { &told["modules"] } else { &told["report"]["modules"] };
                modules.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
            };
            assert_eq!(names("ledger").await, ["ledger"], "{path}");
            assert_eq!(names("all").await, ["platform", "ledger", "progress"], "{path}");
            app.get(&format!("{ROOT}{path}?module=nowhere")).await.expect(404);
        }
        let lint = &app.get(&format!("{ROOT}/verify?module=ledger")).await.expect(200).json()["lint"];
        assert!(lint.as_array().unwrap().iter().all(|one| one["module"] == "ledger"), "{lint}");
    }

    async fn only_an_operator_may(db: TestDatabase) {
        let app = TestApp::start(db).await;
        for (method, path) in
            [(Method::GET, "/modules"), (Method::GET, "/status"), (Method::GET, "/verify"), (Method::POST, "/run")]
        {
            let answer = send(app.anonymous(method, &format!("{ROOT}{path}"))).await.expect(401);
            assert_eq!(answer.header("content-type"), "application/problem+json", "{path}");
        }
    }

    async fn modules_status_and_verify_tell(db: TestDatabase) {
        let app = TestApp::start(db).await;
        app.db.owner().await.batch_execute("SELECT ledger.ensure_month(now() + interval '2 months')").await.unwrap();
        let modules = app.get(&format!("{ROOT}/modules")).await.expect(200).json();
        assert_eq!(modules["modules"][0]["name"], "platform");
        assert!(modules["modules"][0]["files"]["startup"].as_u64().unwrap() > 0);
        let status = app.get(&format!("{ROOT}/status")).await.expect(200).json();
        assert_eq!((&status["pending"], &status["problems"]), (&json!(0), &json!([])));
        let verify = app.get(&format!("{ROOT}/verify")).await.expect(200).json();
        assert_eq!(verify["sound"], true, "{verify:#}");
        app.db.owner().await.batch_execute("ALTER TABLE ledger.documents NO FORCE ROW LEVEL SECURITY").await.unwrap();
        let verify = app.get(&format!("{ROOT}/verify")).await.expect(200).json();
        assert_eq!(verify["sound"], false);
    }

    async fn a_run_is_a_job_and_opens_the_data_plane(db: TestDatabase) {
        let (app, _folder) = with_plug_in(db, "CREATE INDEX t_a ON extra.t (a);").await;
        app.get("/xapi/statements").await.expect(503);
        let status = app.get(&format!("{ROOT}/status")).await.expect(200).json();
        assert_eq!(status["gated"], json!(["extra/100_b.sql"]));
        // Without the operator's word the file stays where it is.
        let started = app.post(&format!("{ROOT}/run"), &json!({})).await.expect(202);
        let run = finished(&app, started.header("location")).await;
        assert_eq!((&run["state"], &run["outcome"]["done"]), (&json!("failed"), &json!([])), "{run:#}");
        assert!(run["outcome"]["error"].as_str().unwrap().contains("1 files wait for force"), "{run:#}");
        let rehearsed = app.post(&format!("{ROOT}/run"), &json!({ "module": "extra", "force": true, "dry_run": true })).await;
        let run = finished(&app, rehearsed.expect(202).header("location")).await;
        assert_eq!(run["outcome"]["planned"][0]["file"], "100_b.sql", "{run:#}");
        let order = json!({ "module": "extra", "category": "release", "force": true });
        let started = app.post(&format!("{ROOT}/run"), &order).await.expect(202);
        let run = finished(&app, started.json()["href"].as_str().unwrap()).await;
        assert_eq!((&run["state"], &run["progress"]["done"]), (&json!("succeeded"), &json!(1)), "{run:#}");
        assert_eq!(run["requested_by"], format!("key:{KEY}"));
        for side in ["before", "after"] {
            assert!(run["outcome"]["checks"][side].as_array().unwrap().len() > 3, "{run:#}");
        }
        let metrics = &app.service().rooms.edge.metrics.migrations;
        let runs = ["succeeded", "withheld"].map(|outcome| metrics.runs.with_label_values(&[outcome]).get());
        assert_eq!(runs, [1, 1], "a rehearsal is no run");
        assert!(metrics.files.with_label_values(&["applied"]).get() >= 2, "001 at the start and 100 by the run");
        assert_eq!(metrics.rows.get(), 3, "the row count of what 001 wrote");
        ready(&app.url).await;
        let audit = "SELECT count(*) FROM platform.audit WHERE action = 'migrations.run'";
        assert_eq!(app.db.superuser().await.query_one(audit, &[]).await.unwrap().get::<_, i64>(0), 3);
    }

    async fn a_run_of_the_command_counts_in_the_metrics_of_a_running_node(db: TestDatabase) {
        let (app, folder) = with_plug_in(db, "UPDATE extra.t SET a = a + 1 WHERE a > 0;").await;
        let metrics = &app.service().rooms.edge.metrics.migrations;
        let (files, rows) = (metrics.files.with_label_values(&["applied"]).get(), metrics.rows.get());
        let command = |arguments: &[&str]| {
            migrations(&app.db.owner_url(), folder.path(), &[&["run", "--module", "extra", "--force"], arguments].concat())
        };
        // Stopped by the linter or by a check, by a failing file, or done: each end is told.
        let broken = std::fs::read_to_string(folder.path().join("extra/100_b.sql")).unwrap();
        std::fs::write(folder.path().join("extra/100_b.sql"), broken.replace("extra.t SET", "extra.nowhere SET")).unwrap();
        assert!(!command(&[]).output().unwrap().status.success());
        std::fs::write(folder.path().join("extra/100_b.sql"), broken).unwrap();
        let done = command(&[]).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let told = until("the metrics of the command's runs", async || {
            app.service().rooms.migrations.tally().update().await;
            let page = send(app.anonymous(Method::GET, "/metrics")).await.expect(200).text();
            let line = |name: &str| page.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
            match line(r#"progress_migration_runs_total{outcome="succeeded"}"#) {
                Some(1) => Ok((
                    line(r#"progress_migration_files_total{outcome="applied"}"#),
                    line(r#"progress_migration_runs_total{outcome="failed"}"#),
                )),
                _ => Err(page),
            }
        })
        .await;
        assert_eq!(told, (Some(files + 1), Some(1)));
        assert_eq!(metrics.rows.get(), rows + 3);
        assert_eq!(metrics.file_seconds.get_sample_count(), files + 1);
    }

    async fn a_failed_check_stops_a_run_also_a_forced_one(db: TestDatabase) {
        let (app, _folder) = with_plug_in(db, "CREATE INDEX t_a ON extra.t (a);").await;
        let owner = app.db.owner().await;
        owner.batch_execute("UPDATE extra.schema_migrations SET checksum = 'sha256:tampered'").await.unwrap();
        let started = app.post(&format!("{ROOT}/run"), &json!({ "force": true })).await.expect(202);
        let run = finished(&app, started.header("location")).await;
        assert_eq!((&run["state"], &run["outcome"]["done"]), (&json!("failed"), &json!([])), "{run:#}");
        assert!(run["outcome"]["error"].as_str().unwrap().contains("checks failed"), "{run:#}");
        let failed = run["outcome"]["checks"]["before"].as_array().unwrap().iter().any(|check| check["status"] == "fail");
        assert!(failed && run["outcome"]["checks"]["after"] == json!([]), "{run:#}");
        assert_eq!(app.service().rooms.edge.metrics.migrations.runs.with_label_values(&["failed"]).get(), 1);
    }

    async fn only_a_named_check_with_a_reason_is_gone_past(db: TestDatabase) {
        let (app, _folder) = with_plug_in(db, "CREATE INDEX t_a ON extra.t (a);").await;
        let superuser = app.db.superuser().await;
        let learners = "CREATE TABLE extra.people (tenant_id uuid); INSERT INTO extra.people VALUES (gen_random_uuid());
            ALTER TABLE extra.people ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
                CREATE POLICY p ON extra.people USING (true)";
        app.db.owner().await.batch_execute(learners).await.unwrap();
        let run = async |order: Value| {
            let started = app.post(&format!("{ROOT}/run"), &order).await.expect(202);
            finished(&app, started.header("location")).await
        };
        let stopped = run(json!({ "force": true })).await;
        assert_eq!((&stopped["state"], &stopped["outcome"]["done"]), (&json!("failed"), &json!([])), "{stopped:#}");
        assert!(stopped["outcome"]["error"].as_str().unwrap().contains("backup"), "{stopped:#}");
        for order in [
            json!({ "override": ["backup"] }),
            json!({ "override": ["connection"], "reason": "x" }),
            json!({ "force": true, "approved_by": KEY }),
        ] {
            app.post(&format!("{ROOT}/run"), &order).await.expect(400);
        }
        let past = run(json!({ "force": true, "override": ["backup"], "reason": "a snapshot of the disk" })).await;
        assert_eq!((&past["state"], &past["outcome"]["done"][0]["file"]), (&json!("succeeded"), &json!("100_b.sql")), "{past:#}");
        let told = "SELECT count(*) FROM platform.schema_migration_attempts
            WHERE action = 'override' AND detail LIKE 'backup%a snapshot of the disk' AND done_by = 'key:' || $1";
        assert_eq!(superuser.query_one(told, &[&KEY]).await.unwrap().get::<_, i64>(0), 1);
        // What fails afterwards fails the job, and the job says what was applied.
        let undo = "DELETE FROM extra.schema_migrations WHERE migration_name = '100_b.sql'; DROP INDEX extra.t_a;
            ALTER TABLE extra.people NO FORCE ROW LEVEL SECURITY";
        superuser.batch_execute(undo).await.unwrap();
        let failed = run(json!({ "force": true, "override": ["backup"], "reason": "again" })).await;
        assert_eq!(failed["state"], "failed", "{failed:#}");
        let why = failed["outcome"]["error"].as_str().unwrap();
        assert!(why.contains("applied extra/100_b.sql") && why.contains("row-level-security"), "{why}");
    }

    async fn a_run_whose_process_died_is_given_up_and_a_live_one_is_not(db: TestDatabase) {
        let mut db = db;
        db.leaves("platform.jobs");
        let app = TestApp::start(db).await;
        let [dead, live] = [1, 2].map(|_| Ids::random().uuid());
        let insert = "INSERT INTO platform.jobs (job_id, kind, state, requested_by, request, updated_at)
                      VALUES ($1, 'migrations.run', 'running', 'test', '{}', clock_timestamp() - $2 * interval '1 second')";
        let superuser = app.db.superuser().await;
        for (id, age) in [(dead, 90.0_f64), (live, 5.0)] {
            superuser.execute(insert, &[&id, &age]).await.unwrap();
        }
        let run = app.get(&format!("{ROOT}/runs/{dead}")).await.expect(200).json();
        assert_eq!((&run["state"], &run["outcome"]["stalled"]), (&json!("failed"), &json!(true)), "{run:#}");
        let run = app.get(&format!("{ROOT}/runs/{live}")).await.expect(200).json();
        assert_eq!((&run["state"], &run["stalled"]), (&json!("running"), &json!(false)), "{run:#}");
        assert_eq!(app.service().rooms.edge.metrics.migrations.runs.with_label_values(&["stalled"]).get(), 1);
    }

    async fn a_run_that_fails_says_where(db: TestDatabase) {
        let (app, _folder) = with_plug_in(db, "CREATE INDEX t_b ON extra.t (nowhere);").await;
        let started = app.post(&format!("{ROOT}/run"), &json!({ "force": true })).await.expect(202);
        let run = finished(&app, started.header("location")).await;
        assert_eq!(
            (&run["state"], &run["outcome"]["failed"]["file"]),
            (&json!("failed"), &json!("100_b.sql")),
            "{run:#}"
        );
        for (order, status) in
            [(json!({ "module": "none" }), 404), (json!({ "category": "odd" }), 400), (json!({ "odd": 1 }), 400)]
        {
            app.post(&format!("{ROOT}/run"), &order).await.expect(status);
        }
        app.get(&format!("{ROOT}/runs/{}", Ids::random().uuid())).await.expect(404);
    }
}
