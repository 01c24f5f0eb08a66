//! What a person looks at first, read off the registry: a moment of the service in a few numbers.

use prometheus::proto::MetricFamily;

/// This process at one moment; what is called a count only grows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// Statements that were stored.
    pub statements: f64,
    /// Answered requests.
    pub requests: f64,
    /// Answers with a status of 500 and above.
    pub errors: f64,
    /// Upper bounds in seconds, each with the requests that took no longer.
    pub latency: Vec<(f64, f64)>,
    pub in_flight: f64,
    pub queued_kib: f64,
    /// Age in seconds of the oldest event that has not gone out.
    pub lag: f64,
    /// Callers that wait for a database connection.
    pub waiting: f64,
    /// References between statements that were given up.
    pub given_up: f64,
    /// Changes of months that are due by the schedule.
    pub archive_due: f64,
    pub archive_damaged: f64,
    pub anchor_failures: f64,
    /// Unix time at which the last month that is made ends; 0 while nobody has looked.
    pub ledger_ends_at: f64,
}

impl Figures {
    pub(super) fn of(families: &[MetricFamily]) -> Self {
        let sum = |name: &str| total(families, name, |_| true);
        Self {
            statements: total(families, "progress_ingest_statements_total", |label| label == ("outcome", "new")),
            requests: sum("progress_http_requests_total"),
            errors: total(families, "progress_http_requests_total", |(name, value)| {
                name == "status" && value.starts_with('5')
            }),
            latency: latency(families),
            in_flight: sum("progress_http_in_flight"),
            queued_kib: sum("progress_ingest_queued_kib"),
            lag: greatest(families, "progress_relay_lag_seconds"),
            waiting: sum("progress_store_pool_waiting"),
            given_up: sum("progress_references_given_up_total"),
            archive_due: sum("progress_archive_due"),
            archive_damaged: sum("progress_archive_damaged_total"),
            anchor_failures: sum("progress_audit_anchor_failures_total"),
            ledger_ends_at: sum("progress_ledger_ends_at_seconds"),
        }
    }

    /// The time within which this share of the requests since `before` was answered; `None` where there were none, and the
    /// longest bound where it took longer.
    pub fn quantile_since(&self, before: &Self, share: f64) -> Option<f64> {
        let earlier = |place: usize| before.latency.get(place).map_or(0.0, |(_, count)| *count);
        let counts: Vec<(f64, f64)> =
            self.latency.iter().enumerate().map(|(place, (bound, count))| (*bound, count - earlier(place))).collect();
        let all = self.requests - before.requests;
        if all <= 0.0 {
            return None;
        }
        let within = counts.iter().find(|(_, count)| *count >= share * all);
        within.or(counts.last()).map(|(bound, _)| *bound)
    }
}

fn family<'f>(families: &'f [MetricFamily], name: &str) -> Option<&'f MetricFamily> {
    families.iter().find(|family| family.name() == name)
}

/// The sum over the series that have a label which `counts`, or no label at all.
fn total(families: &[MetricFamily], name: &str, counts: impl Fn((&str, &str)) -> bool) -> f64 {
    let Some(family) = family(families, name) else { return 0.0 };
    let wanted = family.get_metric().iter().filter(|metric| {
        let labels = metric.get_label();
        labels.is_empty() || labels.iter().any(|label| counts((label.name(), label.value())))
    });
    wanted.map(|metric| metric.get_counter().get_value() + metric.get_gauge().get_value()).sum()
}

fn greatest(families: &[MetricFamily], name: &str) -> f64 {
    let metrics = family(families, name).map(MetricFamily::get_metric).unwrap_or_default();
    metrics.iter().map(|metric| metric.get_gauge().get_value()).fold(0.0, f64::max)
}

/// Of all routes together.
fn latency(families: &[MetricFamily]) -> Vec<(f64, f64)> {
    let mut sums: Vec<(f64, f64)> = Vec::new();
    let metrics = family(families, "progress_http_request_seconds").map(MetricFamily::get_metric).unwrap_or_default();
    for metric in metrics {
        for (place, bucket) in metric.get_histogram().get_bucket().iter().enumerate() {
            match sums.get_mut(place) {
                Some((_, count)) => *count += bucket.cumulative_count() as f64,
                None => sums.push((bucket.upper_bound(), bucket.cumulative_count() as f64)),
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use crate::telemetry::Metrics;

    #[test]
    fn a_moment_is_read_off_the_registry() {
        let metrics = Metrics::new().unwrap();
        let before = metrics.figures();
        metrics.ingest.statements.with_label_values(&["new"]).inc_by(3);
        metrics.ingest.statements.with_label_values(&["same"]).inc_by(5);
        for _ in 0..9 {
            metrics.http.answered("GET", "/a", 200, 0.004);
        }
        metrics.http.answered("GET", "/b", 503, 0.9);
        metrics.relay.lag_seconds.with_label_values(&["outbox", "0"]).set(7.0);
        let after = metrics.figures();
        assert_eq!((after.statements, after.requests, after.errors, after.lag), (3.0, 10.0, 1.0, 7.0));
        assert_eq!(after.quantile_since(&before, 0.5), Some(0.005));
        assert_eq!(after.quantile_since(&before, 0.95), Some(1.0));
        assert_eq!(after.quantile_since(&after, 0.95), None, "nobody asked anything");
    }
}
