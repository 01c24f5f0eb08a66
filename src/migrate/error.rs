//! What stops a run as a whole.

use super::{
    modules::{Module, ModuleError},
    plan::Problem,
};
use crate::store::{StoreError, schema::migrations::ExecuteError};

/// Everything that stops a run before, or instead of, a file's failure.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    #[error(transparent)]
    Modules(#[from] ModuleError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    #[error("another runner holds the migration lock{}", holder.as_deref().unwrap_or_default())]
    Locked { holder: Option<String> },
    #[error("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Problems { problems: Vec<Problem> },
    #[error("this database cannot be used: {0}")]
    Unfit(String),
    #[error("the database is read-only; {pending} migrations cannot be applied")]
    ReadOnly { pending: usize },
    #[error("there is no module {name:?}; there are {}", known.join(", "))]
    UnknownModule { name: String, known: Vec<String> },
    #[error("there is no file {file:?} in module {module}")]
    UnknownFile { module: String, file: String },
    #[error("{0}")]
    Refused(String),
}

impl MigrateError {
    /// Whether the role lacks a right for what it was asked to do.
    pub fn is_permission(&self) -> bool {
        matches!(self, Self::Store(error) if error.code() == Some("42501"))
    }
}

/// The error for a module that is not among these.
pub fn unknown(modules: &[Module], name: &str) -> MigrateError {
    MigrateError::UnknownModule { name: name.to_owned(), known: modules.iter().map(|m| m.name.clone()).collect() }
}

/// Whether there is such a module.
pub fn check_name(modules: &[Module], name: &str) -> Result<(), MigrateError> {
    if modules.iter().any(|module| module.name == name) { Ok(()) } else { Err(unknown(modules, name)) }
}
