//! What the commands about tenants and credentials share: the way to them, and how a tenant is named.

use std::process::ExitCode;

use super::beside::with_database;
use crate::{
    identity::{Identity, IdentityError},
    model::{Clock, Ids, TenantId},
};

/// The name in the audit trail for what is done here.
pub const BY: &str = "command-line";

/// Runs `work` over the configured database, which may serve at the same time.
pub fn run(work: impl AsyncFnOnce(&Identity) -> anyhow::Result<()>) -> anyhow::Result<ExitCode> {
    let loaded = super::begin()?;
    super::runtime()?.block_on(with_database(&loaded.config, async |database| {
        let identity = database.identity(&loaded.config, Clock::system(), Ids::random())?;
        work(&identity).await.map(|()| ExitCode::SUCCESS)
    }))
}

/// A tenant by its id or its name; `default` is there from the first start on.
pub async fn tenant(identity: &Identity, text: &str) -> anyhow::Result<TenantId> {
    match text.parse() {
        Ok(id) => Ok(TenantId(id)),
        Err(_) => match identity.tenant_named(text).await {
            Err(IdentityError::NotFound(_)) => {
                anyhow::bail!("no such tenant: {text}; `progress-service tenants list` prints them")
            }
            named => Ok(named?.id),
        },
    }
}
