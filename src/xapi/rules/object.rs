//! The object of a statement, of one of five kinds.

use serde_json::Value;

use super::kind::Kind;
use super::report::{Path, Report};
use super::{activity, actor, statement_ref, table as rule, value};

pub(super) fn check(object: &Value, kind: Kind, at: &Path, report: &mut Report) {
    match kind {
        Kind::Activity => activity::check(object, at, report),
        Kind::Agent | Kind::Group => actor::check(object, at, report),
        // Only a statement has one: see there.
        Kind::SubStatement => {}
        Kind::StatementRef => statement_ref::check(object, at, report),
        Kind::Unknown => {
            let kinds = ["Activity", "Agent", "Group", "SubStatement", "StatementRef"];
            if let Some(found) = object.get("objectType") {
                value::one_of(found, &at.key("objectType"), report, &kinds, rule::OBJECT_TYPE);
            }
        }
    }
}
