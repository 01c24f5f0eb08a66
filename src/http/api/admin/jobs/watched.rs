//! The jobs that somebody follows on this node: looked at together, so that the database is asked as often for many as for one.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use uuid::Uuid;

use crate::store::{
    As, Store, StoreError,
    platform::jobs::{self, Job},
};

/// What was seen by another so lately is not asked for again.
const FRESH: Duration = Duration::from_millis(400);

#[derive(Default)]
pub(super) struct Watched {
    followed: Mutex<HashMap<Uuid, Followed>>,
    /// When they were looked at; held by whoever does.
    looked: tokio::sync::Mutex<Option<Instant>>,
}

/// A job as it was when it was looked at, and how many want to know.
struct Followed {
    job: Job,
    by: usize,
}

/// Somebody's look at one of them, until it is dropped.
pub(super) struct Watch {
    of: Arc<Watched>,
    id: Uuid,
}

impl Watched {
    pub(super) fn follow(self: &Arc<Self>, job: Job) -> Watch {
        let id = job.id;
        let mut followed = self.followed();
        let by = followed.get(&id).map_or(0, |followed| followed.by) + 1;
        followed.insert(id, Followed { job, by });
        drop(followed);
        Watch { of: Arc::clone(self), id }
    }

    fn followed(&self) -> MutexGuard<'_, HashMap<Uuid, Followed>> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at all of them, unless somebody just did.
    async fn look(&self, store: &Store) -> Result<(), StoreError> {
        let mut looked = self.looked.lock().await;
        if looked.is_some_and(|at| at.elapsed() < FRESH) {
            return Ok(());
        }
        let ids: Vec<Uuid> = self.followed().keys().copied().collect();
        let seen = store.run_tx("follow_jobs", As::Worker, |tx| {
            let ids = ids.clone();
            Box::pin(async move { jobs::all_of(tx, &ids).await })
        });
        let seen = seen.await?;
        let mut followed = self.followed();
        for job in seen {
            if let Some(followed) = followed.get_mut(&job.id) {
                followed.job = job;
            }
        }
        *looked = Some(Instant::now());
        Ok(())
    }
}

impl Watch {
    /// The job as it is; one that is gone stays as it was.
    pub(super) async fn now(&self, store: &Store) -> Result<Option<Job>, StoreError> {
        self.of.look(store).await?;
        Ok(self.of.followed().get(&self.id).map(|followed| followed.job.clone()))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut followed = self.of.followed();
        if let Some(one) = followed.get_mut(&self.id) {
            one.by -= 1;
            if one.by == 0 {
                followed.remove(&self.id);
            }
        }
    }
}
