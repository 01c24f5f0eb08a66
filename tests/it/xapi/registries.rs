//! The registries: seeded, additive, and never a reason to refuse a statement.

use serde_json::json;

use super::{id, identified};
use crate::support::app::TestApp;

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

    async fn entries_never_change_even_for_the_owner(db: TestDatabase) {
        let owner = db.superuser().await;
        for refused in ["UPDATE progress.verbs SET name = 'x'", "DELETE FROM progress.extension_namespaces"] {
            assert!(owner.batch_execute(refused).await.is_err(), "{refused}");
        }
    }
}
