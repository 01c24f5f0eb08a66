//! What is due to the months by the schedule, and when. Pure.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::{
    model::partition::{Month, State},
    store::ledger::partitions::Standing,
};

/// When months leave, as the configuration says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Whole months before the current one that stay hot; `None`: nothing is done.
    pub hot_months: Option<u32>,
    pub seal_after: Duration,
    /// `None`: tables of archived months are kept.
    pub drop_after: Option<Duration>,
}

/// What is done to a month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    Seal,
    /// Detach it and write it down.
    Archive,
    Drop,
}

impl Act {
    pub fn name(self) -> &'static str {
        match self {
            Self::Seal => "seal",
            Self::Archive => "archive",
            Self::Drop => "drop",
        }
    }
}

/// What comes next for a month.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Coming {
    pub month: Month,
    #[serde(serialize_with = "by_name")]
    pub state: State,
    pub act: Act,
    pub at: DateTime<Utc>,
}

fn by_name<S: serde::Serializer>(state: &State, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(state.name())
}

/// What comes next for each month, the oldest first; a month that nothing comes for is not among them.
pub fn coming(schedule: &Schedule, standings: &[Standing]) -> Vec<Coming> {
    let Some(hot_months) = schedule.hot_months else { return Vec::new() };
    let next = |standing: &Standing| {
        let (bounds, state) = (standing.partition.bounds, standing.partition.state);
        let month = Month::of(bounds.lower);
        let sealed = bounds.upper + schedule.seal_after;
        let (act, at) = match state {
            State::Open => (Act::Seal, sealed),
            // A month that was detached by hand waits for its archive as one that is hot does.
            State::Sealed | State::Detached if !standing.is_held => {
                (Act::Archive, month.later(hot_months + 1).begin().max(sealed))
            }
            // Without a moment it has been archived for longer than anybody knows, which is no reason to hurry.
            State::Archived => (Act::Drop, standing.since? + schedule.drop_after?),
            _ => return None,
        };
        Some(Coming { month, state, act, at })
    };
    standings.iter().filter_map(next).collect()
}

/// Those whose time has come.
pub fn due(schedule: &Schedule, now: DateTime<Utc>, standings: &[Standing]) -> Vec<Coming> {
    coming(schedule, standings).into_iter().filter(|one| one.at <= now).collect()
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::model::partition::Partition;

    const DAY: Duration = Duration::from_hours(24);

    fn standing(month: &str, state: State) -> Standing {
        let bounds = month.parse::<Month>().unwrap().into();
        Standing { partition: Partition { bounds, state }, since: None, is_held: false }
    }

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn schedule() -> Schedule {
        Schedule { hot_months: Some(2), seal_after: DAY * 2, drop_after: Some(DAY * 30) }
    }

    #[test]
    fn nothing_comes_without_a_schedule() {
        let none = Schedule { hot_months: None, ..schedule() };
        assert!(coming(&none, &[standing("2020-01", State::Open), standing("2020-02", State::Sealed)]).is_empty());
    }

    #[test]
    fn a_month_is_sealed_after_its_end_and_archived_when_as_many_whole_ones_have_followed() {
        let open = &coming(&schedule(), &[standing("2026-03", State::Open)])[0];
        assert_eq!((open.act, open.at), (Act::Seal, at("2026-04-03T00:00:00Z")));
        let sealed = &coming(&schedule(), &[standing("2026-03", State::Sealed)])[0];
        assert_eq!((sealed.act, sealed.at), (Act::Archive, at("2026-06-01T00:00:00Z")), "April and May stay hot");
        let soon = Schedule { hot_months: Some(0), ..schedule() };
        assert_eq!(coming(&soon, &[standing("2026-03", State::Sealed)])[0].at, at("2026-04-03T00:00:00Z"));
    }

    #[test]
    fn a_table_is_dropped_so_long_after_it_was_archived_and_not_before_anybody_knows_when_that_was() {
        let archived = |since| Standing { since, ..standing("2026-03", State::Archived) };
        let since = at("2026-07-01T00:00:00Z");
        let plan = coming(&schedule(), &[archived(Some(since)), archived(None)]);
        assert_eq!(plan.len(), 1);
        assert_eq!((plan[0].act, plan[0].at), (Act::Drop, since + TimeDelta::days(30)));
        let kept = Schedule { drop_after: None, ..schedule() };
        assert!(coming(&kept, &[archived(Some(since))]).is_empty());
    }

    #[test]
    fn what_a_person_brought_back_stays() {
        let held = Standing { is_held: true, ..standing("2020-01", State::Sealed) };
        assert!(coming(&schedule(), &[held, standing("2020-02", State::Dropped)]).is_empty());
    }

    #[test]
    fn only_that_is_due_whose_time_has_come() {
        let standings = [standing("2026-02", State::Sealed), standing("2026-03", State::Sealed)];
        let names =
            |now| due(&schedule(), at(now), &standings).iter().map(|one| one.month.to_string()).collect::<Vec<_>>();
        assert_eq!(names("2026-05-31T23:59:59Z"), ["2026-02"]);
        assert_eq!(names("2026-06-01T00:00:00Z"), ["2026-02", "2026-03"]);
    }
}
