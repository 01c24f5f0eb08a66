//! Background loops: take the lease, do a step, again. A loop that fails or panics backs off and is counted.
//!
//! The rooms of work only offer steps; a test calls a step, or [`Worker::turn`], by hand and never starts a loop. Long work
//! that somebody asked for is a job: see [`jobs`].

pub mod jobs;
mod lease;

use std::{
    error::Error,
    future::Future,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::lease::TERM;
use crate::{
    model::Lease,
    store::{Store, StoreError},
    telemetry::Metrics,
};

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What a step says about the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is more to do at once.
    More,
    /// Nothing to do until the loop's pause is over.
    Idle,
}

/// Why a step failed; only its text matters here.
pub type StepError = Box<dyn Error + Send + Sync>;

type StepFuture = Pin<Box<dyn Future<Output = Result<Step, StepError>> + Send>>;

/// A named piece of repeated work that one node at a time does.
#[derive(Clone)]
pub struct Loop {
    name: &'static str,
    pause: Duration,
    step: Arc<dyn Fn(Lease) -> StepFuture + Send + Sync>,
    divided: Option<Division>,
}

/// Loops that the nodes divide among each other.
#[derive(Clone, Copy)]
struct Division {
    /// How their names begin.
    prefix: &'static str,
    /// When this one is first offered to others, and how often after that.
    first: Duration,
    every: Duration,
}

impl Loop {
    /// `step` is called with the lease it runs under, for the store it works through: see [`Store::under`].
    pub fn new<F, Fut>(name: &'static str, pause: Duration, step: F) -> Self
    where
        F: Fn(Lease) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Step, StepError>> + Send + 'static,
    {
        Self { name, pause, step: Arc::new(move |lease| Box::pin(step(lease))), divided: None }
    }

    /// One of several whose names begin with `prefix`, which nodes divide among each other: whoever has two more of
    /// them than another node lets one go. The `first` offers must differ, or a node offers all it has at once.
    #[must_use]
    pub fn divided(mut self, prefix: &'static str, first: Duration, every: Duration) -> Self {
        self.divided = Some(Division { prefix, first, every });
        self
    }
}

/// How a turn ended.
#[derive(Debug)]
pub enum Turn {
    Did(Step),
    /// Another node holds the lease.
    Elsewhere,
    /// The lease went to another node in the middle; the step was dropped.
    Lost,
    Failed(StepError),
    Panicked,
}

/// Runs loops for one node.
#[derive(Clone)]
pub struct Worker {
    store: Store,
    metrics: Metrics,
    /// This process, as the lease table knows it.
    holder: Arc<str>,
    term: Duration,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Worker {
    pub fn new(store: Store, metrics: Metrics, holder: &str) -> Self {
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        Self { store, metrics, holder: holder.into(), term: TERM, stop, tasks }
    }

    /// The same with leases that last so long.
    #[must_use]
    pub fn with_term(self, term: Duration) -> Self {
        Self { term, ..self }
    }

    /// A part of this worker that can be stopped alone, and stops with it.
    #[must_use]
    pub fn shift(&self) -> Self {
        let shift = Self { stop: self.stop.child_token(), tasks: TaskTracker::new(), ..self.clone() };
        let (stop, tasks) = (shift.stop.clone(), shift.tasks.clone());
        self.tasks.spawn(async move {
            stop.cancelled().await;
            tasks.close();
            tasks.wait().await;
        });
        shift
    }

    /// Starts a loop on the current runtime.
    pub fn spawn(&self, work: Loop) {
        let worker = self.clone();
        self.tasks.spawn(async move { worker.drive(work).await });
    }

    /// Starts work that every node does for as long as it serves, without a lease; it ends by itself when told.
    pub fn accompany<Fut>(&self, work: impl FnOnce(CancellationToken) -> Fut)
    where
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.tasks.spawn(work(self.stop.clone()));
    }

    /// Asks every loop to end after its step and waits for them, at most `patience`. Leases are released.
    pub async fn stop(&self, patience: Duration) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(patience, self.tasks.wait()).await.is_err() {
            tracing::warn!(loops = self.tasks.len(), "loops did not stop in time");
        }
    }

    /// One turn: lease, step, report. Errors are logged here and nowhere else.
    pub async fn turn(&self, work: &Loop) -> Turn {
        self.turn_and_lease(work).await.0
    }

    /// A turn, and the lease where this node still has it after that.
    async fn turn_and_lease(&self, work: &Loop) -> (Turn, Option<Lease>) {
        match self.store.acquire_lease(work.name, &self.holder, self.term).await {
            Ok(Some(lease)) => {
                self.leads(work.name, true);
                let turn = self.step(work, lease.clone()).await;
                let lease = matches!(turn, Turn::Did(_)).then_some(lease);
                (turn, lease)
            }
            Ok(None) => {
                self.leads(work.name, false);
                (Turn::Elsewhere, None)
            }
            Err(error) => (self.failed(work, error.into()), None),
        }
    }

    async fn step(&self, work: &Loop, lease: Lease) -> Turn {
        let started = Instant::now();
        let turn = tokio::select! {
            outcome = AssertUnwindSafe((work.step)(lease.clone())).catch_unwind() => match outcome {
                Ok(Ok(step)) => Turn::Did(step),
                Ok(Err(error)) => self.failed(work, error),
                Err(_) => {
                    self.metrics.worker.panics.with_label_values(&[work.name]).inc();
                    tracing::error!(name = work.name, "a step panicked");
                    Turn::Panicked
                }
            },
            () = lease::keep(&self.store, &lease, self.term) => {
                tracing::warn!(name = work.name, "the lease went elsewhere during a step");
                Turn::Lost
            }
        };
        self.metrics.worker.step_seconds.with_label_values(&[work.name]).observe(started.elapsed().as_secs_f64());
        turn
    }

    fn leads(&self, name: &str, leads: bool) {
        self.metrics.worker.leading.with_label_values(&[name]).set(leads.into());
    }

    fn failed(&self, work: &Loop, error: StepError) -> Turn {
        self.metrics.worker.errors.with_label_values(&[work.name]).inc();
        tracing::warn!(name = work.name, %error, "a step failed");
        Turn::Failed(error)
    }

    async fn drive(&self, work: Loop) {
        let mut failures = 0;
        let mut offer_at = work.divided.map(|division| Instant::now() + division.first);
        while !self.stop.is_cancelled() {
            let (turn, mut lease) = self.turn_and_lease(&work).await;
            let mut pause = match turn {
                Turn::Did(Step::More) => Duration::ZERO,
                Turn::Did(Step::Idle) => work.pause,
                // A node that goes away is succeeded soon, however seldom the work is done.
                Turn::Elsewhere => work.pause.min(self.term),
                Turn::Failed(_) | Turn::Panicked | Turn::Lost => back_off(failures),
            };
            let stumbled = matches!(turn, Turn::Failed(_) | Turn::Panicked | Turn::Lost);
            failures = if stumbled { failures + 1 } else { 0 };
            if stumbled {
                // Perhaps another node can do what this one cannot.
                self.release(&work).await;
            }
            if let (Turn::Did(_), Some(division), Some(at)) = (turn, work.divided, &mut offer_at)
                && Instant::now() >= *at
            {
                *at = Instant::now() + division.every;
                if self.has_too_many(division.prefix).await {
                    self.release(&work).await;
                    lease = None;
                    // Long enough for another node to look.
                    pause = pause.max(work.pause * 2);
                }
            }
            self.rest(&work, pause, lease).await;
        }
        self.release(&work).await;
    }

    /// The pause between two turns. A lease is kept over it: else two nodes would think that they lead.
    async fn rest(&self, work: &Loop, pause: Duration, lease: Option<Lease>) {
        let lost = async {
            match lease {
                Some(lease) => lease::keep(&self.store, &lease, self.term).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = lost => self.leads(work.name, false),
            () = self.stop.cancelled() => {}
        }
    }

    /// Whether another node has, or a node that has none would have, at least two fewer of such leases.
    async fn has_too_many(&self, prefix: &str) -> bool {
        let Ok(mut held) = self.store.leases_held(prefix).await else { return false };
        let mine = held.remove(&*self.holder).unwrap_or_default();
        mine > held.values().min().copied().unwrap_or_default() + 1
    }

    async fn release(&self, work: &Loop) {
        self.leads(work.name, false);
        let released: Result<(), StoreError> = self.store.release_lease(work.name, &self.holder).await;
        if let Err(error) = released {
            tracing::debug!(name = work.name, %error, "the lease ends by itself");
        }
    }
}

/// Doubles with every failure in a row.
fn back_off(failures: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(2u32.saturating_pow(failures)).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn back_off_doubles_and_ends() {
        assert_eq!(back_off(0), Duration::from_secs(1));
        assert_eq!(back_off(3), Duration::from_secs(8));
        assert_eq!(back_off(40), LONGEST_PAUSE);
    }
}
