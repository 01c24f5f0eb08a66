//! Why data do not go out or come in.

use serde::Serialize;
use uuid::Uuid;

use super::LoadError;
use crate::{
    bundle::BundleError,
    cold::ColdError,
    store::{StoreError, door::error::AsStoreError},
};

#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    #[error(transparent)]
    Bundle(#[from] BundleError),
    #[error(transparent)]
    Cold(#[from] ColdError),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("statement {0} cannot be read as the ledger keeps it: {1}")]
    Unreadable(Uuid, String),
    #[error("{0}")]
    Refused(String),
    /// Who asked does not take it any more.
    #[error("the export was not taken to its end")]
    Left,
}

impl AsStoreError for TransferError {
    fn as_store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) => Some(error),
            Self::Cold(error) => error.as_store_error(),
            Self::Load(error) => error.as_store_error(),
            Self::Bundle(_) | Self::Unreadable(..) | Self::Refused(_) | Self::Left => None,
        }
    }
}

/// Something that is wrong with what should come in, so that its sender can mend it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    pub file: String,
    /// From 1; absent where the file as a whole is at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// JSON pointer inside the line; empty for the whole of it.
    pub pointer: String,
    pub rule: String,
    pub message: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.pointer.is_empty() {
            write!(f, " {}", self.pointer)?;
        }
        write!(f, ": {} [{}]", self.message, self.rule)
    }
}

/// Problems as they are found, the first so many of them.
#[derive(Debug, Default)]
pub struct Problems {
    pub found: Vec<Problem>,
    /// How many there are, also those that are not kept.
    pub count: u64,
}

/// As many are told.
pub const MOST: usize = 100;

impl Problems {
    pub fn add(&mut self, problem: Problem) {
        self.count += 1;
        if self.found.len() < MOST {
            self.found.push(problem);
        }
    }

    /// Adds one of a file, or of a line in it.
    pub fn at(&mut self, file: &str, line: Option<u64>, rule: &str, message: impl Into<String>) {
        let (file, rule) = (file.to_owned(), rule.to_owned());
        self.add(Problem { file, line, pointer: String::new(), rule, message: message.into() });
    }

    /// Adds why a statement cannot be loaded.
    pub fn load(&mut self, file: &str, line: Option<u64>, error: &LoadError) {
        match error {
            LoadError::Unreadable(violations) => {
                for violation in &violations.0 {
                    self.add(Problem {
                        file: file.to_owned(),
                        line,
                        pointer: violation.pointer.clone(),
                        rule: violation.rule.to_owned(),
                        message: violation.message.clone(),
                    });
                }
            }
            other => self.at(file, line, rule_of(other), other.to_string()),
        }
    }
}

fn rule_of(error: &LoadError) -> &'static str {
    match error {
        LoadError::Unreadable(_) => "xapi",
        LoadError::Lacks(_) | LoadError::Stored(..) => "past",
        LoadError::Conflict { .. } => "another-statement",
        LoadError::Erased(_) => "erased",
        LoadError::Told { .. } => "told",
        LoadError::SameMoment { .. } => "same-moment",
        LoadError::Closed(..) => "closed-month",
        LoadError::Store(_) => "database",
    }
}
