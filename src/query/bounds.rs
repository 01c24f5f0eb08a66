//! The safe bound of a moment ago. It stays true for ever, it only becomes less than could be said; asking for it costs
//! more than most reads, so that reads which come close together share one.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};

use crate::store::StoreError;

/// How far a shared bound may lie behind.
const RECENT: Duration = Duration::from_millis(50);

#[derive(Debug, Default)]
pub(super) struct Bounds(Mutex<Option<(Instant, DateTime<Utc>)>>);

impl Bounds {
    pub fn recent(&self) -> Option<DateTime<Utc>> {
        self.recent_at(Instant::now())
    }

    fn recent_at(&self, now: Instant) -> Option<DateTime<Utc>> {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.filter(|(asked, _)| now.saturating_duration_since(*asked) < RECENT).map(|(_, bound)| bound)
    }

    /// The last bound there was, however long ago.
    pub fn last(&self) -> Option<DateTime<Utc>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).map(|(_, bound)| bound)
    }

    /// The bound of a read: the recent one it went out with, or the new one it brought, which is kept for others.
    pub fn note(
        &self,
        recent: Option<DateTime<Utc>>,
        asked: Option<DateTime<Utc>>,
    ) -> Result<DateTime<Utc>, StoreError> {
        if let Some(bound) = asked {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), bound));
        }
        asked.or(recent).ok_or_else(|| StoreError::Shape { name: "safe_bound", detail: "no answer".to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_shared_only_for_a_moment() {
        let (bounds, bound) = (Bounds::default(), DateTime::UNIX_EPOCH);
        assert_eq!(bounds.recent(), None);
        assert!(bounds.note(None, None).is_err(), "a read without a bound is no answer");
        let before = Instant::now();
        assert_eq!(bounds.note(None, Some(bound)).ok(), Some(bound));
        let after = Instant::now();
        assert_eq!(bounds.recent_at(before + RECENT / 2), Some(bound));
        assert_eq!(bounds.note(Some(bound), None).ok(), Some(bound));
        assert_eq!(bounds.recent_at(after + RECENT), None);
        assert_eq!(bounds.last(), Some(bound));
    }
}
