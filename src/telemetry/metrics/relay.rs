//! Events: how many went out, and how far behind they are.

use prometheus::{Gauge, IntCounter, Registry};

use super::register;

#[derive(Debug)]
pub struct RelayMetrics {
    /// Events the brokers have acknowledged.
    pub sent: IntCounter,
    /// Age of the oldest statement that has not gone out.
    pub lag_seconds: Gauge,
}

impl RelayMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {
            sent: register(registry, IntCounter::new("progress_relay_sent_total", "events the brokers acknowledged"))?,
            lag_seconds: register(
                registry,
                Gauge::new("progress_relay_lag_seconds", "age of the oldest statement that has not gone out"),
            )?,
        })
    }
}
