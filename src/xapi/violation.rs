//! What is wrong with a request, said so that its sender can mend it.

use std::fmt;

use serde::Serialize;

use super::rules::table as rule;

/// One broken rule at one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Position of the statement in the request, from 0; absent when the body as a whole is at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statement: Option<usize>,
    /// JSON pointer inside that statement (or document); empty for the whole of it.
    pub pointer: String,
    /// Stable id of the rule, listed in `docs/validation.md`.
    pub rule: &'static str,
    /// One sentence: what was found and what is expected.
    pub message: String,
}

/// Every violation of a request, in the order found; never empty when it is an error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Violations(pub Vec<Violation>);

impl Violations {
    /// A violation of the request as a whole.
    pub fn whole(rule: &'static str, message: impl Into<String>) -> Self {
        Self(vec![Violation { statement: None, pointer: String::new(), rule, message: message.into() }])
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether all that is wrong is the size of the request or of its statements.
    pub fn are_of_size(&self) -> bool {
        const SIZES: [&str; 3] = [rule::BODY_BYTES, rule::MULTIPART_BYTES, rule::STATEMENT_BYTES];
        !self.is_empty() && self.0.iter().all(|violation| SIZES.contains(&violation.rule))
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(index) = self.statement {
            write!(f, "statement {index}")?;
        }
        write!(f, "{}: {} [{}]", self.pointer, self.message, self.rule)
    }
}

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, violation) in self.0.iter().enumerate() {
            write!(f, "{}{violation}", if i > 0 { "; " } else { "" })?;
        }
        Ok(())
    }
}

impl std::error::Error for Violations {}
