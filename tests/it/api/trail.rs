//! The trail of reading: every read of others leaves its entry, and says nothing about the person in clear.

use std::time::Duration;

use serde_json::{Value, json};

use super::{ADA, Api, statement};
use crate::support::{background, patience, pg::TestDatabase};

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
        for path in [
            "/api/v1/enrollments/e1/transcript",
            &format!("/api/v1/users/{ADA}/transcripts"),
            &format!("/api/v1/users/{ADA}/statements"),
        ] {
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

    async fn every_query_with_an_agent_is_written_down(db: TestDatabase) {
        let api = Api::start(db).await;
        api.store(&[statement(1, ADA, "passed", "e1", "a1")]).await;
        let ada = json!({"account": {"homePage": "http://h.example", "name": ADA}}).to_string();
        api.app.get_statements(&[("agent", &ada)]).await.expect(200);
        api.app.get_statements(&[("agent", &ada), ("related_agents", "true")]).await.expect(200);
        api.app.get_statements(&[("verb", "http://adlnet.gov/expapi/verbs/passed")]).await.expect(200);
        api.app.get_statements(&[("agent", "{}")]).await.expect(400);
        api.get(&format!("/api/v1/users/{ADA}/statements")).await.expect(200);
        let sql = "SELECT actor, subject, detail FROM platform.audit WHERE action = 'query.statements' ORDER BY at";
        let database = api.app.db.superuser().await;
        let rows = patience::until("the entries", async || {
            let rows = database.query(sql, &[]).await.unwrap();
            if rows.len() == 2 { Ok(rows) } else { Err(format!("{} of 2", rows.len())) }
        })
        .await;
        let related: Vec<Value> = rows.iter().map(|row| row.get::<_, Value>(2)["related"].clone()).collect();
        assert_eq!(related, [false, true]);
        // The same person has the same name on the trail, whichever way somebody read about them.
        let read = entries(&api.app.db).await;
        assert!(rows.iter().all(|row| row.get::<_, &str>(0) == "key:test-key" && row.get::<_, String>(1) == read[0].2));
    }

    async fn what_waits_at_a_stop_is_written(db: TestDatabase) {
        let api = Api::start(db).await;
        let agent = json!({"mbox": "mailto:ann@example.com"}).to_string();
        for _ in 0..25 {
            api.app.get_statements(&[("agent", &agent)]).await.expect(200);
        }
        let trail = api.app.service().rooms.api.trail.clone();
        background::runtime().spawn(async move { trail.finish(Duration::from_secs(20)).await }).await.unwrap();
        let sql = "SELECT count(*), count(DISTINCT subject) FROM platform.audit WHERE action = 'query.statements'";
        let row = api.app.db.superuser().await.query_one(sql, &[]).await.unwrap();
        assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (25, 1));
        // Whoever comes after the end is not answered without an entry.
        let refused = api.app.get_statements(&[("agent", &agent)]).await.expect(503);
        assert!(!refused.header("retry-after").is_empty());
        api.app.get_statements(&[]).await.expect(200);
    }

    async fn what_cannot_be_written_waits_and_what_is_left_at_the_end_is_counted(db: TestDatabase) {
        let api = Api::start(db).await;
        let database = api.app.db.superuser().await;
        let stop = "CREATE FUNCTION public.stop() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'stopped'; END $$;
            CREATE TRIGGER stop BEFORE INSERT ON platform.audit FOR EACH ROW EXECUTE FUNCTION public.stop()";
        database.batch_execute(stop).await.unwrap();
        let agent = json!({"mbox": "mailto:ann@example.com"}).to_string();
        for _ in 0..3 {
            api.app.get_statements(&[("agent", &agent)]).await.expect(200);
        }
        // A read of the internal API does not happen without its entry.
        api.store(&[statement(1, ADA, "passed", "e1", "a1")]).await;
        api.get("/api/v1/enrollments/e1/transcript").await.expect(500);
        let trail = api.app.service().rooms.api.trail.clone();
        background::runtime().spawn(async move { trail.finish(Duration::from_millis(50)).await }).await.unwrap();
        let metrics = api.app.get("/metrics").await.text();
        assert!(metrics.contains("progress_trail_lost_total 3"), "{metrics}");
    }
}
