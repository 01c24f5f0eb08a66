//! The whole: builds doors and rooms from the configuration. The only file that knows everybody.

mod backfills;
pub mod backups;
mod database;
mod forwards;
mod jobs;
mod loops;
mod opening;
mod schema;
mod settings;
mod tellings;
mod traces;
mod whole;

use std::{future::Future, sync::Arc};

use actix_web::web::{Data, ServiceConfig};

use self::opening::Opening;
pub use self::{
    backfills::backfill_runs,
    database::Database,
    forwards::{forwarder, named as forward_targets},
    jobs::{
        archive, archive_kinds, audit, erasure_runs, erasures, keep_logged, known_to_plans, residency, retention,
        runner as job_runner,
    },
    schema::APPLIED_BY,
    settings::schedule,
    whole::Whole,
};
use crate::{
    archive::Archive,
    audit::Audit,
    bus::producer::Producer,
    cold::Cold,
    config::Config,
    erasure::Erasures,
    flags::{Flags, residence::Residences},
    http::{
        Edge, Lifecycle, RateLimits, Work,
        api::{self, Api, Exports, Months, Streams},
        fetch::{self, FetchUrls},
        health::{self, Check},
        pages::{self, History, Pages},
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
    residency::Residency,
    rollout::{Desk, Teller},
    store::Store,
    telemetry::{Metrics, Pushes},
    trail::Trail,
    transcript::Press,
    transfer::forward::Forwarder,
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
    rollouts: Desk,
    pub teller: Teller,
    months: Data<Months>,
    pub limits: Data<RateLimits>,
    pub worker: Worker,
    pub jobs: JobRunner,
    pub archive: Archive,
    pub audit: Audit,
    pub erasures: Erasures,
    pub forwarder: Forwarder,
    pub flags: Data<Flags>,
    residences: Data<Residences>,
    residency: Data<Residency>,
    /// Absent where the service makes no backups by itself.
    backups: Option<Arc<backups::Keeper>>,
    /// Absent without brokers.
    relay: Option<Arc<Relay>>,
    pushes: Pushes,
    clock: Clock,
    history: History,
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
                let (samples, store, node) = (rooms.edge.samples.clone(), rooms.store.clone(), Ids::random().uuid());
                rooms.worker.accompany(|stop| samples.keep(store, node, stop));
                rooms.worker.accompany(|stop| Flags::clone(&rooms.flags).keep(stop));
                rooms.worker.accompany(|stop| Residences::clone(&rooms.residences).keep(stop));
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
        // Last, for the others have something to tell.
        tokio::join!(self.rooms.edge.traces.finish(patience), self.rooms.pushes.finish(patience));
    }

    /// What is last, however the rest ended: an embedded database is stopped.
    pub async fn close(self) {
        self.rooms.store.close();
        self.database.close().await;
    }
}

/// The listener's side, and what tells a collector.
fn edge(config: &Config, times: (&Clock, &Ids), metrics: &Metrics, node: &str) -> anyhow::Result<(Edge, Pushes)> {
    let (traces, pushes) = traces::telling(config, times, metrics, node)?;
    let edge = Edge::new(&config.http, Lifecycle::default(), metrics.clone(), times.1.clone());
    Ok((edge.traced(traces), pushes))
}

/// What `/xapi` works with, beside `/api/v1`.
fn xapi_of(config: &Config, api: &Api, cold: &Cold, edge: &Edge, ids: Ids, flags: &Flags) -> Xapi {
    Xapi {
        ingest: Ingest::start(cold.clone(), settings::ingest(config), &edge.metrics),
        reader: api.reader.clone(),
        store: api.store.clone(),
        trail: api.trail.clone(),
        limits: config.xapi.limits(),
        page_default: config.xapi.page_default,
        clock: api.clock.clone(),
        ids,
        budget: edge.budget.clone(),
        work: api.work.clone(),
        flags: flags.clone(),
        traces: edge.traces.clone(),
    }
}

impl Rooms {
    fn build(config: &Config, database: &Database, clock: Clock, ids: Ids) -> anyhow::Result<Self> {
        let metrics = Metrics::new()?;
        let store = Store::open(&database.settings)?.measured(&metrics);
        let (node, archive) = (ids.uuid().to_string(), jobs::archive(config, &store, &clock, &ids, &metrics)?);
        let (edge, pushes) = edge(config, (&clock, &ids), &metrics, &node)?;
        let (relay, audit) = (relay(config, &store, &edge, &clock)?, jobs::audit(config, &store, &clock, &metrics)?);
        let worker = Worker::new(store.clone(), metrics.clone(), &node);
        let identity = Identity::new(store.clone(), clock.clone(), ids.clone(), settings::identity(config))?;
        let migrations = jobs::migrations(config, database, &store, &metrics, &clock, &ids)?;
        let shelf = Shelf::new(&config.archive, &config.service.data_dir, settings::shelf(config), metrics.clone());
        let retention = jobs::retention(config, &store, Some(shelf.clone()), &clock, &ids, &metrics);
        let (cold, before) = (Cold::new(store.clone(), shelf), backups::BeforeRelease::new(config, database));
        let erasures = Erasures::new(&cold, &ids, config);
        let forwarder = forwarder(config, &cold, &clock, &ids, &metrics)?;
        let rollouts = Desk::new(&store, &ids, jobs::known_to_plans(config, &database.runner(config)?)?);
        let teller = tellings::teller(config, &store, &clock, &metrics)?;
        let (months, residency) = (months(config, &archive), jobs::residency(config, &store, &clock, &ids)?);
        let kinds = jobs::kinds((&migrations, before), &archive, &erasures, &residency, months.has_brokers);
        let jobs = JobRunner::new(store.clone(), metrics.clone(), &node, kinds);
        let (work, flags) = (Work::new(&config.work, &metrics), Flags::new(&store));
        let api = Api {
            store: store.clone(),
            reader: Reader::new(cold.clone(), config.xapi.page_bytes.0),
            trail: Trail::start(store.clone(), clock.clone(), &metrics),
            audit: audit.clone(),
            press: Press::new(config.transcript.fonts.clone(), config.transcript.deadline, &metrics),
            work,
            clock: clock.clone(),
            fetch_urls: FetchUrls::new(config.service.public_url.as_deref()),
            retention,
            erasures: erasures.clone(),
            exports: Exports::new(&cold),
        };
        let xapi = xapi_of(config, &api, &cold, &edge, ids, &flags);
        Ok(Self {
            residences: Data::new(Residences::new(&store)),
            edge,
            store,
            cold,
            identity: Data::new(identity),
            xapi: Data::new(xapi),
            api: Data::new(api),
            migrations: Data::new(migrations),
            months: Data::new(months),
            limits: Data::new(RateLimits::new(&config.limits)),
            worker,
            jobs,
            archive,
            audit,
            erasures,
            forwarder,
            flags: Data::new(flags),
            residency: Data::new(residency),
            backups: backups::keeper(config, database)?,
            rollouts,
            teller,
            relay,
            clock,
            pushes,
            history: History::start(&metrics),
        })
    }

    /// All routes, in the order in which they are tried.
    fn routes(&self, config: &Config) -> impl Fn(&mut ServiceConfig) + Clone + Send + use<> {
        let checks = self.checks();
        let health = health::routes(&self.edge, checks.clone(), config.service.metrics);
        let pages = pages::routes(Data::new(Pages {
            store: self.store.clone(),
            clock: self.clock.clone(),
            lifecycle: self.edge.lifecycle.clone(),
            checks,
            history: self.history.clone(),
            public_url: config.service.public_url.clone(),
            xapi: config.xapi.paths.first().cloned().unwrap_or_default(),
            backups: backups_shown(config),
            rollouts: self.rollouts.clone(),
            verifying: tokio::sync::Semaphore::new(1),
        }));
        let xapi = xapi::routes(self.xapi.clone(), &config.xapi.paths);
        let (identity, migrations, limits) = (self.identity.clone(), self.migrations.clone(), self.limits.clone());
        let (api, metrics) = (api::routes(self.api.clone()), Data::new(self.edge.metrics.clone()));
        let budget = Data::new(self.edge.budget.clone());
        let (flags, months, rollouts) = (self.flags.clone(), self.months.clone(), Data::new(self.rollouts.clone()));
        let (residences, residency) = (self.residences.clone(), self.residency.clone());
        let streams = Data::new(Streams::new(self.edge.lifecycle.clone()));
        move |cfg: &mut ServiceConfig| {
            cfg.app_data(metrics.clone())
                .app_data(budget.clone())
                .app_data(identity.clone())
                .app_data(migrations.clone())
                .app_data(limits.clone())
                .app_data(flags.clone())
                .app_data(rollouts.clone())
                .app_data(months.clone())
                .app_data(residences.clone())
                .app_data(residency.clone())
                .app_data(streams.clone());
            health(cfg);
            fetch::routes(cfg);
            xapi(cfg);
            api(cfg);
            pages(cfg);
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

/// Where backups lie, opened by who looks: a place that is not there is no reason not to start.
fn backups_shown(config: &Config) -> pages::OpenBackups {
    let config = config.clone();
    Arc::new(move || backups::place(&config).map_err(|error| format!("{error:#}")))
}

/// What changes the months by their schedule.
fn months(config: &Config, archive: &Archive) -> Months {
    Months {
        archive: archive.clone(),
        schedule: schedule(config),
        scheme: config.partitions.scheme,
        has_brokers: !config.kafka.brokers.is_empty(),
    }
}

fn relay(config: &Config, store: &Store, edge: &Edge, clock: &Clock) -> anyhow::Result<Option<Arc<Relay>>> {
    if config.kafka.brokers.is_empty() {
        return Ok(None);
    }
    let producer = Producer::connect(&config.kafka)?;
    let relay = Relay::new(store.clone(), producer, edge.metrics.clone(), clock.clone());
    Ok(Some(Arc::new(relay.traced(edge.traces.clone()))))
}
