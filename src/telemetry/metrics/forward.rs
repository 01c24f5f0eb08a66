//! Forwards to other LRSs: how far behind each is, what they took, and what they refused.

use prometheus::{GaugeVec, IntCounterVec, Opts};

use super::{register, registry::Registry};

/// Forwards that are told apart: those with the lowest numbers. All others are one.
pub const TOLD_APART: usize = 100;

#[derive(Debug)]
pub struct ForwardMetrics {
    /// Age of the oldest statement that is not settled, by tenant and name.
    pub lag_seconds: GaugeVec,
    /// What the other side said that it has.
    pub sent: IntCounterVec,
    /// What it takes never.
    pub refused: IntCounterVec,
    /// Tries that came to nothing.
    pub failures: IntCounterVec,
}

impl ForwardMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let labels = &["tenant", "forward"];
        let counter = |name, help| register(registry, IntCounterVec::new(Opts::new(name, help), labels));
        let lag = Opts::new(
            "progress_forward_lag_seconds",
            "age of the oldest statement that another LRS waits for, by the node that leads the loop; also of \
            forwards that are paused. The hundred that were made first are told apart, all others are `other` \
            (docs/data.md)",
        );
        Ok(Self {
            lag_seconds: register(registry, GaugeVec::new(lag, labels))?,
            sent: counter("progress_forward_sent_total", "statements that another LRS has taken")?,
            refused: counter(
                "progress_forward_refused_total",
                "statements that another LRS refused for good: `forward status` names them",
            )?,
            failures: counter(
                "progress_forward_failures_total",
                "tries to send to another LRS that came to nothing; the next one waits longer",
            )?,
        })
    }
}
