//! Callers that were not let in.

use prometheus::{IntCounterVec, Opts, Registry};

use super::register;

#[derive(Debug)]
pub struct AuthMetrics {
    /// By reason: `missing`, `malformed`, `wrong`, `expired`, `revoked`, `token`, `tenant`, `unavailable`.
    pub refusals: IntCounterVec,
}

impl AuthMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let refusals = Opts::new("progress_auth_refusals_total", "callers that were not let in, by reason");
        Ok(Self { refusals: register(registry, IntCounterVec::new(refusals, &["reason"]))? })
    }
}
