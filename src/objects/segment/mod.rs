//! Segments: a month of one tenant's statements as Parquet objects, written once, proven by reading them back, and read
//! selectively. Knows nothing of PostgreSQL and decides nothing: when a month is written, and what may go, others say.

pub mod keys;
pub mod row;
pub mod schema;

pub use keys::{Month, Place};
pub use row::Row;
