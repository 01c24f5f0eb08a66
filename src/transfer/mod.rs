//! A tenant's data out and in: exports, imports, and what differs between two; statements that come with their past, from another
//! ledger, from an export, or made up.
//!
//! `load` is the one way into the ledger that keeps `stored` and the authority. It is open to commands alone, never to a request.

mod arrival;
pub mod check;
pub mod compare;
mod document;
mod error;
pub mod export;
pub mod fault;
pub mod foreign;
pub mod forward;
pub mod import;
pub mod kind;
mod lines;
pub mod load;
pub mod lrsql;
mod noted;
pub mod outlook;
mod pace;
pub mod past_documents;
pub mod pull;
mod quiet;
pub mod remote;
mod upgrade;
pub mod validate;

pub use arrival::{Arrival, Brought, PastDocument, Reader};
pub use error::LoadError;
pub use fault::TransferError;
pub use kind::Kind;
pub use load::{Load, Loaded};
