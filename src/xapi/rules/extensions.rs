//! Extensions: IRIs to anything at all, null included. Their values are never looked into.

use serde_json::Value;

use super::report::{Path, Report};
use super::table as rule;
use super::value;

pub(super) fn check(map: &Value, at: &Path, report: &mut Report) {
    for key in value::object(map, at, report).into_iter().flat_map(|map| map.keys()) {
        value::iri_text(key, &at.key(key), report, rule::EXTENSIONS_KEY);
    }
}
