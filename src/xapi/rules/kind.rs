//! Of which of five kinds the object of a statement is.

use serde_json::Value;

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
