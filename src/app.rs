//! The whole: builds doors and rooms from the configuration. The only file that knows everybody.

use std::sync::Arc;

use actix_web::web::ServiceConfig;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{
    config::Config,
    http::{Edge, Lifecycle, Phase, health, health::Check, server},
    model::{Clock, Ids},
    store::{Endpoint, PoolSettings, Store, StoreSettings},
    telemetry::Metrics,
    worker::Worker,
};

/// Serves until a signal comes: the first drains, the second cuts.
pub async fn serve(config: &Config) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let mut service = Service::start(config, Clock::system(), Ids::random()).await?;
    // Scripts and tests wait for exactly this line.
    println!("listening on {}", service.running.url());
    tokio::select! {
        stopped = service.running.stopped() => stopped?,
        () = signals.next() => {
            tracing::info!("draining; a second signal stops at once");
            tokio::select! {
                () = service.running.drain(config.shutdown.announce) => {}
                () = signals.next() => service.running.cut().await,
            }
        }
    }
    service.stop(config).await;
    Ok(())
}

/// A started service: its listener, and what the listener shares with the rest.
pub struct Service {
    pub running: server::Running,
    pub edge: Edge,
    pub store: Store,
    pub worker: Worker,
}

impl Service {
    /// Builds all rooms and starts to answer; the data plane stays closed until the schema is known to fit.
    pub async fn start(config: &Config, _clock: Clock, ids: Ids) -> anyhow::Result<Self> {
        let store = Store::open(&store_settings(config)?)?;
        let metrics = Metrics::new()?;
        let edge = Edge::new(&config.http, Lifecycle::default(), metrics.clone(), ids.clone());
        let worker = Worker::new(store.clone(), metrics, &ids.uuid().to_string());
        let health = health::routes(&edge, checks(&store), config.service.metrics);
        let routes = move |cfg: &mut ServiceConfig| {
            health(cfg);
        };
        let running = server::start(config, edge.clone(), routes)?;
        edge.lifecycle.enter(Phase::Serving);
        Ok(Self { running, edge, store, worker })
    }

    /// Ends what runs behind the listener, which has stopped by now.
    pub async fn stop(self, config: &Config) {
        self.worker.stop(config.shutdown.hard).await;
        self.store.close();
    }
}

fn checks(store: &Store) -> Arc<[Check]> {
    let store = store.clone();
    let database = Check::new("database", move || {
        let store = store.clone();
        async move { store.ping().await.map(|()| "answers".to_owned()).map_err(|e| e.to_string()) }
    });
    Arc::from([database])
}

/// The store's words for the configuration's.
fn store_settings(config: &Config) -> anyhow::Result<StoreSettings> {
    let database = &config.database;
    let Some(url) = &database.url else {
        anyhow::bail!("no database: set PROGRESS_DATABASE_URL");
    };
    let endpoint = |url| Endpoint { url, ca_file: database.ca_file.clone() };
    Ok(StoreSettings {
        service: endpoint(url.clone()),
        owner: endpoint(database.migration_url.clone().unwrap_or_else(|| url.clone())),
        pool: PoolSettings {
            connections: database.pool_size,
            wait: database.acquire_timeout,
            connect_timeout: database.connect_timeout,
            statement_timeout: database.statement_timeout,
            lock_timeout: database.lock_timeout,
        },
        worker_connections: database.worker_pool_size,
    })
}

/// SIGTERM and SIGINT mean the same.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
