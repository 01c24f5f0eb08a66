//! What every request meets before its handler: an id, a trace, limits, the phase of the service; and is counted after.

use std::time::{Duration, Instant};

use actix_web::{
    Error, HttpMessage, HttpResponse, ResponseError,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::header::{HeaderName, HeaderValue, USER_AGENT},
    middleware::Next,
};
use prometheus::IntGauge;
use tracing::Instrument;

use super::{Budget, HttpError, Lifecycle, Phase, Problem, answer::Taking, body::Pace, budget::Holder, pages::refusal};
use crate::{
    config,
    model::Ids,
    rollout::Samples,
    telemetry::{Metrics, Span, TraceContext, Traces},
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Paths that answer in every phase: operators need them most when nothing else works.
const ALWAYS_OPEN: [&str; 3] = ["/healthz", "/readyz", "/metrics"];
/// Paths that answer as soon as it is known who may ask: before the first credential is made, nobody could.
const OPEN_ONCE_STARTED: [&str; 2] = ["/admin", "/api/v1/admin"];

/// Who is asking, as far as logs and events need to know.
#[derive(Clone, Debug)]
pub struct RequestContext {
    /// The caller's `X-Request-Id`, or one made here.
    pub request_id: String,
    /// The caller's trace with a span of ours.
    pub trace: TraceContext,
    /// The caller's own.
    given: Option<TraceContext>,
}

/// Everything the edge needs; cheap to clone into each worker.
#[derive(Clone, Debug)]
pub struct Edge {
    pub lifecycle: Lifecycle,
    pub metrics: Metrics,
    pub ids: Ids,
    pub budget: Budget,
    /// What a rollout watches.
    pub samples: Samples,
    /// Nothing unless it is told otherwise.
    pub traces: Traces,
    pace: Pace,
    taking: Taking,
    header_bytes: usize,
}

impl Edge {
    pub fn new(http: &config::Http, lifecycle: Lifecycle, metrics: Metrics, ids: Ids) -> Self {
        let slow = metrics.http.slow_bodies.clone();
        let pace = Pace { base: http.body_timeout, rate: http.body_rate.0, slow };
        let untaken = metrics.http.untaken.clone();
        let taking = Taking { base: http.answer_timeout, rate: http.body_rate.0, untaken };
        let budget = Budget::new(http.memory.0, &metrics);
        let samples = Samples::default();
        let (traces, header_bytes) = (Traces::off(), http.header_bytes.0);
        Self { lifecycle, metrics, samples, traces, ids, budget, pace, taking, header_bytes }
    }

    /// The same, telling the collector of requests.
    #[must_use]
    pub fn traced(self, traces: Traces) -> Self {
        Self { traces, ..self }
    }

    /// The middleware of the whole application.
    pub async fn pass(
        self,
        mut req: ServiceRequest,
        next: Next<impl MessageBody + 'static>,
    ) -> Result<ServiceResponse<BoxBody>, Error> {
        let started = Instant::now();
        let _counted = InFlight::enter(&self.metrics.http.in_flight);
        let context = self.context(&req);
        let method = req.method().clone();
        let span = tracing::info_span!("request", request_id = %context.request_id, trace = %context.trace.trace_id());
        let told = self.traces.request(context.trace, context.given);
        let request_id = HeaderValue::from_str(&context.request_id).ok();
        req.extensions_mut().insert(context);
        let mut response = match self.refusal(&req) {
            Some(error) => refuse(req, error),
            None => {
                let payload = self.pace.hold(req.take_payload());
                req.set_payload(payload);
                self.give(next.call(req).instrument(span.clone()).await?.map_into_boxed_body())
            }
        };
        if let Some(id) = request_id {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        let route = response.request().match_pattern().unwrap_or_else(|| "(none)".to_owned());
        let (status, elapsed) = (response.status().as_u16(), started.elapsed());
        self.metrics.http.answered(known(method.as_str()), &route, status, elapsed.as_secs_f64());
        if let Some(begun) = told.begun() {
            self.metrics.http.remember(known(method.as_str()), &route, elapsed.as_secs_f64(), begun);
        }
        tell(told, known(method.as_str()), &route, &response);
        if let Some(Holder::Known { tenant, .. }) = response.request().extensions().get::<Holder>() {
            self.samples.answered(*tenant, status, elapsed);
            let agent = response.request().headers().get(USER_AGENT).and_then(|value| value.to_str().ok());
            self.metrics.http.clients.called(agent.unwrap_or_default());
        }
        tracing::debug!(parent: &span, %method, route, status, ms = elapsed.as_millis(), "answered");
        Ok(response)
    }

    /// The answer under the budget, on the account of who has asked for it.
    fn give(&self, response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
        let (req, response) = response.into_parts();
        let holder = req.extensions().get::<Holder>().cloned().unwrap_or(Holder::Stranger);
        let response = self.taking.hold(response, self.budget.hold(holder));
        let response = response.unwrap_or_else(|error| shown(req.path(), error));
        ServiceResponse::new(req, response)
    }

    fn context(&self, req: &ServiceRequest) -> RequestContext {
        let text = |name: &HeaderName| req.headers().get(name).and_then(|value| value.to_str().ok());
        let request_id = text(&REQUEST_ID).filter(|id| is_sane(id)).map(str::to_owned);
        let given = text(&TRACEPARENT).and_then(TraceContext::parse);
        let trace = given.map_or_else(|| TraceContext::start(&self.ids), |trace| trace.child(&self.ids));
        RequestContext {
            request_id: request_id.unwrap_or_else(|| self.ids.uuid().to_string()),
            // Whoever asks how we are does it all day long.
            trace: if is_among(&ALWAYS_OPEN, req) {
                trace.sampled(false)
            } else {
                self.traces.decide(trace, given.is_some())
            },
            given,
        }
    }

    /// Why this request goes no further.
    fn refusal(&self, req: &ServiceRequest) -> Option<HttpError> {
        let size: usize = req.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        if size > self.header_bytes {
            return Some(HttpError::Headers { limit: self.header_bytes });
        }
        if is_among(&ALWAYS_OPEN, req) {
            return None;
        }
        let phase = self.lifecycle.phase();
        if phase != Phase::Starting && is_among(&OPEN_ONCE_STARTED, req) {
            return None;
        }
        let why = phase.closed()?;
        Some(HttpError::Unavailable { why, retry_after: Duration::from_secs(5) })
    }
}

fn is_among(paths: &[&str], req: &ServiceRequest) -> bool {
    paths.iter().any(|open| is_below(req.path(), open))
}

/// Tells of a request that is answered. Not its path, which may name a person, but the pattern that it fits.
fn tell(mut span: Span, method: &str, route: &str, response: &ServiceResponse<BoxBody>) {
    if span.is_none() {
        return;
    }
    span.rename(format!("{method} {route}"));
    span.set("http.request.method", method);
    span.set("http.route", route);
    span.set("http.response.status_code", usize::from(response.status().as_u16()));
    if let Some(Holder::Known { tenant, .. }) = response.request().extensions().get::<Holder>() {
        span.set("progress.tenant.id", tenant.to_string());
    }
    span.finish(response.status().is_server_error());
}

fn refuse(req: ServiceRequest, error: HttpError) -> ServiceResponse<BoxBody> {
    let response = shown(req.path(), error);
    req.into_response(response)
}

/// The error as the surface that it happened on shows it.
fn shown(path: &str, error: HttpError) -> HttpResponse {
    if is_below(path, "/api") {
        Problem(error).error_response()
    } else if is_below(path, refusal::ROOT) {
        refusal::page(&error)
    } else {
        error.error_response()
    }
}

/// Whether `path` is `root` or something under it; `/administrator` is not under `/admin`.
pub(super) fn is_below(path: &str, root: &str) -> bool {
    path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Ids go to logs and back to the client, so only short ones of harmless characters are taken over.
fn is_sane(id: &str) -> bool {
    let harmless = |b: u8| b.is_ascii_alphanumeric() || b"-_.:/+=".contains(&b);
    !id.is_empty() && id.len() <= 128 && id.bytes().all(harmless)
}

/// A method as a label: whatever a client makes up counts as one.
fn known(method: &str) -> &str {
    match method {
        "GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "OPTIONS" | "PATCH" => method,
        _ => "other",
    }
}

/// Counts a request for as long as it lives, also when its client goes away.
struct InFlight(IntGauge);

impl InFlight {
    fn enter(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_at_a_slash() {
        assert!(is_below("/admin", "/admin") && is_below("/admin/x", "/admin"));
        assert!(!is_below("/administrator", "/admin"));
    }

    #[test]
    fn strange_request_ids_are_not_taken_over() {
        assert!(is_sane("01J-abc_9.z"));
        for id in ["", "a b", "a\"b", "ä", &"x".repeat(129)] {
            assert!(!is_sane(id), "{id:?}");
        }
    }
}
