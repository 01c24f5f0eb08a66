//! What the world sees: the listener, its lifecycle, health, and one way to say what went wrong.

pub mod accept;
pub mod answer;
pub mod api;
pub mod body;
pub mod budget;
pub mod caller;
pub mod cors;
pub mod csv;
pub mod edge;
pub mod error;
pub mod fetch;
pub mod guard;
pub mod health;
pub mod lifecycle;
pub mod pages;
pub mod problem;
pub mod rate_limit;
pub mod server;
pub mod tls;
pub mod work;
pub mod xapi;

pub use budget::Budget;
pub use edge::{Edge, RequestContext};
pub use error::HttpError;
pub use lifecycle::{Lifecycle, Phase};
pub use problem::Problem;
pub use rate_limit::RateLimits;
pub use work::Work;
