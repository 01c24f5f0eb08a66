//! The kinds of the archive's jobs, and what is asked of one.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::model::partition::Month;

/// The kinds, and what the audit trail calls asking for one.
pub const RUN: &str = "archive.run";
pub const DROP: &str = "archive.drop";
pub const RESTORE: &str = "archive.restore";
pub const VERIFY: &str = "archive.verify";
pub const GC: &str = "archive.gc";
pub const ADOPT: &str = "archive.adopt";

pub const KINDS: [&str; 6] = [RUN, DROP, RESTORE, VERIFY, GC, ADOPT];

/// What is asked of a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Order {
    /// Absent where it is about every month.
    pub month: Option<Month>,
}

impl Order {
    pub fn of(month: Option<Month>) -> Value {
        json!(Self { month })
    }
}
