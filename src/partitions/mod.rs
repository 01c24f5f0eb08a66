//! The months of the ledger: made ahead of time, so that no statement ever waits for one.

use chrono::{DateTime, Datelike, Months, NaiveDate, Utc};

use crate::store::{Store, StoreError};

/// Months made ahead of the current one: time enough to notice that the maker has stopped.
const AHEAD: u32 = 3;

/// The months that must exist at `now` and are not among `present`.
pub fn missing(now: DateTime<Utc>, present: &[NaiveDate]) -> Vec<NaiveDate> {
    let current = NaiveDate::from_ymd_opt(now.year(), now.month(), 1);
    let wanted = (0..=AHEAD).filter_map(|ahead| current?.checked_add_months(Months::new(ahead)));
    wanted.filter(|month| !present.contains(month)).collect()
}

/// Makes what is missing; answers which months those were.
pub async fn make_ahead(store: &Store, now: DateTime<Utc>) -> Result<Vec<NaiveDate>, StoreError> {
    let present: Vec<NaiveDate> = store.months().await?.into_iter().map(|month| month.month).collect();
    let missing = missing(now, &present);
    for month in &missing {
        store.ensure_month(month.and_time(chrono::NaiveTime::MIN).and_utc()).await?;
        tracing::info!(%month, "a month of the ledger was made");
    }
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
    fn only_what_is_missing() {
        let present = ["2026-10-01", "2026-11-01", "2027-01-01"].map(day);
        assert_eq!(missing(noon("2026-11-01"), &present), ["2026-12-01", "2027-02-01"].map(day));
        assert_eq!(missing(noon("2026-11-01"), &missing(noon("2026-11-01"), &[])), []);
    }
}
