//! What goes to a collector: spans, how many it has and how many were lost; and all metrics, turn by turn.

use prometheus::{IntCounter, IntCounterVec, Opts};

use super::{register, registry::Registry};

/// Why spans are lost.
const REASONS: [&str; 4] = ["full", "unreachable", "refused", "stopped"];

#[derive(Debug)]
pub struct OtlpMetrics {
    /// Spans that the collector took.
    pub sent: IntCounter,
    dropped: IntCounterVec,
    pushes: IntCounterVec,
}

impl OtlpMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let dropped = Opts::new(
            "progress_otlp_spans_dropped_total",
            "spans that were lost: the queue was `full`, the collector was `unreachable` or `refused` them, or the service had \
            `stopped`",
        );
        let sent = IntCounter::new("progress_otlp_spans_sent_total", "spans that the collector took");
        let pushes = Opts::new(
            "progress_otlp_pushes_total",
            "times that all metrics went to the collector, by outcome: `sent`, or it was `unreachable` or `refused` them",
        );
        let metrics = Self {
            sent: register(registry, sent)?,
            dropped: register(registry, IntCounterVec::new(dropped, &["reason"]))?,
            pushes: register(registry, IntCounterVec::new(pushes, &["outcome"]))?,
        };
        // From the beginning, so that the first loss is an increase.
        REASONS.iter().for_each(|reason| metrics.dropped(reason, 0));
        Ok(metrics)
    }

    pub fn dropped(&self, reason: &str, spans: u64) {
        self.dropped.with_label_values(&[reason]).inc_by(spans);
    }

    pub fn pushed(&self, outcome: &str) {
        self.pushes.with_label_values(&[outcome]).inc();
    }

    /// Over all reasons.
    pub fn all_dropped(&self) -> u64 {
        REASONS.iter().map(|reason| self.dropped.with_label_values(&[reason]).get()).sum()
    }
}
