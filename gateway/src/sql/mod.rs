//! What comes in as SQL: the few statements of a session, and queries, of which only those pass that are computed exactly as
//! PostgreSQL computes them. Pure.

mod ast;
pub mod catalog;
mod expr;
pub mod literal;
mod query;
pub mod rewrite;
mod rewriter;
pub mod scope;
pub mod statement;
