//! Connections: made on the main runtime, so that an HTTP worker that stops never takes one with it.

use std::{
    str::FromStr,
    sync::Arc,
    time::{Duration, Instant},
};

use deadpool_postgres::{
    Connect, Hook, HookError, Manager, ManagerConfig, Metrics, Pool, PoolConfig, RecyclingMethod, Runtime, Timeouts,
};
use futures_util::future::BoxFuture;
use tokio::{runtime::Handle, task::JoinHandle, time::timeout};
use tokio_postgres::{Client, Config, Error};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_util::task::AbortOnDropHandle;

use crate::model::Secret;
use crate::store::{StoreError, door::tls};

/// How to reach one database as one login.
#[derive(Clone, Debug)]
pub struct Endpoint {
    pub url: Secret,
    pub ca_file: Option<std::path::PathBuf>,
}

/// Sizes and patience of the pools.
#[derive(Clone, Debug)]
pub struct PoolSettings {
    pub connections: usize,
    /// How long a caller waits for a free connection before it is told to come back.
    pub wait: Duration,
    pub connect_timeout: Duration,
    /// The longest a statement of the data plane may run.
    pub statement_timeout: Duration,
    /// The longest any statement waits for a lock.
    pub lock_timeout: Duration,
    /// How long a session keeps a plan. A month that begins was empty when it was planned for: the plan may walk over an
    /// index that does not fit, until somebody analyses the month or the plan is made anew.
    pub plans_kept: Duration,
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self {
            connections: 16,
            wait: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(30),
            lock_timeout: Duration::from_secs(5),
            plans_kept: Duration::from_secs(60),
        }
    }
}

impl Endpoint {
    /// The driver's configuration and TLS connector for this endpoint.
    pub fn resolve(&self, application: &str) -> Result<(Config, MakeRustlsConnect), StoreError> {
        let mut config = Config::from_str(self.url.expose())
            .map_err(|_| StoreError::Config("the database URL cannot be parsed (it is not shown here)".to_owned()))?;
        config.application_name(application);
        Ok((config, tls::connector(self.ca_file.as_deref())?))
    }
}

/// Whether a session keeps the plan of a statement or makes a new one each time.
#[derive(Clone, Copy)]
pub(in crate::store) enum Plans {
    /// For many small statements, for which planning would be the larger part.
    Kept,
    /// For few large ones: a plan from the first minute of a table, before anything is known of it, can be a hundred
    /// times slower than the right one, and stays until the table is analysed.
    Fresh,
}

/// A pool whose sessions go by the name of `role`, which each of their transactions takes on.
pub(in crate::store) fn build(
    endpoint: &Endpoint,
    role: &'static str,
    plans: Plans,
    settings: &PoolSettings,
) -> Result<Pool, StoreError> {
    let (mut config, tls) = endpoint.resolve(role)?;
    let within = settings.connect_timeout;
    // A peer that is gone without a word is found out by what it does not acknowledge, also while a session rests.
    config.connect_timeout(within).keepalives_idle(Duration::from_secs(30)).tcp_user_timeout(within);
    let connect = OnMainRuntime { handle: Handle::current(), tls };
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = Manager::from_connect(config, connect, recycling);
    let setup: Arc<str> = session_setup(plans, settings).into();
    let plans_kept = settings.plans_kept;
    Pool::builder(manager)
        .config(PoolConfig {
            max_size: settings.connections,
            timeouts: Timeouts { wait: Some(settings.wait), create: Some(settings.connect_timeout), recycle: None },
            ..PoolConfig::default()
        })
        .runtime(Runtime::Tokio1)
        .post_create(Hook::async_fn(move |client: &mut deadpool_postgres::ClientWrapper, _| {
            let setup = Arc::clone(&setup);
            Box::pin(async move { told(client, &setup, within).await })
        }))
        .post_recycle(Hook::async_fn(move |client: &mut deadpool_postgres::ClientWrapper, metrics| {
            let aged = plans_aged(metrics, Instant::now(), plans_kept);
            Box::pin(async move { if aged { told(client, "DISCARD PLANS", within).await } else { Ok(()) } })
        }))
        .build()
        .map_err(|e| StoreError::Config(e.to_string()))
}

/// Runs a statement on a connection before the pool hands it out (a recycle hook). The pool waits for it, hence the timeout.
async fn told(client: &Client, sql: &str, within: Duration) -> Result<(), HookError> {
    match timeout(within, client.batch_execute(sql)).await {
        Ok(done) => done.map_err(HookError::Backend),
        Err(_) => Err(HookError::message("the session does not answer")),
    }
}

/// Whether the session's cached plans have expired: another interval of `kept` has passed since it last left the pool.
fn plans_aged(session: &Metrics, now: Instant, kept: Duration) -> bool {
    let spans = |at: Instant| at.duration_since(session.created).as_nanos().checked_div(kept.as_nanos());
    kept.is_zero() || spans(now) > spans(session.recycled.unwrap_or(session.created))
}

/// Planner settings of every session. Disable sequential scans: a generic plan that was cached while a table was empty would
/// use one, and sessions keep cached plans long after the table has grown. Disable memoize: each key is looked up once, and the
/// cache is allocated for each execution by the table's statistics, which on a large ledger takes longer than the page. Disable
/// JIT: compiling takes tens of milliseconds and is triggered by the estimated cost, which every full scan exceeds.
pub const PLANNER: &str = "SET enable_seqscan = off; SET enable_memoize = off; SET jit = off";

/// For speed and patience. What isolation rests on each transaction sets for itself.
fn session_setup(plans: Plans, settings: &PoolSettings) -> String {
    format!(
        "SET statement_timeout = {}; SET lock_timeout = {}; SET search_path = pg_catalog, pg_temp; \
         SET idle_in_transaction_session_timeout = 60000; SET plan_cache_mode = {}; SET timezone = 'UTC'; {PLANNER}",
        settings.statement_timeout.as_millis(),
        settings.lock_timeout.as_millis(),
        match plans {
            Plans::Kept => "auto",
            Plans::Fresh => "force_custom_plan",
        },
    )
}

/// deadpool would drive a connection on whichever runtime asked for it; this one always uses the main one.
struct OnMainRuntime {
    handle: Handle,
    tls: MakeRustlsConnect,
}

impl Connect for OnMainRuntime {
    fn connect(&self, config: &Config) -> BoxFuture<'_, Result<(Client, JoinHandle<()>), Error>> {
        let (config, tls, handle) = (config.clone(), self.tls.clone(), self.handle.clone());
        // Who no longer waits for it leaves nothing behind that still does.
        let connecting = AbortOnDropHandle::new(self.handle.spawn(async move {
            let (client, connection) = config.connect(tls).await?;
            let driver = handle.spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "a database connection ended");
                }
            });
            Ok((client, driver))
        }));
        Box::pin(async move {
            match connecting.await {
                Ok(connected) => connected,
                // Only at shutdown does the main runtime drop its tasks; the pool's own timeout ends this wait.
                Err(_) => std::future::pending().await,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_age_once_in_each_span_of_a_sessions_life() {
        let (created, kept) = (Instant::now(), Duration::from_secs(60));
        let aged = |last: Option<u64>, now: u64| {
            let at = |seconds| created + Duration::from_secs(seconds);
            let session = Metrics { created, recycled: last.map(at), recycle_count: 0 };
            plans_aged(&session, at(now), kept)
        };
        assert!(!aged(None, 59));
        assert!(aged(None, 60));
        assert!(aged(Some(59), 61));
        assert!(!aged(Some(61), 119));
        assert!(aged(Some(61), 1_000), "a session that rested");
    }
}
