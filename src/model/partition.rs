//! A partition of the ledger: what it holds, and where it is in its life. Pure.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveTime, Utc};
use serde::{Deserialize, Serialize};

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

    /// Whether it is a partition of `ledger.statements` itself.
    pub fn is_hot(self) -> bool {
        matches!(self, Self::Open | Self::Sealed)
    }
}

/// A change of a partition's state that the ledger knows how to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    Seal,
    Detach,
    Attach,
    Archive,
    Drop,
}

impl Change {
    pub const ALL: [Self; 5] = [Self::Seal, Self::Detach, Self::Attach, Self::Archive, Self::Drop];

    /// The states it comes from.
    pub fn from(self) -> &'static [State] {
        match self {
            Self::Seal => &[State::Open],
            Self::Detach => &[State::Sealed],
            Self::Attach => &[State::Detached, State::Archived],
            Self::Archive => &[State::Detached],
            Self::Drop => &[State::Archived],
        }
    }

    /// The state it leads to.
    pub fn to(self) -> State {
        match self {
            Self::Seal | Self::Attach => State::Sealed,
            Self::Detach => State::Detached,
            Self::Archive => State::Archived,
            Self::Drop => State::Dropped,
        }
    }

    /// Its name, also in the audit trail.
    pub fn name(self) -> &'static str {
        match self {
            Self::Seal => "partitions.seal",
            Self::Detach => "partitions.detach",
            Self::Attach => "partitions.attach",
            Self::Archive => "partitions.archive",
            Self::Drop => "partitions.drop",
        }
    }
}

/// A calendar month in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Month(NaiveDate);

impl Month {
    /// The month that holds `moment`.
    pub fn of(moment: DateTime<Utc>) -> Self {
        let date = moment.date_naive();
        Self(date.checked_sub_days(Days::new(u64::from(date.day0()))).unwrap_or(date))
    }

    /// The first moment of the month.
    pub fn begin(self) -> DateTime<Utc> {
        self.0.and_time(NaiveTime::MIN).and_utc()
    }

    /// The first moment behind it.
    pub fn end(self) -> DateTime<Utc> {
        self.later(1).begin()
    }

    /// The month so many months later.
    pub fn later(self, months: u32) -> Self {
        Self(self.0.checked_add_months(Months::new(months)).unwrap_or(NaiveDate::MAX))
    }

    pub fn holds(self, moment: DateTime<Utc>) -> bool {
        self.begin() <= moment && moment < self.end()
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.format("%Y-%m"))
    }
}

impl FromStr for Month {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let first = NaiveDate::parse_from_str(&format!("{text}-01"), "%Y-%m-%d").ok();
        // PostgreSQL knows no year 0, and reads a year of more than four digits otherwise than it is written here.
        let first = first.filter(|first| (1..=9999).contains(&first.year()));
        let month = first.map(Self).filter(|month| month.to_string() == text);
        month.ok_or_else(|| format!("{text:?} is no month like 2026-03"))
    }
}

impl TryFrom<String> for Month {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Month> for String {
    fn from(month: Month) -> Self {
        month.to_string()
    }
}

/// From when to when a partition reaches, by the moment at which a statement was stored: the end is not in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bounds {
    pub lower: DateTime<Utc>,
    pub upper: DateTime<Utc>,
}

impl From<Month> for Bounds {
    fn from(month: Month) -> Self {
        Self { lower: month.begin(), upper: month.end() }
    }
}

/// The name of a partition: `2026-03`.
impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Month::of(self.lower).fmt(f)
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
    fn no_change_leads_to_where_it_comes_from() {
        for change in Change::ALL {
            assert!(!change.from().is_empty() && !change.from().contains(&change.to()), "{change:?}");
        }
    }

    #[test]
    fn a_month_reaches_from_its_first_moment_to_the_next_ones() {
        let december: Month = "2026-12".parse().unwrap();
        assert_eq!(Month::of(moment("2026-12-31T23:59:59.999999Z")), december);
        assert!(december.holds(december.begin()) && !december.holds(december.end()));
        let bounds = Bounds::from(december);
        assert_eq!((bounds.to_string().as_str(), bounds.upper), ("2026-12", moment("2027-01-01T00:00:00Z")));
        assert_eq!(december.later(2).to_string(), "2027-02");
        for wrong in ["2026-13", "2026-3", "2026-03-01", "March", ""] {
            assert!(wrong.parse::<Month>().unwrap_err().contains("2026-03"), "{wrong}");
        }
    }
}
