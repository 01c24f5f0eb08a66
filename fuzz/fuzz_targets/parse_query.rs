//! Any query parameters are answered, on every resource: with a typed query or with violations.
#![no_main]

use libfuzzer_sys::fuzz_target;
use xapi::query::{self, DocumentMethod, Resource};
use xapi::{Limits, Violations};

/// The names of all parameters: one byte chooses, so that the fuzzer need not find them letter by letter.
const NAMES: [&str; 17] = [
    "statementId",
    "voidedStatementId",
    "agent",
    "verb",
    "activity",
    "registration",
    "related_activities",
    "related_agents",
    "since",
    "until",
    "limit",
    "format",
    "attachments",
    "ascending",
    "activityId",
    "stateId",
    "profileId",
];

fuzz_target!(|text: &str| {
    let given: Vec<(String, String)> = text.split('\n').filter_map(parameter).collect();
    let limits = Limits::default();
    answered(query::statements(&given, &limits));
    answered(query::put_statement(&given, &limits));
    answered(query::agents(&given, &limits));
    answered(query::activities(&given, &limits));
    for resource in [Resource::State, Resource::ActivityProfile, Resource::AgentProfile] {
        for method in [DocumentMethod::Get, DocumentMethod::Put, DocumentMethod::Post, DocumentMethod::Delete] {
            answered(query::documents(resource, method, &given, &limits));
        }
    }
});

fn parameter(line: &str) -> Option<(String, String)> {
    let first = line.chars().next()?;
    let value = &line[first.len_utf8()..];
    match NAMES.get(first as usize % 32) {
        Some(name) => Some(((*name).to_owned(), value.to_owned())),
        None => line.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())),
    }
}

fn answered<T>(answer: Result<T, Violations>) {
    if let Err(violations) = answer {
        assert!(!violations.is_empty(), "refused without a reason");
    }
}
