//! The whole: builds doors and rooms from the configuration. The only file that knows everybody.

mod database;
mod jobs;
mod loops;
mod opening;
mod schema;
mod settings;

use std::{future::Future, sync::Arc};

use actix_web::web::{Data, ServiceConfig};

use self::opening::Opening;
pub use self::{
    database::Database,
    jobs::{archive, archive_kinds, runner as job_runner},
    schema::APPLIED_BY,
    settings::schedule,
};
use crate::{
    archive::Archive,
    bus::producer::Producer,
    cold::Cold,
    config::Config,
    http::{
        Edge, Lifecycle, RateLimits, Work,
        api::{self, Api, Streams},
        fetch::{self, FetchUrls},
        health::{self, Check},
        server,
        xapi::{self, Xapi},
    },
    identity::{Identity, Issued},
    ingest::Ingest,
    migrate::{jobs::Jobs, tally},
    model::{Clock, Ids},
    objects::shelf::Shelf,
    partitions,
    query::Reader,
    relay::Relay,
    store::Store,
    telemetry::Metrics,
    trail::Trail,
    transcript::Press,
    worker::{Worker, jobs::JobRunner},
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
    pub cold: Cold,
    pub identity: Data<Identity>,
    pub xapi: Data<Xapi>,
    pub api: Data<Api>,
    pub migrations: Data<Jobs>,
    pub limits: Data<RateLimits>,
    pub worker: Worker,
    pub jobs: JobRunner,
    pub archive: Archive,
    /// Absent without brokers.
    relay: Option<Arc<Relay>>,
    clock: Clock,
}

impl Service {
    /// Builds all rooms and starts to answer; returns when the data plane is open, or waits for migrations.
    pub async fn start(config: &Config, clock: Clock, ids: Ids) -> anyhow::Result<Self> {
        let started = Box::pin(Self::start_unless(config, clock, ids, std::future::pending())).await?;
        started.ok_or_else(|| anyhow::anyhow!("the start was interrupted"))
    }

    /// The same, unless `interrupted` comes first: then what was begun is ended, and there is no service.
    pub async fn start_unless(
        config: &Config,
        clock: Clock,
        ids: Ids,
        interrupted: impl Future<Output = ()>,
    ) -> anyhow::Result<Option<Self>> {
        tokio::pin!(interrupted);
        let database = tokio::select! {
            opened = Database::open(config, &clock, &ids) => opened?,
            () = &mut interrupted => return Ok(None),
        };
        let opened = tokio::select! {
            opened = Self::open(config, &database, clock, ids) => opened.map(Some),
            () = &mut interrupted => Ok(None),
        };
        match opened {
            Ok(Some((rooms, running, first_credential))) => {
                Ok(Some(Self { rooms, running, first_credential, database }))
            }
            not => {
                database.close().await;
                not.map(|_| None)
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
        // From here on every file counts, whoever applies it.
        let tally = rooms.migrations.tally();
        tally.update().await;
        tokio::spawn(tally::keep(Arc::downgrade(tally)));
        let mut opening = Opening::new(rooms.clone(), config.clone(), runner);
        let opened = opening.begin(database.is_embedded()).await;
        tally.update().await;
        match opened {
            Ok(first) => {
                // Also in maintenance: a run of migrations is a job.
                rooms.worker.accompany(|stop| rooms.jobs.clone().run(stop));
                tokio::spawn(opening.follow());
                Ok((rooms, running, first))
            }
            Err(error) => {
                running.cut().await;
                Err(error)
            }
        }
    }

    /// The orderly end up to the database: what was accepted is answered, loops finish their step.
    pub async fn drain(&self, config: &Config) {
        self.running.drain(config.shutdown.announce).await;
        self.finish(config).await;
    }

    /// Ends what runs behind the listener, which has stopped by now.
    pub async fn stop(self, config: &Config) {
        self.finish(config).await;
        self.close().await;
    }

    async fn finish(&self, config: &Config) {
        let patience = config.shutdown.hard;
        tokio::join!(self.rooms.api.trail.finish(patience), self.rooms.worker.stop(patience));
    }

    /// What is last, however the rest ended: an embedded database is stopped.
    pub async fn close(self) {
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
        let node = ids.uuid().to_string();
        let worker = Worker::new(store.clone(), metrics.clone(), &node);
        let identity = Identity::new(store.clone(), clock.clone(), ids.clone(), settings::identity(config))?;
        let migrations = Jobs::new(
            store.clone(),
            database.runner(config)?,
            database.host(config),
            metrics.clone(),
            clock.clone(),
            ids.clone(),
        );
        let archive = jobs::archive(config, &store, &clock, &ids, &metrics)?;
        let jobs = JobRunner::new(store.clone(), metrics.clone(), &node, jobs::kinds(&migrations, &archive));
        let (keys, data_dir) = (&config.archive, &config.service.data_dir);
        let cold = Cold::new(store.clone(), Shelf::new(keys, data_dir, settings::shelf(config), metrics.clone()));
        let (reader, trail) =
            (Reader::new(cold.clone(), config.xapi.page_bytes.0), Trail::start(store.clone(), clock.clone(), &metrics));
        let work = Work::new(&config.work, &metrics);
        let api = Api {
            store: store.clone(),
            reader: reader.clone(),
            trail: trail.clone(),
            press: Press::new(config.transcript.fonts.clone(), config.transcript.deadline, &metrics),
            work: work.clone(),
            clock: clock.clone(),
            fetch_urls: FetchUrls::new(config.service.public_url.as_deref()),
        };
        let xapi = Xapi {
            ingest: Ingest::start(cold.clone(), settings::ingest(config), &metrics),
            reader,
            store: store.clone(),
            trail,
            limits: config.xapi.limits(),
            page_default: config.xapi.page_default,
            clock: clock.clone(),
            ids,
            budget: edge.budget.clone(),
            work,
        };
        Ok(Self {
            edge,
            store,
            cold,
            identity: Data::new(identity),
            xapi: Data::new(xapi),
            api: Data::new(api),
            migrations: Data::new(migrations),
            limits: Data::new(RateLimits::new(&config.limits)),
            worker,
            jobs,
            archive,
            relay,
            clock,
        })
    }

    /// All routes, in the order in which they are tried.
    fn routes(&self, config: &Config) -> impl Fn(&mut ServiceConfig) + Clone + Send + use<> {
        let health = health::routes(&self.edge, self.checks(), config.service.metrics);
        let xapi = xapi::routes(self.xapi.clone(), &config.xapi.paths);
        let (identity, migrations, limits) = (self.identity.clone(), self.migrations.clone(), self.limits.clone());
        let (api, metrics) = (api::routes(self.api.clone()), Data::new(self.edge.metrics.clone()));
        let budget = Data::new(self.edge.budget.clone());
        let streams = Data::new(Streams::new(self.edge.lifecycle.clone()));
        move |cfg: &mut ServiceConfig| {
            cfg.app_data(metrics.clone())
                .app_data(budget.clone())
                .app_data(identity.clone())
                .app_data(migrations.clone())
                .app_data(limits.clone())
                .app_data(streams.clone());
            health(cfg);
            fetch::routes(cfg);
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
            async move {
                partitions::run::look(&store, now, &metrics).await.map(|r| r.to_string()).map_err(|e| e.to_string())
            }
        });
        Arc::from([database, schema, months])
    }
}

fn relay(config: &Config, store: &Store, metrics: &Metrics, clock: &Clock) -> anyhow::Result<Option<Arc<Relay>>> {
    if config.kafka.brokers.is_empty() {
        return Ok(None);
    }
    let producer = Producer::connect(&config.kafka)?;
    Ok(Some(Arc::new(Relay::new(store.clone(), producer, metrics.clone(), clock.clone()))))
}
