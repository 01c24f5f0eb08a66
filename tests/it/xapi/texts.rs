//! Texts that no column or header can hold: a 400 that names the rule, wherever they stand, and nothing is kept.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::{id, statement};
use crate::support::app::{TestApp, send};

const AGENT: &str = r#"{"mbox":"mailto:ann@example.com"}"#;

/// Requests with a text that must not come in.
fn hostile(app: &TestApp) -> Vec<(&'static str, RequestBuilder)> {
    [in_addresses, in_administration, in_xapi].into_iter().flat_map(|of| of(app)).collect()
}

/// In an address.
fn in_addresses(app: &TestApp) -> Vec<(&'static str, RequestBuilder)> {
    let get = |path: &str| app.request(Method::GET, path);
    let post = |path: &str, body: Value| app.request(Method::POST, path).json(&body);
    vec![
        ("an attempt's id", get("/api/v1/attempts/a%00b")),
        ("an id that is no UTF-8", get("/api/v1/attempts/a%FFb")),
        ("an enrollment's id", get("/api/v1/enrollments/%00/progress")),
        ("an enrollment's id", get("/api/v1/enrollments/%00/transcript")),
        ("a user's id", get("/api/v1/users/%00/transcripts")),
        ("a user's id", get("/api/v1/users/%00/statements")),
        ("an attempt to close", post("/api/v1/attempts/%00/close", json!({"outcome": "failed", "reason": "r"}))),
        ("a run's id", get("/api/v1/admin/migrations/runs/%00")),
        ("a credential's id", post("/api/v1/admin/credentials/%00/revoke", json!({}))),
        ("an address of xAPI", get("/xapi/statements/%00")),
        ("a filter", get("/api/v1/attempts?filter[userId]=%00")),
    ]
}

/// In what an administrator sends.
fn in_administration(app: &TestApp) -> Vec<(&'static str, RequestBuilder)> {
    let post = |path: &str, body: Value| app.request(Method::POST, path).json(&body);
    let credential = |field: &str, value: Value| {
        let mut body = json!({"scopes": ["all"]});
        body[field] = value;
        post("/api/v1/admin/credentials", body)
    };
    let registered = |field: &str, value: &str| {
        let mut body = json!({"iri": "http://example.com/verbs/new", "name": "n", "vocabulary": "v"});
        body[field] = json!(value);
        body
    };
    let launch =
        |actor: Value| post("/api/v1/admin/credentials/launch", json!({"registration": id(1), "actor": actor}));
    vec![
        ("a reason", post("/api/v1/attempts/a/close", json!({"outcome": "failed", "reason": "a\0b"}))),
        ("a verb's name", post("/api/v1/verbs", registered("name", "a\0b"))),
        ("a verb's name in lines", post("/api/v1/verbs", registered("name", "a\nb"))),
        ("a vocabulary", post("/api/v1/verbs", registered("vocabulary", "a\0b"))),
        ("a long vocabulary", post("/api/v1/verbs", registered("vocabulary", &"x".repeat(501)))),
        ("a verb's IRI", post("/api/v1/verbs", registered("iri", "http://example.com/\0"))),
        ("an extension's name", post("/api/v1/extensions", registered("name", "a\0b"))),
        ("a label", credential("label", json!("a\0b"))),
        ("an agent's name", credential("agent", json!({"mbox": "mailto:a@example.com", "name": "a\0b"}))),
        ("an agent's mailbox", credential("agent", json!({"mbox": "mailto:a\0@example.com"}))),
        (
            "an agent's account",
            credential("agent", json!({"account": {"homePage": "http://example.com", "name": "a\0b"}})),
        ),
        ("an agent's property", credential("agent", json!({"mbox": "mailto:a@example.com", "a\0b": 1}))),
        ("an agent that is none", credential("agent", json!({"mbox": "a"}))),
        (
            "an agent without end",
            credential("agent", json!({"mbox": "mailto:a@example.com", "name": "x".repeat(9_000)})),
        ),
        ("a learner's name", launch(json!({"mbox": "mailto:a@example.com", "name": "a\0b"}))),
        ("a learner's account", launch(json!({"account": {"homePage": "http://example.com", "name": "\0"}}))),
        ("a tenant's name", post("/api/v1/admin/tenants", json!({"name": "a\0b"}))),
        ("who approved", post("/api/v1/admin/migrations/run", json!({"dry_run": true, "approved_by": "a\0b"}))),
        ("a module", post("/api/v1/admin/migrations/run", json!({"dry_run": true, "module": "a\0b"}))),
    ]
}

/// In what the resources of xAPI take.
fn in_xapi(app: &TestApp) -> Vec<(&'static str, RequestBuilder)> {
    let state = |query: &[(&str, &str)]| {
        let place = [("activityId", "http://example.com/a")];
        app.xapi(Method::PUT, "/activities/state").query(&place).query(query).json(&json!({}))
    };
    let form = |content_type: &str| {
        let fields = [
            ("activityId", "http://example.com/a"),
            ("agent", AGENT),
            ("stateId", "s"),
            ("content", "x"),
            ("Content-Type", content_type),
            ("X-Experience-API-Version", "1.0.3"),
        ];
        super::form(app.request(Method::POST, "/xapi/activities/state?method=PUT"), &fields)
    };
    let stated = |place: &str, value: Value| {
        let mut statement = statement("ann", "a");
        *statement.pointer_mut(place).unwrap() = value;
        app.xapi(Method::POST, "/statements").json(&statement)
    };
    let attached = |content_type: &str| {
        let mut statement = statement("ann", "a");
        statement["attachments"] = json!([{"usageType": "http://example.com/u", "display": {"en": "d"}, "length": 1,
            "contentType": content_type, "sha2": "0".repeat(64), "fileUrl": "http://example.com/f"}]);
        app.xapi(Method::POST, "/statements").json(&statement)
    };
    vec![
        ("a document's id", state(&[("agent", AGENT), ("stateId", "a\0b")])),
        (
            "a document's agent",
            state(&[("agent", r#"{"account":{"homePage":"http://example.com","name":"a\u0000b"}}"#), ("stateId", "s")]),
        ),
        ("a content type with NUL", form("text/plain\0")),
        ("a content type in lines", form("text/html\r\nX-Evil: 1")),
        ("a content type without end", form(&format!("text/{}", "x".repeat(100_000)))),
        ("a content type not in ASCII", form("text/plain; a=\"é\"")),
        ("a content type that is none", form("text")),
        ("an actor's name", stated("/actor", json!({"mbox": "mailto:a@example.com", "name": "a\0b"}))),
        (
            "an actor's account",
            stated("/actor", json!({"account": {"homePage": "http://example.com", "name": "a\0b"}})),
        ),
        ("a verb", stated("/verb/id", json!("http://example.com/\0"))),
        ("an activity", stated("/object/id", json!("http://example.com/\0"))),
        ("an attachment's type in lines", attached("text/html\r\nX-Evil: 1")),
        ("an attachment's type without end", attached(&format!("text/{}", "x".repeat(300)))),
    ]
}

/// How many rows there are of all that these requests could leave.
async fn kept(app: &TestApp) -> i64 {
    let tables = [
        "platform.credentials",
        "platform.tenants",
        "platform.audit",
        "platform.jobs",
        "progress.verbs",
        "progress.extension_namespaces",
        "ledger.documents",
        "ledger.statements",
        "ledger.agents",
        "ledger.activities",
    ];
    let counts: Vec<String> = tables.iter().map(|table| format!("(SELECT count(*) FROM {table})")).collect();
    app.db.superuser().await.query_one(&format!("SELECT {}", counts.join(" + ")), &[]).await.unwrap().get(0)
}

on_each_server! {
    async fn what_no_column_can_hold_is_refused_by_its_rule_and_nothing_is_kept(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let before = kept(&app).await;
        let mut wrong = Vec::new();
        for (what, request) in hostile(&app) {
            let answer = send(request).await;
            let rule = (answer.status == 400).then(|| answer.json()["violations"][0]["rule"].clone());
            if !rule.as_ref().is_some_and(Value::is_string) {
                wrong.push(format!("{what}: {} {}", answer.status, answer.text()));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert_eq!(kept(&app).await, before);
        // A header that is read as if it were not there would make another request of this one.
        let put = app.xapi(Method::PUT, "/activities/state").query(&[
            ("activityId", "http://example.com/a"),
            ("agent", AGENT),
            ("stateId", "s"),
        ]);
        let put = put.header("If-Match", reqwest::header::HeaderValue::from_bytes(b"\"\xe9\"").unwrap());
        let refusal = send(put.json(&json!({}))).await.expect(400).json();
        assert_eq!(refusal["violations"][0]["rule"], "header.text");
    }

    async fn a_document_kept_under_a_type_that_is_none_is_answered_all_the_same(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let place = [("activityId", "http://example.com/a"), ("agent", AGENT), ("stateId", "s")];
        send(app.xapi(Method::PUT, "/activities/state").query(&place).json(&json!({"a": 1}))).await.expect(204);
        let admin = app.db.superuser().await;
        for bad in ["text/html\r\nX-Evil: 1", "text/plain; a=\"é\"", "text", &format!("text/{}", "x".repeat(100_000))] {
            admin.execute("UPDATE ledger.documents SET content_type = $1", &[&bad]).await.unwrap();
            let answer = send(app.xapi(Method::GET, "/activities/state").query(&place)).await.expect(200);
            assert_eq!((answer.header("content-type"), answer.text().as_str()), ("application/octet-stream", r#"{"a":1}"#));
            assert_eq!(answer.header("x-evil"), "");
        }
    }
}
