//! What a rule says about a line.

use std::fmt;

use serde::Serialize;

/// How much a finding matters. Only an error makes a file unfit to ship.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Note,
    Warning,
    Error,
}

/// One thing to know about a file, with the line it is about (from 1) and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub rule: String,
    pub severity: Severity,
    pub line: u32,
    pub message: String,
    pub help: String,
}

impl Finding {
    pub(super) fn error(rule: &str, line: u32, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { rule: rule.to_owned(), severity: Severity::Error, line, message: message.into(), help: help.into() }
    }

    pub(super) fn warning(rule: &str, line: u32, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(rule, line, message, help) }
    }

    pub(super) fn note(rule: &str, line: u32, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { severity: Severity::Note, ..Self::error(rule, line, message, help) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        write!(f, "line {}: {severity}[{}]: {}", self.line, self.rule, self.message)?;
        if self.help.is_empty() { Ok(()) } else { write!(f, "; {}", self.help) }
    }
}
