//! Segments: a month of one tenant's statements as Parquet objects, written once, proven by reading them back, and read
//! selectively. Knows nothing of PostgreSQL and decides nothing: when a month is written, and what may go, others say.
//!
//! ```text
//! Writer ── finish ──► Staged ── verify ──► Verified ── publish ──► Published     Manifest::load ──► Segment::open
//!  rows in order        staged keys          read back, equal        manifest          select a page · scan it all
//! ```

mod batch;
mod cache;
mod columns;
pub mod digest;
mod encode;
mod error;
mod filter;
mod footer;
mod keys;
mod manifest;
mod part;
mod prune;
mod publish;
mod read;
mod row;
mod said;
mod schema;
mod since;
mod source;
#[cfg(test)]
mod tests;
mod verify;
mod write;

pub use cache::Cache;
pub use columns::Columns;
pub use error::SegmentError;
pub use filter::{Condition, Filter, Key, Span};
pub use keys::Place;
pub use manifest::{Manifest, Owner, Part, Summary, Verbs};
pub use publish::{adopt, clear, publish, published, published_of, remove};
pub use read::{Scan, Segment};
pub use row::Row;
pub(super) use said::Said;
pub use schema::{FORMAT, Sizes};
pub use since::{Since, say_gone, since, unsay_gone};
pub use source::Reads;
pub use verify::{Published, Verified, audit, verify};
pub use write::{Staged, Writer, Writing};

/// Computes on a thread that may be busy for a while. A library that panics over what it reads ends here.
async fn blocking<T: Send + 'static>(key: &str, work: impl FnOnce() -> T + Send + 'static) -> Result<T, SegmentError> {
    tokio::task::spawn_blocking(work).await.map_err(|e| SegmentError::damaged(key, format!("it does not decode: {e}")))
}
