//! A span as it waits for the collector.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::telemetry::TraceContext;

/// What part a piece of work has in the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Internal,
    Server,
    Producer,
    Consumer,
}

/// What is said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Text(String),
    Number(i64),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

/// Work that is done.
#[derive(Clone, Debug)]
pub(super) struct Finished {
    pub context: TraceContext,
    /// The span that it is a part of.
    pub parent: Option<[u8; 8]>,
    pub kind: Kind,
    pub name: String,
    pub start: DateTime<Utc>,
    pub lasted: Duration,
    pub attributes: Vec<(&'static str, Value)>,
    pub has_failed: bool,
}
