//! Two cells, each a service over a database of its own, with a tenant that is at home in the first, and a client of it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use progress_service::model::{Clock, Ids};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    app::{Answer, TestApp, send},
    http, patience,
    pg::TestDatabase,
    process::command,
};

/// Two cells that know each other as `one` and `two`, and a tenant that is at home in the first.
pub struct Cells {
    pub one: TestApp,
    pub two: TestApp,
    pub variables: BTreeMap<String, String>,
    pub tenant: Uuid,
    pub login: (String, String),
}

impl Cells {
    pub async fn start(db: TestDatabase) -> Self {
        Self::told(db, ["", ""], "").await
    }

    /// The same where each cell tells its own topics of these brokers, if any.
    pub async fn told(db: TestDatabase, prefixes: [&str; 2], brokers: &str) -> Self {
        let kafka = |prefix| [("PROGRESS_KAFKA_BROKERS", brokers), ("PROGRESS_KAFKA_TOPIC_PREFIX", prefix)];
        let kafka = |prefix| kafka(prefix).into_iter().filter(|_| !brokers.is_empty()).collect();
        Self::with(db, prefixes.map(kafka)).await
    }

    /// The same where each cell has these settings besides.
    pub async fn with(db: TestDatabase, more: [Vec<(&str, &str)>; 2]) -> Self {
        let (other, [first, second]) = (TestDatabase::new(db.server()).await, more);
        let named: Vec<_> = [("PROGRESS_RESIDENCY_CELL", "two")].into_iter().chain(second).collect();
        let two = TestApp::with(other, &named, Clock::system(), Ids::random()).await;
        let cells = format!("two {} {}", two.url, two.db.service_url());
        let named = [
            ("PROGRESS_RESIDENCY_CELL", "one"),
            ("PROGRESS_RESIDENCY_ENDPOINT", "http://one.example"),
            ("PROGRESS_RESIDENCY_CELLS", cells.as_str()),
        ];
        let named: Vec<_> = named.into_iter().chain(first).collect();
        let one = TestApp::with(db, &named, Clock::system(), Ids::random()).await;
        let mut variables: BTreeMap<String, String> =
            named.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        variables.insert("PROGRESS_DATABASE_URL".to_owned(), one.db.service_url());
        variables.insert("PROGRESS_DATABASE_MIGRATION_URL".to_owned(), one.db.owner_url());
        let made = one.post("/api/v1/admin/tenants", &json!({"name": "acme"})).await.expect(201).json();
        let tenant: Uuid = made["id"].as_str().unwrap().parse().unwrap();
        let mut cells = Self { login: (String::new(), String::new()), one, two, variables, tenant };
        let issued = cells.done("credentials create --tenant acme --scopes all --label lms");
        let text = |name: &str| issued[name].as_str().unwrap().to_owned();
        cells.login = (text("apiKey"), text("secret"));
        assert_eq!(cells.done("residency join --cell two --apply")["applied"], json!(true));
        cells
    }

    pub fn run(&self, line: &str) -> (Option<i32>, Vec<Value>, String) {
        let words: Vec<&str> = line.split(' ').collect();
        let output = command(&[&words[..], &["--json"]].concat(), &self.variables).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let lines = said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        (output.status.code(), lines, String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// A command of the first cell that has to succeed; answers its last line.
    #[track_caller]
    pub fn done(&self, line: &str) -> Value {
        let (code, mut said, errors) = self.run(line);
        assert_eq!(code, Some(0), "{line}: {said:?} {errors}");
        said.pop().unwrap_or_default()
    }

    #[track_caller]
    pub fn refused(&self, line: &str) -> String {
        let (code, said, errors) = self.run(line);
        assert_ne!(code, Some(0), "{line}: {said:?}");
        format!("{said:?} {errors}")
    }

    /// A move that is noted.
    pub fn noted(&self) -> String {
        let noted = self.done("residency plan --tenant acme --to two --apply --reason asked");
        noted["move"].as_str().unwrap().to_owned()
    }

    pub fn act(&self, act: &str, id: &str) -> Value {
        self.done(&format!("residency {act} {id} --apply"))
    }

    pub fn ask(&self, cell: &TestApp, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = http::client().request(method, format!("{}{path}", cell.url));
        request.basic_auth(&self.login.0, Some(&self.login.1)).header("X-Experience-API-Version", "1.0.3")
    }

    pub async fn post(&self, cell: &TestApp, statements: &Value) -> Answer {
        send(self.ask(cell, Method::POST, "/xapi/statements").json(statements)).await
    }

    /// Everything that the tenant has said, in its order, as a cell answers it.
    pub async fn statements(&self, cell: &TestApp) -> Vec<Value> {
        let mut all = Vec::new();
        let mut path = "/xapi/statements?ascending=true&limit=500".to_owned();
        while !path.is_empty() {
            let page = self.page(cell, &path).await;
            all.extend(page["statements"].as_array().unwrap().iter().cloned());
            path = page["more"].as_str().unwrap_or_default().to_owned();
        }
        all
    }

    /// A page, asked for as a client does: a node knows a tenant at home within a moment of its arrival.
    pub async fn page(&self, cell: &TestApp, path: &str) -> Value {
        patience::until("a page", async || {
            let answer = send(self.ask(cell, Method::GET, path)).await;
            if answer.status == StatusCode::SERVICE_UNAVAILABLE {
                Err(answer.text())
            } else {
                Ok(answer.expect(200).json())
            }
        })
        .await
    }

    /// The rows of a table that are the tenant's, without what each cell numbers for itself.
    pub async fn rows(&self, cell: &TestApp, table: &str) -> Vec<String> {
        let sql = format!("SELECT t::text FROM {table} t WHERE tenant_id = $1 ORDER BY 1");
        let rows = cell.db.superuser().await.query(&sql, &[&self.tenant]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// The projections have come as far as the ledger, and every reference has been followed.
    pub async fn settled(&self, cell: &TestApp) {
        let client = cell.db.superuser().await;
        patience::until("projections", async || {
            let sql = "SELECT (SELECT count(*) FROM ledger.statements s WHERE s.tenant_id = $1 AND s.stored >
                    coalesce((SELECT position FROM progress.projection_cursors WHERE tenant_id = $1), 'epoch'))
                + (SELECT count(*) FROM ledger.refs WHERE tenant_id = $1 AND NOT settled)";
            let left: i64 = client.query_one(sql, &[&self.tenant]).await.unwrap().get(0);
            if left == 0 { Ok(()) } else { Err(format!("{left} are left")) }
        })
        .await;
    }
}

/// A statement of a learner about a course, in one registration for each of both.
pub fn statement(n: u32) -> Value {
    let (learner, course) = (n % 7, n % 3);
    let verb = ["initialized", "completed", "passed"][(n / 21 % 3) as usize];
    json!({"id": format!("55550000-0000-4000-8000-{n:012}"),
        "actor": {"account": {"homePage": "https://lms.example", "name": format!("learner-{learner}")}},
        "verb": {"id": format!("http://adlnet.gov/expapi/verbs/{verb}"), "display": {"en": verb}},
        "object": {"id": format!("http://lms.example/course/{course}"), "definition": {"name": {"en": format!("Course {course}")}}},
        "context": {"registration": format!("66660000-0000-4000-8000-{:012}", learner * 10 + course)},
        "result": {"score": {"scaled": 0.50}}})
}

pub async fn said_by(cells: &Cells) {
    let all: Vec<Value> = (0..300).map(statement).collect();
    for some in all.chunks(100) {
        cells.post(&cells.one, &json!(some)).await.expect(200);
    }
    let void = json!({"id": "77770000-0000-4000-8000-000000000001", "actor": {"mbox": "mailto:teacher@x.example"},
        "verb": {"id": "http://adlnet.gov/expapi/verbs/voided"},
        "object": {"objectType": "StatementRef", "id": "55550000-0000-4000-8000-000000000005"}});
    cells.post(&cells.one, &void).await.expect(200);
    for n in 0..5 {
        let agent = r#"{"mbox":"mailto:ann@x.example"}"#;
        let path = format!("/xapi/activities/state?activityId=http%3A%2F%2Flms.example%2Fcourse%2F1&stateId=s{n}");
        let state = cells.ask(&cells.one, Method::PUT, &path).query(&[("agent", agent)]).json(&json!({"n": n}));
        send(state).await.expect(204);
    }
    cells.settled(&cells.one).await;
}

/// What is the same in both cells when a tenant has moved, but for what each cell numbers for itself.
pub const SAME: [&str; 16] = [
    "ledger.statements",
    "ledger.relations",
    "ledger.statement_ids",
    "ledger.refs",
    "ledger.reaches",
    "ledger.agents",
    "ledger.activities",
    "ledger.verbs_seen",
    "ledger.documents",
    "progress.attempts",
    "progress.attempt_names",
    "progress.attempt_statements",
    "progress.completion_records",
    "progress.scores",
    "progress.activity",
    "progress.learner_days",
];

/// A client that writes one statement after the other, sends again what was not taken as it is told to, and goes where it is sent.
pub struct Client {
    stop: Arc<AtomicBool>,
    work: tokio::task::JoinHandle<(u32, Vec<String>)>,
}

impl Client {
    pub fn start(cells: &Cells, from: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (login, url, stopped) = (cells.login.clone(), cells.one.url.clone(), Arc::clone(&stop));
        let home = cells.one.url.clone();
        let work = tokio::spawn(async move {
            let (mut n, mut url, mut odd) = (from, url, Vec::new());
            while !stopped.load(Ordering::Relaxed) {
                let request = http::client().post(format!("{url}/xapi/statements"));
                let request = request.basic_auth(&login.0, Some(&login.1)).header("X-Experience-API-Version", "1.0.3");
                let answer = send(request.json(&statement(n))).await;
                match answer.status {
                    StatusCode::OK => n += 1,
                    StatusCode::SERVICE_UNAVAILABLE if !answer.header("retry-after").is_empty() => {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    StatusCode::MISDIRECTED_REQUEST => {
                        let endpoint = answer.header("x-progress-cell-endpoint").to_owned();
                        url = if endpoint == "http://one.example" { home.clone() } else { endpoint };
                    }
                    status => {
                        odd.push(format!("{status} {}", answer.text()));
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                }
            }
            (n, odd)
        });
        Self { stop, work }
    }

    /// The number behind the last statement that was taken.
    pub async fn end(self) -> u32 {
        self.stop.store(true, Ordering::Relaxed);
        let (n, odd) = self.work.await.unwrap();
        assert!(odd.is_empty(), "{odd:?}");
        n
    }
}
