//! The log of the audit trail: how long it is, how far it is anchored outside, and what could not be.

use prometheus::{IntCounterVec, IntGauge, IntGaugeVec, Opts};

use super::{register, registry::Registry};

#[derive(Debug)]
pub struct AuditMetrics {
    /// Entries that have a place in the log, as the node knows that gives places.
    pub entries: IntGauge,
    /// How many of them lie under a checkpoint outside of the database, by where.
    pub anchored: IntGaugeVec,
    pub anchor_failures: IntCounterVec,
}

impl AuditMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let entries = IntGauge::new(
            "progress_audit_log_entries",
            "entries of the audit trail that have a place in the log, as the node knows that gives places",
        );
        let anchored = Opts::new(
            "progress_audit_anchored_entries",
            "how many entries of the log lie under a checkpoint outside: `objects`, `kafka`; alert when it stays \
            behind",
        );
        let failures =
            Opts::new("progress_audit_anchor_failures_total", "checkpoints that could not be brought outside");
        Ok(Self {
            entries: register(registry, entries)?,
            anchored: register(registry, IntGaugeVec::new(anchored, &["place"]))?,
            anchor_failures: register(registry, IntCounterVec::new(failures, &["place"]))?,
        })
    }
}
