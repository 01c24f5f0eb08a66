//! What a client is told when something does not go: a code that PostgreSQL's clients know, what it is, and what to do.

use datafusion::error::DataFusionError;
use pgwire::error::{ErrorInfo, PgWireError};
use progress_service::objects::segment::SegmentError;

/// An error of one statement; the connection goes on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    pub code: &'static str,
    pub message: String,
    pub hint: Option<&'static str>,
}

const LOCALLY: &str = "Let PostgreSQL compute it: select the rows in WITH … AS MATERIALIZED, and compute over that.";

impl Fault {
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    #[must_use]
    pub fn hint(self, hint: &'static str) -> Self {
        Self { hint: Some(hint), ..self }
    }

    /// What would be computed otherwise than PostgreSQL does, or not at all.
    pub fn unsupported(what: impl std::fmt::Display) -> Self {
        Self::new("0A000", format!("the gateway does not compute {what}")).hint(LOCALLY)
    }

    pub fn read_only(what: &str) -> Self {
        Self::new("25006", format!("the archive is read only: {what} is refused"))
    }

    pub fn syntax(message: impl std::fmt::Display) -> Self {
        Self::new("42601", message.to_string())
    }

    pub fn no_column(name: &str) -> Self {
        Self::new("42703", format!("column {name:?} does not exist"))
            .hint("If the ledger has it, the gateway is older than the service: run the same release of both.")
    }

    pub fn no_table(name: &str) -> Self {
        Self::new("42P01", format!("table {name:?} does not exist"))
            .hint("Tables are archive.statements, and archive.statements_2026_03 for each month that is published.")
    }

    pub fn cancelled() -> Self {
        Self::new("57014", "the query was cancelled, as its client asked")
    }

    /// How it goes over the wire.
    pub fn info(&self, severity: &str) -> ErrorInfo {
        let mut info = ErrorInfo::new(severity.to_owned(), self.code.to_owned(), self.message.clone());
        info.hint = self.hint.map(str::to_owned);
        info
    }
}

impl From<SegmentError> for Fault {
    fn from(error: SegmentError) -> Self {
        let code = match error {
            SegmentError::Storage { .. } => "58030",
            SegmentError::Missing { .. } | SegmentError::NotPublished(_) => "58P01",
            SegmentError::Newer { .. } => "0A000",
            _ => "XX001",
        };
        Self::new(code, error.to_string())
    }
}

impl From<DataFusionError> for Fault {
    fn from(error: DataFusionError) -> Self {
        // It comes as an error of writing a file, which is of no kind of its own.
        if error.to_string().contains("exceeded the allowable limit") {
            return Self::new("53200", "the query needs more than gateway.memory and gateway.spill give")
                .hint("Ask for fewer rows or columns, or give the gateway more.");
        }
        match error.find_root() {
            DataFusionError::External(source) => match source.downcast_ref::<Self>() {
                Some(fault) => fault.clone(),
                None => Self::new("XX000", source.to_string()),
            },
            DataFusionError::ResourcesExhausted(message) => Self::new(
                "53200",
                format!("the query needs more than gateway.memory and gateway.spill give: {message}"),
            )
            .hint("Ask for fewer rows or columns, or give the gateway more."),
            DataFusionError::SchemaError(..) | DataFusionError::Plan(_) | DataFusionError::SQL(..) => {
                Self::new("42601", first_line(&error))
            }
            DataFusionError::NotImplemented(what) => Self::unsupported(what),
            DataFusionError::ArrowError(..) | DataFusionError::Execution(_) => Self::new("22000", first_line(&error)),
            _ => Self::new("XX000", first_line(&error)),
        }
    }
}

fn first_line(error: &DataFusionError) -> String {
    error.strip_backtrace().lines().next().unwrap_or_default().to_owned()
}

impl From<Fault> for DataFusionError {
    fn from(fault: Fault) -> Self {
        Self::External(Box::new(fault))
    }
}

impl From<PgWireError> for Fault {
    fn from(error: PgWireError) -> Self {
        Self::new("08P01", error.to_string())
    }
}
