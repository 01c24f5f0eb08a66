//! Metrics as OTLP has them: every value since the process began, under the names and labels that Prometheus has.

use chrono::{DateTime, Utc};
use opentelemetry_proto::tonic::{
    collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse},
    common::v1::{KeyValue, any_value::Value},
    metrics::v1::{
        AggregationTemporality, Exemplar, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
        ResourceMetrics, ScopeMetrics, Sum, exemplar, metric::Data, number_data_point,
    },
    resource::v1::Resource,
};
use prometheus::proto::{self, MetricFamily, MetricType};
use prost::Message;

use crate::telemetry::{
    Metrics,
    collector::{attribute, scope},
    metrics::{Exemplars, REQUEST_SECONDS},
};

/// The first and the last moment of what is told, in nanoseconds.
#[derive(Clone, Copy)]
struct Span {
    start: u64,
    end: u64,
}

/// The body of a request with all values.
pub(super) fn encode(of: Resource, metrics: &Metrics, (began, now): (DateTime<Utc>, DateTime<Utc>)) -> Vec<u8> {
    let span = Span { start: nanos(began), end: nanos(now) };
    let exemplars = metrics.http.exemplars();
    let metrics = metrics.families().iter().filter_map(|family| metric(family, span, exemplars)).collect();
    let scope_metrics = vec![ScopeMetrics { scope: Some(scope()), metrics, ..Default::default() }];
    let told = ResourceMetrics { resource: Some(of), scope_metrics, ..Default::default() };
    ExportMetricsServiceRequest { resource_metrics: vec![told] }.encode_to_vec()
}

/// How many values the collector did not want, by its answer.
pub(super) fn rejected(answer: &[u8]) -> u64 {
    let read = ExportMetricsServiceResponse::decode(answer).ok().and_then(|answer| answer.partial_success);
    read.map_or(0, |partial| u64::try_from(partial.rejected_data_points).unwrap_or_default())
}

fn nanos(at: DateTime<Utc>) -> u64 {
    at.timestamp_nanos_opt().and_then(|nanos| u64::try_from(nanos).ok()).unwrap_or_default()
}

/// `None` of a kind that the service has none of.
fn metric(family: &MetricFamily, span: Span, exemplars: &Exemplars) -> Option<Metric> {
    let aggregation_temporality = AggregationTemporality::Cumulative.into();
    let values = family.get_metric().iter();
    let data = match family.get_field_type() {
        MetricType::COUNTER => {
            let data_points = values.map(|one| number(one, one.get_counter().get_value(), span)).collect();
            Data::Sum(Sum { data_points, aggregation_temporality, is_monotonic: true })
        }
        MetricType::GAUGE => Data::Gauge(Gauge {
            data_points: values.map(|one| number(one, one.get_gauge().get_value(), span)).collect(),
        }),
        MetricType::HISTOGRAM => {
            let has_exemplars = family.name() == REQUEST_SECONDS;
            let of = |one| if has_exemplars { exemplars_of(one, exemplars) } else { Vec::new() };
            let data_points = values.map(|one| histogram(one, span, of(one))).collect();
            Data::Histogram(Histogram { data_points, aggregation_temporality })
        }
        MetricType::SUMMARY | MetricType::UNTYPED => return None,
    };
    let (name, description) = (family.name().to_owned(), family.help().to_owned());
    let unit = unit(&name).to_owned();
    Some(Metric { name, description, unit, data: Some(data), ..Default::default() })
}

fn unit(name: &str) -> &'static str {
    match name.trim_end_matches("_total").rsplit('_').next() {
        Some("seconds") => "s",
        Some("bytes") => "By",
        Some("kib") => "KiBy",
        _ => "1",
    }
}

fn labels(of: &proto::Metric) -> Vec<KeyValue> {
    of.get_label().iter().map(|label| attribute(label.name(), Value::StringValue(label.value().to_owned()))).collect()
}

fn number(of: &proto::Metric, value: f64, Span { start, end }: Span) -> NumberDataPoint {
    let value = Some(number_data_point::Value::AsDouble(value));
    let (start_time_unix_nano, time_unix_nano) = (start, end);
    NumberDataPoint { attributes: labels(of), start_time_unix_nano, time_unix_nano, value, ..Default::default() }
}

/// Prometheus counts what lies below each bound, OTLP what lies between two of them, and behind the last.
fn histogram(of: &proto::Metric, Span { start, end }: Span, exemplars: Vec<Exemplar>) -> HistogramDataPoint {
    let told = of.get_histogram();
    let (mut bucket_counts, mut explicit_bounds, mut below) = (Vec::new(), Vec::new(), 0);
    for bucket in told.get_bucket().iter().filter(|bucket| bucket.upper_bound().is_finite()) {
        explicit_bounds.push(bucket.upper_bound());
        bucket_counts.push(bucket.cumulative_count().saturating_sub(below));
        below = bucket.cumulative_count();
    }
    let count = told.get_sample_count();
    bucket_counts.push(count.saturating_sub(below));
    HistogramDataPoint {
        attributes: labels(of),
        start_time_unix_nano: start,
        time_unix_nano: end,
        count,
        sum: Some(told.get_sample_sum()),
        bucket_counts,
        explicit_bounds,
        exemplars,
        ..Default::default()
    }
}

fn exemplars_of(of: &proto::Metric, exemplars: &Exemplars) -> Vec<Exemplar> {
    let label = |wanted| of.get_label().iter().find(|label| label.name() == wanted).map(proto::LabelPair::value);
    let (method, route) = (label("method").unwrap_or_default(), label("route").unwrap_or_default());
    let told = |one: crate::telemetry::metrics::Exemplar| Exemplar {
        time_unix_nano: nanos(one.began),
        trace_id: one.context.trace_bytes().to_vec(),
        span_id: one.context.span_bytes().to_vec(),
        value: Some(exemplar::Value::AsDouble(one.seconds)),
        ..Default::default()
    };
    exemplars.of(method, route).into_iter().map(told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::TraceContext;
    use crate::telemetry::collector::resource;

    #[test]
    fn counts_gauges_and_histograms_are_told_as_they_are() {
        let (metrics, now) = (Metrics::new().unwrap(), DateTime::from_timestamp(1_795_249_444, 0).unwrap());
        let context = TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
        for seconds in [0.0004, 0.004, 0.004, 77.0] {
            metrics.http.answered("GET", "/a", 200, seconds);
        }
        metrics.http.remember("GET", "/a", 0.004, (context, now));
        metrics.http.in_flight.set(3);
        let bytes = encode(resource("n1"), &metrics, (now, now));
        let read = ExportMetricsServiceRequest::decode(bytes.as_slice()).unwrap();
        let told = &read.resource_metrics[0].scope_metrics[0].metrics;
        let named = |name: &str| told.iter().find(|one| one.name == name).unwrap();
        let Some(Data::Sum(sum)) = &named("progress_http_requests_total").data else { panic!("a sum") };
        assert!(sum.is_monotonic && sum.data_points[0].value == Some(number_data_point::Value::AsDouble(4.0)));
        let Some(Data::Gauge(gauge)) = &named("progress_http_in_flight").data else { panic!("a gauge") };
        assert_eq!(gauge.data_points[0].value, Some(number_data_point::Value::AsDouble(3.0)));
        let seconds = named(REQUEST_SECONDS);
        let Some(Data::Histogram(histogram)) = &seconds.data else { panic!("a histogram") };
        let point = &histogram.data_points[0];
        assert_eq!(
            (seconds.unit.as_str(), point.count, point.bucket_counts.len()),
            ("s", 4, point.explicit_bounds.len() + 1)
        );
        assert_eq!(
            (point.bucket_counts[0], point.bucket_counts.iter().sum::<u64>(), point.bucket_counts.last()),
            (1, 4, Some(&1))
        );
        assert_eq!(point.exemplars[0].trace_id, context.trace_bytes());
    }
}
