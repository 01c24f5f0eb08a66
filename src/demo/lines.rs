//! The statements of a day as lines of JSON, brought into the order of their moments, each with one of its own.

use std::fmt::Write;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use uuid::Uuid;

use super::chance::Chance;

/// Lines that are being written.
pub struct Lines {
    seed: u64,
    tenant: u32,
    day: u64,
    lines: Vec<(DateTime<Utc>, String)>,
}

/// The id of the `number`th statement that a tenant's day tells; `day` counts from the epoch.
pub fn id(seed: u64, tenant: u32, day: u64, number: u64) -> Uuid {
    Chance::of(&[seed, u64::from(tenant), 4, day, number]).uuid()
}

impl Lines {
    pub fn of(seed: u64, tenant: u32, day: u64, expected: u64) -> Self {
        Self { seed, tenant, day, lines: Vec::with_capacity(expected as usize) }
    }

    pub fn len(&self) -> u64 {
        self.lines.len() as u64
    }

    /// Tells that something happened; `rest` is what the statement has beside its id and its times. Answers its id.
    pub fn tell(&mut self, at: DateTime<Utc>, rest: &str) -> Uuid {
        let id = id(self.seed, self.tenant, self.day, self.len());
        let mut line = String::with_capacity(rest.len() + 200);
        // Whoever sends takes a moment to do so.
        let happened = (at - TimeDelta::milliseconds(400)).to_rfc3339_opts(SecondsFormat::Millis, true);
        let _ = write!(
            line,
            r#"{{"id":"{id}",{rest},"timestamp":"{happened}","authority":{{"objectType":"Agent","account":{{"homePage":"https://lms.example","name":"lms"}}}},"version":"1.0.0","stored":""#
        );
        self.lines.push((at, line));
        id
    }

    /// At most `most` of them, the earliest ones first, none later than `end`.
    pub fn finish(mut self, most: u64, end: DateTime<Utc>) -> Vec<String> {
        self.lines.truncate(most as usize);
        self.lines.sort_by_key(|(at, _)| *at);
        let mut next = DateTime::<Utc>::MIN_UTC;
        for (at, _) in &mut self.lines {
            *at = next.max(*at);
            next = *at + TimeDelta::microseconds(1);
        }
        // What would be told after midnight is told just before.
        let mut latest = end;
        for (at, _) in self.lines.iter_mut().rev() {
            *at = latest.min(*at);
            latest = *at - TimeDelta::microseconds(1);
        }
        let stamped = |(at, mut line): (DateTime<Utc>, String)| {
            line.push_str(&at.to_rfc3339_opts(SecondsFormat::Micros, true));
            line.push_str("\"}");
            line
        };
        self.lines.into_iter().map(stamped).collect()
    }
}
