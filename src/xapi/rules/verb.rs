//! Verbs.

use serde_json::Value;

use super::report::{Path, Report};
use super::{language_map, table as rule, value};

const VOIDED: &str = "http://adlnet.gov/expapi/verbs/voided";

/// Whether the verb is the reserved one that voids another statement.
pub(super) fn is_voiding(verb: &Value) -> bool {
    verb.get("id").is_some_and(|id| id == VOIDED)
}

pub(super) fn check(verb: &Value, at: &Path, report: &mut Report) {
    let Some(map) = value::object(verb, at, report) else { return };
    let mut id = false;
    for (key, value) in map {
        let at = at.key(key);
        match key.as_str() {
            "id" => {
                id = true;
                value::iri(value, &at, report, rule::VERB_ID);
            }
            "display" => language_map::check(value, &at, report),
            _ => report.unknown(&at, "a verb", "`id`, `display`"),
        }
    }
    report.required(id, at, "a verb", "id");
}
