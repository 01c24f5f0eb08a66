//! Commands of other services: what became of them, how long they took, and what kept them waiting.

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, Opts};

use super::{SECONDS, register, registry::Registry};

#[derive(Debug)]
pub struct InboxMetrics {
    /// Messages by type and by what became of them: `recorded`, `repeated`, `refused`.
    pub messages: IntCounterVec,
    /// From being sent to being settled.
    pub delay_seconds: Histogram,
    /// Times that the brokers or the database kept commands waiting.
    pub errors: IntCounter,
}

impl InboxMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let messages =
            Opts::new("progress_inbox_messages_total", "commands of other services: `recorded`, `repeated`, `refused`");
        let delay =
            HistogramOpts::new("progress_inbox_delay_seconds", "time of a command from being sent to being settled")
                .buckets([&SECONDS[..], &[30.0, 60.0, 300.0]].concat());
        let errors =
            IntCounter::new("progress_inbox_errors_total", "times that commands of other services could not be taken");
        Ok(Self {
            messages: register(registry, IntCounterVec::new(messages, &["type", "outcome"]))?,
            delay_seconds: register(registry, Histogram::with_opts(delay))?,
            errors: register(registry, errors)?,
        })
    }
}
