//! What is left on disks that no database can take back by itself, and when that goes: what every receipt says. Pure.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

/// How long events lie at the brokers where the service made the topics.
const EVENTS: TimeDelta = TimeDelta::days(180);

/// What a scan of disks may still find, and when that goes: what no database can take back by itself.
pub fn remains(hidden_at: Option<DateTime<Utc>>) -> Value {
    json!([
        { "place": "free space of table pages", "until": "`erasure scrub`, or when the space is used again" },
        { "place": "write-ahead log", "until": "checkpoints remove its segments, or later ones are written over them" },
        { "place": "backups made before", "until": "they are thrown away; after a restore `erasure replay` does it again" },
        { "place": "noncurrent versions of objects, in a bucket with versions", "until": "the bucket's lifecycle rule" },
        { "place": "events: the platform's user id or a pseudonym, names of attempts", "until": hidden_at.map(|at| at + EVENTS) },
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_that_is_left_says_until_when() {
        let said = remains(Some(DateTime::UNIX_EPOCH));
        let all = said.as_array().unwrap();
        assert!(all.len() >= 5 && all.iter().all(|one| one["until"].is_string() && one["place"].is_string()), "{said}");
        assert!(all[4]["until"].as_str().unwrap().starts_with("1970-06-30"));
    }
}
