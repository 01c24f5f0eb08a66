//! The one job runner: a node takes a job that waits, does its steps under a lease, tells how far it has come, and lets go.
//!
//! What a kind of job does is known to its room alone; `app` registers kinds. A node that dies, or loses its lease, leaves a
//! job that another goes on with from its last checkpoint.

mod turn;

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use serde_json::Value;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{StepError, lease::TERM};
pub use crate::store::platform::jobs::{Context, Progress};
use crate::{
    model::Lease,
    store::{
        As, Store, StoreError,
        platform::jobs::{self, Job, Known},
    },
    telemetry::Metrics,
};

/// How often a node looks for a job to take.
const LOOK: Duration = Duration::from_millis(500);
/// How seldom it looks while it cannot.
const LONGEST_LOOK: Duration = Duration::from_secs(5);

/// What a step says of its job.
#[derive(Clone, Debug, PartialEq)]
pub enum JobStep {
    /// It goes on: what was done stands in the checkpoint.
    More,
    Done(Value),
    /// It is over without having done what was asked, and trying again by itself would not help.
    Failed {
        why: String,
        outcome: Value,
    },
}

type StepFuture = Pin<Box<dyn Future<Output = Result<JobStep, StepError>> + Send>>;

/// A kind of job.
#[derive(Clone)]
pub struct JobKind {
    name: &'static str,
    plan: Option<String>,
    format: i32,
    step: Arc<dyn Fn(Arc<Context>) -> StepFuture + Send + Sync>,
}

impl JobKind {
    /// `step` is called again and again until it says that the job is over. One that fails is begun again a few times.
    pub fn new<F, Fut>(name: &'static str, step: F) -> Self
    where
        F: Fn(Arc<Context>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<JobStep, StepError>> + Send + 'static,
    {
        Self { name, plan: None, format: 1, step: Arc::new(move |context| Box::pin(step(context))) }
    }

    /// Only jobs that were asked for with this plan: what a node of another release would do is something else.
    #[must_use]
    pub fn of_plan(self, digest: String) -> Self {
        Self { plan: Some(digest), ..self }
    }

    /// The format of the checkpoints it writes; it reads older ones, and a newer one is left to newer nodes.
    #[must_use]
    pub fn with_format(self, format: i32) -> Self {
        Self { format, ..self }
    }
}

/// How a job left this node's hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Succeeded,
    Failed,
    Cancelled,
    Paused,
    /// This node stops; another, or its next start, goes on.
    HandedBack,
    /// Another node has it, or will.
    Lost,
}

impl Ended {
    fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Paused => "paused",
            Self::HandedBack => "handed_back",
            Self::Lost => "lost",
        }
    }
}

/// A job in this node's hands.
#[derive(Debug)]
pub struct Taken {
    pub job: Job,
    lease: Lease,
}

/// Does jobs for one node.
#[derive(Clone)]
pub struct JobRunner {
    store: Store,
    metrics: Metrics,
    /// This process, as the lease table knows it.
    holder: Arc<str>,
    kinds: Arc<[JobKind]>,
    term: Duration,
}

impl JobRunner {
    pub fn new(store: Store, metrics: Metrics, holder: &str, kinds: Vec<JobKind>) -> Self {
        Self { store, metrics, holder: holder.into(), kinds: kinds.into(), term: TERM }
    }

    /// The same with leases that last so long.
    #[must_use]
    pub fn with_term(self, term: Duration) -> Self {
        Self { term, ..self }
    }

    /// Looks for jobs and does them, several at a time but one of each kind, until told to stop. Then what runs ends its
    /// step and is handed back.
    pub async fn run(self, stop: CancellationToken) {
        let (mut at_work, mut pause, mut said) = (JoinSet::new(), LOOK, String::new());
        // Told once nothing more is taken: what was handed back before that, this node would take again.
        let hand_back = CancellationToken::new();
        while !stop.is_cancelled() {
            match self.take(None).await {
                Ok(Some(taken)) => {
                    let (runner, hand_back) = (self.clone(), hand_back.clone());
                    at_work.spawn(async move { runner.work(taken, &hand_back).await });
                    (pause, said) = (Duration::ZERO, String::new());
                }
                Ok(None) => (pause, said) = (LOOK, String::new()),
                Err(error) => {
                    let why = error.to_string();
                    if why != said {
                        tracing::warn!(%error, "no job can be taken just now");
                    }
                    (pause, said) = ((pause * 2).clamp(LOOK, LONGEST_LOOK), why);
                }
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => {}
                Some(_) = at_work.join_next() => {}
            }
        }
        hand_back.cancel();
        while at_work.join_next().await.is_some() {}
    }

    /// Takes a job that waits, or only this one if it does.
    pub async fn take(&self, only: Option<Uuid>) -> Result<Option<Taken>, StoreError> {
        let known = &self.known();
        let waits =
            self.store.run_tx("job_waits", As::Worker, |tx| Box::pin(jobs::has_waiting(tx, known, only))).await?;
        if !waits {
            return Ok(None);
        }
        let (holder, term) = (&*self.holder, self.term);
        let take = self.store.run_once("job_take", As::Worker, |tx| {
            Box::pin(async move { jobs::take(tx, known, only, holder, term).await })
        });
        Ok(take.await?.map(|(job, lease)| Taken { job, lease }))
    }

    fn known(&self) -> Known {
        let mut known = Known::default();
        self.kinds.iter().for_each(|kind| known.add(kind.name, kind.plan.clone(), kind.format));
        known
    }
}
