//! The canonical form: what the server has gathered of activities and verbs, in the reader's language.

use reqwest::Method;
use serde_json::{Value, json};

use super::{id, identified};
use crate::support::app::{TestApp, send};

const DID: &str = "http://example.com/verbs/did";
const PASSED: &str = "http://adlnet.gov/expapi/verbs/passed";

fn with_verb(n: u128, verb: Value) -> Value {
    let mut statement = identified(&id(n), "ann", "a");
    statement["verb"] = verb;
    statement
}

/// The statement as it is shown in `format` to a reader of `language`.
async fn shown(app: &TestApp, n: u128, format: &str, language: &str) -> Value {
    let request = app.xapi(Method::GET, "/statements").query(&[("statementId", id(n).as_str()), ("format", format)]);
    send(request.header("Accept-Language", language)).await.expect(200).json()
}

async fn display(app: &TestApp, n: u128, language: &str) -> Value {
    shown(app, n, "canonical", language).await["verb"]["display"].clone()
}

on_each_server! {
    async fn displays_gather_over_statements_and_nobody_renames_a_verb(db: TestDatabase) {
        let app = TestApp::start(db).await;
        app.post_statements(&with_verb(1, json!({"id": DID}))).await.expect(200);
        assert_eq!(display(&app, 1, "en").await, Value::Null, "of which nothing is known");
        app.post_statements(&with_verb(2, json!({"id": DID, "display": {"en-US": "did"}}))).await.expect(200);
        app.post_statements(&json!([
            with_verb(3, json!({"id": DID, "display": {"de": "tat"}})),
            with_verb(4, json!({"id": DID, "display": {"de": "machte", "fr": "a fait", "en-us": "botched"}})),
        ])).await.expect(200);
        for n in 1..=4 {
            for (language, text) in [("en", "did"), ("de", "tat"), ("fr", "a fait"), ("ja", "did")] {
                let display = display(&app, n, language).await;
                let texts: Vec<&Value> = display.as_object().unwrap().values().collect();
                assert_eq!(texts, [text], "{n} {language}");
            }
        }
        // In a page as alone, and nowhere but in this format.
        let page = app.xapi(Method::GET, "/statements").query(&[("verb", DID), ("format", "canonical")]);
        let page = send(page.header("Accept-Language", "de")).await.expect(200).json();
        assert!(page["statements"].as_array().unwrap().iter().all(|s| s["verb"]["display"] == json!({"de": "tat"})), "{page}");
        assert_eq!(shown(&app, 4, "exact", "de").await["verb"]["display"]["de"], "machte");
        assert_eq!(shown(&app, 4, "ids", "de").await["verb"], json!({"id": DID}));
    }

    async fn the_registry_names_what_no_statement_displays(db: TestDatabase) {
        let app = TestApp::start(db).await;
        app.post_statements(&with_verb(1, json!({"id": PASSED}))).await.expect(200);
        assert_eq!(display(&app, 1, "en-GB").await, json!({"en": "passed"}));
        app.post_statements(&with_verb(2, json!({"id": PASSED, "display": {"de": "bestand"}}))).await.expect(200);
        assert_eq!(display(&app, 1, "de").await, json!({"de": "bestand"}));
        assert_eq!(display(&app, 2, "en").await, json!({"en": "passed"}));
        app.post_statements(&with_verb(3, json!({"id": PASSED, "display": {"en-US": "has passed"}}))).await.expect(200);
        assert_eq!(display(&app, 1, "en").await, json!({"en-US": "has passed"}), "statements speak before the registry");

        app.post_statements(&with_verb(4, json!({"id": DID}))).await.expect(200);
        app.post("/api/v1/verbs", &json!({"iri": DID, "name": "did", "vocabulary": "example"})).await.expect(201);
        assert_eq!(display(&app, 4, "en").await, json!({"en": "did"}));
    }

    async fn the_verb_of_a_sub_statement_has_its_display_too(db: TestDatabase) {
        let app = TestApp::start(db).await;
        app.post_statements(&with_verb(1, json!({"id": DID, "display": {"en": "did", "de": "tat"}}))).await.expect(200);
        let mut planned = identified(&id(2), "ann", "a");
        planned["object"] = json!({"objectType": "SubStatement", "actor": {"mbox": "mailto:ann@example.com"},
            "verb": {"id": DID}, "object": {"id": "http://example.com/activities/a"}});
        app.post_statements(&planned).await.expect(200);
        assert_eq!(shown(&app, 2, "canonical", "de").await["object"]["verb"], json!({"id": DID, "display": {"de": "tat"}}));
    }

    async fn who_may_not_define_teaches_no_display(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let issued = app.post("/api/v1/admin/credentials", &json!({"scopes": ["statements/write"]})).await.expect(201).json();
        let (key, secret) = (issued["apiKey"].as_str().unwrap(), issued["secret"].as_str());
        let write = app.anonymous(Method::POST, "/xapi/statements").basic_auth(key, secret);
        let said = with_verb(1, json!({"id": DID, "display": {"en": "nonsense"}}));
        send(write.header("X-Experience-API-Version", "1.0.3").json(&said)).await.expect(200);
        assert_eq!(display(&app, 1, "en").await, json!({"en": "nonsense"}), "what it says itself stays");
        app.post_statements(&with_verb(2, json!({"id": DID}))).await.expect(200);
        assert_eq!(display(&app, 2, "en").await, Value::Null);
        app.post_statements(&with_verb(3, json!({"id": DID, "display": {"en": "did"}}))).await.expect(200);
        assert_eq!(display(&app, 1, "en").await, json!({"en": "did"}));
    }

    async fn what_an_earlier_release_kept_of_a_verb_is_the_beginning(db: TestDatabase) {
        let app = TestApp::start(db).await;
        app.post_statements(&with_verb(1, json!({"id": DID}))).await.expect(200);
        let owner = app.db.superuser().await;
        owner.batch_execute(r#"UPDATE ledger.verbs_seen SET display = '{"en":"did"}'"#).await.unwrap();
        app.post_statements(&with_verb(2, json!({"id": DID, "display": {"en": "x", "de": "tat"}}))).await.expect(200);
        let kept = owner.query_one("SELECT display FROM ledger.verbs_seen", &[]).await.unwrap();
        assert_eq!(kept.get::<_, String>(0), r#"{"en":"did","de":"tat"}"#);
    }
}
