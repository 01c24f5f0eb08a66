//! `/healthz`, `/readyz` and `/metrics`: answered in every phase, without a credential and without data.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use actix_web::{HttpRequest, HttpResponse, Route, guard, http::header, web};
use serde::Serialize;

use super::{Edge, HttpError, Phase, accept::prefers};
use crate::telemetry::OPEN_METRICS;

/// How long one check may take before it counts as failed.
const PATIENCE: Duration = Duration::from_secs(3);

type Probe = dyn Fn() -> Pin<Box<dyn Future<Output = Result<String, String>> + Send>> + Send + Sync;

/// One thing that must work before the service is ready, as the app wires it.
#[derive(Clone)]
pub struct Check {
    name: &'static str,
    probe: Arc<Probe>,
}

impl Check {
    /// `probe` answers with a word about the good state, or with what is wrong.
    pub fn new<F, Fut>(name: &'static str, probe: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<String, String>> + Send + 'static,
    {
        Self { name, probe: Arc::new(move || Box::pin(probe())) }
    }

    pub(super) async fn run(&self) -> Finding {
        let outcome = match tokio::time::timeout(PATIENCE, (self.probe)()).await {
            Ok(outcome) => outcome,
            Err(_) => Err("no answer in time".to_owned()),
        };
        Finding { name: self.name, ok: outcome.is_ok(), detail: outcome.unwrap_or_else(|why| why) }
    }
}

/// What a check came to.
#[derive(Serialize)]
pub(super) struct Finding {
    pub name: &'static str,
    pub ok: bool,
    pub detail: String,
}

#[derive(Serialize)]
struct Readiness {
    ready: bool,
    phase: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pending: Vec<String>,
    checks: Vec<Finding>,
}

/// Mounts the three routes. HEAD is answered like GET, without the body.
pub fn routes(edge: &Edge, checks: Arc<[Check]>, metrics: bool) -> impl Fn(&mut web::ServiceConfig) + Clone + use<> {
    let edge = edge.clone();
    move |cfg| {
        let (for_ready, for_metrics, checks) = (edge.clone(), edge.clone(), checks.clone());
        cfg.route("/healthz", read().to(healthy));
        cfg.route("/readyz", read().to(move || ready(for_ready.clone(), checks.clone())));
        if metrics {
            cfg.route("/metrics", read().to(move |req: HttpRequest| exposed(req, for_metrics.clone())));
        }
    }
}

fn read() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

/// The process runs and answers: nothing more, so that a database outage does not restart every node.
async fn healthy() -> HttpResponse {
    HttpResponse::Ok().json(serde_json::json!({"status": "ok"}))
}

async fn ready(edge: Edge, checks: Arc<[Check]>) -> HttpResponse {
    let phase = edge.lifecycle.phase();
    let checks = futures_util::future::join_all(checks.iter().map(Check::run)).await;
    let ready = phase == Phase::Serving && checks.iter().all(|check| check.ok);
    let pending = if let Phase::Maintenance { pending } = &phase { pending.to_vec() } else { Vec::new() };
    let answer = Readiness { ready, phase: phase.name(), pending, checks };
    if ready { HttpResponse::Ok().json(answer) } else { HttpResponse::ServiceUnavailable().json(answer) }
}

/// As OpenMetrics to who would rather have that, with exemplars; else as the text that every Prometheus reads.
async fn exposed(req: HttpRequest, edge: Edge) -> Result<HttpResponse, HttpError> {
    edge.metrics.process.phase_is(edge.lifecycle.phase().name());
    let accept = req.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut answer = HttpResponse::Ok();
    answer.insert_header((header::VARY, "Accept"));
    if prefers(accept, "application/openmetrics-text", "text/plain") {
        return Ok(answer.content_type(OPEN_METRICS).body(edge.metrics.render_open()));
    }
    let page = edge.metrics.render().map_err(HttpError::internal)?;
    Ok(answer.content_type("text/plain; version=0.0.4; charset=utf-8").body(page))
}
