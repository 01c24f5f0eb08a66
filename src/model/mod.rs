//! The nouns every room shares: tenants, scopes, clock and ids as values. Pure; no IO.

pub mod attempt;
pub mod causes;
pub mod clock;
pub mod erasure;
pub mod event;
pub mod ids;
pub mod job;
pub mod lease;
pub mod masked;
pub mod names;
pub mod partition;
pub mod plan;
pub mod pseudonym;
pub mod residence;
pub mod retention;
pub mod rounds;
pub mod scheme;
pub mod scope;
pub mod score;
pub mod secret;
pub mod tenant;

pub use clock::Clock;
pub use event::Event;
pub use ids::Ids;
pub use lease::Lease;
pub use pseudonym::Pseudonyms;
pub use rounds::Rounds;
pub use scope::{Scope, Scopes};
pub use secret::Secret;
pub use tenant::TenantId;
