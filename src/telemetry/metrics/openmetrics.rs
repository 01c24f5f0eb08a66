//! Metrics as OpenMetrics 1.0 writes them: the same values as in Prometheus' text, and with the times that requests take a trace that
//! took as long. Pure.

use std::fmt::Write;

use prometheus::proto::{self, LabelPair, MetricFamily, MetricType};

use super::{Exemplar, Exemplars, REQUEST_SECONDS};

/// What the page is, to who asks for it.
pub const TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All families as a page.
pub fn page(families: &[MetricFamily], exemplars: &Exemplars) -> String {
    let mut page = String::new();
    for family in families {
        section(&mut page, family, exemplars);
    }
    page.push_str("# EOF\n");
    page
}

/// Nothing of a kind that the service has none of.
fn section(page: &mut String, family: &MetricFamily, exemplars: &Exemplars) {
    let name = family.name();
    // A counter is called without what its samples end in.
    let (called, kind) = match family.get_field_type() {
        MetricType::COUNTER => (name.strip_suffix("_total").unwrap_or(name), "counter"),
        MetricType::GAUGE => (name, "gauge"),
        MetricType::HISTOGRAM => (name, "histogram"),
        MetricType::SUMMARY | MetricType::UNTYPED => return,
    };
    let _ = writeln!(page, "# TYPE {called} {kind}\n# HELP {called} {}", escaped(family.help()));
    for one in family.get_metric() {
        let labels = labels(one.get_label());
        match kind {
            "counter" => sample(page, &format!("{called}_total"), &labels, &number(one.get_counter().get_value())),
            "gauge" => sample(page, name, &labels, &number(one.get_gauge().get_value())),
            _ if name == REQUEST_SECONDS => histogram(page, name, &labels, one, &of(one, exemplars)),
            _ => histogram(page, name, &labels, one, &[]),
        }
    }
}

fn sample(page: &mut String, name: &str, labels: &str, value: &str) {
    let _ = match labels {
        "" => writeln!(page, "{name} {value}"),
        labels => writeln!(page, "{name}{{{labels}}} {value}"),
    };
}

fn histogram(page: &mut String, name: &str, labels: &str, one: &proto::Metric, exemplars: &[Exemplar]) {
    let told = one.get_histogram();
    let finite = told.get_bucket().iter().filter(|bucket| bucket.upper_bound().is_finite());
    let buckets = finite.map(|bucket| (bucket.upper_bound(), bucket.cumulative_count()));
    let (bucket, comma) = (format!("{name}_bucket"), if labels.is_empty() { "" } else { "," });
    let mut below = f64::NEG_INFINITY;
    for (bound, count) in buckets.chain([(f64::INFINITY, told.get_sample_count())]) {
        // Bounds are told apart by their text, so each has one: `1.0`, never `1`.
        let end = if bound.is_finite() { format!("{bound:?}") } else { number(bound) };
        let example = exemplars.iter().find(|one| below < one.seconds && one.seconds <= bound);
        let value = format!("{count}{}", example.map(example_of).unwrap_or_default());
        sample(page, &bucket, &format!("{labels}{comma}le=\"{end}\""), &value);
        below = bound;
    }
    sample(page, &format!("{name}_sum"), labels, &number(told.get_sample_sum()));
    sample(page, &format!("{name}_count"), labels, &told.get_sample_count().to_string());
}

fn example_of(one: &Exemplar) -> String {
    let (trace, span) = (one.context.trace_id(), hex::encode(one.context.span_bytes()));
    let (seconds, at) = (number(one.seconds), one.began.timestamp_millis());
    format!(
        " # {{trace_id=\"{trace}\",span_id=\"{span}\"}} {seconds} {}.{:03}",
        at.div_euclid(1_000),
        at.rem_euclid(1_000)
    )
}

fn of(one: &proto::Metric, exemplars: &Exemplars) -> Vec<Exemplar> {
    let label = |wanted| one.get_label().iter().find(|label| label.name() == wanted).map(LabelPair::value);
    exemplars.of(label("method").unwrap_or_default(), label("route").unwrap_or_default())
}

fn labels(of: &[LabelPair]) -> String {
    let pairs: Vec<String> =
        of.iter().map(|label| format!("{}=\"{}\"", label.name(), escaped(label.value()))).collect();
    pairs.join(",")
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n").replace('"', "\\\"")
}

fn number(value: f64) -> String {
    match value {
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::telemetry::{Metrics, TraceContext};

    #[test]
    fn a_bucket_leads_to_a_request_that_fell_into_it() {
        let metrics = Metrics::new().unwrap();
        let context = TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
        let at = DateTime::from_timestamp_millis(1_795_249_444_056).unwrap();
        for seconds in [0.004, 77.0] {
            metrics.http.answered("GET", "/a\"b", 200, seconds);
            metrics.http.remember("GET", "/a\"b", seconds, (context, at));
        }
        let page = page(&metrics.families(), metrics.http.exemplars());
        let example = "# {trace_id=\"4bf92f3577b34da6a3ce929d0e0e4736\",span_id=\"00f067aa0ba902b7\"}";
        let of = |le: &str| {
            let begins = format!(r#"progress_http_request_seconds_bucket{{method="GET",route="/a\"b",le="{le}"}} "#);
            page.lines().find_map(|line| line.strip_prefix(begins.as_str())).unwrap_or_else(|| panic!("{le}: {page}"))
        };
        assert_eq!(of("0.005"), format!("1 {example} 0.004 1795249444.056"));
        assert_eq!((of("0.0025"), of("1.0"), of("10.0")), ("0", "1", "1"));
        assert_eq!(of("+Inf"), format!("2 {example} 77 1795249444.056"));
    }

    #[test]
    fn a_counter_is_called_without_its_end_and_the_page_has_one() {
        let metrics = Metrics::new().unwrap();
        metrics.worker.panics.with_label_values(&["relay"]).inc();
        let page = page(&metrics.families(), metrics.http.exemplars());
        assert!(page.contains("# TYPE progress_worker_panics counter\n# HELP progress_worker_panics "), "{page}");
        assert!(page.contains("\nprogress_worker_panics_total{loop=\"relay\"} 1\n"), "{page}");
        assert!(page.ends_with("\n# EOF\n"));
    }
}
