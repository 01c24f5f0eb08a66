//! `/api/v1/audit`: the audit trail for auditors: entries with their proofs and receipts, and the log itself.

pub mod entries;
pub mod log;

use crate::{audit::AuditError, http::HttpError};

impl From<AuditError> for HttpError {
    fn from(error: AuditError) -> Self {
        match error {
            AuditError::NoEntry(_) => Self::NotFound(error.to_string()),
            AuditError::NoPlace(_)
            | AuditError::Destroyed(_)
            | AuditError::Changed(_)
            | AuditError::NotSigned
            | AuditError::Witness(_) => Self::Conflict(error.to_string()),
            AuditError::Store(error) => error.into(),
            other => Self::internal(other),
        }
    }
}
