//! What the service says about itself: logs, traces, metrics. Never a statement, an actor or a body.

mod aside;
pub mod logs;
pub mod metrics;
pub mod spans;
pub mod trace;

pub use aside::Aside;
pub use metrics::Metrics;
pub use spans::{Span, Traces};
pub use trace::TraceContext;
