//! The consistency bound (`X-Experience-API-Consistent-Through`) as this process last read it, and a throttle for advancing
//! the ledger's clock while nobody writes.
//!
//! Every read queries the bound anew: another node may have answered with a later one a moment ago, and the header must never
//! go back. The cached value only makes the query cheaper.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};

/// How long the ledger's clock may rest while somebody reads.
const REST: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Bounds {
    /// The last safe bound: what is stored from here on may still be on its way.
    seen: Mutex<DateTime<Utc>>,
    caught_up: Mutex<Option<Instant>>,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { seen: Mutex::new(DateTime::UNIX_EPOCH), caught_up: Mutex::default() }
    }
}

impl Bounds {
    /// The last bound there was, however long ago; the epoch before the first.
    pub fn seen(&self) -> DateTime<Utc> {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a new bound. Answers the last moment before it: all that was stored up to then is visible.
    pub fn note(&self, bound: DateTime<Utc>) -> DateTime<Utc> {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = bound;
        through(bound)
    }

    /// The last moment before the last bound.
    pub fn through(&self) -> DateTime<Utc> {
        through(self.seen())
    }

    /// Whether the caller is the one who lets the clock catch up: one in each span of rest.
    pub fn is_due(&self) -> bool {
        self.is_due_at(Instant::now())
    }

    fn is_due_at(&self, now: Instant) -> bool {
        let mut caught_up = self.caught_up.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = caught_up.is_none_or(|last| now.saturating_duration_since(last) >= REST);
        if is_due {
            *caught_up = Some(now);
        }
        is_due
    }
}

/// Statements have whole microseconds, and so has what clients are told.
fn through(bound: DateTime<Utc>) -> DateTime<Utc> {
    (bound - TimeDelta::microseconds(1)).max(DateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_the_last_moment_before_the_bound() {
        let at = |micros| DateTime::from_timestamp_micros(micros).unwrap();
        let bounds = Bounds::default();
        assert_eq!((bounds.seen(), bounds.through()), (at(0), at(0)));
        assert_eq!(bounds.note(at(500)), at(499));
        assert_eq!((bounds.seen(), bounds.through()), (at(500), at(499)));
    }

    #[test]
    fn one_in_each_span_of_rest_lets_the_clock_catch_up() {
        let (bounds, now) = (Bounds::default(), Instant::now());
        assert!(bounds.is_due_at(now));
        assert!(!bounds.is_due_at(now + REST / 2));
        assert!(bounds.is_due_at(now + REST));
        assert!(!bounds.is_due_at(now + REST));
    }
}
