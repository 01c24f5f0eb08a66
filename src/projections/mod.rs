//! Attempts, completion records and scores: a pure fold over the ledger, and the step that keeps its result in tables.
//!
//! `facts` reads what a statement says of an attempt, `fold` makes the attempt of its facts, `events` says what is told
//! to others, `activity` counts, `run` does it for what the ledger has gained, `close` ends an attempt by hand, `silence` ends what nobody
//! speaks of any more, `units` shows what a cmi5 attempt is made of, `satisfied` finds out which blocks and courses of
//! `courses` are, `rebuild` makes everything again and compares. The rules stand in `docs/projections.md`.

pub mod activity;
mod batch;
pub mod close;
pub mod courses;
pub mod effects;
mod error;
pub mod events;
pub mod facts;
pub mod fold;
pub mod rebuild;
pub mod run;
pub mod satisfied;
pub mod silence;
mod traced;
pub mod units;

pub use close::{CloseError, CloseRequest, ClosedByHand, close_attempt};
pub use error::ProjectionError;
