//! A statement that has been read: proof that its JSON obeys the specification.

use serde_json::{Map, Value};

/// A valid statement. Only `xapi::read` makes one, so whoever holds it need not check again.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    doc: Map<String, Value>,
}

impl Statement {
    pub(super) fn trusted(doc: Map<String, Value>) -> Self {
        Self { doc }
    }

    /// The statement's properties as its sender wrote them (numbers in their own digits, keys in their own order).
    pub fn doc(&self) -> &Map<String, Value> {
        &self.doc
    }

    pub fn into_doc(self) -> Map<String, Value> {
        self.doc
    }
}
