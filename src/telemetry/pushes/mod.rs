//! Metrics as they are at each turn, pushed to a collector. What fails is not sent again: counts only grow, so the next turn tells all
//! of it.

mod wire;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use tokio::{
    sync::Mutex,
    task::JoinHandle,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    Metrics,
    collector::{Collector, Failure},
};
use crate::model::Clock;

/// How long the last push may take.
const LAST: Duration = Duration::from_secs(5);
/// The least time between two lines of the log about pushes that failed.
const QUIET: Duration = Duration::from_secs(60);

/// What pushes until it is finished; without a collector nothing.
#[derive(Clone, Default)]
pub struct Pushes(Option<Arc<Pushing>>);

struct Pushing {
    stop: CancellationToken,
    task: Mutex<Option<JoinHandle<()>>>,
}

struct Pusher {
    collector: Collector,
    metrics: Metrics,
    clock: Clock,
    /// Since when counts have grown.
    began: DateTime<Utc>,
    complained: Option<Instant>,
}

impl Pushes {
    /// Nobody wants to know.
    pub fn off() -> Self {
        Self::default()
    }

    /// Starts to push on the current runtime, which must be the main one; the first time at once.
    pub fn start(collector: Collector, metrics: &Metrics, clock: &Clock, every: Duration) -> Self {
        let stop = CancellationToken::new();
        let (metrics, clock) = (metrics.clone(), clock.clone());
        let pusher = Pusher { collector, metrics, began: clock.now(), clock, complained: None };
        let task = tokio::spawn(pusher.run(every, stop.clone()));
        Self(Some(Arc::new(Pushing { stop, task: Mutex::new(Some(task)) })))
    }

    /// Pushes once more, for as long as there is patience.
    pub async fn finish(&self, patience: Duration) {
        let Some(pushing) = &self.0 else { return };
        pushing.stop.cancel();
        let Some(mut task) = pushing.task.lock().await.take() else { return };
        if timeout(patience.min(LAST), &mut task).await.is_err() {
            task.abort();
            tracing::warn!("the collector does not take the last metrics in time");
        }
    }
}

impl Pusher {
    async fn run(mut self, every: Duration, stop: CancellationToken) {
        let mut turns = interval(every);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_last = tokio::select! {
                biased;
                () = stop.cancelled() => true,
                _ = turns.tick() => false,
            };
            self.push().await;
            if is_last {
                return;
            }
        }
    }

    async fn push(&mut self) {
        let told = wire::encode(self.collector.resource(), &self.metrics, (self.began, self.clock.now()));
        let why = match self.collector.post("v1/metrics", Bytes::from(told)).await {
            Ok(answer) => match wire::rejected(&answer) {
                0 => return self.metrics.otlp.pushed("sent"),
                some => format!("it did not want {some} of the values"),
            },
            Err(Failure { why, may_pass: true }) => return self.failed("unreachable", &why),
            Err(Failure { why, may_pass: false }) => why,
        };
        self.failed("refused", &why);
    }

    fn failed(&mut self, outcome: &str, why: &str) {
        self.metrics.otlp.pushed(outcome);
        if self.complained.is_none_or(|at| at.elapsed() >= QUIET) {
            tracing::warn!(why, "metrics did not reach the collector; the next ones tell all of it");
            self.complained = Some(Instant::now());
        }
    }
}
