//! The trail of reading: who read what is said of other people, and who asked for one person's statements.
//!
//! Reads of the internal API write their entry in their own transaction. xAPI queries come by the thousand, and a
//! commit of their own for each would cost more than the read; so their entries wait in memory and go out in batches.
//! Nothing is dropped to make room: while the queue is full, such a query is refused.

use std::{sync::Arc, time::Duration};

use serde_json::Value;
use tokio::{
    sync::{Mutex, OnceCell, mpsc, watch},
    task::JoinHandle,
};

use crate::{
    model::{Clock, Pseudonyms, TenantId},
    store::{
        Store, StoreError,
        platform::audit::{Noted, Reading, person},
    },
    telemetry::Metrics,
    xapi::keys::{self, Ifi},
};

/// Entries that may wait: at a thousand queries a second, ten seconds without a database.
const QUEUE: usize = 10_000;
/// Entries in one transaction.
const BATCH: usize = 1_000;
/// The longest an entry is buffered before its batch is written. A killed process loses at most this much and one batch.
const COMPANY: Duration = Duration::from_millis(100);
/// Between two tries when the database does not take a batch.
const AGAIN: Duration = Duration::from_millis(500);

/// Why an entry found no place. The query must not be answered without it.
#[derive(Debug, thiserror::Error)]
pub enum TrailError {
    /// The queue is full, or the service stops.
    #[error("the trail of reads cannot take another entry right now")]
    Full,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The way onto the trail. Clones share one queue.
#[derive(Clone)]
pub struct Trail {
    store: Store,
    clock: Clock,
    key: Arc<OnceCell<Arc<[u8]>>>,
    pseudonyms: Arc<OnceCell<Pseudonyms>>,
    queue: mpsc::Sender<Noted>,
    stop: Arc<watch::Sender<bool>>,
    /// The writer, until somebody waits for its end.
    work: Arc<Mutex<Option<JoinHandle<()>>>>,
    metrics: Metrics,
}

impl Trail {
    /// Starts the writer on the current runtime, which must be the main one.
    pub fn start(store: Store, clock: Clock, metrics: &Metrics) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let (stop, stopping) = watch::channel(false);
        let work = tokio::spawn(write(store.clone(), waiting, stopping, metrics.clone()));
        let (stop, work) = (Arc::new(stop), Arc::new(Mutex::new(Some(work))));
        Self {
            store,
            clock,
            key: Arc::default(),
            pseudonyms: Arc::default(),
            queue,
            stop,
            work,
            metrics: metrics.clone(),
        }
    }

    /// What a read by `actor` leaves when it writes its entry itself.
    pub async fn reading(&self, actor: String, action: &'static str) -> Result<Reading, StoreError> {
        Ok(Reading { actor, action, key: self.key().await? })
    }

    /// Notes that `by` asked about `agent`. Answers without waiting for the database.
    pub async fn note(
        &self,
        tenant: TenantId,
        by: String,
        action: &'static str,
        agent: &Ifi,
        detail: Value,
    ) -> Result<(), TrailError> {
        let pseudonyms = self.pseudonyms().await?;
        let user = keys::user(tenant.0, agent, |key| pseudonyms.of(key));
        let subject = person(&self.key().await?, tenant, &user);
        let noted = Noted { at: self.clock.now(), tenant, actor: by, action, subject, detail };
        if *self.stop.borrow() || self.queue.try_send(noted).is_err() {
            self.metrics.trail.refused.inc();
            return Err(TrailError::Full);
        }
        Ok(())
    }

    /// What makes the ids of people who have no UUID.
    pub async fn pseudonyms(&self) -> Result<&Pseudonyms, StoreError> {
        self.pseudonyms
            .get_or_try_init(|| async { Ok(Pseudonyms::with_key(&self.store.signing_key(Pseudonyms::PURPOSE).await?)) })
            .await
    }

    async fn key(&self) -> Result<Arc<[u8]>, StoreError> {
        self.key.get_or_try_init(|| async { Ok(self.store.signing_key("audit").await?.into()) }).await.cloned()
    }

    /// Takes nothing more and writes what waits, for as long as `patience` allows. What is left then is counted and
    /// logged.
    pub async fn finish(&self, patience: Duration) {
        self.stop.send_replace(true);
        let Some(mut work) = self.work.lock().await.take() else { return };
        if tokio::time::timeout(patience, &mut work).await.is_err() {
            work.abort();
            // Its end tells how many entries were left.
            let _ = work.await;
        }
    }
}

/// Entries that were taken and not written yet; tells of them if it goes while there are any.
struct Pending {
    batch: Vec<Noted>,
    waiting: mpsc::Receiver<Noted>,
    metrics: Metrics,
}

impl Drop for Pending {
    fn drop(&mut self) {
        let left = self.batch.len() + self.waiting.len();
        if left > 0 {
            self.metrics.trail.lost.inc_by(left as u64);
            tracing::error!(entries = left, "entries of the trail of reads could not be written before the end");
        }
    }
}

async fn write(store: Store, waiting: mpsc::Receiver<Noted>, mut stopping: watch::Receiver<bool>, metrics: Metrics) {
    let mut pending = Pending { batch: Vec::new(), waiting, metrics };
    loop {
        if pending.batch.is_empty() {
            let free = BATCH;
            let Pending { batch, waiting, .. } = &mut pending;
            let got = tokio::select! {
                got = waiting.recv_many(batch, free) => got,
                _ = stopping.wait_for(|stop| *stop), if !*stopping.borrow() => {
                    waiting.close();
                    continue;
                }
            };
            if got == 0 {
                return;
            }
            if batch.len() < BATCH && !waiting.is_closed() {
                tokio::time::sleep(COMPANY).await;
                while batch.len() < BATCH
                    && let Ok(noted) = waiting.try_recv()
                {
                    batch.push(noted);
                }
            }
        }
        match store.append_noted(&pending.batch).await {
            Ok(()) => {
                pending.metrics.trail.written.inc_by(pending.batch.len() as u64);
                pending.batch.clear();
            }
            Err(error) => {
                tracing::warn!(%error, entries = pending.batch.len(), "the trail of reads cannot be written; trying again");
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}
