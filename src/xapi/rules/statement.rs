//! A whole statement.

use serde_json::Value;
use uuid::Uuid;

use crate::syntax::statement_version;

use super::report::{Path, Report};
use super::{authority, core, sub_statement, table as rule, value};

const PROPERTIES: &str = "`id`, `actor`, `verb`, `object`, `result`, `context`, `timestamp`, `stored`, `authority`, `version`, \
                          `attachments`";

/// Checks a statement and gives its id back, if it has a valid one.
pub(crate) fn check(statement: &Value, report: &mut Report) -> Option<Uuid> {
    let at = Path::Root;
    let map = value::object(statement, &at, report)?;
    let mut id = None;
    core::check(map, "a statement", &at, report, &mut |key, value, at, report| match key {
        "id" => id = value::uuid(value, at, report, rule::STATEMENT_ID),
        "stored" => value::timestamp(value, at, report, rule::STATEMENT_STORED),
        "object" => sub_statement::check(value, at, report),
        "authority" => authority::check(value, at, report),
        "version" => {
            let request = report.version;
            let valid = |text: &str| statement_version::is_accepted(text, request);
            value::formatted(value, at, report, valid, (rule::STATEMENT_VERSION, "a version this request may carry"));
        }
        _ => report.unknown(at, "a statement", PROPERTIES),
    });
    id
}
