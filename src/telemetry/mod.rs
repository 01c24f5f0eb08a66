//! What the service says about itself: logs, trace context, metrics. Never a statement, an actor or a body.

pub mod logs;
pub mod metrics;
pub mod trace;

pub use metrics::Metrics;
pub use trace::TraceContext;
