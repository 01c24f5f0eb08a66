//! The object of a statement, of one of five kinds.

use serde_json::Value;

use super::report::{Path, Report};
use super::{activity, actor, statement_ref, sub_statement, table as rule, value};

/// What an object says it is; without `objectType` it is an activity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Activity,
    Agent,
    Group,
    SubStatement,
    StatementRef,
    Unknown,
}

impl Kind {
    pub fn of(object: &Value) -> Self {
        match object.get("objectType").map(Value::as_str) {
            None | Some(Some("Activity")) => Self::Activity,
            Some(Some("Agent")) => Self::Agent,
            Some(Some("Group")) => Self::Group,
            Some(Some("SubStatement")) => Self::SubStatement,
            Some(Some("StatementRef")) => Self::StatementRef,
            Some(_) => Self::Unknown,
        }
    }

    /// The kind with its article, for a sentence.
    pub fn a(self) -> &'static str {
        match self {
            Self::Activity => "an activity",
            Self::Agent => "an agent",
            Self::Group => "a group",
            Self::SubStatement => "a SubStatement",
            Self::StatementRef => "a StatementRef",
            Self::Unknown => "something unknown",
        }
    }
}

pub(super) fn check(object: &Value, kind: Kind, at: &Path, report: &mut Report) {
    match kind {
        Kind::Activity => activity::check(object, at, report),
        Kind::Agent | Kind::Group => actor::check(object, at, report),
        Kind::SubStatement => sub_statement::check(object, at, report),
        Kind::StatementRef => statement_ref::check(object, at, report),
        Kind::Unknown => {
            let kinds = ["Activity", "Agent", "Group", "SubStatement", "StatementRef"];
            if let Some(found) = object.get("objectType") {
                value::one_of(found, &at.key("objectType"), report, &kinds, rule::OBJECT_TYPE);
            }
        }
    }
}
