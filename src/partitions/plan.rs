//! Which partitions there must be, how far they reach, and what still has to read one before it may leave. Pure.

use std::fmt;

use chrono::{DateTime, Utc};

use crate::{
    model::partition::{Bounds, Month},
    store::progress::gates::Gates,
};

/// Partitions made ahead of the current one: time enough to notice that the maker has stopped.
const AHEAD: u32 = 3;

/// The partitions that must exist at `now` and are not among `present`.
pub fn missing(now: DateTime<Utc>, present: &[Bounds]) -> Vec<Bounds> {
    let wanted = (0..=AHEAD).map(|ahead| Bounds::from(Month::of(now).later(ahead)));
    wanted.filter(|bounds| !present.contains(bounds)).collect()
}

/// How far the ledger reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Partitions after the current one that are there without a gap; `None` if the current one itself is missing.
    pub ahead: Option<u32>,
    /// The end of the last partition there is.
    pub until: Option<DateTime<Utc>>,
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.ahead, self.until.map(|end| end.date_naive())) {
            (Some(ahead), Some(until)) => write!(f, "{ahead} months ahead, the last ends at {until}"),
            _ => f.write_str("the current month is missing and will be made by the next statement"),
        }
    }
}

/// How far these partitions reach at `now`.
pub fn reach(now: DateTime<Utc>, present: &[Bounds]) -> Reach {
    let there = |after: u32| present.contains(&Month::of(now).later(after).into());
    let in_a_row = (0..).take_while(|after| there(*after)).count();
    Reach {
        ahead: u32::try_from(in_a_row).ok().and_then(|partitions| partitions.checked_sub(1)),
        until: present.iter().map(|bounds| bounds.upper).max(),
    }
}

/// Who is not past a partition yet: as long as there is somebody, it is not sealed. Without brokers there is nobody to tell of
/// statements, unless somebody has been told before: then it is the relay that is missing.
pub fn not_past(partition: &Bounds, gates: &Gates, has_brokers: bool) -> Vec<String> {
    let before = |moment: Option<DateTime<Utc>>| moment.filter(|moment| *moment < partition.upper);
    let at = |who: &str, moment: DateTime<Utc>| format!("{who} at {}", moment.format("%Y-%m-%dT%H:%M:%S%.6fZ"));
    let readers = [
        ("the events' relay is", gates.relay.filter(|_| has_brokers || gates.has_relayed)),
        ("attempts, completions and scores are", gates.projections),
        ("a reference waits to be settled", gates.references),
        ("a chain of references waits to be followed", gates.links),
    ];
    let mut waiting: Vec<String> =
        readers.into_iter().filter_map(|(who, moment)| before(moment).map(|moment| at(who, moment))).collect();
    if gates.bound < partition.upper {
        waiting.insert(0, at("statements may still be written", gates.bound));
    }
    waiting
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;

    use super::*;

    fn noon(day: &str) -> DateTime<Utc> {
        day.parse::<NaiveDate>().unwrap().and_hms_opt(12, 0, 0).unwrap().and_utc()
    }

    fn month(name: &str) -> Bounds {
        name.parse::<Month>().unwrap().into()
    }

    fn end(day: &str) -> Option<DateTime<Utc>> {
        Some(noon(day) - chrono::TimeDelta::hours(12))
    }

    #[test]
    fn the_current_month_and_three_more_over_the_turn_of_the_year() {
        let all = missing(noon("2026-11-30"), &[]);
        assert_eq!(all, ["2026-11", "2026-12", "2027-01", "2027-02"].map(month));
    }

    #[test]
    fn the_reach_ends_at_the_first_gap_but_the_last_partition_counts_for_the_end() {
        let present = ["2026-10", "2026-11", "2026-12", "2027-02"].map(month);
        let at = |now: &str| reach(noon(now), &present);
        assert_eq!(at("2026-11-30"), Reach { ahead: Some(1), until: end("2027-03-01") });
        assert_eq!(at("2026-12-01").ahead, Some(0));
        assert_eq!(at("2027-01-01").ahead, None, "the current month is the gap");
        assert_eq!(reach(noon("2026-11-30"), &[]), Reach { ahead: None, until: None });
    }

    #[test]
    fn a_partition_is_sealed_only_when_everybody_is_past_it() {
        let march = month("2026-03");
        let past = Gates { bound: noon("2026-04-01"), ..Gates::default() };
        assert!(not_past(&march, &past, true).is_empty());
        let end = march.upper;
        assert!(not_past(&march, &Gates { bound: end, projections: Some(end), ..past }, true).is_empty());
        let early = Some(noon("2026-03-31"));
        let each: [(&str, Gates); 5] = [
            ("written", Gates { bound: noon("2026-03-31"), ..past }),
            ("relay", Gates { relay: early, ..past }),
            ("attempts", Gates { projections: early, ..past }),
            ("settled", Gates { references: early, ..past }),
            ("followed", Gates { links: early, ..past }),
        ];
        for (who, gates) in each {
            let waiting = not_past(&march, &gates, true);
            assert!(
                waiting.len() == 1 && waiting[0].contains(who) && waiting[0].contains("2026-03-31T12"),
                "{waiting:?}"
            );
        }
        let unsent = Gates { relay: early, ..past };
        assert!(not_past(&march, &unsent, false).is_empty(), "nobody has ever been told");
        assert_eq!(not_past(&march, &Gates { has_relayed: true, ..unsent }, false).len(), 1);
    }

    #[test]
    fn only_what_is_missing() {
        let present = ["2026-10", "2026-11", "2027-01"].map(month);
        assert_eq!(missing(noon("2026-11-01"), &present), ["2026-12", "2027-02"].map(month));
        assert_eq!(missing(noon("2026-11-01"), &missing(noon("2026-11-01"), &[])), []);
    }
}
