//! The trail of reading: every read of others leaves its entry, and says nothing about the person in clear.

use serde_json::Value;

use super::{ADA, Api, statement};
use crate::support::pg::TestDatabase;

/// Every entry of reading: action, actor's kind, subject, count.
async fn entries(db: &TestDatabase) -> Vec<(String, String, String, Value)> {
    let sql = "SELECT action, actor, subject, detail FROM platform.audit WHERE action LIKE 'read.%' ORDER BY audit_id";
    let rows = db.superuser().await.query(sql, &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1), row.get(2), row.get(3))).collect()
}

on_each_server! {
    async fn reads_of_others_are_written_down_and_reads_of_ones_own_are_not(db: TestDatabase) {
        let api = Api::start(db).await;
        api.store(&[statement(1, ADA, "passed", "e1", "a1"), statement(2, ADA, "passed", "e2", "a2")]).await;
        let ada = api.token(ADA, "statement:read transcript:read");
        for path in ["/api/v1/enrollments/e1/transcript", &format!("/api/v1/users/{ADA}/transcripts"), &format!("/api/v1/users/{ADA}/statements")] {
            api.get_as(&ada, path).await.expect(200);
            assert_eq!(entries(&api.app.db).await.len(), 0, "{path}");
        }
        api.get("/api/v1/enrollments/e1/transcript").await.expect(200);
        api.get(&format!("/api/v1/users/{ADA}/transcripts")).await.expect(200);
        api.get(&format!("/api/v1/users/{ADA}/statements")).await.expect(200);
        api.get("/api/v1/enrollments/none/transcript").await.expect(404);
        let all = entries(&api.app.db).await;
        let actions: Vec<(&str, i64)> = all.iter().map(|one| (one.0.as_str(), one.3["count"].as_i64().unwrap())).collect();
        assert_eq!(actions, [("read.transcript", 1), ("read.transcript", 2), ("read.statements", 2)]);
        assert!(all.iter().all(|one| one.1 == "key:test-key" && one.2 == all[0].2 && one.2.starts_with("person:")), "{all:?}");
        assert!(!format!("{all:?}").contains(ADA));
    }
}
