//! Counts new statements whose verb no registry knows. They are legal and stored like any other; operators want to see them.
//!
//! It runs beside the writers: an answer never waits for it, and no row is written for it.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use tokio::sync::mpsc;

use crate::{store::Store, telemetry::Metrics};

/// Time between two looks at the registry, however many statements come in.
const PAUSE: Duration = Duration::from_secs(1);
/// Groups that may wait for the next look.
const WAITING: usize = 1_024;

type Counts = HashMap<String, u64>;

/// Verbs that were found registered. Entries of the registry are never removed, so what is in here stays true, and what
/// is not has to be looked up each time: somebody may have registered it meanwhile.
type Registered = Arc<RwLock<HashSet<String>>>;

pub(super) struct UnregisteredVerbs {
    registered: Registered,
    unknown: mpsc::Sender<Counts>,
    metrics: Metrics,
}

impl UnregisteredVerbs {
    /// Starts the count on the current runtime; it ends when this is dropped.
    pub fn start(store: Store, metrics: Metrics) -> Self {
        let (unknown, waiting) = mpsc::channel(WAITING);
        let registered = Registered::default();
        tokio::spawn(count(waiting, store, Arc::clone(&registered), metrics.clone()));
        Self { registered, unknown, metrics }
    }

    /// Takes the verbs of statements that were just stored, one for each statement.
    pub fn note<'a>(&self, verbs: impl Iterator<Item = &'a str>) {
        let mut counts = Counts::new();
        let registered = self.registered.read().unwrap_or_else(PoisonError::into_inner);
        for verb in verbs.filter(|verb| !registered.contains(*verb)) {
            match counts.get_mut(verb) {
                Some(count) => *count += 1,
                None => drop(counts.insert(verb.to_owned(), 1)),
            }
        }
        drop(registered);
        if counts.is_empty() {
            return;
        }
        // With so much waiting the database is away or the verbs are many: then unknown to this process has to do.
        if let Err(mpsc::error::TrySendError::Full(counts)) = self.unknown.try_send(counts) {
            self.metrics.ledger.unregistered_verbs.inc_by(counts.values().sum());
        }
    }
}

async fn count(mut waiting: mpsc::Receiver<Counts>, store: Store, registered: Registered, metrics: Metrics) {
    while let Some(mut counts) = waiting.recv().await {
        while let Ok(more) = waiting.try_recv() {
            for (verb, count) in more {
                *counts.entry(verb).or_default() += count;
            }
        }
        let verbs: Vec<&str> = counts.keys().map(String::as_str).collect();
        loop {
            match store.registered_among(&verbs).await {
                Ok(known) => {
                    let unknown = counts.iter().filter(|(verb, _)| !known.contains(*verb)).map(|(_, count)| count);
                    metrics.ledger.unregistered_verbs.inc_by(unknown.sum());
                    registered.write().unwrap_or_else(PoisonError::into_inner).extend(known);
                    break;
                }
                Err(error) if waiting.is_closed() => {
                    tracing::debug!(%error, "the last unregistered verbs were not counted");
                    return;
                }
                Err(error) => tracing::debug!(%error, "the registry of verbs cannot be read now"),
            }
            tokio::time::sleep(PAUSE).await;
        }
        tokio::time::sleep(PAUSE).await;
    }
}
