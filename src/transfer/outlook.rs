//! What an export would have in it, before it is made: out of counts that are kept anyway, so that nobody waits for an answer.

use std::collections::BTreeMap;

use chrono::{DateTime, Days, NaiveDate, Utc};
use serde_json::json;

use super::{Kind, export::Wish};
use crate::{
    model::{partition::Month, plan},
    store::{
        Store, StoreError,
        progress::reports::{Asked, By, Counted},
    },
};

/// Days that are added up at most: some two hundred years.
const DAYS: i64 = 73_000;

/// What is known of the statements that an export would have in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outlook {
    /// How many stand of each month. A day in which the selection begins or ends counts as a whole.
    pub months: BTreeMap<Month, i64>,
    pub counted: Counted,
}

impl Outlook {
    pub async fn of(store: &Store, wish: &Wish) -> Result<Self, StoreError> {
        if !wish.kinds.contains(&Kind::Statements) {
            return Ok(Self::default());
        }
        let day = |moment: Option<DateTime<Utc>>| moment.map(|moment| moment.date_naive());
        let first = DateTime::UNIX_EPOCH.date_naive();
        let from = day(wish.since).unwrap_or(first).max(first);
        let last = first.checked_add_days(Days::new(DAYS.unsigned_abs())).unwrap_or(first);
        let to = day(wish.until).unwrap_or(last).min(last);
        let asked = Asked { by: By::Day, from, to, course: None, after: None, limit: DAYS };
        let (counted, days) = store.activity(wish.tenant, &asked).await?;
        let mut months = BTreeMap::new();
        for row in days {
            let day = row.key.parse::<NaiveDate>().ok().and_then(|day| day.and_hms_opt(0, 0, 0));
            if let Some(day) = day {
                *months.entry(Month::of(day.and_utc())).or_default() += row.statements;
            }
        }
        Ok(Self { months, counted })
    }

    pub fn statements(&self) -> i64 {
        self.months.values().sum()
    }
}

/// The digest of what was chosen. Counts go on while somebody reads a plan, so they are not of it.
pub fn digest(wish: &Wish) -> String {
    let mut kinds: Vec<&str> = wish.kinds.iter().map(|kind| kind.name()).collect();
    kinds.sort_unstable();
    let learner = wish.learner.as_ref().map(|(learner, _)| learner);
    plan::digest(&json!(["data.export", wish.tenant.0, wish.name, kinds, learner, wish.since, wish.until]))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::model::TenantId;

    #[test]
    fn another_choice_has_another_digest_and_the_order_of_kinds_means_nothing() {
        let all = Wish::all(TenantId(Uuid::from_u128(1)), "acme");
        let turned = Wish { kinds: Kind::ALL.into_iter().rev().collect(), ..all.clone() };
        assert_eq!(digest(&all), digest(&turned));
        for other in [
            Wish { kinds: vec![Kind::Statements], ..all.clone() },
            Wish { tenant: TenantId(Uuid::from_u128(2)), ..all.clone() },
            Wish { since: Some(DateTime::UNIX_EPOCH), ..all.clone() },
            Wish { until: Some(DateTime::UNIX_EPOCH), ..all.clone() },
        ] {
            assert_ne!(digest(&all), digest(&other), "{other:?}");
        }
    }
}
