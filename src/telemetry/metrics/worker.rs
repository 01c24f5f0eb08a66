//! Background loops: steps, failures, who holds the lease.

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts};

use super::{SECONDS, register, registry::Registry};

#[derive(Debug)]
pub struct WorkerMetrics {
    /// Time of one step, by loop.
    pub step_seconds: HistogramVec,
    /// Steps that returned an error, by loop.
    pub errors: IntCounterVec,
    /// Steps that panicked, by loop.
    pub panics: IntCounterVec,
    /// 1 while this node holds the loop's lease.
    pub leading: IntGaugeVec,
}

impl WorkerMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let seconds = HistogramOpts::new("progress_worker_step_seconds", "time of one step of a background loop");
        let errors = Opts::new("progress_worker_errors_total", "steps of loops that failed");
        let panics = Opts::new("progress_worker_panics_total", "steps of loops that panicked");
        let leading = Opts::new("progress_worker_leading", "1 while this node holds the loop's lease");
        Ok(Self {
            step_seconds: register(registry, HistogramVec::new(seconds.buckets(SECONDS.to_vec()), &["loop"]))?,
            errors: register(registry, IntCounterVec::new(errors, &["loop"]))?,
            panics: register(registry, IntCounterVec::new(panics, &["loop"]))?,
            leading: register(registry, IntGaugeVec::new(leading, &["loop"]))?,
        })
    }
}
