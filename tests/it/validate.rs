//! `system validate`: a tenant reaches no other's rows, and where one does it is found by its table; nothing that was planted stays.

use serde_json::{Value, json};

use crate::support::{app::TestApp, process::command};

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
