//! The door to PostgreSQL: all SQL lives here, one file per noun.
//!
//! There is one way in for work (`Store::run_tx`) and one for DDL (`ddl::Session`), which refuses transactions.

pub mod error;
pub mod tls;

pub use error::{Outcome, StoreError};
