//! `system validate`: a tenant reaches no other's rows, and where one does it is found by its table; nothing that was planted stays.

use progress_service::{
    app,
    migrate::checks::Status,
    model::{Clock, Ids},
    telemetry::Metrics,
};
use serde_json::{Value, json};

use crate::{
    archived::{history::settle, objects},
    erasure::march,
    support::{app::TestApp, months, process::command},
    xapi::{id, identified},
};

fn validate(app: &TestApp) -> (Option<i32>, Value) {
    let variables = app.variables([]);
    let output = command(&["system", "validate", "--json"], &variables).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {errors}")))
}

fn line(document: &Value, name: &str) -> Value {
    let lines = document["checks"].as_array().unwrap();
    lines.iter().find(|line| line["name"] == name).unwrap_or_else(|| panic!("{name}: {document}")).clone()
}

/// Rows of every table with a tenant.
async fn rows(app: &TestApp) -> Vec<(String, i64)> {
    let sql = "SELECT format('%s.%s', n.nspname, c.relname),
            (xpath('/row/c/text()', query_to_xml(format('SELECT count(*) AS c FROM %s', c.oid::regclass), false, true, '')))[1]::text::bigint
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
        WHERE n.nspname IN ('platform', 'ledger', 'progress') AND c.relkind IN ('r', 'p') AND c.relname <> 'jobs' ORDER BY 1";
    let found = app.db.superuser().await.query(sql, &[]).await.unwrap();
    found.iter().map(|row| (row.get(0), row.get(1))).collect()
}

on_each_server! {
    async fn no_tenant_reaches_anothers_rows_and_what_was_planted_is_gone(db: TestDatabase) {
        let app = TestApp::start(db).await;
        app.stop_loops().await;
        app.get("/api/v1/admin/migrations/verify").await.expect(200);
        let figures = app.get("/metrics").await.text();
        assert!(figures.contains("progress_system_check{check=\"tenant-isolation\"} 0"), "what the schedule and an operator see");
        let before = rows(&app).await;
        let (code, document) = validate(&app);
        let isolation = line(&document, "tenant-isolation");
        assert_eq!((code, &isolation["status"]), (Some(0), &json!("pass")), "{document}");
        let words: Vec<u32> = isolation["found"].as_str().unwrap().split(' ').filter_map(|word| word.parse().ok()).collect();
        assert!(words[0] >= 30 && words[1] >= 15, "tables, and those that took a row: {isolation}");
        assert_eq!(line(&document, "projections")["status"], json!("pass"));
        assert_eq!(line(&document, "backup")["status"], json!("unknown"), "nobody told where to look");
        for kept in ["archive", "audit-trail"] {
            assert_eq!(line(&document, kept)["status"], json!("pass"), "{document}");
        }
        assert_eq!(rows(&app).await, before, "nothing that was planted stays");
    }

    async fn the_hourly_look_reads_the_trail_on_and_finds_what_went_and_what_was_changed(db: TestDatabase) {
        let app = TestApp::start(db).await;
        app.post_statements(&identified(&id(1), "ann", "a")).await.expect(200);
        months::spread(&app.db, march()).await;
        settle(&app).await;
        app.stop_loops().await;
        months::away(&app.db, &objects(&app), march()).await;
        let (store, clock, metrics) = (app.db.store(), Clock::system(), Metrics::new().unwrap());
        let archive = app::archive(app.config(), &store, &clock, &Ids::random(), &metrics).unwrap();
        let audit = app::audit(app.config(), &store, &clock, &metrics).unwrap();
        crate::audit::act(&store, 40).await;
        audit.settle().await.unwrap();
        let whole = app::Whole::new(&store, &archive, &audit, &clock, &metrics);
        let look = async || {
            let lines = whole.look().await.unwrap();
            lines.map(|line| (line.name, line.status, line.found))
        };
        let read = |lines: &[(&str, Status, String); 3]| lines[2].2.split(' ').next().unwrap().parse::<u64>().unwrap();
        let first = look().await;
        assert!(first.iter().all(|(_, status, _)| *status == Status::Pass) && read(&first) >= 40, "{first:?}");
        crate::audit::act(&store, 2).await;
        audit.settle().await.unwrap();
        let next = look().await;
        assert!(next[2].1 == Status::Pass && read(&next) == 2, "only what came since: {next:?}");

        let superuser = app.db.superuser().await;
        let change = "UPDATE platform.audit SET subject = 'another' WHERE action = 'test.act' AND audit_id =
            (SELECT min(audit_id) FROM platform.audit WHERE action = 'test.act')";
        superuser.batch_execute(&format!("ALTER TABLE platform.audit DISABLE TRIGGER USER; {change}")).await.unwrap();
        std::fs::remove_dir_all(app.data().join("archive")).unwrap();
        let mut failed = Vec::new();
        for _ in 0..30 {
            let lines = look().await;
            assert_eq!(lines[1].1, Status::Fail, "{lines:?}");
            if lines[2].1 == Status::Fail {
                failed = lines.to_vec();
                break;
            }
        }
        assert!(failed.iter().any(|line| line.0 == "audit-trail" && line.2.contains("changed")), "within a day: {failed:?}");
        whole.tell(Vec::new()).await.unwrap();
        let figures = String::from_utf8(metrics.render().unwrap()).unwrap();
        for check in ["archive", "audit-trail"] {
            assert!(figures.contains(&format!("progress_system_check{{check=\"{check}\"}} 3")), "{figures}");
        }
    }

    async fn each_leak_is_found_by_its_table(db: TestDatabase) {
        let app = TestApp::start(db).await;
        app.stop_loops().await;
        let superuser = app.db.superuser().await;
        for (leak, mend, words) in [
            ("CREATE POLICY leak ON progress.scores FOR SELECT TO progress_service USING (true)",
             "DROP POLICY leak ON progress.scores", "progress.scores is read"),
            ("ALTER TABLE progress.courses DISABLE ROW LEVEL SECURITY",
             "ALTER TABLE progress.courses ENABLE ROW LEVEL SECURITY", "progress.courses is read"),
            ("CREATE POLICY leak ON ledger.agents FOR INSERT TO progress_service WITH CHECK (true)",
             "DROP POLICY leak ON ledger.agents", "ledger.agents is written"),
        ] {
            superuser.batch_execute(leak).await.unwrap();
            let (code, document) = validate(&app);
            let isolation = line(&document, "tenant-isolation");
            assert_eq!((code, &isolation["status"]), (Some(4), &json!("fail")), "{leak}: {document}");
            assert!(isolation["found"].as_str().unwrap().contains(words), "{leak}: {isolation}");
            superuser.batch_execute(mend).await.unwrap();
        }
        assert_eq!(validate(&app).0, Some(0));
    }
}
