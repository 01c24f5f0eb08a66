//! Checks before and after a migration: each a line that says how it went and what to do. Pure but for `gather`.

mod after;
mod before;
mod functions;
mod gather;
mod isolation;
mod kept;
mod overrides;
mod preconditions;
mod projections;
mod rights;

use std::fmt;

use serde::Serialize;

pub use after::after;
pub use before::{Backup, Disk, Surroundings, before};
pub use gather::{Host, disk, gather_after, gather_before, gather_before_run, gather_rights};
pub use isolation::isolation;
pub use kept::{segments, trail};
pub use overrides::{OverrideError, Overrides};
pub use preconditions::{preconditions, unfit};
pub use projections::projections;
pub use rights::rights;

use crate::telemetry::Metrics;

/// The major versions of PostgreSQL that are tried and supported.
pub const SUPPORTED: std::ops::RangeInclusive<i32> = 15..=18;

/// The roles to which the migrations grant rights.
pub const GROUP_ROLES: [&str; 5] = ["progress_service", "progress_ingest", "progress_worker", REMOVERS[0], REMOVERS[1]];

/// Those of them that are there to remove; none of the others may.
pub const REMOVERS: [&str; 2] = ["progress_eraser", "progress_retention"];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Pass,
    /// Cannot be known from here: a person has to know it.
    Unknown,
    Warn,
    Fail,
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    pub name: &'static str,
    pub status: Status,
    pub found: String,
    /// What to do about it; empty where there is nothing to do.
    pub todo: String,
}

impl Check {
    fn pass(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, status: Status::Pass, found: found.into(), todo: String::new() }
    }

    fn of(status: Status, name: &'static str, found: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { name, status, found: found.into(), todo: todo.into() }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = match self.status {
            Status::Pass => "pass",
            Status::Unknown => "unknown",
            Status::Warn => "warn",
            Status::Fail => "fail",
        };
        write!(f, "{status:7} {}: {}", self.name, self.found)?;
        if self.todo.is_empty() { Ok(()) } else { write!(f, "; {}", self.todo) }
    }
}

/// The gravest status of a report; a report without lines passes.
pub fn worst(checks: &[Check]) -> Status {
    checks.iter().map(|check| check.status).max().unwrap_or(Status::Pass)
}

/// A figure for each line, by its gravity.
pub fn count(checks: &[Check], metrics: &Metrics) {
    for check in checks {
        metrics.migrations.checks.with_label_values(&[check.name]).set(check.status as i64);
    }
}

/// `2.5 GiB` and the like.
fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    let mut size = count;
    while size >= 10 * 1024 && unit + 1 < UNITS.len() {
        size /= 1024;
        unit += 1;
    }
    format!("{size} {}", UNITS[unit])
}

/// At most three names, and how many more there are.
fn some_of(names: &[String]) -> String {
    let shown = names.iter().take(3).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len() {
        0..=3 => shown,
        more => format!("{shown} and {} more", more - 3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gravest_line_counts() {
        assert_eq!(worst(&[]), Status::Pass);
        let lines = [Status::Pass, Status::Fail, Status::Unknown].map(|s| Check::of(s, "x", "y", "z"));
        assert_eq!(worst(&lines), Status::Fail);
        assert_eq!(lines[1].to_string(), "fail    x: y; z");
    }

    #[test]
    fn sizes_and_names_are_short() {
        assert_eq!((bytes(9_000), bytes(50_000_000_000)), ("9000 B".to_owned(), "46 GiB".to_owned()));
        let names: Vec<String> = ["a", "b", "c", "d"].map(str::to_owned).into();
        assert_eq!(some_of(&names), "a, b, c and 1 more");
    }
}
