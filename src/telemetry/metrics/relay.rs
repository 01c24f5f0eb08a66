//! Events: how many went out, how long they took, and how far behind they are.

use prometheus::{GaugeVec, Histogram, HistogramOpts, IntCounter, Opts};

use super::{SECONDS, register, registry::Registry};

#[derive(Debug)]
pub struct RelayMetrics {
    /// Events the brokers have acknowledged.
    pub sent: IntCounter,
    /// Events that no topic took; their dead letters are out.
    pub dead_letters: IntCounter,
    /// From being stored or told to being acknowledged.
    pub delay_seconds: Histogram,
    /// Age of the oldest event that has not gone out, by where it waits and by share of the tenants.
    pub lag_seconds: GaugeVec,
}

impl RelayMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name, help| register(registry, IntCounter::new(name, help));
        let lag = Opts::new("progress_relay_lag_seconds", "age of the oldest event that has not gone out");
        let delay = HistogramOpts::new(
            "progress_relay_delay_seconds",
            "time of an event from being stored or told to being acknowledged by the brokers",
        )
        .buckets([&SECONDS[..], &[30.0, 60.0, 300.0]].concat());
        Ok(Self {
            sent: counter("progress_relay_sent_total", "events the brokers acknowledged")?,
            dead_letters: counter("progress_relay_dead_letters_total", "events that were too large for their topic")?,
            delay_seconds: register(registry, Histogram::with_opts(delay))?,
            lag_seconds: register(registry, GaugeVec::new(lag, &["source", "share"]))?,
        })
    }
}
