//! What is left on disks that no database can take back by itself, and when that goes: what every receipt says. Pure.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::config;

/// How long events lie at the brokers where the service made the topics.
const EVENTS: TimeDelta = TimeDelta::days(180);

/// How the service throws backups away.
#[derive(Clone, Copy, Debug)]
pub struct Backups {
    /// Whether it does by itself.
    by_itself: bool,
    newest: usize,
    days: TimeDelta,
}

impl Backups {
    pub fn of(keys: &config::Backup) -> Self {
        let days = TimeDelta::from_std(keys.keep_for).unwrap_or(TimeDelta::MAX);
        Self { by_itself: keys.every.is_some(), newest: keys.keep, days }
    }

    /// What ends them, with the day where there is one.
    fn until(self, hidden_at: Option<DateTime<Utc>>) -> String {
        let day = hidden_at.and_then(|at| at.checked_add_signed(self.days)).filter(|_| self.by_itself);
        let thrown_away = match day {
            Some(day) => {
                format!("{} or, if that is later, when {} newer ones are there", day.date_naive(), self.newest)
            }
            None => "they are thrown away, by `backup prune` or by hand".to_owned(),
        };
        format!("{thrown_away}; a restore erases again, and `erasure replay` in a copy that was made otherwise")
    }
}

/// What a scan of disks may still find, and when that goes: what no database can take back by itself.
pub fn remains(hidden_at: Option<DateTime<Utc>>, backups: Backups) -> Value {
    json!([
        { "place": "free space of table pages", "until": "`erasure scrub`, or when the space is used again" },
        { "place": "write-ahead log", "until": "checkpoints remove its segments, or later ones are written over them" },
        { "place": "backups made before", "until": backups.until(hidden_at) },
        { "place": "exports made before, and folders that a restore moved aside", "until": "whoever made them throws them away" },
        { "place": "noncurrent versions of objects, in a bucket with versions", "until": "the bucket's lifecycle rule" },
        { "place": "events: the platform's user id or a pseudonym, names of attempts, ids of activities and verbs",
          "until": hidden_at.map(|at| at + EVENTS) },
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_that_is_left_says_until_when() {
        let mut backups = Backups { by_itself: false, newest: 7, days: TimeDelta::days(30) };
        let said = remains(Some(DateTime::UNIX_EPOCH), backups);
        let all = said.as_array().unwrap();
        assert!(all.len() >= 6 && all.iter().all(|one| one["until"].is_string() && one["place"].is_string()), "{said}");
        assert!(all[5]["until"].as_str().unwrap().starts_with("1970-06-30"));
        assert!(all[2]["until"].as_str().unwrap().starts_with("they are thrown away"), "{said}");
        backups.by_itself = true;
        let said = backups.until(Some(DateTime::UNIX_EPOCH));
        assert!(said.starts_with("1970-01-31 or, if that is later, when 7 newer ones are there"), "{said}");
        backups.days = TimeDelta::MAX;
        assert!(backups.until(Some(DateTime::UNIX_EPOCH)).starts_with("they are thrown away"));
    }
}
