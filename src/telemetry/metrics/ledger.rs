//! The ledger: its months, and what its statements say that no registry knows.

use prometheus::{Gauge, IntCounter};

use super::{register, registry::Registry};

#[derive(Debug)]
pub struct LedgerMetrics {
    /// Months that a statement had to wait for. Any is an alarm: the maker of months has stopped.
    pub months_on_demand: IntCounter,
    /// Unix time of the end of the last month that is made.
    pub ends_at: Gauge,
    /// New statements whose verb is not registered.
    pub unregistered_verbs: IntCounter,
}

impl LedgerMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {
            months_on_demand: register(
                registry,
                IntCounter::new("progress_ledger_months_on_demand_total", "months made while a statement waited"),
            )?,
            ends_at: register(
                registry,
                Gauge::new("progress_ledger_ends_at_seconds", "Unix time at which the last month that is made ends"),
            )?,
            unregistered_verbs: register(
                registry,
                IntCounter::new(
                    "progress_unregistered_verb_statements_total",
                    "new statements whose verb is not registered",
                ),
            )?,
        })
    }
}
