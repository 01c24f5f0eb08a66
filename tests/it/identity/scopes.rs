//! What each scope opens on the xAPI surface, and what it leaves shut.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::{
    support::app::{Answer, TestApp, send},
    xapi::{id, identified, ids, statement},
};

const AGENT: &str = "%7B%22mbox%22%3A%22mailto:ann@example.com%22%7D";

/// A credential as its key and secret.
pub async fn credential(app: &TestApp, scopes: &[&str]) -> (String, String) {
    let made = app.post("/api/v1/admin/credentials", &json!({ "scopes": scopes })).await.expect(201).json();
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    (text("apiKey"), text("secret"))
}

pub fn ask(app: &TestApp, who: &(String, String), method: Method, path: &str) -> RequestBuilder {
    let request = app.anonymous(method, &format!("/xapi{path}")).basic_auth(&who.0, Some(&who.1));
    request.header("X-Experience-API-Version", "1.0.3")
}

pub async fn post(app: &TestApp, who: &(String, String), statement: &Value) -> Answer {
    send(ask(app, who, Method::POST, "/statements").json(statement)).await
}

/// Whether each kind of request is let in: writing and reading of statements, what is known of activities and agents,
/// writing and reading of state, agent profile and activity profile.
async fn opens(app: &TestApp, who: &(String, String)) -> [bool; 10] {
    let state = format!("/activities/state?activityId=http://example.com/a&stateId=s&agent={AGENT}");
    let agent = format!("/agents/profile?profileId=p&agent={AGENT}");
    let activity = "/activities/profile?profileId=p&activityId=http://example.com/a".to_owned();
    let get = |path: &str| ask(app, who, Method::GET, path);
    let write = |path: &str| ask(app, who, Method::POST, path).json(&json!({"a": 1}));
    let requests = [
        ask(app, who, Method::POST, "/statements").json(&statement("ann", "a")),
        get("/statements"),
        get("/activities?activityId=http://example.com/a"),
        get(&format!("/agents?agent={AGENT}")),
        write(&state),
        get(&state),
        write(&agent),
        get(&agent),
        write(&activity),
        get(&activity),
    ];
    let mut open = [false; 10];
    for (open, request) in open.iter_mut().zip(requests) {
        let answer = send(request).await;
        assert!([200, 204, 403, 404].contains(&answer.status.as_u16()), "{} {}", answer.status, answer.text());
        *open = answer.status != 403;
    }
    open
}

on_each_server! {
    async fn every_scope_opens_its_own_and_nothing_else(db: TestDatabase) {
        let app = TestApp::start(db).await;
        for (scope, expected) in [
            ("statements/write", "w--- -- -- --"),
            ("statements/read", "-rrr -- -- --"),
            ("statements/read/mine", "-rrr -- -- --"),
            ("statements/void", "---- -- -- --"),
            ("state", "---- wr -- --"),
            ("define", "---- -- -- --"),
            ("profile", "---- -- wr wr"),
            ("all/read", "-rrr -r -r -r"),
            ("all", "wrrr wr wr wr"),
            ("statement:write", "---- -- -- --"),
            ("statement:read", "---- -- -- --"),
            ("transcript:read", "---- -- -- --"),
            ("admin:*", "---- -- -- --"),
        ] {
            let who = credential(&app, &[scope]).await;
            let expected: Vec<bool> = expected.chars().filter(|sign| *sign != ' ').map(|sign| sign != '-').collect();
            assert_eq!(opens(&app, &who).await, expected[..], "{scope}");
        }
    }

    async fn reading_mine_shows_what_this_credential_stored_and_no_more(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let scopes = ["statements/write", "statements/read/mine"];
        let (one, two) = (credential(&app, &scopes).await, credential(&app, &scopes).await);
        post(&app, &one, &identified(&id(1), "ann", "a")).await.expect(200);
        post(&app, &two, &identified(&id(2), "ann", "a")).await.expect(200);
        for (who, own, others) in [(&one, id(1), id(2)), (&two, id(2), id(1))] {
            let page = send(ask(&app, who, Method::GET, "/statements")).await.expect(200).json();
            assert_eq!(ids(&page), std::slice::from_ref(&own));
            send(ask(&app, who, Method::GET, &format!("/statements?statementId={own}"))).await.expect(200);
            send(ask(&app, who, Method::GET, &format!("/statements?statementId={others}"))).await.expect(404);
        }
    }

    async fn without_define_a_statement_teaches_nothing_about_its_activity(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let mut defining = identified(&id(1), "ann", "a");
        defining["object"]["definition"] = json!({"name": {"en": "A"}});
        post(&app, &credential(&app, &["statements/write"]).await, &defining).await.expect(200);
        let activity = async || {
            let answer = send(app.xapi(Method::GET, "/activities?activityId=http://example.com/activities/a")).await;
            answer.expect(200).json()
        };
        assert_eq!(activity().await.get("definition"), None);
        let kept = app.get_statements(&[("statementId", &id(1))]).await.expect(200).json();
        assert_eq!(kept["object"]["definition"]["name"]["en"], "A", "the statement itself is kept as it is");
        defining["id"] = json!(id(2));
        post(&app, &credential(&app, &["statements/write", "define"]).await, &defining).await.expect(200);
        assert_eq!(activity().await["definition"]["name"]["en"], "A");
    }
}
