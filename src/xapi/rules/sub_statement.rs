//! SubStatements: a statement inside a statement, which nobody asserts.

use serde_json::Value;

use super::kind::Kind;
use super::report::{Path, Report};
use super::{core, table as rule, value};

const PROPERTIES: &str = "`objectType`, `actor`, `verb`, `object`, `result`, `context`, `timestamp`, `attachments`";

pub(super) fn check(statement: &Value, at: &Path, report: &mut Report) {
    let Some(map) = value::object(statement, at, report) else { return };
    if map.get("object").map(Kind::of) == Some(Kind::SubStatement) {
        report.add(&at.key("object"), rule::SUB_STATEMENT_NESTED, || {
            "the object of a SubStatement must not be a SubStatement itself".to_owned()
        });
        return;
    }
    core::check(map, "a SubStatement", at, report, &mut |key, _, at, report| match key {
        "objectType" => {}
        "id" | "stored" | "version" | "authority" => {
            report
                .add(at, rule::SUB_STATEMENT_PROPERTY, || format!("a SubStatement must not have the property `{key}`"));
        }
        _ => report.unknown(at, "a SubStatement", PROPERTIES),
    });
}
