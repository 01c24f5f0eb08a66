//! The gate of contracts: what has been released may only be added to. Pure, but for reading the files of a checkout.
//!
//! Compared are the schemas of events, those of the commands that are consumed, the document of the HTTP interface and
//! every file that a stored format stands in, each with all its released versions under `schemas/released`.

mod bounds;
mod openapi;
mod role;
mod schema;
mod tree;

use std::fmt;

use serde::Serialize;
use serde_json::Value;

pub use self::{
    openapi::openapi,
    role::Role,
    schema::schema,
    tree::{Finding, Samples, TODAY, TreeError, check, current, release, samples},
};

/// What must not happen to something that is released.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// The whole file is gone.
    DocumentRemoved,
    PropertyRemoved,
    /// What is produced no longer promises a property.
    RequiredRemoved,
    /// What is consumed asks for more than before.
    RequiredAdded,
    TypeChanged,
    EnumValueRemoved,
    /// What is produced takes a value that readers of a closed list do not know.
    EnumValueAdded,
    /// A bound, pattern or format that old readers or senders do not keep.
    ConstraintChanged,
    /// Nothing can be added to a closed model any more.
    ModelClosed,
    AlternativeChanged,
    /// A keyword changed that this check cannot judge.
    Unjudged,
    EndpointRemoved,
    ParameterRemoved,
    ParameterRequired,
    BodyRemoved,
    BodyRequired,
    ResponseRemoved,
    MediaTypeRemoved,
    HeaderRemoved,
    SecurityTightened,
    /// A file of a stored format changed; a new version is a new file.
    FrozenChanged,
    /// A sample of a stored format is gone.
    SampleRemoved,
    /// This binary does not read a sample as it was promised.
    FormatUnread,
    /// A file is not what the code makes today.
    Outdated,
    /// A reference leads nowhere.
    ReferenceBroken,
}

impl Rule {
    pub fn name(self) -> String {
        match serde_json::to_value(self) {
            Ok(Value::String(name)) => name,
            _ => format!("{self:?}"),
        }
    }
}

/// A change that is not additive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Breach {
    /// Where in the document, as a JSON pointer.
    pub pointer: String,
    pub rule: Rule,
    pub detail: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pointer = if self.pointer.is_empty() { "/" } else { &self.pointer };
        write!(f, "{pointer}: {}: {}", self.rule.name(), self.detail)
    }
}

/// A pointer one step further.
fn below(pointer: &str, step: &str) -> String {
    format!("{pointer}/{}", step.replace('~', "~0").replace('/', "~1"))
}

/// The object a local reference leads to, with its pointer; anything else is its own.
fn resolved<'a>(root: &'a Value, value: &'a Value, pointer: &str) -> Option<(&'a Value, String)> {
    let (mut value, mut pointer) = (value, pointer.to_owned());
    // A chain longer than this is a circle.
    for _ in 0..32 {
        let Some(reference) = value.get("$ref").and_then(Value::as_str) else { return Some((value, pointer)) };
        let target = reference.strip_prefix('#')?;
        (value, pointer) = (root.pointer(target)?, target.to_owned());
    }
    None
}
