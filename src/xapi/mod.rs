//! The specification as a pure language: parse, validate, prepare, compare, format. No IO, no async.

pub mod about;
pub mod activity;
pub mod canonical;
pub mod compare;
pub mod decimal;
pub mod digest;
pub mod document;
pub mod format;
pub mod json;
pub mod keys;
pub mod language;
pub mod limits;
mod logical;
pub mod multipart;
mod payload;
pub mod prepare;
pub mod query;
pub mod read;
pub mod redact;
pub mod relations;
pub mod rules;
pub mod schema;
pub mod signature;
pub mod statement;
pub mod stored;
pub mod syntax;
#[cfg(test)]
pub(crate) mod testing;
pub mod time;
pub mod verb;
pub mod version;
pub mod violation;
mod write;

pub use limits::Limits;
pub use prepare::{Author, Prepared, prepare};
pub use statement::Statement;
pub use version::Version;
pub use violation::{Violation, Violations};
