//! One job from its taking to its end on this node.

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use uuid::Uuid;

use super::{Context, Ended, JobKind, JobRunner, JobStep, Taken};
use crate::{
    model::job::State,
    store::{
        As, Store, StoreError,
        platform::jobs::{self, Job, Outcome},
    },
    worker::lease,
};

/// A step that fails so often in a row fails its job.
const TRIES: u32 = 5;
/// The first pause after a failure is this part of the lease's term, and each of the next ones twice the one before.
const FIRST_PAUSE: u32 = 30;
/// A job whose nodes went away so often in a row, before it came any further, is not tried again by itself: it may be why.
const CRASHES: i32 = 5;
/// A sign of life, and a look for what is asked of the job; well below the age at which it counts as stalled.
const BEAT: Duration = Duration::from_secs(1);
/// How often at most progress is written down.
const REPORT: Duration = Duration::from_millis(200);
/// How long to wait before an end is written down again that could not be.
const AGAIN: Duration = Duration::from_secs(1);

/// What a job's turn ends with, before it is written down.
enum End {
    Over(Outcome),
    Paused,
    HandedBack,
}

/// Where the steps of a job meet what is asked of it meanwhile.
struct Turn<'r> {
    runner: &'r JobRunner,
    kind: &'r JobKind,
    id: Uuid,
    /// Under the job's lease.
    store: Store,
    told: watch::Sender<Value>,
    /// Tells the steps to stop: the node does, or somebody asked for it.
    stop: CancellationToken,
}

impl JobRunner {
    /// Does a job until it is over, handed back or lost.
    pub async fn work(&self, taken: Taken, stop: &CancellationToken) -> Ended {
        let Taken { job, lease } = taken;
        let Some(kind) = self.kinds.iter().find(|kind| kind.name == job.kind) else { return Ended::Lost };
        let (metrics, began) = (&self.metrics.jobs, Instant::now());
        let (span, fence) = (tracing::info_span!("job", id = %job.id, kind = kind.name), lease.fence);
        metrics.started.with_label_values(&[kind.name]).inc();
        metrics.running.with_label_values(&[kind.name]).inc();
        let work = async {
            tracing::info!(attempt = job.attempts, fence, by = job.requested_by, "a job begins");
            let (id, store) = (job.id, self.store.under(&lease));
            let (told, stop) = (watch::Sender::new(job.progress.clone()), stop.child_token());
            let turn = Turn { runner: self, kind, id, store, told, stop };
            let ended = tokio::select! {
                ended = turn.whole(job) => ended,
                () = lease::keep(&self.store, &lease, self.term) => Ended::Lost,
            };
            tracing::info!(
                ended = ended.name(),
                seconds = began.elapsed().as_secs_f64(),
                "a job left this node's hands"
            );
            ended
        };
        let ended = Box::pin(work.instrument(span)).await;
        metrics.running.with_label_values(&[kind.name]).dec();
        metrics.ended.with_label_values(&[kind.name, ended.name()]).inc();
        metrics.seconds.with_label_values(&[kind.name]).observe(began.elapsed().as_secs_f64());
        ended
    }
}

impl Turn<'_> {
    /// All steps, beside the signs of life, and the end written down.
    async fn whole(&self, job: Job) -> Ended {
        let steps = async {
            let end = if job.crashes >= CRASHES { Ok(too_many_crashes()) } else { self.steps(job).await };
            match end {
                Ok(end) => Some(end),
                Err(StoreError::Fenced { .. }) => None,
                Err(error) => Some(failed(error.to_string())),
            }
        };
        let end = tokio::select! {
            end = steps => end,
            () = self.signs_of_life() => None,
        };
        match end {
            Some(end) => self.write(end).await,
            None => Ended::Lost,
        }
    }

    async fn steps(&self, mut job: Job) -> Result<End, StoreError> {
        let mut failures = 0;
        loop {
            match job.state {
                State::Cancelling | State::Cancelled => return Ok(End::Over(Outcome::Cancelled)),
                State::Pausing | State::Paused => return Ok(End::Paused),
                _ if self.stop.is_cancelled() => return Ok(End::HandedBack),
                _ => match self.step(job).await {
                    Ok(JobStep::More) => failures = 0,
                    Ok(JobStep::Done(outcome)) => return Ok(End::Over(Outcome::Succeeded(outcome))),
                    Ok(JobStep::Failed { why, outcome }) => return Ok(End::Over(Outcome::Failed { why, outcome })),
                    Err(why) => {
                        // A step that was refused because the job is another node's did not fail.
                        self.patiently(|| self.store.check_lease()).await?;
                        failures += 1;
                        if failures == TRIES {
                            return Ok(failed(why));
                        }
                        self.stumbled(&why, failures).await;
                    }
                },
            }
            job = self.again().await?;
        }
    }

    /// The job as its row is now: the next step begins from what the last one saved.
    async fn again(&self) -> Result<Job, StoreError> {
        let id = self.id;
        let gone = || StoreError::Shape { name: "job", detail: format!("the row of {id} is gone") };
        self.patiently(|| self.store.run_tx("job", As::Worker, |tx| Box::pin(jobs::get(tx, id))))
            .await?
            .ok_or_else(gone)
    }

    async fn step(&self, job: Job) -> Result<JobStep, String> {
        let context = Context::new(job, self.store.clone(), self.kind.format, self.told.clone(), self.stop.clone());
        match AssertUnwindSafe((self.kind.step)(Arc::new(context))).catch_unwind().await {
            Ok(Ok(step)) => Ok(step),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("a step panicked".to_owned()),
        }
    }

    async fn stumbled(&self, why: &str, failures: u32) {
        tracing::warn!(why, failures, "a step of a job failed and is begun again");
        self.runner.metrics.jobs.retries.with_label_values(&[self.kind.name]).inc();
        let pause = self.runner.term / FIRST_PAUSE * 2u32.saturating_pow(failures - 1);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = self.stop.cancelled() => {}
        }
    }

    /// Writes down again and again how far the job has come, and tells its steps what is asked of it. Returns when the job
    /// is another node's.
    async fn signs_of_life(&self) {
        let (id, mut told) = (self.id, self.told.subscribe());
        loop {
            let progress = &told.borrow_and_update().clone();
            let report = self.store.run_tx("job_report", As::Worker, |tx| Box::pin(jobs::report(tx, id, progress)));
            match report.await {
                Ok(Some(State::Pausing | State::Cancelling)) => self.stop.cancel(),
                Ok(_) => {}
                Err(StoreError::Fenced { .. }) => return,
                Err(error) => tracing::debug!(%error, "the progress of a job could not be written"),
            }
            tokio::time::sleep(REPORT).await;
            tokio::select! {
                _ = told.changed() => {}
                () = tokio::time::sleep(BEAT) => {}
            }
        }
    }

    /// Writes the end down, however long the database is away: the lease says when it is too late.
    async fn write(&self, end: End) -> Ended {
        let (id, progress) = (self.id, &self.told.borrow().clone());
        let (ended, written) = match &end {
            End::Over(outcome) => {
                let finish = || {
                    self.store.run_tx("job_finish", As::Worker, |tx| Box::pin(jobs::finish(tx, id, progress, outcome)))
                };
                (Ended::of(outcome), self.patiently(finish).await)
            }
            End::Paused | End::HandedBack => {
                let ended = if matches!(end, End::Paused) { Ended::Paused } else { Ended::HandedBack };
                let hand_back =
                    || self.store.run_tx("job_hand_back", As::Worker, |tx| Box::pin(jobs::hand_back(tx, id, progress)));
                (ended, self.patiently(hand_back).await)
            }
        };
        match written {
            Ok(()) => ended,
            Err(error) => {
                tracing::warn!(%error, "how a job ended could not be written down");
                Ended::Lost
            }
        }
    }

    /// Asks again while the database is away.
    async fn patiently<T, Asked: Future<Output = Result<T, StoreError>>>(
        &self,
        ask: impl Fn() -> Asked,
    ) -> Result<T, StoreError> {
        loop {
            match ask().await {
                Err(error) if error.is_temporary() => {
                    tracing::debug!(%error, "the row of a job is out of reach");
                    tokio::time::sleep(AGAIN).await;
                }
                answer => return answer,
            }
        }
    }
}

impl Ended {
    fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Succeeded(_) => Self::Succeeded,
            Outcome::Failed { .. } => Self::Failed,
            Outcome::Cancelled => Self::Cancelled,
        }
    }
}

fn failed(why: String) -> End {
    let outcome = serde_json::json!({ "error": why });
    End::Over(Outcome::Failed { why, outcome })
}

fn too_many_crashes() -> End {
    failed(format!("{CRASHES} nodes that had it went away before it came any further; `retry` tries it again"))
}
