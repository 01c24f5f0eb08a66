//! The migration linter: a SQL parser's view of each file, judged by rules. Pure; it never connects.

pub mod lock;

pub use lock::LockClass;
