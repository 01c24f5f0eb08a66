//! Writers that store statements without end while the schema changes under them, and have no say in when.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use futures_util::future::join_all;
use progress_service::{
    cold::Cold,
    ingest::{Ingest, IngestSettings, Submission},
    model::{Clock, Ids, TenantId},
    objects::{
        Objects,
        shelf::{Shelf, ShelfSettings},
    },
    store::{
        As, Store, StoreError,
        ledger::statements::{self, NewStatement},
    },
    telemetry::{Metrics, Span},
    xapi::{Author, Limits, Prepared, Version, prepare, read},
};
use serde_json::json;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::{support::pg::TestDatabase, xapi::statement};

/// Statements of one request.
const MANY: usize = 20;
/// Who sends requests through the ingest at the same time.
const CALLERS: usize = 4;
/// Who writes by its way into the ledger alone: that is there already where the ingest of this release lacks something else.
const WRITERS: usize = 1;
/// How long one waits before the next request.
const BREATH: Duration = Duration::from_millis(10);

/// What all writers know of each other.
#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    through_ingest: AtomicU64,
    beside_it: AtomicU64,
}

/// Writers at work.
pub struct Writers {
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

/// How many statements were stored so far.
#[derive(Clone, Copy, Debug)]
pub struct Stored {
    pub through_ingest: u64,
    pub beside_it: u64,
}

impl Writers {
    pub fn begin(db: &TestDatabase) -> Self {
        Self::over(&db.store())
    }

    pub fn over(store: &Store) -> Self {
        let shared = Arc::new(Shared::default());
        let ingest = Arc::new(ingest(store));
        let callers = (0..CALLERS).map(|n| tokio::spawn(call(ingest.clone(), n, shared.clone())));
        let writers = (0..WRITERS).map(|n| tokio::spawn(write(store.clone(), CALLERS + n, shared.clone())));
        Self { tasks: callers.chain(writers).collect(), shared }
    }

    pub fn stored(&self) -> Stored {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Stored { through_ingest: of(&self.shared.through_ingest), beside_it: of(&self.shared.beside_it) }
    }

    pub async fn end(self) -> Stored {
        self.shared.stop.store(true, Ordering::Relaxed);
        let stored = self.stored();
        join_all(self.tasks).await.into_iter().for_each(|task| task.expect("no writer panics"));
        stored
    }
}

impl fmt::Display for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} through the ingest, {} beside it", self.through_ingest, self.beside_it)
    }
}

impl Stored {
    pub fn sum(self) -> u64 {
        self.through_ingest + self.beside_it
    }
}

fn ingest(store: &Store) -> Ingest {
    let settings = ShelfSettings { cache: None, reads: 1, wait: Duration::ZERO, timeout: Duration::ZERO };
    let objects = Objects::over(Arc::new(object_store::memory::InMemory::new()));
    let cold = Cold::new(store.clone(), Shelf::over(objects, settings, Metrics::new().unwrap()));
    Ingest::start(cold, IngestSettings::default(), &Metrics::new().unwrap())
}

fn tenant(n: usize) -> TenantId {
    TenantId(Uuid::from_u128(0x5555_0000_0000_4000_8000_0000_0000_0000 | n as u128))
}

/// A request's statements; they become others by other ids.
fn prepared(n: usize) -> Vec<Prepared> {
    let authority = json!({"mbox": "mailto:lrs@example.com"});
    let author = Author::new(tenant(n).0, authority.as_object().unwrap(), Version::V1_0_3);
    let one = |actor: usize| {
        let text = statement(&format!("learner{actor}"), "course").to_string();
        let mut batch = read::statements(text.as_bytes(), Version::V1_0_3, &Limits::default()).unwrap();
        prepare(batch.statements.remove(0), &author, Uuid::nil, DateTime::UNIX_EPOCH)
    };
    (0..MANY).map(one).collect()
}

fn with_new_ids(prepared: &[Prepared], ids: &Ids) -> Vec<Prepared> {
    let mut fresh = prepared.to_vec();
    fresh.iter_mut().for_each(|one| one.id = ids.uuid());
    fresh
}

async fn call(ingest: Arc<Ingest>, n: usize, shared: Arc<Shared>) {
    let (prepared, ids) = (prepared(n), Ids::random());
    while !shared.stop.load(Ordering::Relaxed) {
        let statements = with_new_ids(&prepared, &ids);
        let (said, attachments, span) = (Vec::new(), Vec::new(), Span::none());
        let submission = Submission { tenant: tenant(n), statements, said, attachments, span };
        if let Ok(stored) = ingest.submit(submission).await {
            shared.through_ingest.fetch_add(stored.len() as u64, Ordering::Relaxed);
        }
        tokio::time::sleep(BREATH).await;
    }
}

/// Writes as the ingest does it, in a transaction that asks for nothing but the ledger.
async fn write(store: Store, n: usize, shared: Arc<Shared>) {
    let (prepared, ids) = (prepared(n), Ids::random());
    while !shared.stop.load(Ordering::Relaxed) {
        let fresh = with_new_ids(&prepared, &ids);
        match store.run_tx("ingest", As::Tenant(tenant(n)), |tx| Box::pin(append(tx, &fresh))).await {
            Ok(()) => drop(shared.beside_it.fetch_add(fresh.len() as u64, Ordering::Relaxed)),
            Err(_) => drop(store.ensure_partition(Clock::system().now()).await),
        }
        tokio::time::sleep(BREATH).await;
    }
}

async fn append(tx: &progress_service::store::Tx<'_>, fresh: &[Prepared]) -> Result<(), StoreError> {
    let wanted: Vec<_> = fresh.iter().map(statements::id_of).collect();
    let first = statements::beforehand(tx, &wanted).await?.first_micros;
    let moment = |n: usize| -> DateTime<Utc> { DateTime::from_timestamp_micros(first + n as i64).unwrap() };
    let entry = |(n, statement)| NewStatement { statement, stored: moment(n) };
    let entries: Vec<_> = fresh.iter().enumerate().map(entry).collect();
    statements::append_last(tx, &entries).await
}
