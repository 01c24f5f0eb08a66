//! The door to PostgreSQL: all SQL lives here, in folders that carry the names of the schemas.
//!
//! There is one way in for work (`Store::run_tx`, or `run_once` for what must not be made twice) and one for DDL
//! (`ddl::Session`), which refuses transactions. What is done to a table is a free function `verb(tx, …)` that borrows its
//! transaction, in the one file that owns the table. Its SQL begins with its label, `/* file::verb */`, by which it is found in
//! `pg_stat_statements` and in a log.

pub mod door;
pub mod ledger;
pub mod lrsql;
pub mod platform;
pub mod progress;
pub mod schema;

use std::time::Duration;

use deadpool_postgres::{Pool, Status};

use crate::{
    model::Lease,
    telemetry::{Metrics, metrics::PoolFigures},
};

use door::{ddl, pool, pool::Plans, pooler, run_tx::Patience, whom};
pub use door::{
    error::{Outcome, StoreError},
    pool::{Endpoint, PoolSettings},
    tx::Tx,
    whom::As,
};

/// Everything needed to open the door.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// The service's own login: a member of the group roles, owner of nothing.
    pub service: Endpoint,
    /// The login that owns the schema; the same as `service` where the operator gave only one.
    pub owner: Endpoint,
    pub pool: PoolSettings,
    /// Connections for background loops and administration.
    pub worker_connections: usize,
}

/// Two pools, for requests and for everything else, and the way to an owner session.
#[derive(Clone)]
pub struct Store {
    service: Pool,
    worker: Pool,
    login: Endpoint,
    owner: Endpoint,
    patience: Patience,
    metrics: Option<Metrics>,
    /// What this store's transactions can ask whether they may still do what they do.
    lease: Option<Lease>,
}

impl Store {
    /// Builds the pools without connecting. Call it on the main runtime: that is where connections will live.
    pub fn open(settings: &StoreSettings) -> Result<Self, StoreError> {
        let workers = PoolSettings { connections: settings.worker_connections, ..settings.pool.clone() };
        Ok(Self {
            service: pool::build(&settings.service, whom::SERVICE, Plans::Kept, &settings.pool)?,
            worker: pool::build(&settings.service, whom::WORKER, Plans::Fresh, &workers)?,
            login: settings.service.clone(),
            owner: settings.owner.clone(),
            patience: Patience::of(&settings.pool),
            metrics: None,
            lease: None,
        })
    }

    /// The same doors, with every transaction counted and timed.
    #[must_use]
    pub fn measured(self, metrics: &Metrics) -> Self {
        for (name, pool) in [("service", self.service.clone()), ("worker", self.worker.clone())] {
            metrics.pools.watch(name, move || figures(&pool));
        }
        Self { metrics: Some(metrics.clone()), ..self }
    }

    /// The same doors for work under a lease: a transaction that calls [`platform::leases::check`] fails once it is somebody else's.
    #[must_use]
    pub fn under(&self, lease: &Lease) -> Self {
        Self { lease: Some(lease.clone()), ..self.clone() }
    }

    /// The same doors for work that takes longer than what people wait for: each statement may take so long.
    #[must_use]
    pub fn patient(&self, longest: Duration) -> Self {
        Self { patience: self.patience.longer(longest), ..self.clone() }
    }

    /// A dedicated session of the schema's owner, for DDL that cannot run in a transaction.
    pub async fn ddl(&self) -> Result<ddl::Session, StoreError> {
        ddl::Session::connect(&self.owner).await
    }

    /// Fails where a pooler stands between that gives each transaction another session.
    pub async fn own_sessions(&self) -> Result<(), StoreError> {
        pooler::own_sessions([&self.login, &self.owner]).await
    }

    /// Connections in use and at most, of the pool that serves requests.
    pub fn load(&self) -> (usize, usize) {
        let status = self.service.status();
        (status.size.saturating_sub(status.available), status.max_size)
    }

    /// Whether the database answers at all.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.run_tx("ping", As::Worker, |tx| {
            Box::pin(async move { tx.execute("/* store::ping */ SELECT 1", &[]).await.map(drop) })
        })
        .await
    }

    pub fn close(&self) {
        self.service.close();
        self.worker.close();
    }
}

fn figures(pool: &Pool) -> PoolFigures {
    let Status { max_size, size, available, waiting } = pool.status();
    PoolFigures { most: max_size, size, in_use: size.saturating_sub(available), waiting }
}
