//! On whose behalf something is done.

use crate::model::TenantId;

/// On whose behalf the transaction runs: this decides the group role, and with it what row-level security shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum As {
    /// The data plane for one tenant; rows of others do not exist.
    Tenant(TenantId),
    /// The statements of several callers at once: adds rows for the tenants that the transaction names
    /// ([`Tx::set_tenants`](crate::store::Tx::set_tenants)), for nobody before it does, and reads no statement.
    Group,
    /// Authentication, before any tenant is known: no tenant's rows are visible.
    Nobody,
    /// Background loops and administration, across tenants.
    Worker,
    /// Who erases a person of one tenant. No request is served and no loop runs as this.
    Eraser(TenantId),
    /// Who removes what is past its time, of one tenant, and decides what is kept. Neither serves nor runs either.
    Retention(TenantId),
}

impl As {
    /// The group role that the migrations made for it.
    pub(in crate::store) fn role(self) -> &'static str {
        match self {
            Self::Tenant(_) | Self::Nobody => SERVICE,
            Self::Group => INGEST,
            Self::Worker => WORKER,
            Self::Eraser(_) => ERASER,
            Self::Retention(_) => RETENTION,
        }
    }

    /// Whose rows there are; `None`: the role decides.
    pub(in crate::store) fn tenant(self) -> Option<TenantId> {
        match self {
            Self::Tenant(tenant) | Self::Eraser(tenant) | Self::Retention(tenant) => Some(tenant),
            Self::Nobody | Self::Group | Self::Worker => None,
        }
    }
}

pub(in crate::store) const SERVICE: &str = "progress_service";
pub(in crate::store) const INGEST: &str = "progress_ingest";
pub(in crate::store) const WORKER: &str = "progress_worker";
const ERASER: &str = "progress_eraser";
const RETENTION: &str = "progress_retention";
