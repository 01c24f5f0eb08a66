//! What the service says about itself: logs, trace context, metrics. Never a statement, an actor or a body.

mod aside;
pub mod logs;
pub mod metrics;
pub mod trace;

pub use aside::Aside;
pub use metrics::Metrics;
pub use trace::TraceContext;
