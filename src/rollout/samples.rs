//! What this node counts of each tenant's requests while a step is baked; at other times it counts nothing.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::plan::span;
use crate::{
    model::TenantId,
    store::{
        Store, StoreError,
        platform::rollouts::{Sample, Watched},
    },
};

/// How often what was counted is handed over.
const LOOK: Duration = Duration::from_secs(1);
/// Refused by a limit: for a pilot that is a fault of what is tried.
const TOO_MANY: u16 = 429;
/// Nothing is watched.
const NEVER: u64 = u64::MAX;

/// The counts of one node; clones share them.
#[derive(Clone, Debug)]
pub struct Samples {
    /// From how many milliseconds on an answer is slow; `NEVER`: nothing is counted.
    slow: Arc<AtomicU64>,
    counted: Arc<Mutex<HashMap<TenantId, Sample>>>,
}

impl Default for Samples {
    fn default() -> Self {
        Self { slow: Arc::new(AtomicU64::new(NEVER)), counted: Arc::default() }
    }
}

impl Samples {
    /// Counts an answer to a caller of a tenant.
    pub fn answered(&self, tenant: TenantId, status: u16, took: Duration) {
        let slow = self.slow.load(Ordering::Relaxed);
        if slow == NEVER {
            return;
        }
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let sample = counted.entry(tenant).or_default();
        sample.requests += 1;
        sample.errors += i64::from(status >= 500 || status == TOO_MANY);
        sample.slow += i64::from(took.as_millis() >= u128::from(slow));
    }

    fn taken(&self) -> Vec<(TenantId, Sample)> {
        std::mem::take(&mut *self.counted.lock().unwrap_or_else(PoisonError::into_inner)).into_iter().collect()
    }

    /// Hands over what was counted, again and again, until told to stop.
    pub async fn keep(self, store: Store, node: Uuid, stop: CancellationToken) {
        let mut before = None;
        while !stop.is_cancelled() {
            if let Err(error) = self.hand_over(&store, node, &mut before).await {
                tracing::debug!(%error, "what was counted could not be handed over");
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// What was counted belongs to what was watched before; what begins to be watched now begins with nothing.
    async fn hand_over(&self, store: &Store, node: Uuid, before: &mut Option<Watched>) -> Result<(), StoreError> {
        let now = store.watched_rollout().await?;
        let slow = now.as_ref().and_then(|now| span(&now.slow)).and_then(|slow| u64::try_from(slow.as_millis()).ok());
        self.slow.store(slow.unwrap_or(NEVER), Ordering::Relaxed);
        let counted = self.taken();
        if let Some(watched) = now.as_ref().filter(|now| before.as_ref() == Some(now) && !counted.is_empty()) {
            store.count_for_rollout(watched, node, &counted).await?;
        }
        *before = now;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_watched_is_counted() {
        let (samples, tenant) = (Samples::default(), TenantId::DEFAULT);
        samples.answered(tenant, 500, Duration::from_secs(9));
        assert_eq!(samples.taken(), []);
        samples.slow.store(1_000, Ordering::Relaxed);
        for (status, millis) in [(200, 1), (503, 1), (404, 1_000), (429, 2_000)] {
            samples.answered(tenant, status, Duration::from_millis(millis));
        }
        assert_eq!(samples.taken(), [(tenant, Sample { requests: 4, errors: 2, slow: 2 })]);
        assert_eq!(samples.taken(), []);
    }
}
