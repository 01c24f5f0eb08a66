//! What people do with backfills: see them, ask for one, set its speed. Pausing and going on is what jobs have.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    super::{checks, lint, modules::Module},
    file::Backfill,
    pace::Around,
    run::{self, Asked, Stepped},
    steps::Steps,
};
use crate::{
    model::Ids,
    store::{
        As, Store, StoreError,
        door::error::AsStoreError,
        platform::{
            audit::{self, Entry},
            backfills::{self, Kept},
            jobs::{self, Context, Job, NewJob},
            leases,
        },
    },
    telemetry::{Metrics, metrics::Latencies},
};

/// The kind of the jobs, and what the audit trail calls asking for one.
pub const KIND: &str = "backfill.run";

/// Why something is not done with a backfill.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    #[error("there is no backfill {0:?}; `progress-service backfill list` prints all")]
    Unknown(String),
    #[error("the backfill {0} is not over yet")]
    Busy(Uuid),
    #[error("{name} was verified on {at}; --again does it once more")]
    Verified { name: String, at: String },
    #[error("{name} is not fit: {why}")]
    Unfit { name: String, why: String },
    #[error("a speed is a whole number from 1 to 100, in parts of a hundred of the time")]
    Speed,
    #[error("{0} was never asked for")]
    NoJob(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AsStoreError for DeskError {
    fn as_store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) => Some(error),
            _ => None,
        }
    }
}

/// A backfill as it stands.
#[derive(Clone, Debug)]
pub struct Standing {
    pub backfill: Backfill,
    pub kept: Option<Kept>,
    /// The last that was asked for.
    pub job: Option<Job>,
}

impl Standing {
    /// In a word: `waiting`, the state of its job, `verified`, or `changed` where the file is not the one that was walked with.
    pub fn word(&self) -> &'static str {
        match (&self.kept, &self.job) {
            (Some(kept), _) if kept.verified_at.is_some() && kept.checksum != self.backfill.checksum => "changed",
            (Some(kept), _) if kept.verified_at.is_some() => "verified",
            (_, Some(job)) => job.state.name(),
            _ => "waiting",
        }
    }
}

/// The backfills of this node's files.
#[derive(Clone)]
pub struct Backfills {
    store: Store,
    all: Arc<[Backfill]>,
    ids: Ids,
    metrics: Metrics,
    /// Where the data of an embedded server lie.
    disk: Option<PathBuf>,
    latencies: Arc<Mutex<Latencies>>,
    steps: Steps,
}

impl Backfills {
    pub fn new(store: &Store, modules: &[Module], ids: &Ids, metrics: &Metrics, disk: Option<PathBuf>) -> Self {
        let all = modules.iter().flat_map(|module| module.backfills.iter().cloned()).collect();
        let (latencies, steps) = (Arc::default(), Steps::default());
        Self { store: store.clone(), all, ids: ids.clone(), metrics: metrics.clone(), disk, latencies, steps }
    }

    /// The same, able to do what no statement can.
    #[must_use]
    pub fn with_steps(self, steps: Steps) -> Self {
        Self { steps, ..self }
    }

    /// The same through this store: under its lease, whoever has lost that begins nothing.
    #[must_use]
    pub fn through(&self, store: &Store) -> Self {
        Self { store: store.clone(), ..self.clone() }
    }

    /// Of all backfills: a node with others does others.
    pub fn digest(&self) -> String {
        let lines: Vec<_> = self.all.iter().map(|one| (one.name(), &one.checksum)).collect();
        crate::model::plan::digest(&lines)
    }

    pub fn find(&self, module: &str, file: &str) -> Option<&Backfill> {
        self.all.iter().find(|one| one.module == module && one.file == file)
    }

    /// By `module/file`, with or without `.sql`.
    pub fn named(&self, name: &str) -> Result<&Backfill, DeskError> {
        let is_it = |one: &&Backfill| one.name() == name || one.name().trim_end_matches(".sql") == name;
        self.all.iter().find(is_it).ok_or_else(|| DeskError::Unknown(name.to_owned()))
    }

    /// Every backfill, with the last job that was asked for.
    pub async fn list(&self) -> Result<Vec<Standing>, StoreError> {
        let all = &self.all;
        let look = self.store.run_tx("list_backfills", As::Worker, |tx| {
            Box::pin(async move {
                let (kept, mut found) = (backfills::all(tx).await?, Vec::new());
                for backfill in all.iter() {
                    let kept = kept.iter().find(|one| one.module == backfill.module && one.file == backfill.file);
                    let job = match kept.and_then(|kept| kept.job) {
                        Some(id) => jobs::get(tx, id).await?,
                        None => None,
                    };
                    found.push(Standing { backfill: backfill.clone(), kept: kept.cloned(), job });
                }
                Ok(found)
            })
        });
        look.await
    }

    /// Asks for one; a job does it. One that was verified is done again only where that is wanted.
    pub async fn start(&self, name: &str, again: bool, by: &str) -> Result<Uuid, DeskError> {
        let backfill = self.named(name)?;
        let unfit: Vec<String> = lint::backfill(backfill)
            .iter()
            .filter(|finding| finding.severity == lint::Severity::Error)
            .map(|finding| finding.message.clone())
            .collect();
        if !unfit.is_empty() {
            return Err(DeskError::Unfit { name: backfill.name(), why: unfit.join("; ") });
        }
        let (id, digest) = (self.ids.uuid(), self.digest());
        let (digest, name) = (&digest, backfill.name());
        let name = &name;
        self.store
            .run_once("start_backfill", As::Worker, |tx| {
                Box::pin(async move {
                    leases::check(tx).await?;
                    let Backfill { module, file, checksum, .. } = backfill;
                    let kept = backfills::all(tx).await?;
                    let kept = kept.iter().find(|one| one.module == *module && one.file == *file);
                    let at = kept.filter(|one| one.checksum == *checksum).and_then(|one| one.verified_at);
                    if let Some(at) = at.filter(|_| !again) {
                        return Err(DeskError::Verified { name: name.clone(), at: at.to_rfc3339() });
                    }
                    let asked = Asked { module: module.clone(), file: file.clone(), checksum: checksum.clone() };
                    let (tenant, approved_by, plan_digest) = (None, None, Some(digest.as_str()));
                    let new = NewJob { id, kind: KIND, tenant, by, approved_by, parameters: json!(asked), plan_digest };
                    if let Some(other) = jobs::put_alone(tx, &new).await? {
                        return Err(DeskError::Busy(other));
                    }
                    backfills::begin(tx, (module, file, checksum), id).await?;
                    Ok(id)
                })
            })
            .await
    }

    /// Sets how fast one goes, with an entry in the audit trail.
    pub async fn set_speed(&self, name: &str, speed: i32, by: &str) -> Result<(), DeskError> {
        let backfill = self.named(name)?;
        if !(1..=100).contains(&speed) {
            return Err(DeskError::Speed);
        }
        self.store
            .run_once("set_backfill_speed", As::Worker, |tx| {
                Box::pin(async move {
                    let Backfill { module, file, checksum, .. } = backfill;
                    backfills::set_speed(tx, (module, file, checksum), speed).await?;
                    let (tenant, action, subject) = (None, "backfill.speed", backfill.name());
                    let detail = json!({ "speed": speed });
                    audit::append(tx, &Entry { tenant, actor: by, action, subject, detail }).await?;
                    Ok(())
                })
            })
            .await
    }

    /// The last job of one.
    pub async fn job(&self, name: &str) -> Result<Uuid, DeskError> {
        let wanted = self.named(name)?;
        let kept = self.store.run_tx("backfill_job", As::Worker, |tx| Box::pin(backfills::all(tx))).await?;
        let kept = kept.iter().find(|one| one.module == wanted.module && one.file == wanted.file);
        kept.and_then(|kept| kept.job).ok_or_else(|| DeskError::NoJob(wanted.name()))
    }

    /// Does a step of a job.
    pub async fn step(&self, job: &Context) -> Result<Stepped, StoreError> {
        let asked: Asked = job.parameters()?;
        match self.find(&asked.module, &asked.file).filter(|one| one.checksum == asked.checksum) {
            Some(backfill) => run::step(job, (backfill, &self.steps), |log| self.around(log)).await,
            None => {
                let why = format!("{}/{} is another file than was asked for", asked.module, asked.file);
                Ok(Stepped::Failed { why, outcome: Value::Null })
            }
        }
    }

    /// What is known here beside the database's own answers.
    fn around(&self, log: Option<f64>) -> Around {
        let disk = self.disk.as_deref().and_then(checks::disk).map(|disk| (disk.free, disk.total));
        let p99 = {
            let mut before = self.latencies.lock().unwrap_or_else(PoisonError::into_inner);
            let now = self.metrics.http.latencies();
            let p99 = now.since(&before).p99();
            *before = now;
            p99
        };
        Around { disk, p99, log }
    }
}
