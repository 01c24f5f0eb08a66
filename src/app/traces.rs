//! What tells a collector, built from the configuration; and the loop that forgets which trace statements belong to.

use std::time::Duration;

use anyhow::Context as _;
use chrono::TimeDelta;
use reqwest::{
    Url,
    header::{HeaderMap, HeaderName, HeaderValue},
};

use crate::{
    config::{Config, collector},
    model::{Clock, Ids, Secret},
    rollout::teller_client,
    store::Store,
    telemetry::{Collector, Metrics, Pushes, Traces},
    worker::{Loop, Step},
};

/// How long it is known which trace a statement belongs to: long enough for its events to go out, and to be read.
const KEPT: TimeDelta = TimeDelta::hours(1);
/// Rows that are forgotten at once.
const BATCH: i64 = 5_000;

/// What tells the collector of this node: of requests, and how many of everything there is. Nobody connects before there is something
/// to tell.
pub fn telling(
    config: &Config,
    (clock, ids): (&Clock, &Ids),
    metrics: &Metrics,
    node: &str,
) -> anyhow::Result<(Traces, Pushes)> {
    let telemetry = &config.telemetry;
    let Some(endpoint) = &telemetry.otlp_endpoint else { return Ok((Traces::off(), Pushes::off())) };
    let endpoint: Url = endpoint.parse().context("telemetry.otlp_endpoint")?;
    let client = teller_client(telemetry.otlp_ca_file.as_deref()).context("telemetry.otlp_ca_file")?;
    let text = telemetry.otlp_headers.as_ref().map(Secret::expose).unwrap_or_default();
    let headers = headers(text).context("telemetry.otlp_headers")?;
    let collector = Collector { client, endpoint, headers, node: node.to_owned() };
    let pushes = match telemetry.otlp_metrics_every {
        Duration::ZERO => Pushes::off(),
        every => Pushes::start(collector.clone(), metrics, clock, every),
    };
    Ok((Traces::start(collector, telemetry.sample_ratio.0, (clock, ids), metrics), pushes))
}

fn headers(text: &str) -> anyhow::Result<HeaderMap> {
    let header = |(name, value): (String, Secret)| {
        let mut value = HeaderValue::from_str(value.expose())?;
        value.set_sensitive(true);
        Ok((HeaderName::from_bytes(name.as_bytes())?, value))
    };
    collector::headers(text).map_err(anyhow::Error::msg)?.into_iter().map(header).collect()
}

/// Forgets which trace statements belong to, once nobody asks any more.
pub fn forgetting(store: &Store, clock: &Clock) -> Loop {
    let (store, clock) = (store.clone(), clock.clone());
    Loop::new("traces", Duration::from_secs(60), move |lease| {
        let (store, before) = (store.under(&lease), clock.now() - KEPT);
        async move { Ok(if store.traces_prune(before, BATCH).await? > 0 { Step::More } else { Step::Idle }) }
    })
}
