//! What a login may see. Pure.

use progress_service::{model::TenantId, objects::segment::Manifest};
use uuid::Uuid;

/// Of one tenant, or of all tenants of one installation: what its PostgreSQL server asks by, where policies keep tenants apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    Tenant(TenantId),
    Installation(Uuid),
}

impl Reach {
    /// Before the manifest is read.
    pub fn may_hold(&self, tenant: TenantId) -> bool {
        match self {
            Self::Tenant(own) => *own == tenant,
            Self::Installation(_) => true,
        }
    }

    pub fn holds(&self, manifest: &Manifest) -> bool {
        match self {
            Self::Tenant(own) => *own == manifest.place.tenant,
            Self::Installation(own) => *own == manifest.owner.installation,
        }
    }
}
