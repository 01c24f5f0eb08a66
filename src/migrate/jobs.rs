//! Runs asked for over the network: each a job with progress, one at a time, done by a node that has the same files.
//!
//! The lock against runs of the command line is the runner's own; a job that waits for it says so in its progress.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::{runtime::Handle, sync::mpsc};
use uuid::Uuid;

use super::{
    approve::LogLine,
    backfill::Backfills,
    checked::{self, Checked},
    checks::{self, Check, Host, Overrides},
    error::MigrateError,
    lint::{self, Review},
    modules::{self, Module},
    names::Category,
    plan::Wish,
    report::{Event, Report},
    run::{Request, Runner},
    tally::Tally,
};
use crate::{
    model::{Clock, Ids},
    store::{
        As, Store, StoreError,
        platform::jobs,
        schema::migrations::{
            blockers::Blocker,
            queue::{self, Waiting},
            waits::Wait,
        },
    },
    telemetry::Metrics,
};

/// The kind of the jobs, and what the audit trail calls asking for one.
pub const KIND: &str = "migrations.run";
/// A job that nobody has touched for so long is given up: its process went away.
const SILENCE: Duration = Duration::from_secs(60);

#[derive(Debug, thiserror::Error)]
pub enum JobError {
    #[error("the run {0} is not over yet")]
    Busy(Uuid),
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
pub struct RunProgress {
    pub planned: usize,
    pub done: usize,
    /// `module/file` that runs now.
    pub current: Option<String>,
    /// The server process that holds the lock this run waits for.
    pub waiting_for: Option<i32>,
    /// Who was in the way of the current file when it last stepped back.
    pub blocked_by: Vec<Blocker>,
    /// Who waited longer for the current file than anybody should, when that was first seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub makes_wait: Option<Wait>,
}

impl RunProgress {
    fn note(&mut self, event: Event) {
        match event {
            Event::Waiting { pid, .. } => self.waiting_for = pid,
            Event::Planned { files, .. } => (self.planned, self.waiting_for) = (files, None),
            Event::Started { module, file, .. } => self.current = Some(format!("{module}/{file}")),
            Event::Blocked { blockers, .. } => self.blocked_by = blockers,
            Event::MakesWait { wait, .. } => self.makes_wait = Some(wait),
            Event::Done { .. } => {
                (self.done, self.current, self.makes_wait) = (self.done + 1, None, None);
                self.blocked_by.clear();
            }
            Event::Failed { .. } | Event::Checked { .. } => {}
        }
    }

    /// The same as every job tells it, with all of this beside.
    fn of_job(&self) -> jobs::Progress {
        let more = match json!(self) {
            Value::Object(more) => more,
            _ => Map::new(),
        };
        let total = Some(self.planned as u64).filter(|planned| *planned > 0);
        jobs::Progress { done: self.done as u64, total, unit: "files", note: self.current.clone(), more }
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
    host: Host,
    metrics: Metrics,
    tally: Arc<Tally>,
    clock: Clock,
    ids: Ids,
    runtime: Handle,
    digest: String,
}

impl Jobs {
    /// Call it on the main runtime.
    pub fn new(store: Store, runner: Runner, host: Host, metrics: Metrics, clock: Clock, ids: Ids) -> Self {
        let (runner, runtime) = (Arc::new(runner), Handle::current());
        let tally = Arc::new(Tally::new(store.clone(), metrics.clone(), runner.modules()));
        let digest = modules::digest(runner.modules());
        Self { store, runner, host, metrics, tally, clock, ids, runtime, digest }
    }

    /// Of all files that a run here would look at.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// What the metrics learn of migrations, whoever runs them.
    pub fn tally(&self) -> &Arc<Tally> {
        &self.tally
    }

    /// The backfills of the same files.
    pub fn backfills(&self) -> Backfills {
        let disk = self.host.data_directory.clone();
        Backfills::new(&self.store, self.runner.modules(), &self.ids, &self.metrics, disk)
    }

    pub fn runner(&self) -> &Runner {
        &self.runner
    }

    pub async fn status(&self, module: Option<String>) -> Result<Report, JobError> {
        let runner = Arc::clone(&self.runner);
        let status = self.runtime.spawn(async move { runner.status_of(module.as_deref()).await });
        Ok(status.await.map_err(|_| JobError::Stopping)??)
    }

    pub async fn verify(&self, module: Option<String>) -> Result<Verification, JobError> {
        let (runner, clock, metrics) = (Arc::clone(&self.runner), self.clock.clone(), self.metrics.clone());
        let verify = self.runtime.spawn(async move {
            let report = runner.status_of(module.as_deref()).await?;
            let looked_at = |one: &&Module| module.as_deref().is_none_or(|name| name == one.name);
            let lint: Vec<Review> = runner.modules().iter().filter(looked_at).flat_map(lint::review).collect();
            let checks = checks::gather_after(&runner, &clock).await?;
            checks::count(&checks, &metrics);
            let failed = checks::worst(&checks) == checks::Status::Fail;
            let sound = report.problems.is_empty()
                && report.abandoned.is_empty()
                && !failed
                && !lint.iter().any(Review::has_errors);
            Ok::<_, MigrateError>(Verification { sound, report, lint, checks })
        });
        Ok(verify.await.map_err(|_| JobError::Stopping)??)
    }

    /// Everything that was tried, oldest first, and who waits for a lock of the database now.
    pub async fn tried(&self) -> Result<(Vec<LogLine>, Vec<Waiting>), JobError> {
        let runner = Arc::clone(&self.runner);
        let tried = self.runtime.spawn(async move {
            let waiting = queue::now(&runner.connect().await?).await?;
            Ok::<_, MigrateError>((runner.logs(None).await?, waiting))
        });
        Ok(tried.await.map_err(|_| JobError::Stopping)??)
    }

    /// The checks of the whole as it is now.
    pub async fn checks(&self) -> Result<Vec<Check>, MigrateError> {
        checks::gather_after(&self.runner, &self.clock).await
    }

    /// Puts a run into the queue and answers its id at once. It is done by a node that has the same files.
    pub async fn start(&self, order: &Order, by: &str) -> Result<Uuid, JobError> {
        let request = order.request(by)?;
        order.overrides()?;
        self.runner.check(&request)?;
        self.give_up().await?;
        let job = &jobs::NewJob {
            id: self.ids.uuid(),
            kind: KIND,
            tenant: None,
            by,
            approved_by: order.approved_by.as_deref(),
            parameters: json!(order),
            plan_digest: Some(&self.digest),
        };
        let put = self.store.run_once("migration_job_put", As::Worker, |tx| Box::pin(jobs::put_alone(tx, job)));
        put.await?.map_or(Ok(job.id), |unfinished| Err(JobError::Busy(unfinished)))
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
        let get = self.store.run_tx("migration_job", As::Worker, |tx| Box::pin(jobs::get(tx, id)));
        get.await?.filter(|job| job.kind == KIND).ok_or(JobError::Unknown(id))
    }

    /// The run itself, as the one step of its job. One that is begun again finds in the history what was applied already.
    pub async fn perform(&self, job: &jobs::Context) -> Result<Performed, JobError> {
        let order: Order = job.parameters()?;
        let (request, overrides) = (order.request(&job.job.requested_by)?, order.overrides()?);
        let (events, mut heard) = mpsc::unbounded_channel();
        let (runner, host, clock) = (Arc::clone(&self.runner), self.host.clone(), self.clock.clone());
        // The listener goes first only when the whole job does.
        let tell = move |event| drop(events.send(event));
        let run = async move { checked::run(&runner, &request, &overrides, &host, &clock, &tell).await };
        tokio::pin!(run);
        let mut progress = RunProgress::default();
        let outcome = loop {
            tokio::select! {
                outcome = &mut run => break outcome,
                Some(event) = heard.recv() => self.note(&mut progress, event, job),
            }
        };
        while let Ok(event) = heard.try_recv() {
            self.note(&mut progress, event, job);
        }
        self.tally.update().await;
        Ok(Performed::of(outcome))
    }

    /// Whether the run goes past a gate where files wait behind it: then what is there is worth keeping first.
    pub async fn passes_a_gate(&self, job: &jobs::Context) -> Result<bool, JobError> {
        let order: Order = job.parameters()?;
        Ok(order.force && !order.dry_run && !self.runner.status_of(None).await?.gated.is_empty())
    }

    fn note(&self, progress: &mut RunProgress, event: Event, job: &jobs::Context) {
        checked::observe(&self.metrics, &event);
        progress.note(event);
        job.progress(&progress.of_job());
    }
}

/// How a run ended.
#[derive(Debug)]
pub struct Performed {
    pub outcome: Value,
    /// Why it did not do what was asked.
    pub failure: Option<String>,
}

impl Performed {
    fn of(run: Result<Checked, MigrateError>) -> Self {
        match run {
            Ok(run) => Self { failure: (!run.is_well()).then(|| why(&run)), outcome: json!(run) },
            Err(error) => {
                let why = error.to_string();
                Self { outcome: json!({ "error": why }), failure: Some(why) }
            }
        }
    }
}

fn why(run: &Checked) -> String {
    let failed =
        run.report.failed.as_ref().map(|failed| format!("{}/{}: {}", failed.module, failed.file, failed.error));
    run.error.clone().or(failed).unwrap_or_else(|| run.outcome().to_owned())
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
        let mut progress = RunProgress::default();
        progress.note(Event::Waiting { pid: Some(7), application: None });
        assert_eq!(progress.waiting_for, Some(7));
        progress.note(Event::Planned { files: 2, withheld: 0 });
        progress.note(Event::Started { module: "m".into(), file: "001_a.sql".into(), number: 1, of: 2 });
        assert_eq!((progress.planned, progress.waiting_for), (2, None));
        assert_eq!(progress.current.as_deref(), Some("m/001_a.sql"));
    }
}
