//! The specification as a pure language: parse, validate, prepare, compare, format. No IO, no async.

pub mod limits;
pub mod statement;
pub mod syntax;
pub mod version;
pub mod violation;

pub use limits::Limits;
pub use statement::Statement;
pub use version::Version;
pub use violation::{Violation, Violations};
