//! The months of the ledger: made ahead of time, so that no statement ever waits for one.

use std::fmt;

use chrono::{DateTime, Datelike, Months, NaiveDate, NaiveTime, Utc};

use crate::{
    store::{Store, StoreError, ledger::partitions::Month},
    telemetry::Metrics,
};

/// Months made ahead of the current one: time enough to notice that the maker has stopped.
const AHEAD: u32 = 3;

/// The months that must exist at `now` and are not among `present`.
pub fn missing(now: DateTime<Utc>, present: &[NaiveDate]) -> Vec<NaiveDate> {
    let current = NaiveDate::from_ymd_opt(now.year(), now.month(), 1);
    let wanted = (0..=AHEAD).filter_map(|ahead| current?.checked_add_months(Months::new(ahead)));
    wanted.filter(|month| !present.contains(month)).collect()
}

/// How far the ledger reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Months after the current one that are there without a gap; `None` if the current one itself is missing.
    pub ahead: Option<u32>,
    /// The end of the last month there is.
    pub until: Option<NaiveDate>,
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.ahead, self.until) {
            (Some(ahead), Some(until)) => write!(f, "{ahead} months ahead, the last ends at {until}"),
            _ => f.write_str("the current month is missing and will be made by the next statement"),
        }
    }
}

/// How far these months reach at `now`.
pub fn reach(now: DateTime<Utc>, present: &[NaiveDate]) -> Reach {
    let current = NaiveDate::from_ymd_opt(now.year(), now.month(), 1);
    let there = |after: u32| {
        current.and_then(|month| month.checked_add_months(Months::new(after))).is_some_and(|m| present.contains(&m))
    };
    let in_a_row = (0..).take_while(|after| there(*after)).count();
    Reach {
        ahead: u32::try_from(in_a_row).ok().and_then(|months| months.checked_sub(1)),
        until: present.iter().max().and_then(|month| month.checked_add_months(Months::new(1))),
    }
}

/// Looks how far the ledger reaches and keeps the gauge.
pub async fn look(store: &Store, now: DateTime<Utc>, metrics: &Metrics) -> Result<Reach, StoreError> {
    let reach = reach(now, &days(&store.months().await?));
    let end = reach.until.map_or(0, |day| day.and_time(NaiveTime::MIN).and_utc().timestamp());
    metrics.ledger.ends_at.set(end as f64);
    Ok(reach)
}

fn days(months: &[Month]) -> Vec<NaiveDate> {
    months.iter().map(|month| month.month).collect()
}

/// Makes what is missing; answers which months those were.
pub async fn make_ahead(store: &Store, now: DateTime<Utc>, metrics: &Metrics) -> Result<Vec<NaiveDate>, StoreError> {
    let missing = missing(now, &days(&store.months().await?));
    for month in &missing {
        store.ensure_month(month.and_time(NaiveTime::MIN).and_utc()).await?;
        tracing::info!(%month, "a month of the ledger was made");
    }
    look(store, now, metrics).await?;
    Ok(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn noon(text: &str) -> DateTime<Utc> {
        day(text).and_hms_opt(12, 0, 0).unwrap().and_utc()
    }

    #[test]
    fn the_current_month_and_three_more_over_the_turn_of_the_year() {
        let all = missing(noon("2026-11-30"), &[]);
        assert_eq!(all, ["2026-11-01", "2026-12-01", "2027-01-01", "2027-02-01"].map(day));
    }

    #[test]
    fn the_reach_ends_at_the_first_gap_but_the_last_month_counts_for_the_end() {
        let present = ["2026-10-01", "2026-11-01", "2026-12-01", "2027-02-01"].map(day);
        let at = |now: &str| reach(noon(now), &present);
        assert_eq!(at("2026-11-30"), Reach { ahead: Some(1), until: Some(day("2027-03-01")) });
        assert_eq!(at("2026-12-01").ahead, Some(0));
        assert_eq!(at("2027-01-01").ahead, None, "the current month is the gap");
        assert_eq!(reach(noon("2026-11-30"), &[]), Reach { ahead: None, until: None });
    }

    #[test]
    fn only_what_is_missing() {
        let present = ["2026-10-01", "2026-11-01", "2027-01-01"].map(day);
        assert_eq!(missing(noon("2026-11-01"), &present), ["2026-12-01", "2027-02-01"].map(day));
        assert_eq!(missing(noon("2026-11-01"), &missing(noon("2026-11-01"), &[])), []);
    }
}
