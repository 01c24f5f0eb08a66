//! Who may void whose statement, in whatever order the two arrive.

use reqwest::Method;
use serde_json::{Value, json};

use super::scopes::{ask, credential, post};
use crate::{
    api::{ADA, Api, settle, statement},
    support::app::{TestApp, send},
    xapi::{id, identified, voiding},
};

/// A credential that speaks for this agent.
async fn speaking_for(app: &TestApp, agent: Value) -> (String, String) {
    let asked = json!({"scopes": ["statements/write", "statements/read"], "agent": agent});
    let made = app.post("/api/v1/admin/credentials", &asked).await.expect(201).json();
    (made["apiKey"].as_str().unwrap().to_owned(), made["secret"].as_str().unwrap().to_owned())
}

/// Whether the statement is shown as one that stands; if not, it has to be shown as voided.
async fn stands(app: &TestApp, n: u128) -> bool {
    let status = app.get_statements(&[("statementId", &id(n))]).await.status.as_u16();
    let voided = app.get_statements(&[("voidedStatementId", &id(n))]).await.status.as_u16();
    assert!([(200, 404), (404, 200)].contains(&(status, voided)), "{status} {voided}");
    status == 200
}

on_each_server! {
    async fn a_launch_voids_nothing(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let learner = json!({"objectType": "Agent", "mbox": "mailto:referrer@example.com"});
        let launch = json!({"registration": id(100), "actor": learner, "scopes": ["all"]});
        let made = app.post("/api/v1/admin/credentials/launch", &launch).await.expect(201).json();
        let launched = (made["apiKey"].as_str().unwrap().to_owned(), made["secret"].as_str().unwrap().to_owned());
        app.post_statements(&identified(&id(1), "ann", "a")).await.expect(200);
        let own = |mut statement: Value| {
            statement["context"] = json!({"registration": id(100)});
            statement
        };
        let mine = own(identified(&id(2), "referrer", "a"));
        post(&app, &launched, &mine).await.expect(200);
        for version in ["1.0.3", "2.0.0"] {
            for target in [1, 2, 3] {
                let voids = own(voiding(&id(11), &id(target)));
                let puts =
                    ask(&app, &launched, Method::PUT, &format!("/statements?statementId={}", id(11))).json(&voids);
                let posts = ask(&app, &launched, Method::POST, "/statements")
                    .json(&json!([own(identified(&id(4), "referrer", "a")), voids]));
                for request in [puts, posts] {
                    let mut request = request.build().unwrap();
                    request.headers_mut().insert("X-Experience-API-Version", version.parse().unwrap());
                    let answer = reqwest::Client::new().execute(request).await.unwrap();
                    assert_eq!(answer.status(), 403);
                    let why = answer.text().await.unwrap();
                    assert!(why.contains("a launch credential voids nothing"), "{why}");
                }
            }
        }
        assert!(stands(&app, 1).await && stands(&app, 2).await);
        app.get_statements(&[("statementId", &id(4))]).await.expect(404);
    }

    async fn a_key_voids_what_it_stored_and_nothing_else(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let one = credential(&app, &["statements/write", "statements/read"]).await;
        let two = credential(&app, &["statements/write", "statements/read"]).await;
        for (n, who) in [(1, &one), (2, &two), (3, &two)] {
            post(&app, who, &identified(&id(n), "ann", "a")).await.expect(200);
        }
        let refused = post(&app, &one, &voiding(&id(12), &id(2))).await.expect(403);
        assert!(refused.text().contains("statements/void") && refused.text().contains(&id(2)), "{}", refused.text());
        // Of a batch nothing is kept; with a target of its own it is.
        post(&app, &one, &json!([identified(&id(4), "ann", "a"), voiding(&id(13), &id(3))])).await.expect(403);
        post(&app, &one, &json!([voiding(&id(14), &id(4)), identified(&id(4), "ann", "a")])).await.expect(200);
        post(&app, &one, &voiding(&id(11), &id(1))).await.expect(200);
        // In 2.0 as well.
        let batch = async |statements: Value| {
            let request = app.anonymous(Method::POST, "/xapi/v2/statements").basic_auth(&one.0, Some(&one.1));
            send(request.header("X-Experience-API-Version", "2.0.0").json(&statements)).await
        };
        batch(json!([identified(&id(5), "ann", "a"), voiding(&id(15), &id(5)), voiding(&id(16), &id(3))])).await.expect(403);
        app.get_statements(&[("statementId", &id(15))]).await.expect(404);
        batch(json!([identified(&id(5), "ann", "a"), voiding(&id(15), &id(5))])).await.expect(200);
        assert!(!stands(&app, 5).await);
        let standing = async |n| stands(&app, n).await;
        assert_eq!([standing(1).await, standing(2).await, standing(3).await, standing(4).await], [false, true, true, false]);
        for (scope, n) in [("statements/void", 2), ("all", 3)] {
            let wide = credential(&app, &["statements/write", scope]).await;
            post(&app, &wide, &voiding(&id(20 + n), &id(n))).await.expect(200);
            assert!(!standing(n).await, "{scope}");
        }
    }

    async fn a_voiding_that_comes_first_takes_effect_on_what_it_may_void(db: TestDatabase) {
        let api = Api::start(db).await;
        let app = &api.app;
        let one = credential(app, &["statements/write", "statements/read"]).await;
        let two = credential(app, &["statements/write", "statements/read"]).await;
        let wide = credential(app, &["statements/write", "statements/void"]).await;
        for (n, who) in [(1, &one), (2, &one), (3, &one), (4, &wide)] {
            post(app, who, &voiding(&id(10 + n), &id(n))).await.expect(200);
        }
        // The first is the voider's own, the third comes together with what voids it, the last may be anybody's.
        post(app, &one, &statement(1, ADA, "passed", "e1", "a1")).await.expect(200);
        post(app, &two, &statement(2, ADA, "passed", "e2", "a2")).await.expect(200);
        post(app, &two, &json!([statement(3, ADA, "passed", "e3", "a3"), voiding(&id(23), &id(3))])).await.expect(200);
        post(app, &two, &statement(4, ADA, "passed", "e4", "a4")).await.expect(200);
        settle(app).await;
        for (n, stands_now) in [(1u128, false), (2, true), (3, false), (4, false)] {
            assert_eq!(stands(app, n).await, stands_now, "{n}");
            // The projections see what the statements say.
            let attempt = api.get(&format!("/api/v1/attempts/a{n}")).await;
            assert_eq!(attempt.status.as_u16(), if stands_now { 200 } else { 404 }, "{n}: {}", attempt.text());
        }
        let seen = api.get(&format!("/api/v1/users/{ADA}/statements")).await.expect(200).json();
        assert_eq!(seen["data"].as_array().unwrap().len(), 1);
        assert_eq!(seen["data"][0]["id"], json!(id(2)));
        let progress = api.get("/api/v1/enrollments/e2/transcript").await.expect(200).json();
        assert_eq!(progress["learner"]["name"], "Ada Lovelace", "its statement is still the latest that stands");
        let page = app.get_statements(&[("verb", "http://adlnet.gov/expapi/verbs/passed")]).await.expect(200).json();
        assert!(crate::xapi::ids(&page).contains(&id(2)), "{page}");
    }

    async fn one_authority_may_be_spelled_in_several_ways(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let one = speaking_for(&app, json!({"objectType": "Agent", "mbox": "mailto:lms@example.org", "name": "LMS"})).await;
        let two = speaking_for(&app, json!({"mbox": "mailto:lms@Example.ORG"})).await;
        let other = speaking_for(&app, json!({"mbox": "mailto:LMS@example.org"})).await;
        post(&app, &one, &identified(&id(1), "ann", "a")).await.expect(200);
        post(&app, &other, &voiding(&id(10), &id(1))).await.expect(403);
        post(&app, &two, &voiding(&id(11), &id(1))).await.expect(200);
        assert!(!stands(&app, 1).await);
        // The same holds for reading.
        let reader = json!({"scopes": ["statements/read/mine"], "agent": {"mbox": "mailto:lms@EXAMPLE.org"}});
        let made = app.post("/api/v1/admin/credentials", &reader).await.expect(201).json();
        let reader = (made["apiKey"].as_str().unwrap().to_owned(), made["secret"].as_str().unwrap().to_owned());
        for query in [format!("?voidedStatementId={}", id(1)), format!("?statementId={}", id(11))] {
            send(ask(&app, &reader, Method::GET, &format!("/statements{query}"))).await.expect(200);
        }
    }
}
