//! What the law asks for: what retention and erasures have removed, what waits to be, since when, and what is held.

use prometheus::{IntGauge, IntGaugeVec, Opts, Registry};

use super::register;

/// Read out of the database by the node that leads the loop `law`: every node's and every command's work is in them.
#[derive(Debug)]
pub struct LawMetrics {
    erasures: IntGaugeVec,
    erasure_oldest: IntGauge,
    erased: IntGaugeVec,
    removals: IntGaugeVec,
    removal_oldest_due: IntGauge,
    removed: IntGaugeVec,
    holds: IntGaugeVec,
}

impl LawMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauges = |name: &str, help: &str, label: &'static str| {
            register(registry, IntGaugeVec::new(Opts::new(name, help), &[label]))
        };
        let gauge = |name: &str, help: &str| register(registry, IntGauge::new(name, help));
        Ok(Self {
            erasures: gauges("progress_erasures", "requests to erase somebody, by state", "state")?,
            erasure_oldest: gauge(
                "progress_erasure_oldest_seconds",
                "when the oldest request was made that is to be carried out now, in seconds since 1970; 0: none is",
            )?,
            erased: gauges(
                "progress_erasure_removed",
                "what erasures have removed or written anew, by place",
                "place",
            )?,
            removals: gauges(
                "progress_retention_removals",
                "what retention has marked, by what became of it",
                "state",
            )?,
            removal_oldest_due: gauge(
                "progress_retention_oldest_due_seconds",
                "since when the oldest removal that was not made is due, in seconds since 1970; 0: none is marked",
            )?,
            removed: gauges("progress_retention_removed", "rows that retention has removed, by place", "place")?,
            holds: gauges("progress_holds", "legal holds that stand, by what they are over", "scope")?,
        })
    }

    /// How many requests are in each state, and when the oldest one was made that nothing keeps waiting.
    pub fn erasures(&self, states: &[(String, i64)], oldest: Option<i64>) {
        set(&self.erasures, states);
        self.erasure_oldest.set(oldest.unwrap_or_default());
    }

    pub fn erased(&self, places: &[(String, i64)]) {
        set(&self.erased, places);
    }

    /// How many removals are in each state, and since when the oldest is due that was not made.
    pub fn removals(&self, states: &[(String, i64)], oldest_due: Option<i64>) {
        set(&self.removals, states);
        self.removal_oldest_due.set(oldest_due.unwrap_or_default());
    }

    pub fn removed(&self, places: &[(String, i64)]) {
        set(&self.removed, places);
    }

    pub fn holds(&self, scopes: &[(String, i64)]) {
        set(&self.holds, scopes);
    }
}

/// What is not among them is none.
fn set(gauges: &IntGaugeVec, counts: &[(String, i64)]) {
    gauges.reset();
    for (label, count) in counts {
        gauges.with_label_values(&[label]).set(*count);
    }
}
