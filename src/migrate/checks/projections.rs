//! Do projections keep up? Judges since when statements wait for them. Pure.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Check, Status, some_of};

const NAME: &str = "projections";
/// They are a second behind while a node serves.
const LATE: TimeDelta = TimeDelta::minutes(5);

/// Tenants whose statements wait, and since when.
pub fn projections(waiting: Vec<(String, DateTime<Utc>)>, now: DateTime<Utc>) -> Check {
    let late: Vec<String> = waiting
        .into_iter()
        .filter(|(_, since)| now - *since > LATE)
        .map(|(tenant, since)| format!("{tenant} waits since {}", since.format("%Y-%m-%dT%H:%M:%SZ")))
        .collect();
    if late.is_empty() {
        return Check::pass(NAME, "all statements are read");
    }
    Check::of(Status::Fail, NAME, some_of(&late), "does a node serve? `projections status` and its log tell more")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_nothing_and_minutes_are() {
        let now: DateTime<Utc> = "2026-03-10T12:00:00Z".parse().unwrap();
        let waits = |seconds| projections(vec![("acme".to_owned(), now - TimeDelta::seconds(seconds))], now);
        assert_eq!(projections(Vec::new(), now).status, Status::Pass);
        assert_eq!(waits(60).status, Status::Pass);
        assert!(waits(301).status == Status::Fail && waits(301).found.contains("acme"));
    }
}
