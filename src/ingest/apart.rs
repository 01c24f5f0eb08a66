//! Who is written apart: requests that need more than rows of their own, and for a while tenants that kept others waiting.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::Submission;
use crate::model::TenantId;

/// How long a tenant that kept others waiting stays apart.
const KEPT_APART: Duration = Duration::from_secs(10);

impl Submission {
    /// Nothing but statements that stand for themselves: they can share a transaction with those of other tenants.
    pub(super) fn is_plain(&self) -> bool {
        self.attachments.is_empty() && self.statements.iter().all(|statement| statement.refers_to.is_none())
    }
}

/// Tenants that kept others waiting, with the end of their time apart.
#[derive(Default)]
pub(super) struct Troubled(Mutex<HashMap<TenantId, Instant>>);

impl Troubled {
    pub fn note(&self, tenant: TenantId, now: Instant) {
        let mut until = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        until.retain(|_, until| *until > now);
        until.insert(tenant, now + KEPT_APART);
    }

    pub fn has(&self, tenant: TenantId, now: Instant) -> bool {
        let until = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        until.get(&tenant).is_some_and(|until| *until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_stays_apart_for_good() {
        let (troubled, now) = (Troubled::default(), Instant::now());
        troubled.note(TenantId::DEFAULT, now);
        assert!(troubled.has(TenantId::DEFAULT, now));
        assert!(!troubled.has(TenantId::DEFAULT, now + KEPT_APART));
    }
}
