//! How a month of the ledger is divided, and what its parts are called. Pure.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Datelike, Days, NaiveTime, TimeDelta, Utc, Weekday};

use super::partition::{Bounds, Month};

/// The most parts by tenants.
pub const MOST_PARTS: u16 = 999;

/// How a month is divided. To whoever attaches or archives it, it is one table all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Not at all.
    #[default]
    Monthly,
    /// Into weeks, from Monday on; those at its ends are cut off.
    Weekly,
    Daily,
    /// By the hash of the tenant, into so many parts.
    Tenants(u16),
}

impl Scheme {
    /// From when to when its parts reach: parts by tenants all reach over the whole month.
    pub fn parts(self, month: Month) -> Vec<Bounds> {
        let next = |lower: DateTime<Utc>| match self {
            Self::Monthly | Self::Tenants(_) => month.end(),
            Self::Weekly => {
                let days = 7 - u64::from(lower.weekday().num_days_from_monday());
                lower.checked_add_days(Days::new(days)).unwrap_or(month.end())
            }
            Self::Daily => lower + TimeDelta::days(1),
        };
        let mut parts = Vec::new();
        let mut lower = month.begin();
        while lower < month.end() {
            let upper = next(lower).min(month.end());
            parts.push(Bounds { lower, upper });
            lower = upper;
        }
        parts
    }
}

/// The name of a part: `2026-W11` for a whole week, `2026-03-14` for a day, `2026-03` for a month, and for a week that is cut off
/// the days that it has.
pub fn name(part: Bounds) -> String {
    let (first, days) = (part.lower.date_naive(), (part.upper - part.lower).num_days());
    let is_whole = part.lower.time() == NaiveTime::MIN && part.upper.time() == NaiveTime::MIN;
    match days {
        1 if is_whole => first.to_string(),
        7 if is_whole && first.weekday() == Weekday::Mon => first.format("%G-W%V").to_string(),
        _ if part == Bounds::from(Month::of(part.lower)) => part.to_string(),
        _ => format!("{first}..{}", (part.upper - TimeDelta::microseconds(1)).date_naive()),
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Monthly => f.write_str("monthly"),
            Self::Weekly => f.write_str("weekly"),
            Self::Daily => f.write_str("daily"),
            Self::Tenants(parts) => write!(f, "tenants-{parts}"),
        }
    }
}

impl FromStr for Scheme {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = || text.strip_prefix("tenants-")?.parse().ok().filter(|parts| (2..=MOST_PARTS).contains(parts));
        match text {
            "monthly" => Ok(Self::Monthly),
            "weekly" => Ok(Self::Weekly),
            "daily" => Ok(Self::Daily),
            _ => parts().map(Self::Tenants).filter(|scheme| scheme.to_string() == text).ok_or_else(|| {
                format!("{text:?} is none of monthly, weekly, daily and tenants-N, N from 2 to {MOST_PARTS}")
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(scheme: Scheme, month: &str) -> Vec<String> {
        scheme.parts(month.parse().unwrap()).into_iter().map(name).collect()
    }

    #[test]
    fn the_parts_of_a_month_are_named_by_what_they_hold() {
        assert_eq!(names(Scheme::Monthly, "2026-03"), ["2026-03"]);
        assert_eq!(names(Scheme::Tenants(8), "2026-03"), ["2026-03"]);
        let weeks = ["2026-03-01", "2026-W10", "2026-W11", "2026-W12", "2026-W13", "2026-03-30..2026-03-31"];
        assert_eq!(names(Scheme::Weekly, "2026-03"), weeks);
        let turn = ["2026-12-01..2026-12-06", "2026-W50", "2026-W51", "2026-W52", "2026-12-28..2026-12-31"];
        assert_eq!(names(Scheme::Weekly, "2026-12"), turn);
        assert_eq!(names(Scheme::Weekly, "2027-02"), ["2027-W05", "2027-W06", "2027-W07", "2027-W08"]);
        let days = names(Scheme::Daily, "2028-02");
        assert_eq!((days.len(), days[28].as_str()), (29, "2028-02-29"));
    }

    #[test]
    fn the_parts_are_the_month_without_gap_or_overlap() {
        for scheme in [Scheme::Monthly, Scheme::Weekly, Scheme::Daily] {
            for month in (0..24).map(|n| "2026-01".parse::<Month>().unwrap().later(n)) {
                let parts = scheme.parts(month);
                assert_eq!((parts[0].lower, parts[parts.len() - 1].upper), (month.begin(), month.end()));
                assert!(parts.windows(2).all(|pair| pair[0].upper == pair[1].lower), "{scheme} {month}");
            }
        }
    }

    #[test]
    fn a_scheme_is_known_by_its_name() {
        for scheme in [Scheme::Monthly, Scheme::Weekly, Scheme::Daily, Scheme::Tenants(16)] {
            assert_eq!(scheme.to_string().parse(), Ok(scheme));
        }
        for wrong in ["Weekly", "hourly", "tenants-1", "tenants-016", "tenants-1000", "tenants-", ""] {
            assert!(wrong.parse::<Scheme>().unwrap_err().contains("monthly"), "{wrong}");
        }
    }
}
