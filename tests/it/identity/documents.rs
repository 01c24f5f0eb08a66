//! Whose documents a token may touch: a person's own, unless its scopes reach further.

use jsonwebtoken::Algorithm;
use progress_service::model::{Clock, Ids, TenantId};
use reqwest::Method;
use serde_json::{Value, json};

use super::issuer::{Signer, TestIssuer};
use crate::support::{
    app::{Answer, TestApp, send},
    pg::TestDatabase,
};

/// A service that takes the tokens of an issuer.
pub struct Tokens {
    pub app: TestApp,
    issuer: TestIssuer,
    signer: Signer,
}

impl Tokens {
    pub async fn start(db: TestDatabase) -> Self {
        let signer = Signer::elliptic("a", Algorithm::ES256);
        let issuer = TestIssuer::start(&[&signer]).await;
        let variables = [("PROGRESS_AUTH_ISSUER", issuer.url.as_str()), ("PROGRESS_AUTH_AUDIENCE", "progress")];
        let app = TestApp::with(db, &variables, Clock::system(), Ids::random()).await;
        Self { app, issuer, signer }
    }

    /// A token of `subject`, through the application `lms` if told so.
    pub fn token(&self, subject: &str, application: bool, scopes: &str) -> String {
        let mut claims = json!({ "iss": self.issuer.url, "aud": "progress", "sub": subject, "tid": TenantId::DEFAULT,
            "exp": self.app.clock.now().timestamp() + 600, "scope": scopes });
        if application {
            claims["azp"] = json!("lms");
        }
        self.signer.bearer(&claims)
    }

    pub fn agent(&self, name: &str) -> String {
        json!({ "account": { "homePage": self.issuer.url, "name": name } }).to_string()
    }

    async fn ask(&self, token: &str, method: Method, of: &[(&str, &str)]) -> Answer {
        let resource = if of.iter().any(|(name, _)| *name == "stateId" || *name == "since") {
            "/xapi/activities/state"
        } else if of.iter().any(|(name, _)| *name == "agent") {
            "/xapi/agents/profile"
        } else {
            "/xapi/activities/profile"
        };
        let request = self.app.anonymous(method.clone(), resource).query(of);
        let request = request.header("Authorization", token).header("X-Experience-API-Version", "1.0.3");
        let writes = method == Method::PUT || method == Method::POST;
        send(if writes { request.header("If-None-Match", "*").json(&json!({"a": 1})) } else { request }).await
    }

    /// The statuses of GET, PUT, POST and DELETE of the agent's state and profile, nothing being there before or after.
    async fn statuses(&self, token: &str, agent: &str) -> Value {
        let state = [("activityId", "http://example.com/a"), ("agent", agent), ("stateId", "s")];
        let profile = [("agent", agent), ("profileId", "p")];
        let mut all = Vec::new();
        for document in [&state[..], &profile[..]] {
            for method in [Method::GET, Method::PUT, Method::DELETE, Method::POST, Method::DELETE] {
                all.push(self.ask(token, method, document).await.status.as_u16());
            }
        }
        // The lists, and the deletion of a whole list.
        let states = [("activityId", "http://example.com/a"), ("agent", agent), ("since", "2020-01-01T00:00:00Z")];
        all.push(self.ask(token, Method::GET, &states).await.status.as_u16());
        json!(all)
    }
}

/// What [`Tokens::statuses`] gives when everything, nothing, or only reading is allowed.
fn every() -> Value {
    json!([404, 204, 204, 204, 204, 404, 204, 204, 204, 204, 200])
}
fn none() -> Value {
    json!([403, 403, 403, 403, 403, 403, 403, 403, 403, 403, 403])
}
fn reading() -> Value {
    json!([404, 403, 403, 403, 403, 404, 403, 403, 403, 403, 200])
}

on_each_server! {
    async fn a_persons_token_touches_only_their_own_documents(db: TestDatabase) {
        let tokens = Tokens::start(db).await;
        for application in [false, true] {
            let ada = tokens.token("ada", application, "state profile");
            assert_eq!(tokens.statuses(&ada, &tokens.agent("ada")).await, every(), "pair: {application}");
            assert_eq!(tokens.statuses(&ada, &tokens.agent("bob")).await, none(), "pair: {application}");
            assert_eq!(tokens.statuses(&ada, &tokens.agent("lms")).await, none(), "the application is not the person");
        }
        // The same name elsewhere is somebody else, and a mailbox is nobody the token proves to be.
        let elsewhere = json!({ "account": { "homePage": "https://elsewhere.example", "name": "ada" } }).to_string();
        let mailbox = json!({ "mbox": "mailto:ada@example.com" }).to_string();
        for agent in [elsewhere, mailbox] {
            assert_eq!(tokens.statuses(&tokens.token("ada", true, "state profile"), &agent).await, none());
        }
        let refusal = tokens.ask(&tokens.token("ada", true, "profile"), Method::GET, &[("agent", &tokens.agent("bob"))]).await;
        assert!(refusal.text().contains("all/read"), "{}", refusal.text());
    }

    async fn wider_scopes_and_applications_reach_others(db: TestDatabase) {
        let tokens = Tokens::start(db).await;
        let bob = tokens.agent("bob");
        assert_eq!(tokens.statuses(&tokens.token("ada", true, "all"), &bob).await, every());
        assert_eq!(tokens.statuses(&tokens.token("ada", true, "state profile all/read"), &bob).await, reading());
        assert_eq!(tokens.statuses(&tokens.token("lms", true, "state profile"), &bob).await, every(), "an application");
        let activity = [("activityId", "http://example.com/a"), ("profileId", "p")];
        let ada = tokens.token("ada", true, "profile");
        tokens.ask(&ada, Method::PUT, &activity).await.expect(204);
        tokens.ask(&ada, Method::GET, &activity).await.expect(200);
        tokens.ask(&tokens.token("ada", true, "state"), Method::GET, &activity).await.expect(403);
    }

    async fn a_whole_list_of_states_is_deleted_by_its_own_person_only(db: TestDatabase) {
        let tokens = Tokens::start(db).await;
        let (ada, bob) = (tokens.agent("ada"), tokens.agent("bob"));
        let one = |agent: &str| {
            [("activityId".to_owned(), "http://example.com/a".to_owned()), ("agent".to_owned(), agent.to_owned())]
        };
        let token = tokens.token("ada", true, "state");
        for (agent, status) in [(&bob, 403), (&ada, 204)] {
            let request = tokens.app.anonymous(Method::DELETE, "/xapi/activities/state").query(&one(agent));
            let request = request.header("Authorization", &token).header("X-Experience-API-Version", "1.0.3");
            send(request).await.expect(status);
        }
    }
}
