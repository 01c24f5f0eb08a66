//! On whose behalf something is done.

use crate::model::TenantId;

/// On whose behalf the transaction runs: this decides the group role, and with it what row-level security shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum As {
    /// The data plane for one tenant; rows of others do not exist.
    Tenant(TenantId),
    /// Authentication, before any tenant is known: no tenant's rows are visible.
    Nobody,
    /// Background loops and administration, across tenants.
    Worker,
}

impl As {
    /// The group role that the migrations made for it.
    pub(in crate::store) fn role(self) -> &'static str {
        match self {
            Self::Tenant(_) | Self::Nobody => SERVICE,
            Self::Worker => WORKER,
        }
    }
}

pub(in crate::store) const SERVICE: &str = "progress_service";
pub(in crate::store) const WORKER: &str = "progress_worker";
