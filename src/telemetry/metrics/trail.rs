//! The trail of reads: what was written, what had to be refused, and what a stop left behind.

use prometheus::IntCounter;

use super::{register, registry::Registry};

#[derive(Debug)]
pub struct TrailMetrics {
    pub written: IntCounter,
    /// Queries refused because their entry found no place.
    pub refused: IntCounter,
    /// Entries that were not written when the service stopped.
    pub lost: IntCounter,
}

impl TrailMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str| register(registry, IntCounter::new(name, help));
        Ok(Self {
            written: counter("progress_trail_written_total", "entries of the trail of reads")?,
            refused: counter("progress_trail_refused_total", "queries refused because the trail of reads was full")?,
            lost: counter("progress_trail_lost_total", "entries of the trail of reads that a stop left unwritten")?,
        })
    }
}
