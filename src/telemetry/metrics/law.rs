//! What the law asks for: what retention and erasures have removed, what waits to be, since when, and what is held.

use prometheus::{IntGauge, IntGaugeVec, Opts};

use super::{register, registry::Registry};

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
            erasures: gauges(
                "progress_erasures",
                "requests to erase somebody: `requested`, `hidden` (being removed), `queued` (a law keeps it), \
                `erased`, `refused`. Figures of erasure, retention and holds are read out of the database by the \
                node that leads the loop `law`, each half minute: the work of every node and command is in them",
                "state",
            )?,
            erasure_oldest: gauge(
                "progress_erasure_oldest_seconds",
                "Unix time at which the oldest request was made that is to be carried out now; 0: none is",
            )?,
            erased: gauges(
                "progress_erasure_removed",
                "what erasures removed or wrote anew: `statements`, `archived`, `redacted`, `archivedRedacted`, \
                `segments`, `objects`, `bytesRemoved`, `bytesWritten`, `documents`, `attachments`, `agents`, \
                `launches`, `words`, `attempts`, `projectedRows`",
                "place",
            )?,
            removals: gauges(
                "progress_retention_removals",
                "what retention has marked: `marked`, `removing`, `removed`, `spared`",
                "state",
            )?,
            removal_oldest_due: gauge(
                "progress_retention_oldest_due_seconds",
                "Unix time at which the oldest removal that was not made became due, or will; 0: none is marked",
            )?,
            removed: gauges(
                "progress_retention_removed",
                "rows that retention removed: `statements`, `documents`, `attachments`, `attempts`, `events`",
                "place",
            )?,
            holds: gauges(
                "progress_holds",
                "legal holds that stand: over a `tenant`, a `person`, a `registration` or a `course`",
                "scope",
            )?,
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
