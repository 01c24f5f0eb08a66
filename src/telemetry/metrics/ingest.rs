//! Group commit: what waits, how large groups are, what became of statements.

use prometheus::{Counter, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts};

use super::{register, registry::Registry};

const SIZES: &[f64] = &[1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2000.0, 5000.0];

#[derive(Debug)]
pub struct IngestMetrics {
    /// What waits or is under way, in KiB, as of the latest request.
    pub queued_kib: IntGauge,
    /// Requests turned away because the queue was full.
    pub refused: IntCounter,
    /// Requests refused because the temporary folder could not take their attachments.
    pub spool_failures: IntCounter,
    /// Time that writers were at work on groups; of several at once, that of each.
    pub writing_seconds: Counter,
    /// Statements per transaction.
    pub group_size: Histogram,
    /// Statements by what became of them: `new`, `same`, `conflict`, `refused`.
    pub statements: IntCounterVec,
    /// Rules of cmi5 that statements broke, by whether they were `refused` for it or `counted` only.
    pub cmi5_violations: IntCounterVec,
    /// References that could not be followed. Any is an alarm: it should be possible.
    pub references_given_up: IntCounter,
}

impl IngestMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let group = HistogramOpts::new("progress_ingest_group_statements", "statements in one transaction");
        let statements = Opts::new(
            "progress_ingest_statements_total",
            "statements: `new`, `same`, `conflict`, `refused` (by cmi5's rules)",
        );
        let cmi5 = Opts::new("progress_cmi5_violations_total", "broken rules of cmi5 by what came of it");
        Ok(Self {
            queued_kib: register(registry, IntGauge::new("progress_ingest_queued_kib", "KiB waiting or under way"))?,
            refused: register(
                registry,
                IntCounter::new("progress_ingest_refused_total", "requests refused because the queue was full"),
            )?,
            spool_failures: register(
                registry,
                IntCounter::new(
                    "progress_ingest_spool_failures_total",
                    "requests whose attachments found no room in the temporary folder",
                ),
            )?,
            writing_seconds: register(
                registry,
                Counter::new(
                    "progress_ingest_writing_seconds_total",
                    "time that writers were at work on groups; of several at once, that of each: its rate is how many are at work",
                ),
            )?,
            group_size: register(registry, Histogram::with_opts(group.buckets(SIZES.to_vec())))?,
            cmi5_violations: register(registry, IntCounterVec::new(cmi5, &["rule", "outcome"]))?,
            references_given_up: register(
                registry,
                IntCounter::new(
                    "progress_references_given_up_total",
                    "references between statements that failed three times by themselves and are left",
                ),
            )?,
            statements: register(registry, IntCounterVec::new(statements, &["outcome"]))?,
        })
    }
}
