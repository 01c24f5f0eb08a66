//! Reads of archived months: how many, how long, how much of it from the storage and from the cache, and what was refused.

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, Opts};

use super::{SECONDS, register, registry::Registry};

#[derive(Debug)]
pub struct ShelfMetrics {
    /// One question to one segment.
    pub seconds: Histogram,
    /// Statements that came out of segments.
    pub statements: IntCounter,
    bytes: IntCounterVec,
    /// Reads that waited for their turn as long as they may.
    pub refused: IntCounter,
    failures: IntCounterVec,
}

impl ShelfMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let seconds = HistogramOpts::new(
            "progress_archive_read_seconds",
            "time of one question to a segment, with all that it read of it",
        );
        let statements =
            IntCounter::new("progress_archive_read_statements_total", "statements that came out of archived months");
        let bytes = Opts::new(
            "progress_archive_read_bytes_total",
            "bytes read of archived months, from the `storage` or the `cache`",
        );
        let refused = IntCounter::new(
            "progress_archive_reads_refused_total",
            "reads that found no turn within `archive.read_wait`, and were answered 503",
        );
        let failures = Opts::new(
            "progress_archive_read_failures_total",
            "questions to archived months that failed: `storage`, `late`, `missing`, `damaged`",
        );
        Ok(Self {
            seconds: register(registry, Histogram::with_opts(seconds.buckets(SECONDS.to_vec())))?,
            statements: register(registry, statements)?,
            bytes: register(registry, IntCounterVec::new(bytes, &["from"]))?,
            refused: register(registry, refused)?,
            failures: register(registry, IntCounterVec::new(failures, &["why"]))?,
        })
    }

    pub fn read(&self, fetched: u64, cached: u64) {
        self.bytes.with_label_values(&["storage"]).inc_by(fetched);
        self.bytes.with_label_values(&["cache"]).inc_by(cached);
    }

    pub fn failed(&self, why: &str) {
        self.failures.with_label_values(&[why]).inc();
    }
}
