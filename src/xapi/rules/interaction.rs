//! The interaction properties of an activity definition: a question, its right answers and its parts.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::report::{Path, Report, excerpt};
use super::{language_map, table as rule, value};

const TYPES: [&str; 10] = [
    "true-false",
    "choice",
    "fill-in",
    "long-fill-in",
    "matching",
    "performance",
    "sequencing",
    "likert",
    "numeric",
    "other",
];

/// Each component list with the interaction types that have it.
const LISTS: [(&str, &[&str]); 5] = [
    ("choices", &["choice", "sequencing"]),
    ("scale", &["likert"]),
    ("source", &["matching"]),
    ("target", &["matching"]),
    ("steps", &["performance"]),
];

pub(super) fn is_property(key: &str) -> bool {
    matches!(key, "interactionType" | "correctResponsesPattern") || LISTS.iter().any(|(list, _)| *list == key)
}

/// Checks the interaction properties of a definition that has at least one.
pub(super) fn check(definition: &Map<String, Value>, at: &Path, report: &mut Report) {
    let kind = definition.get("interactionType");
    match kind {
        Some(kind) => value::one_of(kind, &at.key("interactionType"), report, &TYPES, rule::INTERACTION_TYPE),
        None => report.add(at, rule::INTERACTION_TYPE_REQUIRED, || {
            "a definition with interaction properties must have `interactionType`".to_owned()
        }),
    }
    if let Some(patterns) = definition.get("correctResponsesPattern") {
        value::each(patterns, &at.key("correctResponsesPattern"), report, value::text);
    }
    for (list, types) in LISTS {
        let Some(components) = definition.get(list) else { continue };
        let at = at.key(list);
        // A type that is itself wrong has been reported; it says nothing about its lists.
        if let Some(kind) = kind.and_then(Value::as_str)
            && TYPES.contains(&kind)
            && !types.contains(&kind)
        {
            report.add(&at, rule::INTERACTION_COMPONENTS, || {
                format!("`{list}` belongs to the interaction type {}, not to `{kind}`", types.join(" or "))
            });
        }
        value::each(components, &at, report, component);
        distinct(components, &at, report);
    }
}

fn component(component: &Value, at: &Path, report: &mut Report) {
    let Some(map) = value::object(component, at, report) else { return };
    let mut id = false;
    for (key, value) in map {
        let at = at.key(key);
        match key.as_str() {
            "id" => {
                id = true;
                value::text(value, &at, report);
            }
            "description" => language_map::check(value, &at, report),
            _ => report.unknown(&at, "an interaction component", "`id`, `description`"),
        }
    }
    report.required(id, at, "an interaction component", "id");
}

fn distinct(components: &Value, at: &Path, report: &mut Report) {
    let mut seen = HashSet::new();
    let components = components.as_array().map(Vec::as_slice).unwrap_or_default();
    for (index, component) in components.iter().enumerate() {
        if let Some(id) = component.get("id").and_then(Value::as_str)
            && !seen.insert(id)
        {
            let at = at.index(index);
            report.add(&at.key("id"), rule::COMPONENT_ID, || {
                format!("the id {} stands more than once in this list", excerpt(id))
            });
        }
    }
}
