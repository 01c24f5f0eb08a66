//! Two releases at once: the program of the release before and this one serve the same database under load, forwards and back.
//! No request fails, and what comes out is what one release alone would have made.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use progress_service::{model::Ids, relay::STATEMENT_STORED};
use serde_json::{Value, json};
use tokio::{sync::RwLock, task::JoinHandle};
use uuid::Uuid;

use crate::support::{
    app::{KEY, SECRET, ready, send},
    http,
    kafka::{Topic, brokers, unique},
    patience,
    pg::{Server, TestDatabase},
    process::{Process, Service, command, command_of},
    settings,
};

/// Who sends at the same time.
const CALLERS: u64 = 4;
/// Requests that are made in each state of the fleet.
const MANY: u64 = 150;
const VERBS: [&str; 4] = ["initialized", "completed", "passed", "terminated"];

/// The nodes that requests go to, as behind a load balancer: one leaves once its requests are answered.
#[derive(Clone, Default)]
struct Rotation(Arc<RwLock<Vec<String>>>);

impl Rotation {
    async fn join(&self, service: &Service) {
        ready(&service.url).await;
        self.0.write().await.push(service.url.clone());
    }

    async fn leave(&self, service: &Service) {
        self.0.write().await.retain(|url| *url != service.url);
    }
}

/// Requests without end, each answered or a failure of the test.
struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    callers: Vec<JoinHandle<Vec<String>>>,
}

impl Load {
    fn begin(rotation: &Rotation) -> Self {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let caller = |caller| tokio::spawn(call(caller, rotation.clone(), stop.clone(), answered.clone()));
        let callers = (0..CALLERS).map(caller).collect();
        Self { stop, answered, callers }
    }

    /// Lets so many requests go by, unless a caller has failed.
    async fn goes_on(&self) {
        let until = self.answered.load(Ordering::Relaxed) + MANY;
        patience::until("more answers", async || match self.answered.load(Ordering::Relaxed) {
            few if few < until && self.callers.iter().all(|caller| !caller.is_finished()) => Err(few),
            _ => Ok(()),
        })
        .await;
    }

    /// What was stored, by the answers.
    async fn end(self) -> BTreeSet<String> {
        self.stop.store(true, Ordering::Relaxed);
        let mut stored = BTreeSet::new();
        for caller in self.callers {
            stored.extend(caller.await.expect("every request was answered as it should be"));
        }
        stored
    }
}

/// One caller: a learner's registration from its beginning to its end, each statement written by one node and read by another.
async fn call(caller: u64, rotation: Rotation, stop: Arc<AtomicBool>, answered: Arc<AtomicU64>) -> Vec<String> {
    let (mut stored, client, ids) = (Vec::new(), http::client(), Ids::random());
    let mut turn = usize::try_from(caller).unwrap();
    while !stop.load(Ordering::Relaxed) {
        let registration = ids.uuid();
        for (n, verb) in VERBS.into_iter().enumerate() {
            let nodes = rotation.0.read().await;
            turn += 1;
            let (writes, reads) = (&nodes[turn % nodes.len()], &nodes[(turn + 1) % nodes.len()]);
            let id = ids.uuid().to_string();
            let statement = statement(&id, caller, registration, verb, n);
            let to = |method, node: &str| {
                let request = client.request(method, format!("{node}/xapi/statements"));
                request.basic_auth(KEY, Some(SECRET)).header("X-Experience-API-Version", "1.0.3")
            };
            let written = send(to(reqwest::Method::POST, writes).json(&statement)).await.expect(200).json();
            assert_eq!(written, json!([id]), "by {writes}");
            let read = send(to(reqwest::Method::GET, reads).query(&[("statementId", &id)])).await.expect(200).json();
            assert_eq!(read["verb"], statement["verb"], "by {reads}");
            answered.fetch_add(2, Ordering::Relaxed);
            stored.push(id);
        }
    }
    stored
}

fn statement(id: &str, caller: u64, registration: Uuid, verb: &str, n: usize) -> Value {
    json!({
        "id": id,
        "actor": {"account": {"homePage": "http://h.example", "name": format!("learner{caller}")}},
        "verb": {"id": format!("http://adlnet.gov/expapi/verbs/{verb}")},
        "object": {"id": "http://x.example/au"},
        "context": {"registration": registration, "contextActivities": {"grouping": [{"id": "http://x.example/course"}]}},
        "timestamp": format!("2026-11-01T10:0{n}:00Z"),
    })
}

async fn count(db: &TestDatabase, what: &str) -> i64 {
    db.superuser().await.query_one(&format!("SELECT count(*) FROM {what}"), &[]).await.unwrap().get(0)
}

/// A database, a topic, and nodes of either release over them.
struct Stage {
    db: TestDatabase,
    prefix: String,
    previous: String,
}

impl Stage {
    async fn set() -> Self {
        let db = TestDatabase::empty(Server::newest().await).await;
        Self { db, prefix: unique("rolling"), previous: settings::required("TEST_PREVIOUS_RELEASE") }
    }

    async fn node(&self, program: Option<&str>) -> Service {
        let (service, owner, brokers) = (self.db.service_url(), self.db.owner_url(), brokers());
        let first = format!("{KEY}:{SECRET}");
        let variables = [
            ("PROGRESS_DATABASE_URL", service.as_str()),
            ("PROGRESS_DATABASE_MIGRATION_URL", &owner),
            ("PROGRESS_BOOTSTRAP_CREDENTIAL", &first),
            ("PROGRESS_KAFKA_BROKERS", &brokers),
            ("PROGRESS_KAFKA_TOPIC_PREFIX", &self.prefix),
            ("PROGRESS_DATABASE_POOL_SIZE", "4"),
        ];
        match program {
            Some(program) => Service::start_of(program, &variables).await,
            None => Service::start(&variables).await,
        }
    }

    async fn old(&self) -> Service {
        self.node(Some(&self.previous)).await
    }

    /// Every acknowledged statement is in the ledger and in the topic, nothing else is, and the projections are what one release
    /// would have made of them.
    async fn is_right(&self, topic: &Topic, stored: &BTreeSet<String>) {
        let rows = self.db.superuser().await.query("SELECT id::text FROM ledger.statements", &[]).await.unwrap();
        let ledger: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        assert_eq!((ledger.len(), &ledger.into_iter().collect::<BTreeSet<_>>()), (stored.len(), stored));
        let told = patience::until("all events", async || {
            let told: BTreeSet<String> =
                topic.read_all().await.iter().map(|one| one.json()["id"].as_str().unwrap().to_owned()).collect();
            if told.len() >= stored.len() { Ok(told) } else { Err(format!("{} of {}", told.len(), stored.len())) }
        })
        .await;
        assert_eq!(&told, stored);
        let registrations = i64::try_from(stored.len() / VERBS.len()).unwrap();
        patience::until("all attempts", async || {
            match count(&self.db, "progress.attempts WHERE state = 'closed'").await {
                all if all == registrations => Ok(()),
                some => Err(format!("{some} of {registrations}")),
            }
        })
        .await;
        assert_eq!(count(&self.db, "progress.completion_records").await, registrations);
        let data = tempfile::tempdir().unwrap();
        let variables = [
            ("PROGRESS_DATABASE_URL", self.db.service_url()),
            ("PROGRESS_DATABASE_MIGRATION_URL", self.db.owner_url()),
            ("PROGRESS_DATA_DIR", data.path().to_string_lossy().into_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        let verify = || command(&["projections", "verify", "--json"], &variables).output().unwrap();
        // What the old release reads it does not count, and says so; nothing else differs, and a rebuild counts it.
        for line in String::from_utf8(verify().stdout).unwrap().lines() {
            let told: Value = serde_json::from_str(line).unwrap();
            let all = told["differences"].as_array().unwrap();
            let is_count = |one: &Value| ["activity", "learner_days"].contains(&one["table"].as_str().unwrap());
            assert!(all.iter().all(is_count), "{told}");
        }
        let rebuilt = command(&["projections", "rebuild", "--apply", "--json"], &variables).output().unwrap();
        assert!(rebuilt.status.success(), "{}", String::from_utf8_lossy(&rebuilt.stderr));
        let verified = verify();
        assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_releases_serve_at_once_forwards_and_back_and_no_request_fails() {
    let stage = Stage::set().await;
    let topic = Topic::named(format!("{}{STATEMENT_STORED}", stage.prefix), 2).await;
    let rotation = Rotation::default();
    let mut old = stage.old().await;
    rotation.join(&old).await;
    let before = count(&stage.db, "ledger.schema_migrations").await;
    let load = Load::begin(&rotation);
    load.goes_on().await;

    // Forwards: the new release changes the schema beneath the old one, and both serve.
    let mut new = stage.node(None).await;
    rotation.join(&new).await;
    assert!(count(&stage.db, "ledger.schema_migrations").await > before, "the new release applied its files");
    load.goes_on().await;

    // A node of the old release that dies meanwhile comes back on the newer schema.
    rotation.leave(&old).await;
    old.process.kill();
    old = old.again().await;
    rotation.join(&old).await;
    load.goes_on().await;

    rotation.leave(&old).await;
    old.process.signal("TERM");
    assert!(old.process.ended().await.success());
    load.goes_on().await;

    // Back: the old release takes over again, and writes what the new one wrote before.
    old = stage.old().await;
    rotation.join(&old).await;
    load.goes_on().await;
    rotation.leave(&new).await;
    new.process.signal("TERM");
    assert!(new.process.ended().await.success());
    load.goes_on().await;

    // And forwards for good.
    new = stage.node(None).await;
    rotation.join(&new).await;
    load.goes_on().await;
    rotation.leave(&old).await;
    old.process.signal("TERM");
    assert!(old.process.ended().await.success());
    load.goes_on().await;

    let stored = load.end().await;
    stage.is_right(&topic, &stored).await;
    new.process.signal("TERM");
    assert!(new.process.ended().await.success());
}

#[tokio::test]
async fn the_release_before_refuses_by_name_what_it_was_not_promised() {
    let stage = Stage::set().await;
    let mut new = stage.node(None).await;
    ready(&new.url).await;
    let owner = stage.db.owner().await;
    let withdrawn =
        "DELETE FROM ledger.schema_migration_baselines WHERE superseded LIKE '055_%' OR superseded LIKE '054_%'";
    assert!(owner.execute(withdrawn, &[]).await.unwrap() > 0, "it was promised");
    let data = tempfile::tempdir().unwrap();
    let variables = [
        ("PROGRESS_DATABASE_URL", stage.db.service_url()),
        ("PROGRESS_DATABASE_MIGRATION_URL", stage.db.owner_url()),
        ("PROGRESS_LISTEN", "127.0.0.1:0".to_owned()),
        ("PROGRESS_DATA_DIR", data.path().to_string_lossy().into_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    let mut old = Process::start(command_of(&stage.previous, &["serve"], &variables));
    assert!(!old.ended().await.success());
    old.says("054_named_documents.sql was applied by a newer release").await;
    new.process.signal("TERM");
    assert!(new.process.ended().await.success());
}
