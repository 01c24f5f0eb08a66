//! Spans: what a request set off, told to an OpenTelemetry collector. Never a name, an identifier of a person, a query or a body.
//!
//! Whoever works never waits for the collector: a span that is finished goes into a queue with an end, and is counted where that is
//! full. Without a collector there is no queue, and a span is nothing.

mod sender;
mod span;
mod wire;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use tokio::{
    sync::{Mutex, mpsc},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

pub use self::span::{Kind, Value};
use self::{sender::Sender, span::Finished};
use super::{Collector, Metrics, TraceContext};
use crate::model::{Clock, Ids};

/// Spans that wait for the collector: some seconds of a busy node, and a few MiB.
const QUEUE: usize = 8_192;
/// How long what waits at the end may take to go out.
const LAST: Duration = Duration::from_secs(5);

/// What makes spans. Clones share one queue; without a collector it is nothing.
#[derive(Clone, Default)]
pub struct Traces(Option<Arc<Open>>);

struct Open {
    queue: mpsc::Sender<Finished>,
    ratio: f64,
    clock: Clock,
    ids: Ids,
    metrics: Metrics,
    stop: CancellationToken,
    sending: Mutex<Option<JoinHandle<()>>>,
}

impl std::fmt::Debug for Traces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.is_off() { "Traces(off)" } else { "Traces(on)" })
    }
}

/// A moment, by the calendar and by the clock that never goes back.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    at: DateTime<Utc>,
    since: Instant,
}

impl Traces {
    /// Nobody wants to know.
    pub fn off() -> Self {
        Self::default()
    }

    /// Starts to send on the current runtime, which must be the main one.
    /// `ratio` of the requests are told of whose caller does not say.
    pub fn start(collector: Collector, ratio: f64, (clock, ids): (&Clock, &Ids), metrics: &Metrics) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let stop = CancellationToken::new();
        let sender = Sender::new(collector, metrics.clone(), stop.clone());
        let sending = Mutex::new(Some(tokio::spawn(sender.run(waiting))));
        let (clock, ids, metrics) = (clock.clone(), ids.clone(), metrics.clone());
        Self(Some(Arc::new(Open { queue, ratio, clock, ids, metrics, stop, sending })))
    }

    pub fn is_off(&self) -> bool {
        self.0.is_none()
    }

    /// Decides about a request: as its caller did, or by lot where nobody did. The same trace has the same lot on every node.
    pub fn decide(&self, context: TraceContext, was_given: bool) -> TraceContext {
        match &self.0 {
            Some(open) if !was_given => context.sampled(lot(context) < open.ratio),
            _ => context,
        }
    }

    pub fn now(&self) -> Option<Moment> {
        self.0.as_ref().map(|open| Moment { at: open.clock.now(), since: Instant::now() })
    }

    /// The span of a request, whose context is made already; the caller's span is its parent.
    pub fn request(&self, context: TraceContext, parent: Option<TraceContext>) -> Span {
        self.open(context, parent, Kind::Server, "request", self.now())
    }

    /// A span below `parent`, begun just now.
    pub fn below(&self, parent: TraceContext, kind: Kind, name: &str) -> Span {
        self.below_since(parent, kind, name, self.now())
    }

    /// A span below `parent` that began before.
    pub fn below_since(&self, parent: TraceContext, kind: Kind, name: &str, began: Option<Moment>) -> Span {
        let Some(open) = self.0.as_ref().filter(|_| parent.is_sampled()) else { return Span::default() };
        self.open(parent.child(&open.ids), Some(parent), kind, name, began)
    }

    fn open(
        &self,
        context: TraceContext,
        parent: Option<TraceContext>,
        kind: Kind,
        name: &str,
        began: Option<Moment>,
    ) -> Span {
        let (Some(open), Some(began)) = (&self.0, began) else { return Span::default() };
        if !context.is_sampled() {
            return Span::default();
        }
        let work = Work {
            open: Arc::clone(open),
            since: began.since,
            told: Finished {
                context,
                parent: parent.map(TraceContext::span_bytes),
                kind,
                name: name.to_owned(),
                start: began.at,
                lasted: Duration::ZERO,
                attributes: Vec::new(),
                has_failed: false,
            },
        };
        Span(Some(Box::new(work)))
    }

    /// Takes no more, and sends what waits, for as long as there is patience.
    pub async fn finish(&self, patience: Duration) {
        let Some(open) = &self.0 else { return };
        open.stop.cancel();
        let Some(mut sending) = open.sending.lock().await.take() else { return };
        if tokio::time::timeout(patience.min(LAST), &mut sending).await.is_err() {
            sending.abort();
            tracing::warn!("the collector does not take the last spans in time");
        }
    }
}

/// A number from 0 to 1 that the trace's id makes.
fn lot(context: TraceContext) -> f64 {
    let bytes = context.trace_bytes();
    let last = bytes[8..].iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    // The 53 bits that a float has room for.
    (last >> 11) as f64 / (1_u64 << 53) as f64
}

/// Work that is under way, told when it is finished; as failed, where it is dropped before. Nothing where it is not traced.
#[derive(Default)]
pub struct Span(Option<Box<Work>>);

struct Work {
    open: Arc<Open>,
    since: Instant,
    told: Finished,
}

impl Span {
    pub fn none() -> Self {
        Self::default()
    }

    /// What names this span to what follows from it.
    pub fn context(&self) -> Option<TraceContext> {
        self.0.as_ref().map(|work| work.told.context)
    }

    pub fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// The same, and when it began.
    pub fn begun(&self) -> Option<(TraceContext, DateTime<Utc>)> {
        self.0.as_ref().map(|work| (work.told.context, work.told.start))
    }

    /// Calls it something that was not known when it began.
    pub fn rename(&mut self, name: String) {
        if let Some(work) = &mut self.0 {
            work.told.name = name;
        }
    }

    pub fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        if let Some(work) = &mut self.0 {
            work.told.attributes.push((name, value.into()));
        }
    }

    pub fn finish(mut self, has_failed: bool) {
        self.tell(has_failed);
    }

    fn tell(&mut self, has_failed: bool) {
        let Some(work) = self.0.take() else { return };
        let Work { open, since, told } = *work;
        let told = Finished { lasted: since.elapsed(), has_failed, ..told };
        if let Err(refused) = open.queue.try_send(told) {
            let why = if matches!(refused, mpsc::error::TrySendError::Full(_)) { "full" } else { "stopped" };
            open.metrics.otlp.dropped(why, 1);
        }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        self.tell(true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(text: &str) -> TraceContext {
        TraceContext::parse(text).unwrap()
    }

    #[test]
    fn a_lot_lies_between_nothing_and_all() {
        let lot = |end: &str| lot(context(&format!("00-4bf92f3577b34da6{end}-00f067aa0ba902b7-00")));
        assert_eq!(lot("0000000000000000"), 0.0);
        assert_eq!(lot("8000000000000000"), 0.5);
        assert!(lot("ffffffffffffffff") < 1.0);
    }

    #[test]
    fn without_a_collector_there_is_nothing() {
        let traces = Traces::off();
        let parent = context("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        assert!(traces.below(parent, Kind::Internal, "work").is_none() && traces.request(parent, None).is_none());
        assert_eq!(traces.decide(parent, false), parent, "and nothing is decided");
    }
}
