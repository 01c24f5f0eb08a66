//! The migration runner's own SQL: history, attempts, lock, and how a file is executed.
//!
//! What to execute, and whether, is decided elsewhere; nothing here reads a file or knows a category's rules.

mod alone;
pub mod blockers;
pub mod concurrent;
pub mod execute;
pub mod facts;
mod forms;
pub mod legacy;
pub mod lock;
pub mod patience;
pub mod queue;
pub mod record;
pub mod rehearse;
pub mod standing;
pub(super) mod tables;
pub mod told;
pub mod waits;
pub mod watcher;

use std::time::Duration;

use tokio_postgres::Error;

use self::blockers::Blocker;
use crate::store::StoreError;

/// How patient a file may be.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// How long one try waits for a table lock. Very short, because everybody else queues behind the waiter.
    pub lock_timeout: Duration,
    /// How often a file is tried again after a lock timeout or a deadlock.
    pub lock_tries: u32,
    /// How long a file may make others wait, beside the time that it may wait itself, before that is told as a warning.
    pub wait_limit: Duration,
    /// The longest a statement of a transactional file may run.
    pub statement_timeout: Duration,
    /// The longest a no-transaction statement may run.
    pub autocommit_timeout: Duration,
}

impl Budget {
    /// Who queues behind a file that waits for its own lock waits as long as that one may.
    pub fn longest_wait(&self) -> Duration {
        self.lock_timeout + self.wait_limit
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            lock_timeout: Duration::from_millis(50),
            lock_tries: 20,
            wait_limit: Duration::from_millis(50),
            statement_timeout: Duration::from_secs(15 * 60),
            autocommit_timeout: Duration::from_secs(6 * 3600),
        }
    }
}

/// Whole milliseconds, for the record.
pub fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// A failed file: the server's own words, and the line of the file they are about.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ExecuteError {
    #[error("{code}: {message}{}{}{}", line.map(|l| format!(" (line {l})")).unwrap_or_default(), hints(detail, hint), in_the_way(blockers))]
    Sql {
        code: String,
        message: String,
        detail: Option<Box<str>>,
        hint: Option<Box<str>>,
        line: Option<usize>,
        /// Who held, at the last try, what the file waited for.
        blockers: Box<[Blocker]>,
    },
    #[error("the file ended the runner's transaction; what it did before that stays")]
    LeftTransaction,
    #[error("index {0} is still not valid after a second build")]
    InvalidIndex(String),
    #[error("index {0} is there already, on another table")]
    TakenIndex(String),
    #[error("the connection broke: {0}")]
    Connection(String),
}

impl ExecuteError {
    /// Whether a later try may succeed without anybody's help.
    pub fn is_contention(&self) -> bool {
        matches!(self, Self::Sql { code, .. } if matches!(code.as_str(), "55P03" | "40P01" | "40001"))
    }

    /// The same with those who were in the way, where that was what it failed of.
    fn blaming(mut self, seen: Vec<Blocker>) -> Self {
        let contention = self.is_contention();
        if let Self::Sql { blockers, .. } = &mut self
            && contention
        {
            *blockers = seen.into();
        }
        self
    }

    #[cfg(test)]
    fn lock_timeout() -> Self {
        let (code, message) = ("55P03".to_owned(), "canceling statement due to lock timeout".to_owned());
        Self::Sql { code, message, detail: None, hint: None, line: None, blockers: Box::default() }
    }

    fn of(sql: &str, error: &Error) -> Self {
        let Some(db) = error.as_db_error() else {
            return match StoreError::from_pg("migration", error) {
                StoreError::Unreachable(why) => Self::Connection(why),
                other => Self::Connection(other.to_string()),
            };
        };
        let line = match db.position() {
            Some(tokio_postgres::error::ErrorPosition::Original(at)) => Some(line_at(sql, *at)),
            _ => None,
        };
        Self::Sql {
            code: db.code().code().to_owned(),
            message: db.message().to_owned(),
            detail: db.detail().map(Into::into),
            hint: db.hint().map(Into::into),
            line,
            blockers: Box::default(),
        }
    }
}

fn hints(detail: &Option<Box<str>>, hint: &Option<Box<str>>) -> String {
    [detail, hint].into_iter().flatten().map(|text| format!("; {text}")).collect()
}

fn in_the_way(blockers: &[Blocker]) -> String {
    if blockers.is_empty() { String::new() } else { format!("; in the way: {}", blockers::list(blockers)) }
}

/// PostgreSQL counts characters from one.
fn line_at(sql: &str, position: u32) -> usize {
    sql.chars().take(position.saturating_sub(1) as usize).filter(|c| *c == '\n').count() + 1
}

/// An identifier in quotes, safe to put into a statement.
pub fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

/// A value in quotes, safe to put into a statement, whatever `standard_conforming_strings` says there.
fn literal(value: &str) -> String {
    format!("E'{}'", value.replace('\\', r"\\").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_become_lines() {
        let sql = "SELECT 1;\nSELECT é,\n wrong;";
        let at = sql.chars().position(|c| c == 'w').unwrap() as u32 + 1;
        assert_eq!((line_at(sql, 1), line_at(sql, at), line_at(sql, 9999)), (1, 3, 3));
    }

    #[test]
    fn identifiers_cannot_break_out() {
        assert_eq!(quoted("a\"; DROP"), "\"a\"\"; DROP\"");
    }
}
