//! Everything wrong with a configuration, reported at once and with the nearest known name.

use std::{fmt, path::PathBuf};

use super::{KEYS, Key, legacy::VARIABLES, nearest::nearest};

/// One thing to mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key or variable as it was written.
    pub name: String,
    pub message: String,
}

impl Problem {
    /// A value that its key does not accept. The value itself is not repeated: it may be a secret.
    pub fn value(key: &str, why: impl Into<String>) -> Self {
        Self { name: key.to_owned(), message: why.into() }
    }

    /// A key of the file that no row of the table knows.
    pub(super) fn unknown_key(name: &str) -> Self {
        Self { name: name.to_owned(), message: unknown("key", nearest(name, KEYS.iter().map(|k| k.name.to_owned()))) }
    }

    /// A `PROGRESS_*` variable that no row of the table knows.
    pub(super) fn unknown_variable(name: &str) -> Self {
        Self { name: name.to_owned(), message: unknown("variable", nearest_variable(name)) }
    }
}

/// One that looks like an old name means what that one is called today.
fn nearest_variable(name: &str) -> Option<String> {
    let old = VARIABLES.iter().map(|renamed| renamed.old.to_owned());
    let near = nearest(name, KEYS.iter().map(Key::env).chain(old))?;
    let today = VARIABLES.iter().find(|renamed| renamed.old == near).map(|renamed| renamed.key);
    Some(KEYS.iter().find(|key| Some(key.name) == today).map_or(near, Key::env))
}

fn unknown(what: &str, near: Option<String>) -> String {
    match near {
        Some(near) => format!("unknown {what}; did you mean {near}?"),
        None => format!("unknown {what}; `progress-service config docs` lists all"),
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.message)
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("the configuration file {path} cannot be read: {source}")]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("the configuration file {path} is not TOML: {message}")]
    Syntax { path: PathBuf, message: String },
    #[error("the configuration file {path} has version {found}, this binary reads up to {known}: use a newer release")]
    Newer { path: PathBuf, found: i64, known: i64 },
    #[error("{}", list(.0))]
    Problems(Vec<Problem>),
}

impl From<Problem> for ConfigError {
    fn from(problem: Problem) -> Self {
        Self::Problems(vec![problem])
    }
}

fn list(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
}
