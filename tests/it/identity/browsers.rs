//! Browsers: what is said to one caller stays with that caller, nothing that somebody stored runs, and a page of another
//! site cannot make use of the credentials a browser remembers.

use progress_service::model::{Clock, Ids};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::{
    api::{ADA, Api, statement},
    support::app::{KEY, SECRET, TestApp, send},
    xapi::{
        attachments::{multipart, with_attachment},
        id,
    },
};

const STATE: &str =
    "/activities/state?activityId=http://example.com/a&agent=%7B%22mbox%22%3A%22mailto:ann@example.com%22%7D&stateId=s";
const EVIL: &str = "https://evil.example";

/// The fields of a form that stores a statement.
fn fields(statement: &Value) -> Vec<(&'static str, String)> {
    vec![("content", statement.to_string()), ("X-Experience-API-Version", "1.0.3".to_owned())]
}

fn form(app: &TestApp, n: u128) -> RequestBuilder {
    let mut fields = fields(&crate::xapi::identified(&id(n), "ann", "a"));
    fields.push(("statementId", id(n)));
    crate::xapi::form(app.request(Method::POST, "/xapi/statements?method=PUT"), &fields)
}

on_each_server! {
    async fn every_answer_is_private_and_is_only_what_it_says_it_is(db: TestDatabase) {
        let api = Api::start(db).await;
        let app = &api.app;
        api.store(&[statement(1, ADA, "passed", "e1", "a1")]).await;
        let html = app.xapi(Method::PUT, STATE).header("Content-Type", "text/html").body("<script>alert(1)</script>");
        send(html).await.expect(204);
        let body = multipart(&with_attachment(2, b"<script>"), &[b"<script>"]);
        let attached = app.xapi(Method::POST, "/statements").header("Content-Type", "multipart/mixed; boundary=limit");
        send(attached.body(body)).await.expect(200);
        for (path, is_xapi, status) in [
            ("/xapi/statements", true, 200),
            ("/xapi/statements?attachments=true", true, 200),
            ("/xapi/statements?statementId=nothing", true, 400),
            (&format!("/xapi/statements?statementId={}", id(9)), true, 404),
            (&format!("/xapi{STATE}"), true, 200),
            ("/xapi/agents?agent=%7B%22mbox%22%3A%22mailto:ann@example.com%22%7D", true, 200),
            ("/xapi/nothing", true, 404),
            ("/api/v1/attempts", false, 200),
            ("/api/v1/attempts/nothing", false, 404),
            (&format!("/api/v1/users/{ADA}/statements"), false, 200),
            (&format!("/api/v1/users/{ADA}/transcripts"), false, 200),
            ("/api/v1/enrollments/e1/progress", false, 200),
            ("/api/v1/enrollments/e1/transcript", false, 200),
            ("/api/v1/enrollments/e1/transcript?format=pdf", false, 200),
            ("/api/v1/nothing", false, 404),
        ] {
            let ask = |request: RequestBuilder| send(request.header("X-Experience-API-Version", "1.0.3"));
            let known = ask(app.request(Method::GET, path)).await.expect(status);
            let stranger = ask(app.anonymous(Method::GET, path)).await;
            for answer in [known, stranger] {
                assert_eq!(answer.header("cache-control"), "private, no-store", "{path} {}", answer.status);
                assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path} {}", answer.status);
                let policy = if is_xapi { "sandbox; default-src 'none'" } else { "" };
                assert_eq!(answer.header("content-security-policy"), policy, "{path} {}", answer.status);
            }
        }
    }

    async fn a_form_of_another_site_stores_nothing_with_remembered_credentials(db: TestDatabase) {
        let variables = [("PROGRESS_LIMITS_CORS_ORIGINS", "*, https://lms.example")];
        let app = TestApp::with(db, &variables, Clock::system(), Ids::random()).await;
        let stored = async |n: u128| app.get_statements(&[("statementId", &id(n))]).await.status == 200;
        for (n, said) in [
            (1, vec![("Origin", EVIL)]),
            (2, vec![("Origin", "null")]),
            (3, vec![("Sec-Fetch-Site", "cross-site")]),
            (4, vec![("Origin", EVIL), ("Sec-Fetch-Site", "same-site"), ("Sec-Fetch-Mode", "navigate")]),
        ] {
            let request = said.iter().fold(form(&app, n), |request, (name, value)| request.header(*name, *value));
            let refusal = send(request).await.expect(403);
            assert!(refusal.text().contains("limits.cors_origins"), "{}", refusal.text());
            assert!(!stored(n).await, "{said:?}");
        }
        // Every other client, a page that is listed, one of this service's own, and one that holds the key itself.
        send(form(&app, 11)).await.expect(204);
        send(form(&app, 12).header("Origin", "https://lms.example").header("Sec-Fetch-Site", "cross-site")).await.expect(204);
        send(form(&app, 13).header("Origin", &app.url)).await.expect(204);
        let mut fields = fields(&crate::xapi::identified(&id(14), "ann", "a"));
        let key = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("{KEY}:{SECRET}"));
        fields.extend([("statementId", id(14)), ("Authorization", format!("Basic {key}"))]);
        let request = crate::xapi::form(app.anonymous(Method::POST, "/xapi/statements?method=PUT"), &fields);
        send(request.header("Origin", EVIL).header("Sec-Fetch-Site", "cross-site")).await.expect(204);
        for n in 11..=14 {
            assert!(stored(n).await, "{n}");
        }
        let script = app.xapi(Method::POST, "/statements").json(&crate::xapi::identified(&id(15), "ann", "a"));
        send(script.header("Origin", EVIL).header("Sec-Fetch-Site", "cross-site")).await.expect(200);
    }

    async fn a_page_of_a_listed_origin_may_call_with_credentials_and_no_other(db: TestDatabase) {
        const LMS: &str = "https://lms.example";
        let variables = [("PROGRESS_LIMITS_CORS_ORIGINS", "*, https://lms.example")];
        let app = TestApp::with(db, &variables, Clock::system(), Ids::random()).await;
        let preflight = app.anonymous(Method::OPTIONS, "/xapi/statements").header("Access-Control-Request-Method", "PUT");
        let preflight = preflight.header("Access-Control-Request-Headers", "authorization,x-experience-api-version");
        for (request, status) in [
            (preflight, 200),
            (app.xapi(Method::GET, "/statements"), 200),
            (app.xapi(Method::GET, "/statements?limit=x"), 400),
            (app.anonymous(Method::GET, "/xapi/statements").header("X-Experience-API-Version", "1.0.3"), 401),
            (app.request(Method::GET, "/api/v1/attempts/none"), 404),
        ] {
            for (origin, allowed, credentials) in [(LMS, LMS, "true"), (EVIL, "*", ""), ("null", "*", "")] {
                let answer = send(request.try_clone().unwrap().header("Origin", origin)).await.expect(status);
                let said = (answer.header("access-control-allow-origin"), answer.header("access-control-allow-credentials"));
                assert_eq!(said, (allowed, credentials), "{origin} {status}");
            }
        }
    }

    async fn a_form_of_another_site_administers_nothing(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let made = app.post("/api/v1/admin/credentials", &json!({"scopes": ["all"]})).await.expect(201).json();
        let tenant = app.post("/api/v1/admin/tenants", &json!({"name": "acme"})).await.expect(201).json();
        let revoke = format!("/api/v1/admin/credentials/{}/revoke", made["id"].as_str().unwrap());
        let rotate = format!("/api/v1/admin/credentials/{}/rotate", made["id"].as_str().unwrap());
        let suspend = format!("/api/v1/admin/tenants/{}/suspend", tenant["id"].as_str().unwrap());
        for path in [&revoke, &rotate, &suspend, "/api/v1/admin/migrations/run"] {
            for query in ["", "?method=PUT"] {
                let empty = app.request(Method::POST, &format!("{path}{query}"));
                let text = app.request(Method::POST, &format!("{path}{query}")).header("Content-Type", "text/plain");
                for request in [empty, text] {
                    send(request.header("Origin", EVIL)).await.expect(403);
                }
            }
        }
        let listed = app.get("/api/v1/admin/credentials").await.json();
        let credential = listed["data"].as_array().unwrap().iter().find(|one| one["id"] == made["id"]).unwrap();
        assert_eq!((&credential["revokedAt"], &credential["previousSecretValidUntil"]), (&Value::Null, &Value::Null));
        // A script that was let in by the preflight says so by what no form can say.
        send(app.request(Method::POST, &suspend).header("Origin", EVIL).json(&json!({}))).await.expect(200);
        send(app.request(Method::POST, &revoke)).await.expect(200);
    }
}
