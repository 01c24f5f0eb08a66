//! Sends spans to the collector: some at a time, each some a few times, and says at most once a minute what was lost.

use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{span::Finished, wire};
use crate::telemetry::{
    Metrics,
    collector::{Collector, Failure},
};

/// Spans in one request.
const BATCH: usize = 512;
/// How long the first of them waits for the others.
const GATHER: Duration = Duration::from_secs(1);
/// How often the same spans are sent, with pauses that double.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);
/// The least time between two lines of the log about what was lost.
const QUIET: Duration = Duration::from_secs(60);

pub(super) struct Sender {
    collector: Collector,
    metrics: Metrics,
    stop: CancellationToken,
    complaint: Complaint,
}

/// What the log was told of losses.
struct Complaint {
    at: Option<Instant>,
    lost: u64,
    why: String,
}

impl Sender {
    pub fn new(collector: Collector, metrics: Metrics, stop: CancellationToken) -> Self {
        let complaint = Complaint { at: None, lost: 0, why: "the queue was full".to_owned() };
        Self { collector, metrics, stop, complaint }
    }

    /// Runs until it is told to stop and everything that waited was sent once more.
    pub async fn run(mut self, mut queue: mpsc::Receiver<Finished>) {
        let mut batch = Vec::with_capacity(BATCH);
        while self.fill(&mut queue, &mut batch).await {
            self.deliver(&batch).await;
            batch.clear();
            self.complain();
        }
    }

    /// Waits for spans until there are enough, or some have waited long enough; answers whether there are any.
    async fn fill(&self, queue: &mut mpsc::Receiver<Finished>, batch: &mut Vec<Finished>) -> bool {
        let first = tokio::select! {
            biased;
            () = self.stop.cancelled() => {
                queue.close();
                queue.recv_many(batch, BATCH).await
            }
            first = queue.recv_many(batch, BATCH) => first,
        };
        let gather = async { while batch.len() < BATCH && queue.recv_many(batch, BATCH - batch.len()).await > 0 {} };
        if first > 0 && !self.stop.is_cancelled() {
            tokio::select! {
                () = gather => {}
                () = sleep(GATHER) => {}
                () = self.stop.cancelled() => {}
            }
        }
        first > 0
    }

    async fn deliver(&mut self, batch: &[Finished]) {
        let body = Bytes::from(wire::encode(self.collector.resource(), batch));
        let (all, mut pause) = (batch.len() as u64, PAUSE);
        for attempt in 1..=TRIES {
            match self.collector.post("v1/traces", body.clone()).await {
                Ok(answer) => {
                    let rejected = wire::rejected(&answer).min(all);
                    self.metrics.otlp.sent.inc_by(all - rejected);
                    return self.lose("refused", rejected, "the collector did not want some of them");
                }
                Err(Failure { may_pass: true, .. }) if attempt < TRIES && !self.stop.is_cancelled() => {
                    let _stopped = timeout(pause, self.stop.cancelled()).await;
                    pause *= 2;
                }
                Err(Failure { may_pass, why }) => {
                    return self.lose(if may_pass { "unreachable" } else { "refused" }, all, &why);
                }
            }
        }
    }

    fn lose(&mut self, reason: &str, spans: u64, why: &str) {
        if spans > 0 {
            self.metrics.otlp.dropped(reason, spans);
            why.clone_into(&mut self.complaint.why);
        }
    }

    fn complain(&mut self) {
        let lost = self.metrics.otlp.all_dropped();
        let Complaint { at, lost: told, why } = &mut self.complaint;
        if lost > *told && at.is_none_or(|at| at.elapsed() >= QUIET) {
            tracing::warn!(spans = lost - *told, why, "spans were lost on their way to the collector");
            (*at, *told) = (Some(Instant::now()), lost);
        }
    }
}
