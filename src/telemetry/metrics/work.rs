//! Work in slots: how long it waits for its turn, how long it takes.

use prometheus::{Histogram, HistogramOpts, IntCounter};

use super::{SECONDS, register, registry::Registry};

#[derive(Debug)]
pub struct WorkMetrics {
    /// From the request to the begin of its work.
    pub wait_seconds: Histogram,
    pub seconds: Histogram,
    /// Requests that waited for their turn as long as they may.
    pub late: IntCounter,
}

impl WorkMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let wait = HistogramOpts::new("progress_work_wait_seconds", "time that large work waited for a free slot");
        let seconds = HistogramOpts::new("progress_work_seconds", "time that large work took in its slot");
        let late = IntCounter::new("progress_work_late_total", "requests refused because no slot came free for them")?;
        Ok(Self {
            wait_seconds: register(registry, Histogram::with_opts(wait.buckets(SECONDS.to_vec())))?,
            seconds: register(registry, Histogram::with_opts(seconds.buckets(SECONDS.to_vec())))?,
            late: register(registry, Ok(late))?,
        })
    }
}
