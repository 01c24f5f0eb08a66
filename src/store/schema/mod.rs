//! The schemas themselves: the migration runner's SQL, facts for its checks, what a database holds, indexes.

pub mod catalog;
pub mod checks;
pub mod migrations;
pub mod reindex;
pub mod scratch;
pub mod server;
