//! How a file waits for locks: shortly, and again later, so that nobody queues behind it for longer than one short wait.

use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::{Budget, ExecuteError, blockers::Blocker, watcher::Watcher};

/// Who looks after a file that has to wait.
#[derive(Clone, Copy)]
pub struct Waiting<'a> {
    pub budget: &'a Budget,
    /// Absent where there was no second connection: then nobody is named.
    pub watcher: Option<&'a Watcher>,
    /// Told after each try in vain: how many there were, and who was in the way.
    pub blocked: &'a (dyn Fn(u32, &[Blocker]) + Send + Sync),
}

/// What waiting cost.
#[derive(Clone, Copy, Debug)]
pub struct Waited {
    /// Time lost in tries that ended in a lock timeout, and between them.
    pub lost: Duration,
    pub tries: u32,
}

/// Tries `once` with a lock timeout until others let it, longer apart each time.
///
/// An autovacuum gives way only to who waits for longer than `deadlock_timeout`. Where nobody else is in the way the next
/// try waits that long, once, because the short ones would wait until the whole vacuum is over.
pub async fn patiently<'f, T>(
    waiting: Waiting<'_>,
    once: impl Fn(Duration) -> BoxFuture<'f, Result<T, ExecuteError>>,
) -> Result<(T, Waited), ExecuteError> {
    let Waiting { budget, watcher, blocked } = waiting;
    let started = Instant::now();
    let (mut tries, mut timeout) = (1, budget.lock_timeout);
    loop {
        let lost = started.elapsed();
        watcher.inspect(|watcher| watcher.begin_try());
        let result = once(timeout).await;
        let seen = watcher.map(Watcher::in_the_way).unwrap_or_default();
        match result {
            Ok(done) => return Ok((done, Waited { lost, tries })),
            Err(error) if error.is_contention() && tries < budget.lock_tries.max(1) => {
                blocked(tries, &seen);
                timeout = next_timeout(budget, watcher, &seen);
                tokio::time::sleep(back_off(tries)).await;
                tries += 1;
            }
            Err(error) => return Err(error.blaming(seen)),
        }
    }
}

fn next_timeout(budget: &Budget, watcher: Option<&Watcher>, seen: &[Blocker]) -> Duration {
    let only_vacuum = !seen.is_empty() && seen.iter().all(|blocker| blocker.autovacuum);
    let until_it_yields = watcher.filter(|_| only_vacuum).map_or(Duration::ZERO, |watcher| watcher.deadlock_timeout);
    budget.lock_timeout + until_it_yields
}

/// Longer after each try, so that whoever queued behind us gets through.
pub(super) fn back_off(tries: u32) -> Duration {
    Duration::from_millis(100 << tries.min(6))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_stay_bounded() {
        assert!(back_off(1) < back_off(3));
        assert_eq!(back_off(60), back_off(6));
    }

    #[tokio::test]
    async fn every_try_is_short_and_the_last_one_blames() {
        let budget = Budget { lock_tries: 3, ..Budget::default() };
        let tried = std::sync::Mutex::new(Vec::new());
        let told = std::sync::Mutex::new(Vec::new());
        let refuse = |timeout| -> BoxFuture<'_, _> {
            tried.lock().unwrap().push(timeout);
            Box::pin(async { Err::<(), _>(ExecuteError::lock_timeout()) })
        };
        let blocked = |tries, _: &[Blocker]| told.lock().unwrap().push(tries);
        let waiting = Waiting { budget: &budget, watcher: None, blocked: &blocked };
        assert!(patiently(waiting, refuse).await.unwrap_err().is_contention());
        assert_eq!(tried.into_inner().unwrap(), [budget.lock_timeout; 3]);
        assert_eq!(told.into_inner().unwrap(), [1, 2]);
    }
}
