//! Who may do what, against a real database with the service's own login.

mod admin;
mod browsers;
mod cli;
mod contents;
mod documents;
mod isolation;
pub mod issuer;
mod keys;
mod lifecycle;
mod person;
mod races;
mod scopes;
pub mod setup;
mod tokens;
mod voiding;
