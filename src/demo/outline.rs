//! How much of a past there is to be, and how it falls on tenants, months and days.

use chrono::NaiveDate;

use super::calendar;
use crate::model::partition::Month;

/// How the names of tenants begin that are made up.
pub const PREFIX: &str = "demo-";

/// A past that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outline {
    pub seed: u64,
    pub tenants: u32,
    /// Of all tenants together.
    pub statements: u64,
    pub months: u32,
    /// The last of them.
    pub until: Month,
}

/// What one tenant has on one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Day {
    /// From 0 on.
    pub tenant: u32,
    pub month: Month,
    pub date: NaiveDate,
    pub statements: u64,
}

impl Outline {
    /// The months, oldest first.
    pub fn months(&self) -> Vec<Month> {
        let back = |months: u32| (0..months).fold(self.until, |month, _| before(month));
        (0..self.months).rev().map(back).collect()
    }

    /// The name of a tenant.
    pub fn name(tenant: u32) -> String {
        format!("{PREFIX}{}", tenant + 1)
    }

    /// What a tenant has: the first ones one more where it does not come out even.
    pub fn of_tenant(&self, tenant: u32) -> u64 {
        share(self.statements, tenant, self.tenants)
    }

    /// How many people learn with a tenant.
    pub fn learners(&self) -> u64 {
        (self.of_tenant(0) / 150).clamp(20, 20_000)
    }

    /// Every day of every tenant on which something happens: month by month, and in each tenant by tenant.
    pub fn days(&self) -> impl Iterator<Item = Day> + use<> {
        let outline = *self;
        self.months().into_iter().enumerate().flat_map(move |(number, month)| {
            (0..outline.tenants).flat_map(move |tenant| {
                let count = share(outline.of_tenant(tenant), number as u32, outline.months);
                let days = calendar::shares(month, count).into_iter();
                days.filter(|(_, statements)| *statements > 0).map(move |(date, statements)| Day {
                    tenant,
                    month,
                    date,
                    statements,
                })
            })
        })
    }
}

fn share(all: u64, number: u32, of: u32) -> u64 {
    let (number, of) = (u64::from(number), u64::from(of.max(1)));
    all / of + u64::from(number < all % of)
}

fn before(month: Month) -> Month {
    Month::of(month.begin() - chrono::TimeDelta::days(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_wanted_falls_on_some_day() {
        let outline =
            Outline { seed: 1, tenants: 3, statements: 10_001, months: 14, until: "2026-02".parse().unwrap() };
        let months = outline.months();
        assert_eq!(
            (months.len(), months[0].to_string(), months[13].to_string()),
            (14, "2025-01".into(), "2026-02".into())
        );
        let days: Vec<Day> = outline.days().collect();
        assert_eq!(days.iter().map(|day| day.statements).sum::<u64>(), 10_001);
        assert!(days.is_sorted_by_key(|day| (day.month, day.tenant, day.date)));
        assert!(days.iter().all(|day| day.month.holds(day.date.and_hms_opt(0, 0, 0).unwrap().and_utc())));
        assert_eq!((0..3).map(|tenant| outline.of_tenant(tenant)).sum::<u64>(), 10_001);
        assert_eq!(Outline::name(0), "demo-1");
    }
}
