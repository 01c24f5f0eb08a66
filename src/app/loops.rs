//! The background loops of a serving node: which steps there are, and how often they look.

use std::{sync::Arc, time::Duration};

use crate::{
    ingest::settle,
    model::Clock,
    partitions, projections,
    relay::Relay,
    store::Store,
    telemetry::Metrics,
    worker::{Loop, Step},
};

/// Every loop. A lease decides which node runs it. Without brokers there is no relay, and events wait in the ledger.
pub fn all(store: &Store, clock: &Clock, metrics: &Metrics, relay: Option<Arc<Relay>>) -> Vec<Loop> {
    let mut loops = vec![months(store, clock, metrics), references(store), progress(store)];
    loops.extend(relay.map(events));
    loops
}

fn events(relay: Arc<Relay>) -> Loop {
    Loop::new("relay", Duration::from_millis(500), move |_| {
        let relay = Arc::clone(&relay);
        async move { Ok(if relay.step().await? { Step::More } else { Step::Idle }) }
    })
}

fn months(store: &Store, clock: &Clock, metrics: &Metrics) -> Loop {
    let (store, clock, metrics) = (store.clone(), clock.clone(), metrics.clone());
    Loop::new("months", Duration::from_secs(3600), move |_| {
        let (store, clock, metrics) = (store.clone(), clock.clone(), metrics.clone());
        async move {
            partitions::make_ahead(&store, clock.now(), &metrics).await?;
            Ok(Step::Idle)
        }
    })
}

fn references(store: &Store) -> Loop {
    let store = store.clone();
    Loop::new("references", Duration::from_secs(2), move |_| {
        let store = store.clone();
        async move { Ok(if settle::step(&store).await? > 0 { Step::More } else { Step::Idle }) }
    })
}

fn progress(store: &Store) -> Loop {
    let store = store.clone();
    Loop::new("projections", Duration::from_millis(500), move |_| {
        let store = store.clone();
        async move { Ok(if projections::run::step(&store).await? > 0 { Step::More } else { Step::Idle }) }
    })
}
