//! The service inside the test's process: on a free port, over a database of its own, spoken to by HTTP.
//!
//! It runs on the harness's runtime, so that it can be stopped when the test drops it.

use std::{collections::BTreeMap, path::Path};

use progress_service::{
    app::Service,
    config::{self, Config, Environment},
    model::{Clock, Ids},
};
use reqwest::{Method, RequestBuilder, StatusCode, header::HeaderMap};
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::timeout;

use super::{
    background, http,
    patience::{self, PATIENCE},
    pg::TestDatabase,
};

/// The credential with all scopes that a test speaks with unless it says otherwise.
pub const KEY: &str = "test-key";
pub const SECRET: &str = "test-secret";

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {} {}", self.status, self.text()))
    }

    /// The header as text; empty when it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Fails with the body when the status is another.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        self
    }
}

/// Sends a request and reads the whole answer.
pub async fn send(request: RequestBuilder) -> Answer {
    let response = request.send().await.expect("the service answers");
    let (status, headers) = (response.status(), response.headers().clone());
    Answer { status, headers, body: response.bytes().await.expect("a whole body").into() }
}

/// What `/readyz` says once the service at `url` is ready. Its checks have seconds, which may be too few when the
/// machine is busy: then it is asked again.
pub async fn ready(url: &str) -> Value {
    let client = http::client();
    patience::until("readiness", async || {
        let answer = send(client.get(format!("{url}/readyz"))).await;
        if answer.status == StatusCode::OK { Ok(answer.json()) } else { Err(answer.text()) }
    })
    .await
}

/// A started service and the database it owns.
pub struct TestApp {
    service: Option<Service>,
    config: Config,
    pub url: String,
    pub clock: Clock,
    pub db: TestDatabase,
    client: reqwest::Client,
    data: TempDir,
}

impl TestApp {
    /// Serves over `db`, by the real clock.
    pub async fn start(db: TestDatabase) -> Self {
        Self::with(db, &[], Clock::system(), Ids::random()).await
    }

    /// Serves with more `PROGRESS_…` variables, a clock to step and ids to count.
    pub async fn with(db: TestDatabase, variables: &[(&str, &str)], clock: Clock, ids: Ids) -> Self {
        let data = tempfile::tempdir().expect("a folder");
        let config = configuration(&db, data.path(), variables);
        let (for_start, clock_of_service) = (config.clone(), clock.clone());
        let starting =
            background::runtime().spawn(async move { Service::start(&for_start, clock_of_service, ids).await });
        let service = starting.await.expect("no panic at the start").unwrap_or_else(|e| panic!("the service: {e:#}"));
        let url = service.running.url();
        Self { service: Some(service), config, url, clock, db, client: http::client(), data }
    }

    /// The rooms behind the listener, to step by hand what runs in the background.
    pub fn service(&self) -> &Service {
        self.service.as_ref().expect("running until it is dropped")
    }

    /// Ends the background loops, for a test that wants to be the only one who steps, or breaks what a loop mends.
    pub async fn stop_loops(&self) {
        // When its patience ends the worker only says so in the log: the shorter one is what fails.
        let stopping = self.service().rooms.worker.stop(10 * PATIENCE);
        timeout(PATIENCE, stopping).await.expect("loops end when they are told");
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    pub fn data(&self) -> &Path {
        self.data.path()
    }

    /// What a command is told that works beside this service, and `more`.
    pub fn variables<const N: usize>(&self, more: [(&str, String); N]) -> BTreeMap<String, String> {
        let own = [
            ("PROGRESS_DATABASE_URL", self.db.service_url()),
            ("PROGRESS_DATABASE_MIGRATION_URL", self.db.owner_url()),
            ("PROGRESS_DATA_DIR", self.data().to_string_lossy().into_owned()),
        ];
        own.into_iter().chain(more).map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// A request without a credential.
    pub fn anonymous(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    /// A request with the test's credential.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.anonymous(method, path).basic_auth(KEY, Some(SECRET))
    }

    /// A request to an xAPI resource (`/statements…`) in version 1.0.3.
    pub fn xapi(&self, method: Method, resource: &str) -> RequestBuilder {
        self.request(method, &format!("/xapi{resource}")).header("X-Experience-API-Version", "1.0.3")
    }

    pub async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        send(self.request(Method::POST, path).json(body)).await
    }

    pub async fn post_statements(&self, statements: &Value) -> Answer {
        send(self.xapi(Method::POST, "/statements").json(statements)).await
    }

    pub async fn put_statement(&self, id: &str, statement: &Value) -> Answer {
        send(self.xapi(Method::PUT, "/statements").query(&[("statementId", id)]).json(statement)).await
    }

    pub async fn get_statements(&self, parameters: &[(&str, &str)]) -> Answer {
        send(self.xapi(Method::GET, "/statements").query(parameters)).await
    }

    /// What `more` of an earlier page points to.
    pub async fn get_more(&self, more: &str) -> Answer {
        send(self.request(Method::GET, more).header("X-Experience-API-Version", "1.0.3")).await
    }
}

fn configuration(db: &TestDatabase, data: &Path, variables: &[(&str, &str)]) -> Config {
    let (data, service, owner) = (data.to_string_lossy(), db.service_url(), db.owner_url());
    let credential = format!("{KEY}:{SECRET}");
    let mut pairs = vec![
        ("PROGRESS_LISTEN", "127.0.0.1:0"),
        ("PROGRESS_HTTP_WORKERS", "1"),
        ("PROGRESS_DATA_DIR", &*data),
        ("PROGRESS_DATABASE_URL", &service),
        ("PROGRESS_DATABASE_MIGRATION_URL", &owner),
        ("PROGRESS_DATABASE_POOL_SIZE", "4"),
        ("PROGRESS_BOOTSTRAP_CREDENTIAL", &credential),
    ];
    pairs.retain(|(name, _)| variables.iter().all(|(other, _)| other != name));
    pairs.extend(variables.iter().copied());
    let loaded = config::read(&Environment::of(pairs), Path::new("no such file")).expect("a valid configuration");
    loaded.config
}

impl Drop for TestApp {
    fn drop(&mut self) {
        let Some(service) = self.service.take() else { return };
        let config = self.config.clone();
        background::wait_for(async move {
            service.running.cut().await;
            service.stop(&config).await;
        });
    }
}
