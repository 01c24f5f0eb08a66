//! Who is told of rollouts: built from the configuration, and the loop that tells them.

use std::time::Duration;

use anyhow::Context as _;

use crate::{
    config::{Config, receivers},
    model::{Clock, Secret},
    rollout::{Listener, Teller, teller_client},
    store::Store,
    telemetry::Metrics,
    worker::{Loop, Step},
};

/// What tells those whom the configuration names. None is connected to before a rollout tells something.
pub fn teller(config: &Config, store: &Store, clock: &Clock, metrics: &Metrics) -> anyhow::Result<Teller> {
    let client = teller_client(config.rollout.ca_file.as_deref()).context("rollout.ca_file")?;
    let listener = |one: receivers::Receiver| {
        let url = one.url.expose().parse().context("rollout.receivers")?;
        Ok(Listener::new(one.name.clone(), url, one.key().as_deref()))
    };
    let listeners = named(config)?.into_iter().map(listener).collect::<anyhow::Result<_>>()?;
    Ok(Teller::new(store, clock, metrics, (client, listeners)))
}

/// Those whom a plan may name.
pub fn named(config: &Config) -> anyhow::Result<Vec<receivers::Receiver>> {
    let text = config.rollout.receivers.as_ref().map(Secret::expose).unwrap_or_default();
    receivers::read(text).map_err(anyhow::Error::msg).context("rollout.receivers")
}

/// Beside the loop of the rollouts, so that nobody who is told keeps one waiting.
pub fn tellings(teller: &Teller) -> Loop {
    let teller = teller.clone();
    Loop::new("tellings", Duration::from_secs(1), move |lease| {
        let teller = teller.under(&lease);
        async move { Ok(if teller.step().await? { Step::More } else { Step::Idle }) }
    })
}
