//! Months of the ledger side by side, by size, state and place. Pure.

use chrono::{DateTime, Utc};

use super::plain;
use crate::model::partition::{Partition, State, Weight};

/// Between the left edges of two columns.
const STEP: usize = 44;
/// Months that are drawn.
const MOST: usize = 120;

/// A month of the ledger.
pub struct Month {
    pub name: String,
    pub state: &'static str,
    /// Where it lies, in words.
    pub place: &'static str,
    pub rows: String,
    pub bytes: String,
    /// Of the largest month, from 0 to 100, for the height of its column.
    pub height: i64,
    pub top: i64,
    pub x: usize,
}

/// The newest months, the oldest of them first.
pub struct Timeline {
    pub months: Vec<Month>,
    pub width: usize,
}

impl Timeline {
    pub fn new(weights: &[(Partition, Weight)], now: DateTime<Utc>) -> Self {
        let newest = &weights[weights.len().saturating_sub(MOST)..];
        let most = newest.iter().map(|(_, weight)| weight.bytes).max().unwrap_or(0).max(1);
        let month = |(at, (partition, weight)): (usize, &(Partition, Weight))| {
            let height = if weight.bytes > 0 { (weight.bytes.saturating_mul(100) / most).max(2) } else { 0 };
            Month {
                name: partition.bounds.to_string(),
                state: state(partition, now),
                place: place(partition, now),
                rows: plain::number(weight.rows),
                bytes: plain::bytes(weight.bytes),
                height,
                top: 100 - height,
                x: at * STEP,
            }
        };
        Self { months: newest.iter().enumerate().map(month).collect(), width: newest.len() * STEP }
    }
}

/// The state of a month, where it has begun.
pub fn state(partition: &Partition, now: DateTime<Utc>) -> &'static str {
    if partition.bounds.lower > now { "ahead" } else { partition.state.name() }
}

/// Where it lies, in words.
pub fn place(partition: &Partition, now: DateTime<Utc>) -> &'static str {
    match partition.state {
        _ if partition.bounds.lower > now => "made ahead",
        State::Open | State::Sealed => "hot",
        State::Detached | State::Archived => "out of the queries' way",
        State::Attached | State::Dropped => "cold: in the archive",
        State::Marked | State::Removed => "past its time",
    }
}
