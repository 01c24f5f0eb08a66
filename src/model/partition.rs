//! A partition of the ledger: what it holds, and where it is in its life. Pure.

use std::fmt;

use chrono::{DateTime, Datelike, Months, NaiveDate, NaiveTime, Utc};
use serde::Serialize;

/// Where a partition is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// Statements go into it, or will.
    Open,
    /// Nothing goes into it any more.
    Sealed,
    /// A table of its own, out of the queries' way.
    Detached,
    /// Its segments are in object storage, proven and published; the table is still here.
    Archived,
    /// A foreign table over its segments answers for it.
    Attached,
    /// Only its segments are left.
    Dropped,
    /// Its time has come; it is removed after the grace period.
    Marked,
    Removed,
}

impl State {
    pub const ALL: [Self; 8] = [
        Self::Open,
        Self::Sealed,
        Self::Detached,
        Self::Archived,
        Self::Attached,
        Self::Dropped,
        Self::Marked,
        Self::Removed,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Sealed => "sealed",
            Self::Detached => "detached",
            Self::Archived => "archived",
            Self::Attached => "attached",
            Self::Dropped => "dropped",
            Self::Marked => "marked",
            Self::Removed => "removed",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether a query on the ledger reads it.
    pub fn is_readable(self) -> bool {
        matches!(self, Self::Open | Self::Sealed | Self::Attached)
    }
}

/// From when to when a partition reaches, by the moment at which a statement was stored: the end is not in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bounds {
    pub lower: DateTime<Utc>,
    pub upper: DateTime<Utc>,
}

impl Bounds {
    /// The month that holds `moment`, in UTC. `None` beyond the calendar.
    pub fn month_of(moment: DateTime<Utc>) -> Option<Self> {
        let first = NaiveDate::from_ymd_opt(moment.year(), moment.month(), 1)?;
        Self::month(first)
    }

    /// The month that comes `after` months later than this partition begins.
    pub fn later(self, after: u32) -> Option<Self> {
        Self::month(self.lower.date_naive().checked_add_months(Months::new(after))?)
    }

    fn month(first: NaiveDate) -> Option<Self> {
        let begin = |day: NaiveDate| day.and_time(NaiveTime::MIN).and_utc();
        Some(Self { lower: begin(first), upper: begin(first.checked_add_months(Months::new(1))?) })
    }

    pub fn holds(&self, moment: DateTime<Utc>) -> bool {
        self.lower <= moment && moment < self.upper
    }
}

/// The name of a partition: `2026-03`.
impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.lower.format("%Y-%m"))
    }
}

/// A partition of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    pub bounds: Bounds,
    pub state: State,
}

/// A partition with what it takes up. Rows are the database's estimate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Weight {
    pub rows: i64,
    pub bytes: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_state_is_known_by_its_name() {
        assert!(State::ALL.into_iter().all(|state| State::parse(state.name()) == Some(state)));
        assert_eq!(State::parse("Open"), None);
    }

    #[test]
    fn a_month_reaches_from_its_first_moment_to_the_next_ones() {
        let december = Bounds::month_of(moment("2026-12-31T23:59:59.999999Z")).unwrap();
        assert_eq!(december.to_string(), "2026-12");
        assert!(december.holds(december.lower) && !december.holds(december.upper));
        assert_eq!(december.upper, moment("2027-01-01T00:00:00Z"));
        assert_eq!(december.later(2).map(|bounds| bounds.to_string()).as_deref(), Some("2027-02"));
        assert_eq!(Bounds::month_of(DateTime::<Utc>::MAX_UTC), None);
    }
}
