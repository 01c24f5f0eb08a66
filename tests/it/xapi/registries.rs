//! The registries: seeded, additive, and never a reason to refuse a statement.

use serde_json::{Value, json};

use super::{id, identified};
use crate::support::{app::TestApp, patience};

fn with_verb(n: u128, verb: &str) -> Value {
    let mut statement = identified(&id(n), "ann", "a");
    statement["verb"] = json!({"id": verb});
    statement
}

/// Waits until so many statements are counted; more is a failure at once.
async fn counted(app: &TestApp, wanted: u64) {
    let metric = &app.service().rooms.edge.metrics.ledger.unregistered_verbs;
    patience::until("the count", async || {
        assert!(metric.get() <= wanted, "{} are counted instead of {wanted}", metric.get());
        if metric.get() == wanted { Ok(()) } else { Err(metric.get()) }
    })
    .await;
}

on_each_server! {
    async fn unknown_verbs_are_stored_and_listed_until_somebody_registers_them(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let iri = "http://example.com/verbs/juggled";
        let mut statement = identified(&id(1), "ann", "a");
        statement["verb"] = json!({"id": iri});
        app.post_statements(&statement).await.expect(200);
        let list = app.get("/api/v1/verbs").await.expect(200).json();
        assert_eq!(list["unregistered"][0]["iri"], iri);
        let has = |list: &serde_json::Value, iri: &str| list["verbs"].as_array().unwrap().iter().any(|v| v["iri"] == iri);
        assert!(has(&list, "http://adlnet.gov/expapi/verbs/passed") && has(&list, "https://w3id.org/xapi/adl/verbs/satisfied"));

        let addition = json!({"iri": iri, "name": "juggled", "vocabulary": "circus"});
        app.post("/api/v1/verbs", &addition).await.expect(201);
        app.post("/api/v1/verbs", &addition).await.expect(200);
        app.post("/api/v1/verbs", &json!({"iri": iri, "name": "dropped", "vocabulary": "circus"})).await.expect(409);
        let list = app.get("/api/v1/verbs").await.expect(200).json();
        assert_eq!(list["unregistered"], json!([]));
        assert!(has(&list, iri));
        let audited = "SELECT count(*) FROM platform.audit WHERE action = 'registry.added' AND subject = $1";
        assert_eq!(app.db.superuser().await.query_one(audited, &[&iri]).await.unwrap().get::<_, i64>(0), 1);
    }

    async fn only_new_statements_with_a_verb_that_is_not_registered_are_counted(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let (odd, odder) = ("http://example.com/verbs/juggled", "http://example.com/verbs/dropped");
        app.post_statements(&json!([with_verb(1, odd), with_verb(2, odd), identified(&id(3), "ann", "a")])).await.expect(200);
        app.post_statements(&json!([with_verb(1, odd), with_verb(2, odd)])).await.expect(200);
        app.post_statements(&with_verb(2, odder)).await.expect(409);
        app.post_statements(&with_verb(4, odder)).await.expect(200);
        counted(&app, 3).await;
        let list = app.get("/api/v1/verbs").await.expect(200).json();
        assert_eq!((&list["unregistered"][0]["statements"], &list["unregistered"][1]["statements"]), (&json!(2), &json!(1)));
        assert_eq!(list["unregistered"][0]["andMore"], false);

        app.post("/api/v1/verbs", &json!({"iri": odd, "name": "juggled", "vocabulary": "circus"})).await.expect(201);
        app.post_statements(&json!([with_verb(5, odd), with_verb(6, odd)])).await.expect(200);
        app.post_statements(&with_verb(7, odder)).await.expect(200);
        counted(&app, 4).await;
    }

    async fn a_much_used_verb_is_counted_as_far_as_an_index_answers_at_once(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let odd = "http://example.com/verbs/juggled";
        let batch = |from: u128, to: u128| json!((from..to).map(|n| with_verb(n, odd)).collect::<Vec<_>>());
        app.post_statements(&batch(0, 1_000)).await.expect(200);
        let first = async || app.get("/api/v1/verbs").await.expect(200).json()["unregistered"][0].clone();
        let found = first().await;
        assert_eq!((&found["statements"], &found["andMore"]), (&json!(1_000), &json!(false)));
        app.post_statements(&batch(1_000, 1_001)).await.expect(200);
        let found = first().await;
        assert_eq!((&found["statements"], &found["andMore"]), (&json!(1_000), &json!(true)));
    }

    async fn entries_never_change_even_for_the_owner(db: TestDatabase) {
        let owner = db.superuser().await;
        for refused in ["UPDATE progress.verbs SET name = 'x'", "DELETE FROM progress.extension_namespaces"] {
            assert!(owner.batch_execute(refused).await.is_err(), "{refused}");
        }
    }
}
