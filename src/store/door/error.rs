//! What can go wrong behind the door, sorted by what the caller can do about it.

use std::time::Duration;

use tokio_postgres::error::SqlState;

use crate::model::causes::in_one_line;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Every connection is taken and the wait ran out: tell the client to come back.
    #[error("no database connection became free in time")]
    Busy,
    /// The server cannot be reached or went away.
    #[error("the database cannot be reached: {0}")]
    Unreachable(String),
    /// The server has the work and says nothing: it hangs, or it is cut off. What became of the work is unknown.
    #[error("{name}: no answer from the database within {after:?}")]
    Silent { name: &'static str, after: Duration },
    /// The connection was lost while the work was being committed, and the server could not be asked again.
    #[error("{name}: whether this was committed is not known: {lost}")]
    InDoubt { name: &'static str, lost: String },
    /// The server refused or failed the work.
    #[error("{name}: database error {code}: {message}")]
    Database { name: &'static str, code: String, message: String },
    /// The schema is not the one this binary was built for.
    #[error("row of unexpected shape in {name}: {detail}")]
    Shape { name: &'static str, detail: String },
    /// Somebody else took the lease under which this was done: whoever holds it now does it, and nothing of this stands.
    #[error("the lease {lease} went to another node: nothing was changed")]
    Fenced { lease: String },
    /// Transactions that began before, replicas or slots may still see rows that are gone.
    #[error("after {after:?} somebody can still see what is gone ({}): let it end, or come up, then repeat this", by.join(", "))]
    Seen { by: Vec<String>, after: Duration },
    #[error("invalid database configuration: {0}")]
    Config(String),
    /// No session is ours: settings and prepared statements would go to other clients.
    #[error(
        "the database is reached through a pooler that gives each transaction another session (pgbouncer's \
         pool_mode = transaction): progress-service needs sessions of its own, so let its URLs name the database itself \
         or a pooler in session mode"
    )]
    MixedSessions,
}

/// What a failed attempt means for the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Serialization failure, deadlock, lock timeout: the same work may well succeed now.
    Retry,
    /// The connection broke; whether the commit happened is unknown, so only idempotent work may repeat.
    Reconnect,
    /// Repeating cannot help, or would take too long.
    Final,
}

impl StoreError {
    pub fn from_pg(name: &'static str, error: &tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(db) => Self::Database { name, code: db.code().code().to_owned(), message: db.message().to_owned() },
            None if error.is_closed() || error.code().is_none() => Self::Unreachable(in_one_line(error)),
            None => Self::Shape { name, detail: in_one_line(error) },
        }
    }

    /// The SQLSTATE when the server gave one.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Database { code, .. } => Some(code),
            _ => None,
        }
    }

    /// Whether the database takes no writes: a standby, or one that somebody closed for writing.
    pub fn is_read_only(&self) -> bool {
        self.code() == Some(SqlState::READ_ONLY_SQL_TRANSACTION.code())
    }

    /// Whether a policy refused it because the tenant is not at home here now: it is written elsewhere, or here in a moment.
    pub fn is_of_a_move(&self) -> bool {
        let is_policy = self.code() == Some(SqlState::INSUFFICIENT_PRIVILEGE.code());
        is_policy && matches!(self, Self::Database { message, .. } if message.contains("\"at_home"))
    }

    /// Whether the data plane should answer 503 with `Retry-After` rather than 500.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Busy | Self::Unreachable(_) | Self::Silent { .. } | Self::InDoubt { .. } => true,
            Self::Database { code, .. } => {
                outcome_of(code) != Outcome::Final
                    || matches!(code.get(..2), Some("53" | "57" | "58"))
                    || self.is_of_a_move()
            }
            Self::Shape { .. } | Self::Fenced { .. } | Self::Config(_) | Self::MixedSessions | Self::Seen { .. } => {
                false
            }
        }
    }

    /// Whether the other side was lost in the middle: what it did last is not known.
    pub fn is_loss(&self) -> bool {
        matches!(self, Self::Silent { .. }) || self.outcome() == Outcome::Reconnect
    }

    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Database { code, .. } => outcome_of(code),
            Self::Unreachable(_) => Outcome::Reconnect,
            _ => Outcome::Final,
        }
    }
}

fn outcome_of(code: &str) -> Outcome {
    let code = SqlState::from_code(code);
    if code == SqlState::T_R_SERIALIZATION_FAILURE
        || code == SqlState::T_R_DEADLOCK_DETECTED
        || code == SqlState::LOCK_NOT_AVAILABLE
    {
        Outcome::Retry
    } else if code == SqlState::ADMIN_SHUTDOWN
        || code == SqlState::CRASH_SHUTDOWN
        || code == SqlState::CANNOT_CONNECT_NOW
        // A standby that is about to be the next primary, or one that was: another connection may find the right one.
        || code == SqlState::READ_ONLY_SQL_TRANSACTION
        || code.code().starts_with("08")
    {
        Outcome::Reconnect
    } else {
        Outcome::Final
    }
}

/// Lets the door recognise its own errors inside a room's error.
pub trait AsStoreError {
    fn as_store_error(&self) -> Option<&StoreError>;
}

impl AsStoreError for StoreError {
    fn as_store_error(&self) -> Option<&StoreError> {
        Some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(code: &str) -> StoreError {
        StoreError::Database { name: "t", code: code.to_owned(), message: String::new() }
    }

    #[test]
    fn sorts_sqlstates_by_what_to_do() {
        assert_eq!(database("40001").outcome(), Outcome::Retry);
        assert_eq!(database("40P01").outcome(), Outcome::Retry);
        assert_eq!(database("57P01").outcome(), Outcome::Reconnect);
        assert_eq!(database("08006").outcome(), Outcome::Reconnect);
        assert_eq!(database("25006").outcome(), Outcome::Reconnect);
        assert_eq!(database("23505").outcome(), Outcome::Final);
    }

    #[test]
    fn only_what_ends_in_the_middle_is_a_loss() {
        assert!(StoreError::Unreachable(String::new()).is_loss());
        assert!(StoreError::Silent { name: "t", after: Duration::ZERO }.is_loss());
        assert!(database("57P01").is_loss());
        assert!(!StoreError::Busy.is_loss());
        assert!(!database("23505").is_loss());
    }

    #[test]
    fn a_full_disk_is_temporary_and_a_broken_rule_is_not() {
        assert!(database("53100").is_temporary());
        assert!(!database("23514").is_temporary());
    }
}
