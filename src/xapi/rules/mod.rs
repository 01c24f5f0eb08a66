//! The rules of the specification, one file per noun. Complete in themselves: what they accept is valid.
//!
//! A check walks a value once, allocates nothing while the value is valid, and reports everything that is not.
//! It never changes a value and never stops at the first fault.

mod activity;
mod actor;
mod attachments;
mod authority;
mod context;
mod context_actors;
mod core;
mod extensions;
mod interaction;
mod kind;
mod language_map;
mod object;
pub(super) mod query;
pub(super) mod report;
mod result;
pub(super) mod statement;
mod statement_ref;
mod sub_statement;
pub mod table;
mod value;
mod verb;

#[cfg(test)]
mod tests;
