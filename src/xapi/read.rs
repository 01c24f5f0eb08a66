//! The only way from bytes to statements: parse, then check every rule, and report all that is broken.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::rules::report::{Path, Report};
use super::rules::{query, statement, table as rule};
use super::{Limits, Statement, Version, Violations, json};

/// The statements of one request, in their order.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    pub statements: Vec<Statement>,
    /// The body was one object, not an array.
    pub single: bool,
}

/// Reads the body of a PUT or POST of statements: one object, or an array of them (an empty one is a batch of nothing).
pub fn statements(body: &[u8], version: Version, limits: &Limits) -> Result<Batch, Violations> {
    if body.len() > limits.body_bytes {
        let message = format!("the body has {} bytes; the limit is {}", body.len(), limits.body_bytes);
        return Err(Violations::whole(rule::BODY_BYTES, message));
    }
    let (values, single) = match json::parse_batch(body, limits)? {
        Value::Array(values) => (values, false),
        value @ Value::Object(_) => (vec![value], true),
        _ => {
            let message = "the body must be one statement (an object) or an array of statements";
            return Err(Violations::whole(rule::BATCH_TYPE, message));
        }
    };
    check(&values, version, limits)?;
    let statements = values.into_iter().filter_map(into_object).map(Statement::trusted).collect();
    Ok(Batch { statements, single })
}

fn check(values: &[Value], version: Version, limits: &Limits) -> Result<(), Violations> {
    let mut report = Report::new(version, limits);
    let mut seen: HashMap<Uuid, usize> = HashMap::new();
    for (index, value) in values.iter().enumerate() {
        report.statement = Some(index);
        let Some(id) = statement::check(value, &mut report) else { continue };
        // A map of one entry would be built for nothing.
        if values.len() == 1 {
            break;
        }
        match seen.entry(id) {
            Entry::Vacant(slot) => _ = slot.insert(index),
            Entry::Occupied(first) => report.add(&Path::Root.key("id"), rule::BATCH_DUPLICATE, || {
                format!("statement {} of this request has the same id", first.get())
            }),
        }
    }
    report.finish()
}

/// Reads the `agent` parameter of a query: an agent, or a group with an identifier.
pub fn agent(json: &str, version: Version, limits: &Limits) -> Result<Map<String, Value>, Violations> {
    let value = json::parse(json.as_bytes(), limits)?;
    let mut report = Report::new(version, limits);
    query::agent(&value, &mut report);
    report.finish()?;
    Ok(into_object(value).unwrap_or_default())
}

/// Reads a document that is merged with another: it must be an object.
pub fn document_object(body: &[u8], limits: &Limits) -> Result<Map<String, Value>, Violations> {
    let value = json::parse(body, limits)?;
    into_object(value).ok_or_else(|| {
        Violations::whole(
            rule::DOCUMENT_OBJECT,
            "the document is JSON but not an object, so its properties cannot be merged",
        )
    })
}

fn into_object(value: Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(map) => Some(map),
        _ => None,
    }
}
