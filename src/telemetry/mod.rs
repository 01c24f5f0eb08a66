//! What the service says about itself: logs, traces, metrics. Never a statement, an actor or a body.

mod aside;
mod collector;
pub mod logs;
pub mod metrics;
mod pushes;
pub mod spans;
pub mod trace;

pub use aside::Aside;
pub use collector::Collector;
pub use metrics::{Metrics, OPEN_METRICS};
pub use pushes::Pushes;
pub use spans::{Span, Traces};
pub use trace::TraceContext;
