//! Requests: how many, how long, how many now.

use chrono::{DateTime, Utc};
use prometheus::{HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, core::Collector};

use super::{Exemplar, Exemplars, SECONDS, clients::Clients, latencies::Latencies, register, registry::Registry};
use crate::telemetry::TraceContext;

/// The histogram whose values have exemplars.
pub const REQUEST_SECONDS: &str = "progress_http_request_seconds";

#[derive(Debug)]
pub struct HttpMetrics {
    requests: IntCounterVec,
    seconds: HistogramVec,
    exemplars: Exemplars,
    /// Requests whose answer has not been written yet.
    pub in_flight: IntGauge,
    /// Requests cut because the client was too slow.
    pub slow_bodies: IntCounter,
    /// Bytes that requests hold together, of those that `http.memory` lets them.
    pub held_bytes: IntGauge,
    /// Requests refused because there was no room for them.
    pub no_room: IntCounter,
    /// Large answers that their clients did not take to the end.
    pub untaken: IntCounter,
    /// Requests by a name of before.
    pub old_names: IntCounterVec,
    /// Who calls.
    pub clients: Clients,
}

impl HttpMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let requests = Opts::new("progress_http_requests_total", "answered requests");
        let old_names = Opts::new(
            "progress_http_old_names_total",
            "requests by a name that is on its way out: see docs/compatibility.md",
        );
        let seconds = HistogramOpts::new(REQUEST_SECONDS, "time to the head of the answer");
        Ok(Self {
            requests: register(registry, IntCounterVec::new(requests, &["method", "route", "status"]))?,
            seconds: register(registry, HistogramVec::new(seconds.buckets(SECONDS.to_vec()), &["method", "route"]))?,
            exemplars: Exemplars::default(),
            in_flight: register(registry, IntGauge::new("progress_http_in_flight", "requests being answered"))?,
            slow_bodies: register(
                registry,
                IntCounter::new("progress_http_slow_bodies_total", "bodies cut as too slow"),
            )?,
            held_bytes: register(
                registry,
                IntGauge::new("progress_http_held_bytes", "bytes that requests hold together, of `http.memory`"),
            )?,
            no_room: register(
                registry,
                IntCounter::new("progress_http_no_room_total", "requests refused because of `http.memory`"),
            )?,
            untaken: register(
                registry,
                IntCounter::new(
                    "progress_http_untaken_answers_total",
                    "large answers that their clients did not take to the end",
                ),
            )?,
            old_names: register(registry, IntCounterVec::new(old_names, &["old"]))?,
            clients: Clients::register(registry)?,
        })
    }

    /// How long requests took, of all methods and routes, since the process began.
    pub fn latencies(&self) -> Latencies {
        let mut all = Latencies::default();
        for family in self.seconds.collect() {
            for metric in family.get_metric() {
                for (place, bucket) in metric.get_histogram().get_bucket().iter().enumerate() {
                    all.add(place, bucket.upper_bound(), bucket.cumulative_count());
                }
            }
        }
        all
    }

    /// Keeps a request that is told to a collector as an example of those that took as long.
    pub fn remember(&self, method: &str, route: &str, seconds: f64, told: (TraceContext, DateTime<Utc>)) {
        let (context, began) = told;
        self.exemplars.remember(method, route, Exemplar { context, began, seconds });
    }

    pub fn exemplars(&self) -> &Exemplars {
        &self.exemplars
    }

    /// Counts one answer. `route` is the matched pattern, never the path as sent.
    pub fn answered(&self, method: &str, route: &str, status: u16, seconds: f64) {
        self.requests.with_label_values(&[method, route, &status.to_string()]).inc();
        self.seconds.with_label_values(&[method, route]).observe(seconds);
    }
}
