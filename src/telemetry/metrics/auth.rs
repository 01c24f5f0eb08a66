//! Callers that were not let in.

use prometheus::{IntCounterVec, Opts};

use super::{register, registry::Registry};

#[derive(Debug)]
pub struct AuthMetrics {
    /// By reason: `missing`, `malformed`, `wrong`, `expired`, `revoked`, `token`, `tenant`, `unavailable`.
    pub refusals: IntCounterVec,
}

impl AuthMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let refusals = Opts::new(
            "progress_auth_refusals_total",
            "callers that were not let in: `missing`, `malformed`, `wrong` (key or secret), `expired`, `revoked`, \
            `token`, `tenant`; `unavailable` says nothing of the caller",
        );
        Ok(Self { refusals: register(registry, IntCounterVec::new(refusals, &["reason"]))? })
    }
}
