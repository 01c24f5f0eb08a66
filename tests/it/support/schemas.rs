//! Every message that goes out against the schema of its type.

use std::{collections::HashMap, sync::LazyLock};

use jsonschema::Validator;
use serde_json::Value;

use super::kafka::Received;

/// The topics of the service's own events, without their prefix.
pub const TOPICS: [&str; 5] = [
    "progress.statement.stored.v1",
    "progress.attempt.started.v1",
    "progress.attempt.closed.v1",
    "progress.completion.recorded.v1",
    "progress.score.recorded.v1",
];

static SCHEMAS: LazyLock<HashMap<&str, Validator>> = LazyLock::new(|| {
    let read = |kind| {
        let file = format!("{}/schemas/events/{kind}.json", env!("CARGO_MANIFEST_DIR"));
        let schema: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        (kind, jsonschema::options().should_validate_formats(true).build(&schema).unwrap())
    };
    TOPICS
        .into_iter()
        .chain(["progress.dlq", "progress.audit.checkpoint.v1", "progress.rollout.changed.v1"])
        .map(read)
        .collect()
});

/// Fails for a message that its schema refuses, and for one with a mailbox in it.
#[track_caller]
pub fn check(received: &[Received]) {
    for message in received {
        let event = message.json();
        let kind = event["type"].as_str().unwrap_or_default();
        let schema = SCHEMAS.get(kind).unwrap_or_else(|| panic!("no schema for {kind}"));
        let errors: Vec<String> = schema.iter_errors(&event).map(|e| e.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?} in {event}");
        assert!(!event.to_string().contains("@example.com"), "a mailbox went out: {event}");
    }
}
