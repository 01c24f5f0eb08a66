//! References to other statements, in `object` and in `context.statement`.

use serde_json::Value;

use super::report::{Path, Report};
use super::{table as rule, value};

pub(super) fn check(reference: &Value, at: &Path, report: &mut Report) {
    let Some(map) = value::object(reference, at, report) else { return };
    let (mut kind, mut id) = (false, false);
    for (key, value) in map {
        let at = at.key(key);
        match key.as_str() {
            "objectType" => {
                kind = true;
                value::one_of(value, &at, report, &["StatementRef"], rule::STATEMENT_REF_OBJECT_TYPE);
            }
            "id" => {
                id = true;
                value::uuid(value, &at, report, rule::STATEMENT_REF_ID);
            }
            _ => report.unknown(&at, "a StatementRef", "`objectType`, `id`"),
        }
    }
    report.required(kind, at, "a StatementRef", "objectType");
    report.required(id, at, "a StatementRef", "id");
}
