//! Where segments lie: months, and the keys of objects in the layout that query engines know (`name=value` folders). Pure.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::model::TenantId;

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
        let next = self.0.checked_add_months(Months::new(1)).unwrap_or(NaiveDate::MAX);
        next.and_time(NaiveTime::MIN).and_utc()
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
        let month = NaiveDate::parse_from_str(&format!("{text}-01"), "%Y-%m-%d").map(Self);
        let month = month.ok().filter(|month| month.to_string() == text);
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

/// Where one segment lies. A month that is written anew, as an erasure does it, lies beside the old one in a later revision:
/// no published object is ever written over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Place {
    pub tenant: TenantId,
    pub month: Month,
    /// 0 at first.
    pub revision: u32,
}

impl Place {
    /// The folder of all revisions.
    pub fn folder(&self) -> String {
        format!("tenant={}/month={}", self.tenant, self.month)
    }

    /// The published object with the part of this number.
    pub fn part(&self, number: u32) -> String {
        format!("{}/part-{number:04}{}.parquet", self.folder(), self.suffix())
    }

    /// The manifest beside the parts. Engines skip names with an underscore in front.
    pub fn manifest(&self) -> String {
        format!("{}/_manifest{}.json", self.folder(), self.suffix())
    }

    /// What one writer has put down and nobody has verified. Each writing has names of its own, so that a writer that was
    /// believed dead cannot change what another one is about to publish.
    pub fn staged(&self, writing: Uuid, number: u32) -> String {
        format!("{}/part-{number:04}.parquet", self.staging(writing))
    }

    /// The folder of one writing, before it is published.
    pub fn staging(&self, writing: Uuid) -> String {
        format!("_staged/{}/{}", self.folder(), writing.hyphenated())
    }

    fn suffix(&self) -> String {
        if self.revision == 0 { String::new() } else { format!("-r{}", self.revision) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.folder())?;
        if self.revision == 0 { Ok(()) } else { write!(f, " revision {}", self.revision) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_holds_its_first_moment_and_not_the_next_ones() {
        let month: Month = "2026-12".parse().unwrap();
        assert_eq!(month.begin().to_rfc3339(), "2026-12-01T00:00:00+00:00");
        assert_eq!(month.end().to_rfc3339(), "2027-01-01T00:00:00+00:00");
        assert!(month.holds(month.begin()) && !month.holds(month.end()));
        assert_eq!(Month::of("2026-12-31T23:59:59.999999Z".parse().unwrap()), month);
        for wrong in ["2026", "2026-13", "2026-1", "26-01", "2026-01-01", ""] {
            assert!(wrong.parse::<Month>().unwrap_err().contains("2026-03"), "{wrong}");
        }
    }

    #[test]
    fn keys_are_what_engines_expect() {
        let place = Place { tenant: TenantId(Uuid::from_u128(1)), month: "2026-03".parse().unwrap(), revision: 0 };
        let folder = "tenant=00000000-0000-0000-0000-000000000001/month=2026-03";
        assert_eq!(place.part(12), format!("{folder}/part-0012.parquet"));
        assert_eq!(place.manifest(), format!("{folder}/_manifest.json"));
        let later = Place { revision: 2, ..place };
        assert_eq!(later.part(0), format!("{folder}/part-0000-r2.parquet"));
        assert_eq!(later.manifest(), format!("{folder}/_manifest-r2.json"));
        assert!(place.staged(Uuid::from_u128(2), 0).starts_with("_staged/tenant="));
    }
}
