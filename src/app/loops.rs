//! The background loops of a serving node: which steps there are, and how often they look.

use std::{sync::Arc, time::Duration};

use serde_json::{Map, Value};

use crate::{
    archive::{Archive, plan::Schedule},
    cold::Cold,
    ingest::{Ingest, own, settle::References},
    model::{Clock, scheme::Scheme},
    partitions,
    projections::{self, silence::Patience},
    relay::{Relay, SHARES, Share},
    store::Store,
    telemetry::Metrics,
    worker::{Loop, Step},
};

/// Every loop. A lease decides which node runs it, and each step works under it: what it writes is refused once another node
/// leads. Without brokers there is no relay, and events wait in the ledger.
pub fn all(
    cold: &Cold,
    clock: &Clock,
    metrics: &Metrics,
    relay: Option<Arc<Relay>>,
    patience: Patience,
    ingest: &Ingest,
    authority: Map<String, Value>,
) -> Vec<Loop> {
    let store = cold.store();
    let mut loops = vec![
        satisfied(cold, clock, ingest, authority),
        references(cold, metrics),
        progress(store),
        silences(store, clock, patience),
    ];
    if let Some(relay) = relay {
        loops.extend(EVENTS.iter().zip(0..).map(|(name, index)| events(name, Share { index, of: SHARES }, &relay)));
        loops.push(pruning(relay));
    }
    loops
}

/// One lease for each share of the tenants, so that nodes can divide them.
const EVENTS: [&str; SHARES as usize] = ["relay-0", "relay-1", "relay-2", "relay-3"];
/// How often a node that has more shares than another offers one.
const OFFER: Duration = Duration::from_secs(30);

fn events(name: &'static str, share: Share, relay: &Arc<Relay>) -> Loop {
    let relay = Arc::clone(relay);
    Loop::new(name, Duration::from_millis(500), move |lease| {
        let relay = relay.under(&lease);
        async move { Ok(if relay.step(share).await? { Step::More } else { Step::Idle }) }
    })
    .divided("relay-", OFFER.mul_f64(f64::from(share.index + 1) / f64::from(share.of)), OFFER)
}

fn pruning(relay: Arc<Relay>) -> Loop {
    Loop::new("outbox", Duration::from_secs(600), move |lease| {
        let relay = relay.under(&lease);
        async move { Ok(if relay.prune().await? { Step::More } else { Step::Idle }) }
    })
}

/// Says `satisfied` where a tenant asks for it, as the service itself.
fn satisfied(cold: &Cold, clock: &Clock, ingest: &Ingest, authority: Map<String, Value>) -> Loop {
    let (cold, clock, ingest, authority) = (cold.clone(), clock.clone(), ingest.clone(), Arc::new(authority));
    Loop::new("satisfied", Duration::from_secs(1), move |lease| {
        let (store, clock) = (cold.store().under(&lease), clock.clone());
        let cold = cold.through(store.clone());
        let (ingest, authority) = (ingest.clone(), Arc::clone(&authority));
        async move {
            let due = projections::satisfied::due(&store).await?;
            let mut more = false;
            for one in &due {
                let Some(missing) = projections::satisfied::missing(&cold, one).await? else { continue };
                more = true;
                for statement in missing {
                    // The queue's transaction is not under the lease.
                    store.check_lease().await?;
                    own::say(&ingest, one.tenant, &authority, &statement, clock.now()).await?;
                }
                projections::satisfied::done(&store, one).await?;
            }
            Ok(if more { Step::More } else { Step::Idle })
        }
    })
}

/// Months made ahead, divided by this scheme.
pub fn months(store: &Store, clock: &Clock, metrics: &Metrics, scheme: Scheme) -> Loop {
    let (store, clock, metrics) = (store.clone(), clock.clone(), metrics.clone());
    Loop::new("months", Duration::from_secs(3600), move |lease| {
        let (store, clock, metrics) = (store.under(&lease), clock.clone(), metrics.clone());
        async move {
            partitions::run::mend(&store).await?;
            partitions::run::make_ahead(&store, clock.now(), scheme, &metrics).await?;
            Ok(Step::Idle)
        }
    })
}

/// What is due to the months by the schedule.
pub fn lifecycle(archive: &Archive, schedule: Schedule, has_brokers: bool) -> Loop {
    let archive = archive.clone();
    Loop::new("lifecycle", Duration::from_secs(600), move |lease| {
        let archive = archive.through(&archive.store.under(&lease));
        async move {
            archive.keep_schedule(&schedule, has_brokers).await?;
            Ok(Step::Idle)
        }
    })
}

fn references(cold: &Cold, metrics: &Metrics) -> Loop {
    let references = References::new(cold.clone(), metrics.clone());
    Loop::new("references", Duration::from_secs(2), move |lease| {
        let references = references.under(&lease);
        async move { Ok(if references.step().await? > 0 { Step::More } else { Step::Idle }) }
    })
}

fn silences(store: &Store, clock: &Clock, patience: Patience) -> Loop {
    let (store, clock) = (store.clone(), clock.clone());
    Loop::new("silences", Duration::from_secs(600), move |lease| {
        let (store, clock) = (store.under(&lease), clock.clone());
        async move {
            projections::silence::look(&store, patience, clock.now()).await?;
            Ok(Step::Idle)
        }
    })
}

/// A step that read less than a batch has caught up; going on at once would cost a transaction for each statement.
fn progress(store: &Store) -> Loop {
    let store = store.clone();
    Loop::new("projections", Duration::from_millis(500), move |lease| {
        let store = store.under(&lease);
        async move {
            Ok(if projections::run::step(&store).await? >= projections::run::BATCH { Step::More } else { Step::Idle })
        }
    })
}
