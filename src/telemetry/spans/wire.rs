//! Spans as OTLP has them: protobuf, in the words of OpenTelemetry.

use opentelemetry_proto::tonic::{
    collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse},
    common::v1::{KeyValue, any_value},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span::SpanKind, status::StatusCode},
};
use prost::Message;

use super::span::{Finished, Kind, Value};
use crate::telemetry::collector::{attribute, scope};

/// The body of a request with these spans.
pub(super) fn encode(of: Resource, spans: &[Finished]) -> Vec<u8> {
    let spans = spans.iter().map(span).collect();
    let scope_spans = vec![ScopeSpans { scope: Some(scope()), spans, ..Default::default() }];
    let resource_spans = vec![ResourceSpans { resource: Some(of), scope_spans, ..Default::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

/// How many of the spans the collector did not want, by its answer.
pub(super) fn rejected(answer: &[u8]) -> u64 {
    let read = ExportTraceServiceResponse::decode(answer).ok().and_then(|answer| answer.partial_success);
    read.map_or(0, |partial| u64::try_from(partial.rejected_spans).unwrap_or_default())
}

fn span(told: &Finished) -> Span {
    let start = u64::try_from(told.start.timestamp_nanos_opt().unwrap_or_default()).unwrap_or_default();
    let lasted = u64::try_from(told.lasted.as_nanos()).unwrap_or(u64::MAX);
    let code = if told.has_failed { StatusCode::Error } else { StatusCode::Unset };
    Span {
        trace_id: told.context.trace_bytes().to_vec(),
        span_id: told.context.span_bytes().to_vec(),
        parent_span_id: told.parent.map(Vec::from).unwrap_or_default(),
        flags: u32::from(told.context.is_sampled()),
        name: told.name.clone(),
        kind: match told.kind {
            Kind::Internal => SpanKind::Internal,
            Kind::Server => SpanKind::Server,
            Kind::Producer => SpanKind::Producer,
            Kind::Consumer => SpanKind::Consumer,
        }
        .into(),
        start_time_unix_nano: start,
        end_time_unix_nano: start.saturating_add(lasted),
        attributes: told.attributes.iter().map(said).collect(),
        status: Some(Status { code: code.into(), ..Default::default() }),
        ..Default::default()
    }
}

fn said((name, value): &(&'static str, Value)) -> KeyValue {
    let value = match value {
        Value::Text(text) => any_value::Value::StringValue(text.clone()),
        Value::Number(number) => any_value::Value::IntValue(*number),
    };
    attribute(name, value)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::DateTime;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTracePartialSuccess;

    use super::*;
    use crate::telemetry::TraceContext;
    use crate::telemetry::collector::resource;

    #[test]
    fn a_span_keeps_its_ids_times_and_words() {
        let context = TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
        let told = Finished {
            context,
            parent: Some([7; 8]),
            kind: Kind::Producer,
            name: "send".to_owned(),
            start: DateTime::from_timestamp(1_795_249_444, 0).unwrap(),
            lasted: Duration::from_millis(2),
            attributes: vec![("messaging.system", "kafka".into()), ("messaging.batch.message_count", 3_usize.into())],
            has_failed: true,
        };
        let bytes = encode(resource("n1"), &[told]);
        let read = ExportTraceServiceRequest::decode(bytes.as_slice()).unwrap();
        let span = &read.resource_spans[0].scope_spans[0].spans[0];
        assert_eq!(hex::encode(&span.trace_id), context.trace_id());
        assert_eq!((span.span_id.as_slice(), span.parent_span_id.as_slice()), (&context.span_bytes()[..], &[7; 8][..]));
        assert_eq!((span.kind, span.end_time_unix_nano - span.start_time_unix_nano), (4, 2_000_000));
        assert_eq!(span.status.as_ref().unwrap().code, 2);
        assert_eq!(span.attributes.len(), 2);
        assert_eq!(read.resource_spans[0].resource.as_ref().unwrap().attributes.len(), 3);
    }

    #[test]
    fn what_was_not_wanted_is_in_the_answer() {
        assert_eq!(rejected(b""), 0);
        assert_eq!(rejected(b"no protobuf"), 0);
        let partial_success = Some(ExportTracePartialSuccess { rejected_spans: 3, ..Default::default() });
        assert_eq!(rejected(&ExportTraceServiceResponse { partial_success }.encode_to_vec()), 3);
    }
}
