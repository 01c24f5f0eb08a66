//! Spans of what goes out: one for each request that is traced and each topic, in that request's trace.

use std::{borrow::Cow, collections::HashMap};

use uuid::Uuid;

use crate::{
    model::{Event, TenantId},
    store::{Store, StoreError},
    telemetry::{Span, TraceContext, Traces, spans::Kind},
};

/// Begins them, and names them in the events, so that whoever reads these goes on from there.
pub(super) async fn spans(
    store: &Store,
    traces: &Traces,
    topic: impl Fn(&str) -> String,
    events: &mut [Event],
) -> Result<Vec<Span>, StoreError> {
    if traces.is_off() {
        return Ok(Vec::new());
    }
    let causes: Vec<(TenantId, Uuid)> = events.iter().filter_map(cause).collect();
    let known = store.traces_of(&causes).await?;
    let mut spans: HashMap<(TraceContext, Cow<'static, str>), (Span, usize)> = HashMap::new();
    for event in events {
        let Some(trace) = cause(event).and_then(|cause| known.get(&cause)) else { continue };
        let begin = || (begin(traces, *trace, &topic(&event.kind)), 0);
        let (span, count) = spans.entry((*trace, event.kind.clone())).or_insert_with(begin);
        event.traceparent = span.context().map(|context| context.to_string());
        *count += 1;
    }
    let counted = spans.into_values().map(|(mut span, count)| {
        span.set("messaging.batch.message_count", count);
        span
    });
    Ok(counted.collect())
}

/// The statement behind the event.
fn cause(event: &Event) -> Option<(TenantId, Uuid)> {
    Some((event.tenant, event.causation.parse().ok()?))
}

fn begin(traces: &Traces, trace: TraceContext, topic: &str) -> Span {
    let mut span = traces.below(trace, Kind::Producer, &format!("send {topic}"));
    span.set("messaging.system", "kafka");
    span.set("messaging.operation.name", "send");
    span.set("messaging.operation.type", "send");
    span.set("messaging.destination.name", topic);
    span
}
