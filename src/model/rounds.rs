//! Which tenants to visit: everybody now and then, and in between those that had something lately. Looking at thousands that
//! are quiet then costs next to nothing, and whoever breaks a silence waits a moment. Pure: time comes in.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::TenantId;

/// So few tenants are all visited each time.
const FEW: usize = 100;
/// With more, the next visit to everybody comes after so long for each of them: a look takes a hundredth of it.
const FOR_EACH: Duration = Duration::from_millis(1);
/// But no later than this.
const LATEST: Duration = Duration::from_secs(3);
/// How long somebody counts among those who had something lately.
const LATELY: Duration = Duration::from_secs(10);

/// The memory of whoever visits. Forgetting it costs a visit to everybody.
#[derive(Debug, Default)]
pub struct Rounds(Mutex<Memory>);

#[derive(Debug, Default)]
struct Memory {
    /// Since when everybody waits, and for how long.
    everybody: Option<(Instant, Duration)>,
    lately: HashMap<TenantId, Instant>,
}

impl Rounds {
    /// Whom to visit now; `None` is everybody.
    pub fn whom(&self, now: Instant) -> Option<Vec<TenantId>> {
        let mut memory = self.lock();
        memory.lately.retain(|_, seen| now.duration_since(*seen) < LATELY);
        let (since, wait) = memory.everybody?;
        (now.duration_since(since) < wait).then(|| {
            let mut whom: Vec<TenantId> = memory.lately.keys().copied().collect();
            whom.sort_unstable();
            whom
        })
    }

    /// Notes that all of so many tenants were visited.
    pub fn visited_everybody(&self, tenants: usize, now: Instant) {
        let for_all = FOR_EACH.saturating_mul(u32::try_from(tenants).unwrap_or(u32::MAX)).min(LATEST);
        let wait = if tenants <= FEW { Duration::ZERO } else { for_all };
        self.lock().everybody = Some((now, wait));
    }

    /// Notes who had something.
    pub fn found(&self, tenants: impl IntoIterator<Item = TenantId>, now: Instant) {
        self.lock().lately.extend(tenants.into_iter().map(|tenant| (tenant, now)));
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn tenant(n: u128) -> TenantId {
        TenantId(Uuid::from_u128(n))
    }

    #[test]
    fn few_are_all_visited_each_time() {
        let (rounds, now) = (Rounds::default(), Instant::now());
        assert_eq!(rounds.whom(now), None);
        rounds.visited_everybody(FEW, now);
        assert_eq!(rounds.whom(now), None);
    }

    #[test]
    fn of_many_those_with_something_lately_are_visited_and_everybody_soon() {
        let (rounds, now) = (Rounds::default(), Instant::now());
        rounds.visited_everybody(2_000, now);
        rounds.found([tenant(2), tenant(1)], now);
        let second = Duration::from_secs(1);
        assert_eq!(rounds.whom(now + second), Some(vec![tenant(1), tenant(2)]));
        assert_eq!(rounds.whom(now + 2 * second), None, "2,000 milliseconds");
        rounds.visited_everybody(1_000_000, now + 9 * second);
        rounds.found([tenant(1)], now + 9 * second);
        assert_eq!(rounds.whom(now + 11 * second), Some(vec![tenant(1)]), "the other has had nothing for long");
        assert_eq!(rounds.whom(now + 12 * second), None, "however many they are");
    }
}
