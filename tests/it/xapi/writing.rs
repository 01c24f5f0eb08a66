//! PUT and POST: ids, repeats, conflicts, atomic batches, errors that say what is wrong.

use serde_json::{Value, json};

use super::{id, identified, ids, statement};
use crate::support::app::TestApp;

on_each_server! {
    async fn a_repeat_is_answered_like_the_first_time_with_every_id_in_order(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let batch = json!([identified(&id(3), "ann", "a"), identified(&id(1), "bob", "b"), identified(&id(2), "ann", "c")]);
        let expected = json!([id(3), id(1), id(2)]);
        assert_eq!(app.post_statements(&batch).await.expect(200).json(), expected);
        assert_eq!(app.post_statements(&batch).await.expect(200).json(), expected);
        let mut more = batch.clone();
        more.as_array_mut().unwrap().push(identified(&id(4), "eve", "d"));
        assert_eq!(app.post_statements(&more).await.expect(200).json(), json!([id(3), id(1), id(2), id(4)]));
        let page = app.get_statements(&[]).await.expect(200).json();
        assert_eq!(ids(&page), [id(4), id(2), id(1), id(3)], "newest first, batches in their order, none twice");
    }

    async fn a_different_statement_under_a_known_id_is_a_conflict_and_its_batch_is_not_kept(db: TestDatabase) {
        let app = TestApp::start(db).await;
        app.put_statement(&id(1), &statement("ann", "a")).await.expect(204);
        app.put_statement(&id(1), &statement("ann", "a")).await.expect(204);
        let conflict = app.put_statement(&id(1), &statement("ann", "other")).await.expect(409);
        assert!(conflict.text().contains(&id(1)), "{}", conflict.text());
        let batch = json!([identified(&id(2), "bob", "b"), identified(&id(1), "bob", "b")]);
        app.post_statements(&batch).await.expect(409);
        app.get_statements(&[("statementId", &id(2))]).await.expect(404);
        let kept = app.get_statements(&[("statementId", &id(1))]).await.expect(200).json();
        assert_eq!(kept["object"]["id"], "http://example.com/activities/a");
    }

    async fn the_same_in_other_words_is_no_conflict_and_another_timestamp_is(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let mut first = identified(&id(1), "ann", "a");
        first["result"] = json!({"score": {"raw": 1.0, "min": 0, "max": 10}, "duration": "PT1.129S"});
        first["timestamp"] = json!("2026-01-02T03:04:05Z");
        app.post_statements(&first).await.expect(200);
        let again = format!(
            r#"{{"timestamp":"2026-01-02T04:04:05.000+01:00","object":{},"verb":{},"actor":{},"id":"{}",
                "result":{{"duration":"PT1.12S","score":{{"max":10.0,"min":0e0,"raw":1}}}}}}"#,
            first["object"], first["verb"], first["actor"], id(1)
        );
        app.post_statements(&serde_json::from_str::<Value>(&again).unwrap()).await.expect(200);
        first["timestamp"] = json!("2026-01-02T03:04:06Z");
        app.post_statements(&first).await.expect(409);
    }

    async fn one_bad_statement_refuses_the_batch_and_names_itself_its_place_and_the_rule(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let mut bad = identified(&id(2), "bob", "b");
        bad["verb"]["id"] = json!("not an iri");
        bad["result"] = json!({"completion": "yes"});
        let refusal = app.post_statements(&json!([identified(&id(1), "ann", "a"), bad])).await.expect(400).json();
        let violations = refusal["violations"].as_array().unwrap();
        let mut at: Vec<_> = violations.iter().map(|v| (v["statement"].as_u64(), v["pointer"].as_str().unwrap())).collect();
        at.sort_unstable();
        assert_eq!(at, [(Some(1), "/result/completion"), (Some(1), "/verb/id")]);
        assert!(violations.iter().all(|v| v["rule"].as_str().is_some_and(|rule| rule.contains('.'))), "{refusal}");
        app.get_statements(&[("statementId", &id(1))]).await.expect(404);
    }

    async fn numbers_extensions_and_escapes_come_back_as_they_were_sent(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let text = r#"{"id":"ID","actor":{"mbox":"mailto:a@example.com"},"verb":{"id":"http://example.com/v"},
            "object":{"id":"http://example.com/a"},"result":{"extensions":{"http://example.com/x":
            {"big":123456789012345678901234567890,"exact":0.10000000000000000001,"nul":"a\u0000b","null":null,"e":1e400}}}}"#;
        let sent: Value = serde_json::from_str(&text.replace("ID", &id(1))).unwrap();
        app.post_statements(&sent).await.expect(200);
        let got = app.get_statements(&[("statementId", &id(1))]).await.expect(200).json();
        assert_eq!(got["result"].to_string(), sent["result"].to_string());
    }

    async fn a_database_that_takes_no_writes_for_now_is_503_and_stays_in_use(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let superuser = app.db.superuser().await;
        let all_sessions = async |read_only: &str| {
            let set = format!("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = {read_only}',
                current_database()); END $$");
            superuser.batch_execute(&set).await.unwrap();
            let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid()";
            superuser.execute(end, &[]).await.unwrap();
        };
        all_sessions("on").await;
        let refused = app.post_statements(&identified(&id(1), "ann", "a")).await.expect(503);
        assert!(!refused.header("retry-after").is_empty());
        all_sessions("off").await;
        app.post_statements(&identified(&id(1), "ann", "a")).await.expect(200);
    }

    async fn the_authority_is_the_credential_whatever_the_statement_claims(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let mut claimed = identified(&id(1), "ann", "a");
        claimed["authority"] = json!({"objectType": "Agent", "mbox": "mailto:boss@example.com"});
        claimed["stored"] = json!("1999-01-01T00:00:00Z");
        app.post_statements(&claimed).await.expect(200);
        let got = app.get_statements(&[("statementId", &id(1))]).await.expect(200).json();
        assert_eq!(got["authority"]["account"]["name"], "test-key");
        assert!(!got["stored"].as_str().unwrap().starts_with("1999"));
    }
}
