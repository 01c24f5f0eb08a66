//! Letter case, one rule on every resource: it means nothing in a UUID and everything in a name.

use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};
use reqwest::Method;
use serde_json::{Value, json};

use super::{id, identified, ids, voiding};
use crate::{
    api::{ADA, Api, statement},
    support::app::{Answer, TestApp, send},
};

/// Other spellings of a text: all of it in capitals, and letters of it drawn at random.
fn spellings(text: &str) -> Vec<String> {
    let mut runner = TestRunner::deterministic();
    let drawn = proptest::collection::vec(proptest::bool::ANY, text.len());
    let mixed = (0..4).map(|_| {
        let capitals = drawn.new_tree(&mut runner).unwrap().current();
        text.chars().zip(capitals).map(|(c, capital)| if capital { c.to_ascii_uppercase() } else { c }).collect()
    });
    std::iter::once(text.to_uppercase()).chain(mixed).filter(|other| other != text).collect()
}

fn account(name: &str) -> Value {
    json!({"account": {"homePage": "http://lms.example", "name": name}})
}

/// A document of this place, asked for by `method`.
async fn document(app: &TestApp, method: Method, resource: &str, of: &[(&str, &str)]) -> Answer {
    let is_put = method == Method::PUT;
    let request = app.xapi(method, resource).query(of);
    send(if is_put { request.header("If-None-Match", "*").json(&json!({"a": 1})) } else { request }).await
}

on_each_server! {
    async fn a_statement_is_known_by_its_id_in_whatever_letters(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let [plain, target, referrer, void] = [0xabcd_ef01, 0xabcd_ef02, 0xabcd_ef03, 0xabcd_ef04].map(id);
        for (n, upper) in spellings(&plain).into_iter().enumerate() {
            // Put in one spelling, in the address or in the statement, it is there in all.
            let mut said = identified(&upper, "ann", "a");
            app.put_statement(&plain, &said).await.expect(204);
            said["id"] = json!(plain);
            app.put_statement(&upper, &said).await.expect(204);
            said["verb"]["id"] = json!("http://example.com/another");
            app.put_statement(&upper, &said).await.expect(409);
            let other = app.put_statement(&id(1), &identified(&upper, "ann", "a")).await.expect(400);
            assert!(other.text().contains("statement.put.id"));
            let found = app.get_statements(&[("statementId", &upper)]).await.expect(200).json();
            assert_eq!(found["id"], json!(plain), "shown in lower case");
            assert_eq!(app.post_statements(&identified(&upper, "ann", "a")).await.expect(200).json(), json!([plain]), "{n}");
        }
        let twice = json!([identified(&target, "ann", "a"), identified(&target.to_uppercase(), "ann", "a")]);
        assert!(app.post_statements(&twice).await.expect(400).text().contains("batch.id.duplicate"));

        app.post_statements(&identified(&target, "bob", "a")).await.expect(200);
        let agent = r#"{"mbox":"mailto:bob@example.com"}"#;
        for (n, upper) in spellings(&target).into_iter().enumerate() {
            let mut refers = identified(&id(100 + n as u128), "referrer", "unused");
            refers["object"] = json!({"objectType": "StatementRef", "id": upper});
            app.post_statements(&refers).await.expect(200);
        }
        let reached = ids(&app.get_statements(&[("agent", agent)]).await.expect(200).json());
        assert_eq!(reached.len(), 1 + spellings(&target).len(), "who refers to it is found by it: {reached:?}");
        app.post_statements(&voiding(&void, &target.to_uppercase())).await.expect(200);
        app.get_statements(&[("statementId", &target)]).await.expect(404);
        for upper in spellings(&target) {
            app.get_statements(&[("voidedStatementId", &upper)]).await.expect(200);
        }
        // A voiding that comes first, too.
        app.post_statements(&voiding(&id(7), &referrer.to_uppercase())).await.expect(200);
        app.post_statements(&identified(&referrer, "ann", "a")).await.expect(200);
        app.get_statements(&[("statementId", &referrer)]).await.expect(404);
    }

    async fn a_registration_is_one_in_whatever_letters(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let registration = id(0xabcd_ef05);
        let agent = account("ann").to_string();
        let base = [("activityId", "http://example.com/a"), ("agent", agent.as_str()), ("stateId", "s")];
        let of = async |method: Method, registration: &str| {
            let place: Vec<_> = base.into_iter().chain([("registration", registration)]).collect();
            document(&app, method, "/activities/state", &place).await
        };
        of(Method::PUT, &registration).await.expect(204);
        for (n, upper) in (1..).zip(spellings(&registration)) {
            let mut said = identified(&id(n), "ann", "a");
            said["context"] = json!({"registration": upper});
            app.post_statements(&said).await.expect(200);
            let found = app.get_statements(&[("registration", &upper)]).await.expect(200).json();
            assert_eq!(ids(&found).len(), n as usize, "{upper}");
            assert_eq!(found["statements"][0]["context"]["registration"], json!(upper), "and shown as it came");
            of(Method::GET, &upper).await.expect(200);
            let listed = [base[0], base[1], ("registration", upper.as_str())];
            assert_eq!(document(&app, Method::GET, "/activities/state", &listed).await.expect(200).json(), json!(["s"]));
        }
        of(Method::DELETE, &registration.to_uppercase()).await.expect(204);
        of(Method::GET, &registration).await.expect(404);
    }

    async fn an_account_is_its_name_to_the_letter(db: TestDatabase) {
        let app = TestApp::start(db).await;
        for (n, name) in (1..).zip(["ann", ADA]) {
            let activity = format!("http://example.com/{n}");
            let mut said = identified(&id(n), "unused", "a");
            said["actor"] = account(name);
            said["actor"]["name"] = json!("Ann");
            app.post_statements(&said).await.expect(200);
            let own = account(name).to_string();
            let state = |agent| [("activityId", activity.as_str()), ("agent", agent), ("stateId", "s")];
            let profile = |agent| [("agent", agent), ("profileId", "p")];
            document(&app, Method::PUT, "/activities/state", &state(&own)).await.expect(204);
            document(&app, Method::PUT, "/agents/profile", &profile(&own)).await.expect(204);
            for (agent, status, found) in [(&own, 200, 1), (&account(&name.to_uppercase()).to_string(), 404, 0)] {
                let page = app.get_statements(&[("agent", agent)]).await.expect(200).json();
                assert_eq!(ids(&page).len(), found, "{agent}");
                document(&app, Method::GET, "/activities/state", &state(agent)).await.expect(status);
                document(&app, Method::GET, "/agents/profile", &profile(agent)).await.expect(status);
                let person = document(&app, Method::GET, "/agents", &[("agent", agent)]).await.expect(200).json();
                assert_eq!(person.get("name").is_some(), found == 1, "{person}");
            }
        }
    }

    async fn the_platforms_ids_are_uuids_in_whatever_letters(db: TestDatabase) {
        let api = Api::start(db).await;
        let [enrollment, attempt] = [0xabcd_ef06, 0xabcd_ef07].map(id);
        api.store(&[statement(1, ADA, "passed", &enrollment, &attempt)]).await;
        let mut elsewhere = identified(&id(2), "unused", "a");
        elsewhere["actor"] = account(&ADA.to_uppercase());
        api.store(&[elsewhere]).await;
        let spelt = spellings(ADA).into_iter().zip(spellings(&enrollment)).zip(spellings(&attempt));
        for ((user, enrollment), attempt) in spelt {
            for (path, found) in [
                (format!("/api/v1/attempts/{attempt}"), 1),
                (format!("/api/v1/enrollments/{enrollment}/progress"), 1),
                (format!("/api/v1/enrollments/{enrollment}/transcript"), 1),
                (format!("/api/v1/attempts?filter[userId]={user}"), 1),
                (format!("/api/v1/attempts?filter[enrollmentId]={enrollment}"), 1),
                (format!("/api/v1/users/{user}/transcripts"), 1),
                (format!("/api/v1/users/{user}/statements"), 2),
            ] {
                let answer = api.get(&path).await.expect(200).json();
                assert_eq!(answer["data"].as_array().map_or(1, Vec::len), found, "{path}: {answer}");
            }
        }
        let order = json!({"outcome": "failed", "reason": "x"});
        api.post(&format!("/api/v1/attempts/{}/close", attempt.to_uppercase()), &order).await.expect(409);
        // Names that are no UUIDs mean their letters here as well.
        api.store(&[statement(3, ADA, "passed", "course-a", "try-1")]).await;
        api.get("/api/v1/enrollments/course-a/progress").await.expect(200);
        api.get("/api/v1/enrollments/COURSE-A/progress").await.expect(404);
        api.get("/api/v1/attempts/TRY-1").await.expect(404);
    }
}
