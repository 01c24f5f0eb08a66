//! The archive: what was published, in which state the months are, what is due by the schedule and was not done.

use prometheus::{IntCounter, IntGauge, IntGaugeVec, Opts};

use super::{register, registry::Registry};

#[derive(Debug)]
pub struct ArchiveMetrics {
    /// Statements in segments that this node published.
    statements: IntCounter,
    /// Bytes of those segments.
    bytes: IntCounter,
    /// Published segments that were read and are not as they were written.
    damaged: IntCounter,
    /// Months, by state.
    months: IntGaugeVec,
    /// Months of which something is due by the schedule.
    due: IntGauge,
}

impl ArchiveMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let statements =
            Opts::new("progress_archive_statements_total", "statements of the segments that this node published");
        let bytes = Opts::new("progress_archive_bytes_total", "bytes of the segments that this node published");
        let damaged = Opts::new(
            "progress_archive_damaged_total",
            "published segments that `archive verify` found not to be as they were written",
        );
        let months = Opts::new(
            "progress_archive_months",
            "months of the ledger in each state, as the node that keeps the schedule saw them last",
        );
        let due = Opts::new(
            "progress_archive_due",
            "changes of months that are due by the schedule and were not done when it last looked",
        );
        Ok(Self {
            statements: register(registry, IntCounter::with_opts(statements))?,
            bytes: register(registry, IntCounter::with_opts(bytes))?,
            damaged: register(registry, IntCounter::with_opts(damaged))?,
            months: register(registry, IntGaugeVec::new(months, &["state"]))?,
            due: register(registry, IntGauge::with_opts(due))?,
        })
    }

    /// A segment was published.
    pub fn published(&self, statements: u64, bytes: u64) {
        self.statements.inc_by(statements);
        self.bytes.inc_by(bytes);
    }

    /// A published segment is not what it was.
    pub fn damaged(&self) {
        self.damaged.inc();
    }

    /// How many months are in a state.
    pub fn months(&self, state: &'static str, months: usize) {
        self.months.with_label_values(&[state]).set(i64::try_from(months).unwrap_or(i64::MAX));
    }

    /// How many changes are due.
    pub fn due(&self, changes: usize) {
        self.due.set(i64::try_from(changes).unwrap_or(i64::MAX));
    }
}
