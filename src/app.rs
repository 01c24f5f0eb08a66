//! The whole: builds doors and rooms from the configuration. The only file that knows everybody.

mod database;
mod loops;
mod schema;
mod settings;

use std::sync::Arc;

use actix_web::web::{Data, ServiceConfig};

pub use self::{database::Database, schema::APPLIED_BY};
use crate::{
    bus::producer::Producer,
    config::Config,
    http::{
        Edge, Lifecycle, Phase, RateLimits,
        api::{self, Api},
        health::{self, Check},
        server,
        xapi::{self, Xapi},
    },
    identity::{Identity, IdentityError, Issued},
    inbox::Inbox,
    ingest::Ingest,
    migrate::jobs::Jobs,
    model::{Clock, Ids},
    partitions,
    query::Reader,
    relay::Relay,
    store::{Store, StoreError},
    telemetry::Metrics,
    trail::Trail,
    transcript::Press,
    worker::Worker,
};

/// A started service.
pub struct Service {
    pub rooms: Rooms,
    pub running: server::Running,
    /// The credential of a fresh install, to be shown this one time.
    pub first_credential: Option<Issued>,
    database: Database,
}

/// What the listener's threads and the background loops share.
#[derive(Clone)]
pub struct Rooms {
    pub edge: Edge,
    pub store: Store,
    pub identity: Data<Identity>,
    pub xapi: Data<Xapi>,
    pub api: Data<Api>,
    pub migrations: Data<Jobs>,
    pub limits: Data<RateLimits>,
    pub worker: Worker,
    /// Absent without brokers.
    relay: Option<Arc<Relay>>,
    clock: Clock,
}

impl Service {
    /// Builds all rooms and starts to answer; returns when the data plane is open, or waits for migrations.
    pub async fn start(config: &Config, clock: Clock, ids: Ids) -> anyhow::Result<Self> {
        let database = Database::open(config, &clock, &ids).await?;
        match Self::open(config, &database, clock, ids).await {
            Ok((rooms, running, first_credential)) => Ok(Self { rooms, running, first_credential, database }),
            Err(error) => {
                database.close().await;
                Err(error)
            }
        }
    }

    async fn open(
        config: &Config,
        database: &Database,
        clock: Clock,
        ids: Ids,
    ) -> anyhow::Result<(Rooms, server::Running, Option<Issued>)> {
        let runner = database.runner(config)?;
        let rooms = Rooms::build(config, database, clock, ids)?;
        // Health answers while the schema is looked at, which may take as long as a migration does.
        let running = server::start(config, rooms.edge.clone(), rooms.routes(config))?;
        let lifecycle = rooms.edge.lifecycle.clone();
        let settled = async {
            schema::settle(&runner, &lifecycle, &rooms.edge.metrics).await?;
            rooms.begin(config, database.is_embedded()).await
        };
        match settled.await {
            Ok(first) => {
                let (later, config) = (rooms.clone(), config.clone());
                tokio::spawn(async move {
                    if schema::watch(runner, lifecycle, &later.edge.metrics).await
                        && let Err(error) = later.begin(&config, false).await
                    {
                        tracing::error!(%error, "the work after the migrations could not begin");
                    }
                });
                Ok((rooms, running, first))
            }
            Err(error) => {
                running.cut().await;
                Err(error)
            }
        }
    }

    /// Ends what runs behind the listener, which has stopped by now.
    pub async fn stop(self, config: &Config) {
        self.rooms.api.trail.finish(config.shutdown.hard).await;
        self.rooms.worker.stop(config.shutdown.hard).await;
        self.rooms.store.close();
        self.database.close().await;
    }
}

impl Rooms {
    fn build(config: &Config, database: &Database, clock: Clock, ids: Ids) -> anyhow::Result<Self> {
        let metrics = Metrics::new()?;
        let store = Store::open(&database.settings)?.measured(&metrics);
        let relay = relay(config, &store, &metrics, &clock)?;
        let edge = Edge::new(&config.http, Lifecycle::default(), metrics.clone(), ids.clone());
        let worker = Worker::new(store.clone(), metrics.clone(), &ids.uuid().to_string());
        let identity = Identity::new(store.clone(), clock.clone(), ids.clone(), settings::identity(config))?;
        let migrations = Jobs::new(
            store.clone(),
            database.runner(config)?,
            database.place(config),
            metrics.clone(),
            clock.clone(),
            ids.clone(),
        );
        let (reader, trail) = (
            Reader::new(store.clone(), config.xapi.page_bytes.0),
            Trail::start(store.clone(), clock.clone(), &metrics),
        );
        let press = Press::new(config.transcript.fonts.clone(), &metrics);
        let api =
            Api { store: store.clone(), reader: reader.clone(), trail: trail.clone(), press, clock: clock.clone() };
        let xapi = Xapi {
            ingest: Ingest::start(store.clone(), settings::ingest(config), &metrics),
            reader,
            store: store.clone(),
            trail,
            limits: config.xapi.limits(),
            page_default: config.xapi.page_default,
            clock: clock.clone(),
            ids,
        };
        Ok(Self {
            edge,
            store,
            identity: Data::new(identity),
            xapi: Data::new(xapi),
            api: Data::new(api),
            migrations: Data::new(migrations),
            limits: Data::new(RateLimits::new(&config.limits)),
            worker,
            relay,
            clock,
        })
    }

    /// All routes, in the order in which they are tried.
    fn routes(&self, config: &Config) -> impl Fn(&mut ServiceConfig) + Clone + Send + use<> {
        let health = health::routes(&self.edge, self.checks(), config.service.metrics);
        let xapi = xapi::routes(self.xapi.clone(), &config.xapi.paths);
        let (identity, migrations, limits) = (self.identity.clone(), self.migrations.clone(), self.limits.clone());
        let api = api::routes(self.api.clone());
        move |cfg: &mut ServiceConfig| {
            cfg.app_data(identity.clone()).app_data(migrations.clone()).app_data(limits.clone());
            health(cfg);
            xapi(cfg);
            api(cfg);
        }
    }

    /// What `/readyz` asks beside the phase.
    fn checks(&self) -> Arc<[Check]> {
        let (store, lifecycle) = (self.store.clone(), self.edge.lifecycle.clone());
        let database = Check::new("database", move || {
            let store = store.clone();
            async move { store.ping().await.map(|()| "answers".to_owned()).map_err(|e| e.to_string()) }
        });
        let schema = Check::new("schema", move || {
            let phase = lifecycle.phase();
            async move { phase.closed().map_or_else(|| Ok("up to date".to_owned()), Err) }
        });
        let (store, clock, metrics) = (self.store.clone(), self.clock.clone(), self.edge.metrics.clone());
        let months = Check::new("months", move || {
            let (store, now, metrics) = (store.clone(), clock.now(), metrics.clone());
            async move { partitions::look(&store, now, &metrics).await.map(|r| r.to_string()).map_err(|e| e.to_string()) }
        });
        Arc::from([database, schema, months])
    }

    /// What follows once the schema stands: the months of the ledger, the loops, the operator's credential, and on
    /// a fresh embedded database one to begin with.
    async fn begin(&self, config: &Config, embedded: bool) -> anyhow::Result<Option<Issued>> {
        if self.edge.lifecycle.phase() != Phase::Serving {
            return Ok(None);
        }
        partitions::make_ahead(&self.store, self.clock.now(), &self.edge.metrics).await.map(drop).or_else(only_read)?;
        for work in loops::all(&self.store, &self.clock, &self.edge.metrics, self.relay.clone()) {
            self.worker.spawn(work);
        }
        if !config.kafka.brokers.is_empty() {
            let (store, metrics) = (self.store.clone(), self.edge.metrics.clone());
            let inbox = Inbox::new(store, config.kafka.clone(), metrics, self.clock.clone());
            self.worker.accompany(|stop| inbox.run(stop));
        }
        if let Some(credential) = &config.service.bootstrap_credential {
            match self.identity.ensure_bootstrap(credential).await {
                Err(IdentityError::Store(error)) => only_read(error)?,
                done => drop(done?),
            }
        }
        Ok(if embedded { self.identity.first_credential().await? } else { None })
    }
}

/// A database that takes no writes can still be read: what a start would have written there is left out.
fn only_read(error: StoreError) -> Result<(), StoreError> {
    if !error.is_read_only() {
        return Err(error);
    }
    tracing::warn!(%error, "the database takes no writes: it is read only");
    Ok(())
}

fn relay(config: &Config, store: &Store, metrics: &Metrics, clock: &Clock) -> anyhow::Result<Option<Arc<Relay>>> {
    if config.kafka.brokers.is_empty() {
        return Ok(None);
    }
    let producer = Producer::connect(&config.kafka)?;
    Ok(Some(Arc::new(Relay::new(store.clone(), producer, metrics.clone(), clock.clone()))))
}
