//! An assignable unit as the service sees it: launched with a session and a token of its own.

use reqwest::Method;
use serde_json::{Value, json};

use super::{AU, CMI5, MOVE_ON};
use crate::{
    api::Api,
    support::app::{Answer, send},
    xapi::id,
};

pub const SESSION: &str = "https://w3id.org/xapi/cmi5/context/extensions/sessionid";
pub const MASTERY: &str = "https://w3id.org/xapi/cmi5/context/extensions/masteryscore";

pub fn ada() -> Value {
    json!({"objectType": "Agent", "account": {"homePage": "http://lms.example", "name": "ada"}})
}

/// A launched unit.
pub struct Unit<'a> {
    pub api: &'a Api,
    pub launch: Value,
    pub token: String,
}

impl<'a> Unit<'a> {
    /// Launched by the test's administrator, its token fetched.
    pub async fn launched(api: &'a Api, registration: u128, more: Value) -> Self {
        let mut launch = json!({"registration": id(registration), "actor": ada(), "activityId": AU, "fetch": true});
        launch.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let launch = api.post("/api/v1/admin/credentials/launch", &launch).await.expect(201).json();
        let token = fetch(api, &launch).await.json()["auth-token"].as_str().expect("a token").to_owned();
        Self { api, launch, token }
    }

    pub fn session(&self) -> &str {
        self.launch["sessionId"].as_str().expect("a session")
    }

    pub fn request(&self, method: Method, resource: &str) -> reqwest::RequestBuilder {
        let request = self.api.app.anonymous(method, &format!("/xapi{resource}"));
        request.header("X-Experience-API-Version", "1.0.3").header("Authorization", format!("Basic {}", self.token))
    }

    /// A good statement of the unit: defined, unless the verb begins with `~`.
    pub fn statement(&self, n: u128, verb: &str) -> Value {
        let (is_allowed, verb) = verb.strip_prefix('~').map_or((false, verb), |verb| (true, verb));
        let result = match verb {
            _ if is_allowed => Value::Null,
            "completed" => json!({"completion": true, "duration": "PT1M"}),
            "passed" => json!({"success": true, "duration": "PT1M"}),
            "failed" => json!({"success": false, "duration": "PT1M"}),
            "terminated" => json!({"duration": "PT2M"}),
            _ => Value::Null,
        };
        let mut categories = Vec::new();
        if !is_allowed {
            categories.push(json!({"id": CMI5}));
        }
        if result.get("success").is_some() || result.get("completion").is_some() {
            categories.push(json!({"id": MOVE_ON}));
        }
        let mut statement = json!({
            "id": id(n),
            "actor": ada(),
            "verb": {"id": format!("http://adlnet.gov/expapi/verbs/{verb}")},
            "object": {"id": AU},
            "context": {
                "registration": self.launch["registration"],
                "contextActivities": {"category": categories},
                "extensions": {SESSION: self.session()},
            },
            "timestamp": format!("2026-11-01T10:{:02}:00Z", n % 60),
        });
        if !result.is_null() {
            statement["result"] = result;
        }
        statement
    }

    pub async fn send(&self, statements: &Value) -> Answer {
        send(self.request(Method::POST, "/statements").json(statements)).await
    }

    /// Says it; the answer's status, and the rules that a refusal names.
    pub async fn says(&self, n: u128, verb: &str) -> (u16, Vec<String>) {
        verdict(&self.send(&self.statement(n, verb)).await)
    }
}

/// What a unit does first, with the address of its launch.
pub async fn fetch(api: &Api, launch: &Value) -> Answer {
    let url = launch["fetchUrl"].as_str().expect("a fetch URL");
    let path = url.strip_prefix(&api.app.url).unwrap_or_else(|| panic!("{url} is not at {}", api.app.url));
    send(api.app.anonymous(Method::POST, path).header("Origin", "https://content.example")).await
}

/// The status, and the rules of the violations that are listed.
pub fn verdict(answer: &Answer) -> (u16, Vec<String>) {
    let status = answer.status.as_u16();
    if status < 400 {
        return (status, Vec::new());
    }
    let body = answer.json();
    let rules = body["violations"].as_array().into_iter().flatten();
    (status, rules.map(|violation| violation["rule"].as_str().unwrap().to_owned()).collect())
}
