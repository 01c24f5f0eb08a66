//! Forwards to other LRSs: built from the configuration, and their loops.

use std::time::Duration;

use anyhow::Context as _;

use crate::{
    cold::Cold,
    config::{Config, targets},
    model::{Clock, Ids, Secret},
    store::progress::relay::Share,
    telemetry::Metrics,
    transfer::{
        forward::{ANSWER, Forwarder, SHARES, Target},
        remote,
    },
    worker::{Loop, Step},
};

/// One lease for each share of the forwards, so that nodes can divide them.
const NAMES: [&str; SHARES as usize] = ["forward-0", "forward-1", "forward-2", "forward-3"];
/// How often a node that has more shares than another offers one.
const OFFER: Duration = Duration::from_secs(30);

/// What forwards to the LRSs that the configuration names. None is connected to before there is a forward.
pub fn forwarder(
    config: &Config,
    cold: &Cold,
    clock: &Clock,
    ids: &Ids,
    metrics: &Metrics,
) -> anyhow::Result<Forwarder> {
    let keys = &config.forward;
    let client = remote::client(keys.ca_file.as_deref(), ANSWER).context("forward.ca_file")?;
    let limits = (keys.batch_size, keys.batch_bytes.0 as u64);
    Ok(Forwarder::new(cold, (clock, ids), metrics, (client, named(config)?), limits))
}

/// The other LRSs that the configuration names.
pub fn named(config: &Config) -> anyhow::Result<Vec<Target>> {
    let text = config.forward.targets.as_ref().map(Secret::expose).unwrap_or_default();
    let read = targets::read(text).map_err(anyhow::Error::msg).context("forward.targets")?;
    let target = |one: targets::Target| {
        let endpoint = format!("{}/", one.endpoint).parse().context("forward.targets")?;
        Ok(Target { name: one.name, endpoint, key: one.key, secret: one.secret })
    };
    read.into_iter().map(target).collect()
}

/// The loops, each with its share of the forwards.
pub fn loops(forwarder: &Forwarder) -> Vec<Loop> {
    NAMES.iter().zip(0..).map(|(name, index)| part(name, Share { index, of: SHARES }, forwarder)).collect()
}

fn part(name: &'static str, share: Share, forwarder: &Forwarder) -> Loop {
    let forwarder = forwarder.clone();
    Loop::new(name, Duration::from_secs(1), move |lease| {
        let forwarder = forwarder.under(&lease);
        async move { Ok(if forwarder.step(share).await? { Step::More } else { Step::Idle }) }
    })
    .divided("forward-", OFFER.mul_f64(f64::from(share.index + 1) / f64::from(share.of)), OFFER)
}
