//! What is kept and what goes: who may remove, holds that stop it, and the rules by which it is decided.

mod by_http;
mod command;
mod holds;
mod kills;
mod policy;
mod races;
mod removals;
mod rights;

use std::{sync::Arc, time::Duration};

use object_store::ObjectStore;
use progress_service::{
    model::retention::{Place, Rule, Starts},
    model::{Clock, Ids, TenantId},
    objects::{
        Objects,
        shelf::{Shelf, ShelfSettings},
    },
    retention::{Change, Retention},
    store::{
        As, Store, StoreError,
        ledger::holds::{Hold, New, Scope, add, release as end},
    },
    telemetry::Metrics,
    xapi::keys::{self, Ifi},
};
use uuid::Uuid;

use crate::support::pg::TestDatabase;

pub const TENANT: TenantId = TenantId::DEFAULT;

/// The lookup key of one of the learners that tests post about.
pub fn learner(name: &str) -> Uuid {
    keys::agent(TENANT.0, &Ifi::Mbox(format!("mailto:{name}@example.com")))
}

/// Places a hold.
pub async fn hold(store: &Store, scope: &Scope) -> Hold {
    let id = Ids::random().uuid();
    let new = &New { id, scope, reason: "a test", law: "Art. 17(3)(e) GDPR", by: "a test" };
    let placed: Result<Hold, StoreError> =
        store.run_tx("hold", As::Retention(TENANT), |tx| Box::pin(add(tx, TENANT, new))).await;
    placed.unwrap()
}

/// Ends a hold.
pub async fn release(store: &Store, id: Uuid) -> Option<Hold> {
    let ended: Result<Option<Hold>, StoreError> = store
        .run_tx("release", As::Retention(TENANT), |tx| Box::pin(end(tx, TENANT, id, "a test", "it is over")))
        .await;
    ended.unwrap()
}

/// Retention over a store of objects, of this database; what is marked waits so long.
pub fn retention_over(db: &TestDatabase, store: Arc<dyn ObjectStore>, grace: Duration) -> Retention {
    let patience = Duration::from_secs(20);
    let settings = ShelfSettings { cache: None, reads: 4, wait: patience, timeout: patience };
    let shelf = Shelf::over(Objects::over(store), settings, Metrics::new().unwrap());
    Retention::new(&db.store(), shelf, &Clock::system(), &Ids::random(), grace)
}

/// The same where nothing is archived.
pub fn retention(db: &TestDatabase, grace: Duration) -> Retention {
    retention_over(db, Arc::new(object_store::memory::InMemory::new()), grace)
}

/// A rule for statements from when they were stored.
pub fn rule(tenant: Option<TenantId>, class: &str, keep: Option<u32>, delete: Option<u32>) -> Rule {
    let (class, covers, starts) = (class.to_owned(), Place::Statements, Starts::Stored);
    Rule { number: 0, tenant, class, covers, course: None, starts, keep, delete }
}

/// Sets a rule that nobody else has to sign.
pub async fn set(retention: &Retention, rule: Rule) {
    let preview = retention.preview(Change::Rule(rule)).await.unwrap();
    retention.change(&preview, ("a test", "ann"), None).await.unwrap();
}
