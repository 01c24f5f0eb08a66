//! Rules of retention as values: what they cover, when their time begins, how long they keep and after how long they delete. Pure.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::TenantId;

/// What a rule covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    Statements,
    Documents,
    Attachments,
    /// Closed attempts with their completions and scores.
    Attempts,
    /// Events that were sent and still lie in the outbox.
    Events,
}

impl Place {
    pub const ALL: [Self; 5] = [Self::Statements, Self::Documents, Self::Attachments, Self::Attempts, Self::Events];

    pub fn name(self) -> &'static str {
        match self {
            Self::Statements => "statements",
            Self::Documents => "documents",
            Self::Attachments => "attachments",
            Self::Attempts => "attempts",
            Self::Events => "events",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|place| place.name() == name)
    }
}

/// When the time of a rule begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Starts {
    /// When the row was stored.
    Stored,
    /// When its course was withdrawn. Until then it is kept, and nothing is due.
    Withdrawn,
}

impl Starts {
    pub fn name(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Withdrawn => "withdrawn",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        [Self::Stored, Self::Withdrawn].into_iter().find(|starts| starts.name() == name)
    }
}

/// A course that a rule is about: its id, and its lookup key as an activity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Course {
    pub id: String,
    pub key: Uuid,
}

/// A rule as it is in force. Absent days: it does not keep, or does not delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub number: i64,
    /// `None`: for every tenant of the class.
    pub tenant: Option<TenantId>,
    pub class: String,
    pub covers: Place,
    pub course: Option<Course>,
    pub starts: Starts,
    pub keep: Option<u32>,
    pub delete: Option<u32>,
}

/// The longest period: two hundred years.
pub const LONGEST: u32 = 73_050;

/// A period such as `90d`, `2w`, `6m` or `7y` in days; a year has 365.25 of them and a month a twelfth of that, rounded up.
pub fn days(text: &str) -> Result<u32, String> {
    let refused = || format!("{text:?} is no period: write a number and d, w, m or y, such as 90d or 7y, up to 200y");
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(refused)?;
    let number: u64 = number.parse().map_err(|_| refused())?;
    let number = Some(number).filter(|number| (1..=u64::from(LONGEST)).contains(number)).ok_or_else(refused)?;
    let days = match unit {
        "d" => number,
        "w" => number * 7,
        "m" => (number * 36_525).div_ceil(1_200),
        "y" => (number * 36_525).div_ceil(100),
        _ => return Err(refused()),
    };
    u32::try_from(days).ok().filter(|days| *days <= LONGEST).ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_days() {
        let of = |text| days(text).unwrap();
        assert_eq!((of("90d"), of("2w"), of("1m"), of("12m"), of("7y"), of("200y")), (90, 14, 31, 366, 2_557, LONGEST));
        for bad in ["", "d", "7", "0d", "-1d", "7 y", "1.5y", "201y", "99999999999999999999d", "7é", "y7", "٣d"] {
            assert!(days(bad).is_err_and(|why| why.contains("is no period")), "{bad}");
        }
    }
}
