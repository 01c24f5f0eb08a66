//! Statements that come with their past: from another ledger, from an export, or made up.
//!
//! This is the one way into the ledger that keeps `stored` and the authority. It is open to commands alone, never to a request.

mod arrival;
mod error;
pub mod load;

pub use arrival::{Arrival, Reader};
pub use error::LoadError;
pub use load::{Brought, Load, Loaded, PastDocument};
