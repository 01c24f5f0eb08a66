//! Runs asked for over the network: each a job with progress, one at a time in this process.
//!
//! The lock between processes is the runner's own; a job that waits for it says so in its progress.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::{
    runtime::Handle,
    sync::{Mutex, OwnedMutexGuard, mpsc},
};
use uuid::Uuid;

use super::{
    checked::{self, Checked},
    checks::{self, Check, Overrides, Place},
    lint::{self, Review},
    names::Category,
    plan::Wish,
    report::{Event, Report},
    run::{MigrateError, Request, Runner},
    tally::Tally,
};
use crate::{
    model::{Clock, Ids},
    store::{
        As, Store, StoreError,
        platform::{audit, jobs},
        schema::migrations::blockers::Blocker,
    },
    telemetry::Metrics,
};

const KIND: &str = "migrations.run";
/// Well below the age at which a job counts as stalled.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// A job that nobody has touched for so long is given up: its process went away.
const SILENCE: Duration = Duration::from_secs(60);

#[derive(Debug, thiserror::Error)]
pub enum JobError {
    #[error("another run is at work in this process")]
    Busy,
    #[error("there is no run {0}")]
    Unknown(Uuid),
    #[error("{0}")]
    Order(String),
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the service is stopping")]
    Stopping,
}

/// What a caller may ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Order {
    /// One module; absent or `all` means every one.
    pub module: Option<String>,
    /// `startup`, `release`, `seed` or `data`; absent means every one.
    pub category: Option<String>,
    pub dry_run: bool,
    /// Confirms the manual gate of release and data files.
    pub force: bool,
    /// Who approved what is destructive.
    pub approved_by: Option<String>,
    pub steps: Option<u32>,
    /// Failed checks to go past, by name.
    #[serde(rename = "override")]
    pub overrides: Vec<String>,
    /// Why those checks are gone past.
    pub reason: Option<String>,
}

impl Order {
    fn overrides(&self) -> Result<Overrides, JobError> {
        Overrides::new(&self.overrides, self.reason.as_deref()).map_err(|error| JobError::Order(error.to_string()))
    }

    fn request(&self, by: &str) -> Result<Request, JobError> {
        let category = self.category.as_deref().map(|name| {
            let unknown = || JobError::Order(format!("there is no category {name:?}: startup, release, seed or data"));
            Category::parse(name).ok_or_else(unknown)
        });
        let wish = Wish {
            modules: self.module.clone().filter(|name| name != "all").map(|name| vec![name]),
            categories: category.transpose()?.map(|category| vec![category]),
            force: self.force,
            approved_by: self.approved_by.clone(),
            steps: self.steps.map(|steps| steps as usize),
            ..Wish::default()
        };
        Ok(Request { wish, dry_run: self.dry_run, applied_by: by.to_owned() })
    }
}

/// How far a run has come.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Progress {
    pub planned: usize,
    pub done: usize,
    /// `module/file` that runs now.
    pub current: Option<String>,
    /// The server process that holds the lock this run waits for.
    pub waiting_for: Option<i32>,
    /// Who was in the way of the current file when it last stepped back.
    pub blocked_by: Vec<Blocker>,
}

impl Progress {
    fn note(&mut self, event: Event) {
        match event {
            Event::Waiting { pid, .. } => self.waiting_for = pid,
            Event::Planned { files, .. } => (self.planned, self.waiting_for) = (files, None),
            Event::Started { module, file, .. } => self.current = Some(format!("{module}/{file}")),
            Event::Blocked { blockers, .. } => self.blocked_by = blockers,
            Event::Done { .. } => {
                (self.done, self.current) = (self.done + 1, None);
                self.blocked_by.clear();
            }
            Event::Failed { .. } | Event::Checked { .. } => {}
        }
    }
}

/// Everything there is to say about a schema: history against files, the linter, the checks after a migration.
#[derive(Debug, Serialize)]
pub struct Verification {
    pub sound: bool,
    pub report: Report,
    pub lint: Vec<Review>,
    pub checks: Vec<Check>,
}

/// The runner as the network may use it. Work runs on the main runtime, whatever becomes of the request.
#[derive(Clone)]
pub struct Jobs {
    store: Store,
    runner: Arc<Runner>,
    place: Place,
    metrics: Metrics,
    tally: Arc<Tally>,
    clock: Clock,
    ids: Ids,
    runtime: Handle,
    busy: Arc<Mutex<()>>,
}

impl Jobs {
    /// Call it on the main runtime.
    pub fn new(store: Store, runner: Runner, place: Place, metrics: Metrics, clock: Clock, ids: Ids) -> Self {
        let (runner, runtime) = (Arc::new(runner), Handle::current());
        let tally = Arc::new(Tally::new(store.clone(), metrics.clone(), runner.modules()));
        Self { store, runner, place, metrics, tally, clock, ids, runtime, busy: Arc::default() }
    }

    /// What the metrics learn of migrations, whoever runs them.
    pub fn tally(&self) -> &Arc<Tally> {
        &self.tally
    }

    pub fn runner(&self) -> &Runner {
        &self.runner
    }

    pub async fn status(&self) -> Result<Report, JobError> {
        let runner = Arc::clone(&self.runner);
        let status = self.runtime.spawn(async move { runner.status().await });
        Ok(status.await.map_err(|_| JobError::Stopping)??)
    }

    pub async fn verify(&self) -> Result<Verification, JobError> {
        let (runner, clock) = (Arc::clone(&self.runner), self.clock.clone());
        let verify = self.runtime.spawn(async move {
            let report = runner.status().await?;
            let lint: Vec<Review> = runner.modules().iter().flat_map(lint::review).collect();
            let checks = checks::gather_after(&runner, &clock).await?;
            let failed = checks::worst(&checks) == checks::Status::Fail;
            let sound = report.problems.is_empty()
                && report.abandoned.is_empty()
                && !failed
                && !lint.iter().any(Review::has_errors);
            Ok::<_, MigrateError>(Verification { sound, report, lint, checks })
        });
        Ok(verify.await.map_err(|_| JobError::Stopping)??)
    }

    /// Starts a run and answers its id at once.
    pub async fn start(&self, order: &Order, by: &str) -> Result<Uuid, JobError> {
        let (request, overrides) = (order.request(by)?, order.overrides()?);
        self.runner.check(&request)?;
        let busy = Arc::clone(&self.busy).try_lock_owned().map_err(|_| JobError::Busy)?;
        self.give_up().await?;
        let id = self.ids.uuid();
        let asked = json!(order);
        self.store
            .run_once("migration_job_insert", As::Worker, |tx| {
                let (asked, by) = (asked.clone(), by.to_owned());
                Box::pin(async move {
                    jobs::insert(tx, id, KIND, &by, &asked).await?;
                    let (action, subject) = ("migrations.run", id.to_string());
                    let entry = audit::Entry { tenant: None, actor: &by, action, subject, detail: asked };
                    audit::append(tx, &entry).await
                })
            })
            .await?;
        self.runtime.spawn(self.clone().work(id, request, overrides, busy));
        Ok(id)
    }

    /// Runs whose process died are failed runs, once somebody looks.
    async fn give_up(&self) -> Result<(), StoreError> {
        let given_up = self
            .store
            .run_tx("migration_jobs_give_up", As::Worker, |tx| Box::pin(jobs::give_up(tx, KIND, SILENCE)))
            .await?;
        if given_up > 0 {
            tracing::error!(given_up, "migration runs whose process went away are given up");
            self.metrics.migrations.runs.with_label_values(&["stalled"]).inc_by(given_up);
        }
        Ok(())
    }

    pub async fn get(&self, id: Uuid) -> Result<jobs::Job, JobError> {
        self.give_up().await?;
        let get = self.store.run_tx("migration_job", As::Worker, |tx| Box::pin(jobs::get(tx, id, KIND)));
        get.await?.ok_or(JobError::Unknown(id))
    }

    /// The run itself. The guard keeps others out until the outcome is written.
    async fn work(self, id: Uuid, request: Request, overrides: Overrides, busy: OwnedMutexGuard<()>) {
        let (events, mut heard) = mpsc::unbounded_channel();
        let (runner, place, clock) = (Arc::clone(&self.runner), self.place.clone(), self.clock.clone());
        // The listener goes first only when the whole runtime does.
        let tell = move |event| drop(events.send(event));
        let run = async move { checked::run(&runner, &request, &overrides, &place, &clock, &tell).await };
        tokio::pin!(run);
        let mut progress = Progress::default();
        let mut beat = tokio::time::interval(HEARTBEAT);
        let outcome = loop {
            tokio::select! {
                outcome = &mut run => break outcome,
                Some(event) = heard.recv() => self.note(&mut progress, event),
                _ = beat.tick() => {}
            }
            self.write(id, &json!(progress), None).await;
        };
        while let Ok(event) = heard.try_recv() {
            self.note(&mut progress, event);
        }
        let (well, outcome) = judge(outcome);
        self.tally.update().await;
        self.write(id, &json!(progress), Some((well, outcome))).await;
        drop(busy);
    }

    fn note(&self, progress: &mut Progress, event: Event) {
        checked::observe(&self.metrics, &event);
        progress.note(event);
    }

    /// A row that cannot be written stops no migration: the history is what counts.
    async fn write(&self, id: Uuid, progress: &Value, outcome: Option<(bool, Value)>) {
        let written = self.store.run_tx("migration_job_progress", As::Worker, |tx| {
            let (progress, outcome) = (progress.clone(), outcome.clone());
            Box::pin(async move {
                match outcome {
                    Some((well, outcome)) => jobs::finish(tx, id, well, &progress, &outcome).await,
                    None => jobs::progress(tx, id, &progress).await,
                }
            })
        });
        if let Err(error) = written.await {
            tracing::warn!(%error, job = %id, "the progress of a migration run could not be written");
        }
    }
}

fn judge(outcome: Result<Checked, MigrateError>) -> (bool, Value) {
    match outcome {
        Ok(run) => (run.is_well(), json!(run)),
        Err(error) => (false, json!({ "error": error.to_string() })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_becomes_a_request() {
        let order: Order =
            serde_json::from_value(json!({ "module": "ledger", "category": "release", "force": true })).unwrap();
        let request = order.request("key:x").unwrap();
        assert_eq!(request.wish.modules, Some(vec!["ledger".to_owned()]));
        assert_eq!(request.wish.categories, Some(vec![Category::Release]));
        assert!(request.wish.force && !request.dry_run && !request.wish.bootstrap);
        assert_eq!(request.applied_by, "key:x");
        let all = Order { module: Some("all".into()), ..Order::default() };
        assert_eq!(all.request("x").unwrap().wish.modules, None);
        let odd = Order { category: Some("odd".into()), ..Order::default() };
        assert!(matches!(odd.request("x"), Err(JobError::Order(_))));
        assert!(serde_json::from_value::<Order>(json!({ "bootstrap": true })).is_err());
        let past: Order = serde_json::from_value(json!({ "override": ["backup"], "reason": "made by hand" })).unwrap();
        assert_eq!(past.overrides().unwrap().reason(), "made by hand");
        let silent: Order = serde_json::from_value(json!({ "override": ["backup"] })).unwrap();
        assert!(matches!(silent.overrides(), Err(JobError::Order(why)) if why.contains("reason")));
    }

    #[test]
    fn progress_follows_the_events() {
        let mut progress = Progress::default();
        progress.note(Event::Waiting { pid: Some(7), application: None });
        assert_eq!(progress.waiting_for, Some(7));
        progress.note(Event::Planned { files: 2, withheld: 0 });
        progress.note(Event::Started { module: "m".into(), file: "001_a.sql".into(), number: 1, of: 2 });
        assert_eq!((progress.planned, progress.waiting_for), (2, None));
        assert_eq!(progress.current.as_deref(), Some("m/001_a.sql"));
    }
}
