//! The background loops of a serving node: which steps there are, and how often they look.

use std::time::Duration;

use crate::{
    ingest::settle,
    model::Clock,
    partitions,
    store::Store,
    worker::{Loop, Step},
};

/// Every loop. A lease decides which node runs it.
pub fn all(store: &Store, clock: &Clock) -> Vec<Loop> {
    vec![months(store, clock), references(store)]
}

fn months(store: &Store, clock: &Clock) -> Loop {
    let (store, clock) = (store.clone(), clock.clone());
    Loop::new("months", Duration::from_secs(3600), move |_| {
        let (store, clock) = (store.clone(), clock.clone());
        async move {
            partitions::make_ahead(&store, clock.now()).await?;
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
