//! A cmi5 session from both sides: the LMS launches, the content reports, and the attempt follows.

mod launches;
mod satisfied;
mod strict;
mod unit;

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::TimeDelta;
use progress_service::{
    model::Clock,
    projections::{
        rebuild::Rebuild,
        silence::{self, Patience},
    },
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    api::{ADA, Api, settle},
    support::app::{Answer, send},
    xapi::id,
};

const AU: &str = "http://lms.example/activities/au-1";
const COURSE: &str = "http://publisher.example/course";
const CMI5: &str = "https://w3id.org/xapi/cmi5/context/categories/cmi5";
const COURSE_TYPE: &str = "https://w3id.org/xapi/cmi5/activitytype/course";
const MOVE_ON: &str = "https://w3id.org/xapi/cmi5/context/categories/moveon";

fn learner() -> Value {
    json!({"objectType": "Agent", "name": "Ada Lovelace", "account": {"homePage": "http://lms.example", "name": ADA}})
}

/// One session of one learner with one piece of content.
struct Session<'a> {
    api: &'a Api,
    registration: String,
    /// What the content got from the launch's fetch URL.
    token: String,
}

impl<'a> Session<'a> {
    /// The LMS's part: launch data, the learner's preferences, the credential of the session, `launched`.
    async fn launch(api: &'a Api, registration: String) -> Self {
        let launch = json!({"registration": registration, "actor": learner(), "lifetimeSeconds": 3_600});
        let made = api.post("/api/v1/admin/credentials/launch", &launch).await.expect(201).json();
        let token =
            STANDARD.encode(format!("{}:{}", made["apiKey"].as_str().unwrap(), made["secret"].as_str().unwrap()));
        let session = Self { api, registration, token };
        let data = json!({
            "contextTemplate": session.template(),
            "launchMode": "Normal", "launchMethod": "AnyWindow", "moveOn": "CompletedAndPassed", "masteryScore": 0.8,
        });
        let put = api.app.xapi(Method::PUT, "/activities/state").query(&session.launch_data()).json(&data);
        send(put).await.expect(204);
        let preferences = api.app.xapi(Method::PUT, "/agents/profile").header("If-None-Match", "*");
        let place = [("agent", learner().to_string()), ("profileId", "cmi5LearnerPreferences".to_owned())];
        // The second launch finds the preferences of the first.
        let answer = send(preferences.query(&place).json(&json!({"audioPreference": "off"}))).await;
        assert!([204, 412].contains(&answer.status.as_u16()), "{}", answer.text());
        session.lms("launched", 1, json!({})).await.expect(200);
        session
    }

    fn launch_data(&self) -> Vec<(&'static str, String)> {
        vec![
            ("activityId", AU.to_owned()),
            ("agent", learner().to_string()),
            ("registration", self.registration.clone()),
            ("stateId", "LMS.LaunchData".to_owned()),
        ]
    }

    fn template(&self) -> Value {
        json!({
            "registration": self.registration,
            "contextActivities": {
                "grouping": [
                    {"id": COURSE, "definition": {"type": COURSE_TYPE,
                                                  "name": {"en": "Analytical engines"}}},
                    {"id": "http://publisher.example/au-1"},
                ],
            },
            "extensions": {"https://w3id.org/xapi/cmi5/context/extensions/sessionid": "session-1"},
        })
    }

    /// A statement of the session; `n` orders its time.
    fn statement(&self, verb: &str, n: u32, result: Value) -> Value {
        let mut context = self.template();
        let mut category = vec![json!({"id": CMI5})];
        if result.get("success").is_some() || result.get("completion").is_some() {
            category.push(json!({"id": MOVE_ON}));
        }
        context["contextActivities"]["category"] = json!(category);
        let vocabulary = match verb {
            "abandoned" | "satisfied" | "waived" => "https://w3id.org/xapi/adl/verbs",
            _ => "http://adlnet.gov/expapi/verbs",
        };
        if verb == "launched" {
            context["extensions"]["https://w3id.org/xapi/cmi5/context/extensions/moveon"] = json!("CompletedAndPassed");
        }
        let object = match verb {
            "satisfied" => json!({"id": "http://lms.example/course-7", "definition": {"type": COURSE_TYPE}}),
            _ => json!({"id": AU}),
        };
        let mut statement = json!({
            "actor": learner(),
            "verb": {"id": format!("{vocabulary}/{verb}"), "display": {"en": verb}},
            "object": object,
            "context": context,
            "timestamp": format!("2026-11-01T10:{n:02}:00Z"),
        });
        if result != json!({}) {
            statement["result"] = result;
        }
        statement
    }

    /// Sent by the LMS, with its own credential.
    async fn lms(&self, verb: &str, n: u32, result: Value) -> Answer {
        self.api.app.post_statements(&self.statement(verb, n, result)).await
    }

    /// A request of the content, with the session's token and nothing else.
    fn content(&self, method: Method, resource: &str) -> reqwest::RequestBuilder {
        self.api
            .app
            .anonymous(method, &format!("/xapi{resource}"))
            .header("X-Experience-API-Version", "1.0.3")
            .header("Authorization", format!("Basic {}", self.token))
    }

    async fn au(&self, verb: &str, n: u32, result: Value) {
        let sent = self.content(Method::POST, "/statements").json(&self.statement(verb, n, result));
        send(sent).await.expect(200);
    }

    /// What the content reads before it begins.
    async fn begin(&self) {
        let data =
            send(self.content(Method::GET, "/activities/state").query(&self.launch_data())).await.expect(200).json();
        assert_eq!((&data["launchMode"], &data["masteryScore"]), (&json!("Normal"), &json!(0.8)));
        assert_eq!(data["contextTemplate"]["registration"], json!(self.registration));
        let place = [("agent", learner().to_string()), ("profileId", "cmi5LearnerPreferences".to_owned())];
        let preferences = send(self.content(Method::GET, "/agents/profile").query(&place)).await.expect(200).json();
        assert_eq!(preferences["audioPreference"], "off");
        self.au("initialized", 2, json!({})).await;
    }

    /// The verbs of the registration in the order in which they were stored.
    async fn verbs(&self) -> Vec<String> {
        let asked = [("registration", self.registration.as_str()), ("ascending", "true")];
        let page = self.api.app.get_statements(&asked).await.expect(200).json();
        let verbs =
            page["statements"].as_array().unwrap().iter().map(|statement| statement["verb"]["id"].as_str().unwrap());
        verbs.map(|verb| verb.rsplit('/').next().unwrap().to_owned()).collect()
    }

    async fn progress(&self) -> Value {
        settle(&self.api.app).await;
        self.api.get(&format!("/api/v1/enrollments/{}/progress", self.registration)).await.expect(200).json()
    }
}

fn score(scaled: f64, is_passed: bool) -> Value {
    json!({"success": is_passed, "score": {"scaled": scaled}, "duration": "PT9M"})
}

/// A score as it is written, with all of its decimals.
fn decimals(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn completed() -> Value {
    json!({"completion": true, "duration": "PT8M"})
}

on_each_server! {
    async fn a_session_that_is_passed_satisfies(db: TestDatabase) {
        let api = Api::start(db).await;
        let session = Session::launch(&api, id(1)).await;
        assert_eq!(session.progress().await["overallState"], "in_progress");
        session.begin().await;
        session.au("completed", 10, completed()).await;
        assert_eq!(session.progress().await["overallState"], "in_progress", "completed alone decides nothing");
        session.au("passed", 11, score(0.9, true)).await;
        session.au("terminated", 12, json!({"duration": "PT10M"})).await;
        session.lms("satisfied", 13, json!({})).await.expect(200);
        let order = ["launched", "initialized", "completed", "passed", "terminated", "satisfied"];
        assert_eq!(session.verbs().await, order);

        let progress = session.progress().await;
        assert_eq!((&progress["overallState"], &progress["userId"]), (&json!("completed"), &json!(ADA)));
        assert_eq!(progress["attempts"].as_array().unwrap().len(), 1, "one attempt, found by its registration");
        let attempt = &progress["attempts"][0];
        assert_eq!((&attempt["outcome"], &attempt["score"], &attempt["durationSeconds"]),
            (&json!("passed"), &decimals("0.9000"), &json!(600)));
        assert_eq!((&attempt["startedAt"], &attempt["endedAt"]),
            (&json!("2026-11-01T10:01:00Z"), &json!("2026-11-01T10:13:00Z")));
        assert_eq!(progress["completion"]["evidenceStatementIds"].as_array().unwrap().len(), 3);

        let unit = json!({"activityId": AU, "state": "passed", "satisfied": true, "moveOn": "CompletedAndPassed",
            "score": 0.9, "sessions": 1});
        assert_eq!(progress["units"].to_string(), json!([unit]).to_string().replace("0.9", "0.9000"));

        let path = format!("/api/v1/enrollments/{}/transcript", session.registration);
        let transcript = api.get_as(&api.token(ADA, "transcript:read"), &path).await.expect(200).json();
        assert_eq!((&transcript["learner"]["name"], &transcript["course"]["title"]),
            (&json!("Ada Lovelace"), &json!("Analytical engines")));
        assert_eq!(transcript["course"]["activityId"], COURSE);
        assert_eq!(transcript["attempts"], progress["attempts"]);
    }

    async fn a_session_that_fails_or_is_left_can_be_followed_by_one_that_passes(db: TestDatabase) {
        let api = Api::start(db).await;
        let session = Session::launch(&api, id(1)).await;
        session.begin().await;
        session.au("failed", 10, score(0.3, false)).await;
        session.au("terminated", 11, json!({"duration": "PT9M"})).await;
        session.lms("launched", 12, json!({})).await.expect(200);
        session.lms("abandoned", 15, json!({"duration": "PT2M"})).await.expect(200);
        let progress = session.progress().await;
        assert_eq!((&progress["overallState"], &progress["latestAttempt"]["state"]), (&json!("in_progress"), &json!("open")));
        let unit = &progress["units"][0];
        assert_eq!((&unit["state"], &unit["satisfied"], &unit["sessions"]), (&json!("failed"), &json!(false), &json!(1)));

        let again = Session::launch(&api, id(1)).await;
        again.au("completed", 20, completed()).await;
        again.au("passed", 21, score(1.0, true)).await;
        assert_eq!(again.progress().await["overallState"], "in_progress", "the LMS has the last word");
        again.lms("satisfied", 22, json!({})).await.expect(200);
        let progress = again.progress().await;
        assert_eq!((&progress["overallState"], &progress["completion"]["score"]), (&json!("completed"), &decimals("1.0000")));
        assert_eq!(api.all(&format!("/api/v1/attempts?filter[userId]={ADA}")).await.len(), 1);
    }

    async fn a_course_that_is_waived_is_done(db: TestDatabase) {
        let api = Api::start(db).await;
        let session = Session::launch(&api, id(1)).await;
        session.lms("waived", 10, json!({"success": true, "completion": true})).await.expect(200);
        session.lms("satisfied", 11, json!({})).await.expect(200);
        let progress = session.progress().await;
        assert_eq!((&progress["overallState"], &progress["latestAttempt"]["outcome"]), (&json!("completed"), &json!("passed")));
        assert_eq!(progress["latestAttempt"]["score"], Value::Null, "nobody gave a verdict");
    }

    async fn a_registration_of_which_nobody_speaks_closes_and_a_rebuild_closes_it_alike(db: TestDatabase) {
        let api = Api::start(db).await;
        let store = &api.app.service().rooms.store;
        let passed = Session::launch(&api, id(1)).await;
        passed.au("completed", 5, completed()).await;
        passed.au("passed", 6, score(0.9, true)).await;
        let left = Session::launch(&api, id(2)).await;
        left.lms("abandoned", 30, json!({"duration": "PT29M"})).await.expect(200);
        settle(&api.app).await;

        let patience = Patience { met: Duration::from_secs(3_600), unmet: Duration::from_secs(86_400) };
        let later = |hours| Clock::system().now() + TimeDelta::hours(hours);
        let mut found = Vec::new();
        for hours in [0, 2, 2, 25] {
            found.push(silence::look(store, patience, later(hours)).await.unwrap());
            settle(&api.app).await;
        }
        assert_eq!(found, [0, 1, 0, 1], "each once, when its time has come");
        let progress = passed.progress().await;
        assert_eq!((&progress["overallState"], &progress["completion"]["completedAt"]),
            (&json!("completed"), &json!("2026-11-01T10:06:00Z")));
        assert_eq!(left.progress().await["latestAttempt"]["outcome"], "abandoned");

        let rebuild = Rebuild::begin(&api.app.service().rooms.cold, None).await.unwrap();
        rebuild.build(&|_| ()).await.unwrap();
        for tenant in rebuild.tenants() {
            assert_eq!(rebuild.compare(tenant).await.unwrap(), []);
        }
        rebuild.end().await.unwrap();
    }

    async fn an_lms_that_says_satisfied_is_waited_for(db: TestDatabase) {
        let api = Api::start(db).await;
        let other = Session::launch(&api, id(1)).await;
        other.lms("satisfied", 9, json!({})).await.expect(200);
        let session = Session::launch(&api, id(2)).await;
        session.au("completed", 5, completed()).await;
        session.au("passed", 6, score(0.9, true)).await;
        settle(&api.app).await;
        let patience = Patience { met: Duration::from_secs(1), unmet: Duration::ZERO };
        let found = silence::look(&api.app.service().rooms.store, patience,
            Clock::system().now() + TimeDelta::days(900)).await.unwrap();
        assert_eq!(found, 0, "it may be the first unit of several");
        assert_eq!(session.progress().await["overallState"], "in_progress");
    }

    async fn a_sessions_token_is_good_for_its_session_only(db: TestDatabase) {
        let api = Api::start(db).await;
        let session = Session::launch(&api, id(1)).await;
        let other = Session::launch(&api, id(2)).await;
        let foreign = session.content(Method::POST, "/statements").json(&other.statement("initialized", 2, json!({})));
        let refused = send(foreign).await;
        assert!([400, 403].contains(&refused.status.as_u16()), "{} {}", refused.status, refused.text());
        let answer = api.get_as(&format!("Basic {}", session.token), &format!("/api/v1/enrollments/{}/progress", id(1))).await;
        assert_eq!(answer.status.as_u16(), 403);
        assert_eq!(other.verbs().await, ["launched"]);
    }
}
