//! Transactions: how long by name, how often repeated, how often lost.

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts};

use super::{SECONDS, register, registry::Registry};

#[derive(Debug)]
pub struct StoreMetrics {
    seconds: HistogramVec,
    retries: IntCounterVec,
    failures: IntCounterVec,
}

impl StoreMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let seconds = HistogramOpts::new("progress_store_tx_seconds", "time of a transaction with its retries");
        let retries = Opts::new("progress_store_retries_total", "transactions run again, by SQLSTATE");
        let failures = Opts::new("progress_store_failures_total", "transactions given up");
        Ok(Self {
            seconds: register(registry, HistogramVec::new(seconds.buckets(SECONDS.to_vec()), &["tx"]))?,
            retries: register(registry, IntCounterVec::new(retries, &["tx", "code"]))?,
            failures: register(registry, IntCounterVec::new(failures, &["tx"]))?,
        })
    }

    /// Counts a transaction, `failed` when the store could not do it (a room's own refusal is no failure).
    pub fn finished(&self, tx: &str, seconds: f64, failed: bool) {
        self.seconds.with_label_values(&[tx]).observe(seconds);
        if failed {
            self.failures.with_label_values(&[tx]).inc();
        }
    }

    /// Counts a repetition under its SQLSTATE.
    pub fn retried(&self, tx: &str, code: &str) {
        self.retries.with_label_values(&[tx, code]).inc();
    }
}
