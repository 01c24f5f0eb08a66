//! Consistent-Through: who reads up to it, and from there on the next time, gets every statement once, whatever is still
//! being written, whichever node answers, and whatever the database's clock does.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio_postgres::Client;

use super::{id, identified, ids};
use crate::support::{
    app::{Answer, KEY, SECRET, TestApp, send},
    http, patience,
    pg::TestDatabase,
    pgproc::PgServer,
    process::Service,
};

const HEADER: &str = "x-experience-api-consistent-through";

async fn ask(node: &str, method: Method, path: &str) -> Answer {
    let request = http::client().request(method, format!("{node}{path}"));
    send(request.basic_auth(KEY, Some(SECRET)).header("X-Experience-API-Version", "1.0.3")).await
}

async fn post(node: &str, statements: &Value) -> Answer {
    let request = http::client().post(format!("{node}/xapi/statements")).json(statements);
    send(request.basic_auth(KEY, Some(SECRET)).header("X-Experience-API-Version", "1.0.3")).await
}

#[derive(Clone, Copy)]
enum Way {
    /// Asks how far all is consistent, then for what was stored since the last time and until then.
    Between,
    /// Asks for what was stored since, and goes on from what the last page said.
    Following,
}

/// A client that carries statements to another store.
struct Poller<'a> {
    nodes: &'a [String],
    way: Way,
    requests: usize,
    /// What the last answer said.
    header: String,
    /// Where it goes on.
    since: String,
    seen: Vec<String>,
}

impl<'a> Poller<'a> {
    fn new(nodes: &'a [String], way: Way) -> Self {
        let begin = "1970-01-01T00:00:00.000000Z";
        Self { nodes, way, requests: 0, header: begin.to_owned(), since: begin.to_owned(), seen: Vec::new() }
    }

    /// The nodes take turns, as behind a load balancer.
    async fn get(&mut self, path: &str) -> Value {
        let node = &self.nodes[self.requests % self.nodes.len()];
        self.requests += 1;
        let answer = ask(node, Method::GET, path).await.expect(200);
        let header = answer.header(HEADER).to_owned();
        assert!(header >= self.header, "it went back from {} to {header}", self.header);
        self.header = header;
        answer.json()
    }

    async fn poll(&mut self) {
        let mut path = format!("/xapi/statements?ascending=true&limit=7&since={}", self.since);
        if matches!(self.way, Way::Between) {
            self.get("/xapi/statements?limit=1").await;
            path = format!("{path}&until={}", self.header);
        }
        let until = self.header.clone();
        loop {
            let page = self.get(&path).await;
            self.seen.extend(ids(&page));
            match page["more"].as_str() {
                Some(more) if !more.is_empty() => path = more.to_owned(),
                _ => break,
            }
        }
        self.since = match self.way {
            Way::Between => until,
            Way::Following => self.header.clone(),
        };
    }

    /// Polls until it has seen all of them, and fails when one came twice.
    async fn finish(&mut self, all: &BTreeSet<String>) {
        let missing = |seen: &[String]| {
            let seen: BTreeSet<&String> = seen.iter().collect();
            all.iter().filter(|id| !seen.contains(id)).count()
        };
        // A store that is quiet says so within a second or two; who has not come by then never will.
        for _ in 0..100 {
            self.poll().await;
            if missing(&self.seen) == 0 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        assert_eq!(missing(&self.seen), 0, "of {} some were passed by", all.len());
        assert_eq!(self.seen.len(), all.len(), "some came twice");
    }
}

/// A statement whose transaction has its place in the order and stays open.
struct Held {
    client: Client,
    micros: i64,
}

impl Held {
    async fn begin(db: &TestDatabase) -> Self {
        let client = db.superuser().await;
        client.batch_execute("BEGIN").await.unwrap();
        let micros = client.query_one("SELECT ledger.reserve(1)", &[]).await.unwrap().get(0);
        Self { client, micros }
    }

    async fn commit(self, id: &str) {
        let payload = identified(id, "slow", "a").to_string();
        let insert = "INSERT INTO ledger.statements (tenant_id, id, stored, verb_key, voiding, converts, payload)
            SELECT t.tenant_id, $1::text::uuid, ledger.moment($2), gen_random_uuid(), false, false, $3
            FROM platform.tenants t WHERE t.name = 'default'";
        let inserted = self.client.execute(insert, &[&id, &self.micros, &payload]).await.unwrap();
        assert_eq!(inserted, 1);
        self.client.batch_execute("COMMIT").await.unwrap();
    }
}

/// A second node over the database of `app`.
async fn second_node(app: &TestApp) -> Service {
    Service::start(&[
        ("PROGRESS_DATABASE_URL", &app.db.service_url()),
        ("PROGRESS_DATABASE_MIGRATION_URL", &app.db.owner_url()),
        ("PROGRESS_HTTP_WORKERS", "1"),
    ])
    .await
}

/// Batches of three, one after the other.
async fn pour(node: String, from: u128, batches: u128) -> Vec<String> {
    let mut stored = Vec::new();
    for n in (from..from + 3 * batches).step_by(3) {
        let batch: Vec<Value> = (n..n + 3).map(|n| identified(&id(n), "ann", "a")).collect();
        post(&node, &json!(batch)).await.expect(200);
        stored.extend((n..n + 3).map(id));
    }
    stored
}

on_each_server! {
    async fn what_was_stored_at_the_bound_itself_is_not_passed_by(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let nodes = [app.url.clone()];
        let (mut between, mut following) = (Poller::new(&nodes, Way::Between), Poller::new(&nodes, Way::Following));
        let mut all = BTreeSet::new();
        for round in 0..3 {
            let (early, held, late) = (id(10 * round), id(10 * round + 1), id(10 * round + 2));
            post(&app.url, &identified(&early, "ann", "a")).await.expect(200);
            let open = Held::begin(&app.db).await;
            post(&app.url, &identified(&late, "ann", "a")).await.expect(200);
            for poller in [&mut between, &mut following] {
                poller.poll().await;
                assert!(poller.seen.contains(&early), "what came before an open transaction is there");
                assert!(!poller.seen.contains(&late), "what comes after it waits for it");
            }
            open.commit(&held).await;
            all.extend([early, held, late]);
        }
        between.finish(&all).await;
        following.finish(&all).await;
    }

    async fn two_nodes_and_open_transactions_lose_nothing_and_repeat_nothing(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let second = second_node(&app).await;
        let nodes = [app.url.clone(), second.url.clone()];
        let writing: Vec<_> =
            (0..4_u128).map(|n| tokio::spawn(pour(nodes[n as usize % 2].clone(), 1_000 * n, 25))).collect();
        let (mut between, mut following) = (Poller::new(&nodes, Way::Between), Poller::new(&nodes, Way::Following));
        let mut all = BTreeSet::new();
        let mut round = 0;
        while round < 8 || writing.iter().any(|writer| !writer.is_finished()) {
            let open = Held::begin(&app.db).await;
            between.poll().await;
            following.poll().await;
            let held = id(1_000_000 + round);
            open.commit(&held).await;
            all.insert(held);
            round += 1;
        }
        for stored in join_all(writing).await {
            all.extend(stored.unwrap());
        }
        between.finish(&all).await;
        following.finish(&all).await;
    }

    async fn the_header_goes_on_where_nobody_writes_and_is_on_every_answer(db: TestDatabase) {
        let app = TestApp::start(db).await;
        post(&app.url, &identified(&id(1), "ann", "a")).await.expect(200);
        let page = ask(&app.url, Method::GET, "/xapi/statements").await.expect(200);
        let stored = page.json()["statements"][0]["stored"].as_str().unwrap().to_owned();
        assert!(page.header(HEADER) >= stored.as_str(), "what is shown is covered");
        let asked = [
            (Method::GET, "/xapi/statements?limit=x", 400),
            (Method::GET, &format!("/xapi/statements?statementId={}", id(9)), 404),
            (Method::HEAD, "/xapi/statements", 200),
            (Method::POST, "/xapi/statements", 400),
            (Method::PUT, "/xapi/statements", 400),
            (Method::DELETE, "/xapi/statements", 405),
        ];
        for (method, path, status) in asked {
            let answer = ask(&app.url, method.clone(), path).await.expect(status);
            assert!(answer.header(HEADER) >= stored.as_str(), "{method} {path}: {}", answer.header(HEADER));
        }
        patience::until("a header beyond the last statement", async || {
            let answer = ask(&app.url, Method::HEAD, "/xapi/statements").await.expect(200);
            if answer.header(HEADER) > stored.as_str() { Ok(()) } else { Err(answer.header(HEADER).to_owned()) }
        })
        .await;
    }

    async fn a_database_whose_transactions_keep_one_view_says_no_more_than_they_see(db: TestDatabase) {
        let repeatable = format!("ALTER DATABASE {} SET default_transaction_isolation = 'repeatable read'", db.name());
        db.superuser().await.batch_execute(&repeatable).await.unwrap();
        let store = db.store();
        let level = store
            .run_tx("level", progress_service::store::As::Worker, |tx| {
                Box::pin(async move {
                    Ok::<String, progress_service::store::StoreError>(
                        tx.query_one("SHOW transaction_isolation", &[]).await?.get(0),
                    )
                })
            })
            .await
            .unwrap();
        assert_eq!(level, "read committed");
        store.close();
    }
}

async fn start(pg: &PgServer) -> Service {
    Service::start(&[
        ("PROGRESS_DATABASE_URL", &pg.url()),
        ("PROGRESS_BOOTSTRAP_CREDENTIAL", &format!("{KEY}:{SECRET}")),
        ("PROGRESS_HTTP_WORKERS", "1"),
    ])
    .await
}

/// What the header says now, once the service has found its database again.
async fn through(service: &Service) -> String {
    patience::until("an answer", async || {
        let answer = ask(&service.url, Method::GET, "/xapi/statements?limit=1").await;
        if answer.status == StatusCode::OK { Ok(answer.header(HEADER).to_owned()) } else { Err(answer.text()) }
    })
    .await
}

/// Stores a statement after a header was given, and finds it beyond.
async fn stored_beyond(service: &Service, n: u128, given: &str) {
    patience::until("a stored statement", async || {
        let answer = post(&service.url, &identified(&id(n), "ann", "a")).await;
        if answer.status == StatusCode::OK { Ok(()) } else { Err(answer.text()) }
    })
    .await;
    let one =
        ask(&service.url, Method::GET, &format!("/xapi/statements?statementId={}", id(n))).await.expect(200).json();
    let stored = one["stored"].as_str().unwrap();
    assert!(stored > given, "stored at {stored}, though all up to {given} was said to be there");
    let since = format!("/xapi/statements?ascending=true&since={given}");
    let page = ask(&service.url, Method::GET, &since).await.expect(200).json();
    assert!(ids(&page).contains(&id(n)), "{page}");
}

#[tokio::test]
async fn a_clock_that_steps_back_takes_nothing_back() {
    let pg = PgServer::with_a_clock_of_its_own().await;
    let service = start(&pg).await;
    for (n, seconds) in (0..).zip([0, -4, 3, -10, 0]) {
        let before = through(&service).await;
        pg.step(seconds);
        let after = through(&service).await;
        assert!(after >= before, "a step to {seconds} s took it back from {before} to {after}");
        stored_beyond(&service, n, &after).await;
    }
}

#[tokio::test]
async fn a_killed_server_remembers_what_it_said_though_its_clock_is_slow() {
    let mut pg = PgServer::with_a_clock_of_its_own().await;
    let service = start(&pg).await;
    let begin = through(&service).await;
    stored_beyond(&service, 0, &begin).await;
    for n in 1..4 {
        // Whatever is given now is all that the next life of the server may rely on.
        let before = through(&service).await;
        pg.kill();
        pg.step(-20 * i32::try_from(n).unwrap());
        pg.resume().await;
        let after = through(&service).await;
        assert!(after >= before, "the crash took it back from {before} to {after}");
        stored_beyond(&service, n, &before).await;
    }
}
