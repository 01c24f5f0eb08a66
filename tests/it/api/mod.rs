//! `/api/v1` over HTTP: what it answers, to whom, and that every answer is as its description says.

pub mod access;
mod bodies;
mod contract;
mod exports;
mod jobs;
mod months;
mod pdf;
mod reads;
mod reports;
mod trail;

use progress_service::projections::run;
use reqwest::Method;
use serde_json::{Value, json};

use self::contract::Contract;
use crate::{
    identity::issuer::{Signer, TestIssuer},
    support::{
        app::{Answer, TestApp, send},
        background,
        pg::{Server, TestDatabase},
    },
    xapi::id,
};

pub const EXTENSIONS: &str = "http://ghasi.io/xapi/extensions/";
pub const ADA: &str = "00000000-0000-4000-8000-0000000000aa";
pub const EVE: &str = "00000000-0000-4000-8000-0000000000ee";
const AUDIENCE: &str = "progress";

/// A service whose every answer is held against the description it gives of itself, and an issuer of tokens.
pub struct Api {
    pub app: TestApp,
    contract: Contract,
    issuer: TestIssuer,
    signer: Signer,
}

impl Api {
    pub async fn start(db: TestDatabase) -> Self {
        let signer = Signer::elliptic("a", jsonwebtoken::Algorithm::ES256);
        let issuer = TestIssuer::start(&[&signer]).await;
        let variables = [("PROGRESS_AUTH_ISSUER", issuer.url.as_str()), ("PROGRESS_AUTH_AUDIENCE", AUDIENCE)];
        let app = TestApp::with(
            db,
            &variables,
            progress_service::model::Clock::system(),
            progress_service::model::Ids::random(),
        )
        .await;
        let contract = Contract::of(&send(app.anonymous(Method::GET, "/api/v1/openapi.json")).await.expect(200).json());
        Self { app, contract, issuer, signer }
    }

    /// A token of a person, with these scopes.
    pub fn token(&self, subject: &str, scopes: &str) -> String {
        self.signer.bearer(&json!({
            "iss": self.issuer.url, "aud": AUDIENCE, "sub": subject, "azp": "lms", "scope": scopes,
            "exp": self.app.clock.now().timestamp() + 3_600,
            "tid": progress_service::model::TenantId::DEFAULT,
        }))
    }

    /// The answer to a request of the test's administrator.
    pub async fn get(&self, path: &str) -> Answer {
        self.checked(Method::GET, path, self.app.request(Method::GET, path)).await
    }

    /// The answer to a request under this `Authorization`.
    pub async fn get_as(&self, authorization: &str, path: &str) -> Answer {
        let request = self.app.anonymous(Method::GET, path).header("Authorization", authorization);
        self.checked(Method::GET, path, request).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.checked(Method::POST, path, self.app.request(Method::POST, path).json(body)).await
    }

    /// Sends a request and holds its answer against the description.
    pub async fn checked(&self, method: Method, path: &str, request: reqwest::RequestBuilder) -> Answer {
        let answer = send(request).await;
        self.contract.check(&method, path, &answer);
        answer
    }

    /// Every page of a list, by its links.
    pub async fn all(&self, path: &str) -> Vec<Value> {
        let (mut all, mut next) = (Vec::new(), Some(path.to_owned()));
        while let Some(path) = next {
            let page = self.get(&path).await.expect(200).json();
            all.extend(page["data"].as_array().unwrap().iter().cloned());
            next = page["links"]["next"].as_str().map(str::to_owned);
        }
        all
    }

    /// Stores statements and lets the projections read them.
    pub async fn store(&self, statements: &[Value]) {
        self.app.post_statements(&json!(statements)).await.expect(200);
        settle(&self.app).await;
    }
}

/// Steps the projections until nothing is left.
pub async fn settle(app: &TestApp) {
    let store = app.service().rooms.store.clone();
    let all = async move { while run::step(&store).await.expect("a step") > 0 {} };
    background::runtime().spawn(all).await.expect("no panic");
}

/// Statement `n` of `user` at minute `n`, in attempt `attempt` of enrollment `enrollment`.
pub fn statement(n: u128, user: &str, verb: &str, enrollment: &str, attempt: &str) -> Value {
    json!({
        "id": id(n),
        "actor": {"name": "Ada Lovelace", "account": {"homePage": "http://h.example", "name": user}},
        "verb": {"id": format!("http://adlnet.gov/expapi/verbs/{verb}")},
        "object": {"id": "http://x.example/au"},
        "context": {
            "contextActivities": {"grouping": [{
                "id": "http://x.example/course",
                "definition": {"name": {"en": "Engines", "el": "Μηχανές"}},
            }]},
            "extensions": {
                format!("{EXTENSIONS}attempt-id"): attempt,
                format!("{EXTENSIONS}enrollment-id"): enrollment,
                format!("{EXTENSIONS}course-id"): "course 1",
                format!("{EXTENSIONS}course-version-id"): "version 1",
            },
        },
        "timestamp": format!("2026-11-01T10:{:02}:00Z", n % 60),
    })
}

/// A database on the newest server.
pub async fn newest() -> TestDatabase {
    TestDatabase::new(Server::newest().await).await
}
