//! The second session of a run: it looks from time to time who waits for the first one, and whom that one waits for.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    blockers::Blocker,
    millis,
    waits::{self, Tally, Wait, Waits},
};
use crate::store::{Endpoint, StoreError, door::ddl::Session};

/// Watches one session.
pub struct Watcher {
    session: Session,
    watched: i32,
    /// After so long a wait the server looks for deadlocks, and an autovacuum gives way.
    pub deadlock_timeout: Duration,
    since: Mutex<Since>,
}

/// What was seen since a try began.
struct Since {
    began: Instant,
    in_the_way: Vec<Blocker>,
}

/// It looks often while a try is young; later never so often that looking takes more than a tenth of the time. A look reads the
/// table of locks, which everybody needs.
const OFTEN: Duration = Duration::from_millis(10);
const SELDOM: Duration = Duration::from_millis(250);
const SOON: Duration = Duration::from_secs(2);
const SHARE: u32 = 10;

impl Watcher {
    /// Watches the session with this process id.
    pub async fn begin(endpoint: &Endpoint, watched: i32) -> Result<Self, StoreError> {
        let session = Session::connect(endpoint).await?;
        let sql = "/* watcher::migration_deadlock_timeout */
            SELECT setting::bigint FROM pg_catalog.pg_settings WHERE name = 'deadlock_timeout'";
        let row = session.client().query_one(sql, &[]).await;
        let millis: i64 = row.map_err(|e| StoreError::from_pg("migration_deadlock_timeout", &e))?.get(0);
        let deadlock_timeout = Duration::from_millis(millis.unsigned_abs());
        let since = Mutex::new(Since { began: Instant::now(), in_the_way: Vec::new() });
        Ok(Self { session, watched, deadlock_timeout, since })
    }

    /// Does the work of a file, and tells who waited for it. `loud` is told once, as soon as somebody has waited for longer
    /// than `limit`.
    pub async fn over<T>(
        &self,
        limit: Duration,
        loud: &(dyn Fn(&Wait) + Send + Sync),
        work: impl Future<Output = T>,
    ) -> (T, Waits) {
        self.begin_try();
        let (started, mut tally) = (Instant::now(), Tally::default());
        let (mut looked, mut pause, mut told) = (started, OFTEN, false);
        tokio::pin!(work);
        let done = loop {
            tokio::select! {
                biased;
                done = &mut work => break done,
                () = tokio::time::sleep(pause) => {}
            }
            let asked = Instant::now();
            let look = tokio::select! {
                biased;
                done = &mut work => break done,
                look = waits::look(&self.session, self.watched) => look,
            };
            pause = self.pause(asked.elapsed());
            // What cannot be seen is not told; the work does not suffer.
            let Ok(look) = look else { continue };
            tally.unseen(looked.elapsed());
            looked = asked;
            if !look.behind.is_empty() {
                self.since().in_the_way.clone_from(&look.behind);
            }
            tally.add(look, started.elapsed());
            if let Some(longest) = tally.longest().filter(|longest| !told && longest.waited_ms > millis(limit)) {
                loud(longest);
                told = true;
            }
        };
        tally.unseen(looked.elapsed());
        (done, tally.end())
    }

    /// A try begins.
    pub fn begin_try(&self) {
        *self.since() = Since { began: Instant::now(), in_the_way: Vec::new() };
    }

    /// Who was last seen in the way of this try.
    pub fn in_the_way(&self) -> Vec<Blocker> {
        self.since().in_the_way.clone()
    }

    fn pause(&self, look: Duration) -> Duration {
        let is_young = self.since().began.elapsed() < SOON;
        if is_young { OFTEN } else { (look * SHARE).clamp(OFTEN, SELDOM) }
    }

    fn since(&self) -> MutexGuard<'_, Since> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
