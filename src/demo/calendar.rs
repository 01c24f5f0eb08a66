//! When people learn: on working days more than on weekends, by day more than by night.

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveTime, TimeDelta, Utc, Weekday};

use super::chance::Chance;
use crate::model::partition::Month;

/// How much of a week's learning falls on a day.
fn weight(day: NaiveDate) -> u64 {
    match day.weekday() {
        Weekday::Mon | Weekday::Fri => 17,
        Weekday::Tue | Weekday::Wed | Weekday::Thu => 20,
        Weekday::Sat => 4,
        Weekday::Sun => 3,
    }
}

/// How much of a day's learning falls into an hour, from midnight on.
const HOURS: [u64; 24] = [1, 1, 0, 0, 0, 1, 3, 9, 22, 34, 38, 34, 18, 24, 36, 34, 26, 15, 9, 8, 9, 7, 4, 2];

/// The days of a month with what falls on each, `count` together.
pub fn shares(month: Month, count: u64) -> Vec<(NaiveDate, u64)> {
    let first = month.begin().date_naive();
    let days: Vec<NaiveDate> = first.iter_days().take_while(|day| *day < month.end().date_naive()).collect();
    let total: u64 = days.iter().copied().map(weight).sum();
    let (mut before, mut given) = (0, 0);
    let share = |day: NaiveDate| {
        before += weight(day);
        let until = (u128::from(count) * u128::from(before) / u128::from(total)) as u64;
        let share = until - given;
        given = until;
        (day, share)
    };
    days.into_iter().map(share).collect()
}

/// A moment of the day at which somebody begins.
pub fn moment(day: NaiveDate, chance: &mut Chance) -> DateTime<Utc> {
    let mut left = chance.below(HOURS.iter().sum());
    let mut hour = 0;
    for (at, weight) in (0..).zip(HOURS) {
        hour = at;
        if left < weight {
            break;
        }
        left -= weight;
    }
    let within = TimeDelta::microseconds(chance.below(3_600_000_000).cast_signed());
    day.and_time(NaiveTime::MIN).and_utc() + TimeDelta::hours(hour) + within
}

/// The last microsecond of the day.
pub fn end(day: NaiveDate) -> DateTime<Utc> {
    let next = day.checked_add_days(Days::new(1)).unwrap_or(day);
    next.and_time(NaiveTime::MIN).and_utc() - TimeDelta::microseconds(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_days_of_a_month_have_all_of_it_and_weekends_less() {
        let shares = shares("2026-02".parse().unwrap(), 100_003);
        assert_eq!((shares.len(), shares.iter().map(|(_, share)| share).sum::<u64>()), (28, 100_003));
        let of = |day: &str| shares.iter().find(|(date, _)| date.to_string() == day).unwrap().1;
        assert!(of("2026-02-04") > 3 * of("2026-02-07"), "a Wednesday and a Saturday");
        let some = super::shares("2026-02".parse().unwrap(), 3);
        assert_eq!(some.iter().map(|(_, share)| share).sum::<u64>(), 3);
    }

    #[test]
    fn people_work_by_day() {
        let day = "2026-02-04".parse().unwrap();
        let mut chance = Chance::of(&[1]);
        let begins: Vec<DateTime<Utc>> = (0..1_000).map(|_| moment(day, &mut chance)).collect();
        assert!(begins.iter().all(|at| at.date_naive() == day && *at <= end(day)));
        let by_day =
            begins.iter().filter(|at| (8..18).contains(&at.time().format("%H").to_string().parse::<u32>().unwrap()));
        assert!(by_day.count() > 700);
    }
}
