//! What follows once statements are in: references are looked for, and attempts, completions and scores are made. No event is told.

use super::Desk;
use crate::{
    cli::access::BY,
    ingest::settle::References,
    model::TenantId,
    projections::rebuild::{Rebuild, Replaced},
    store::progress::rebuild::Difference,
    telemetry::Metrics,
};

/// Follows all references that nobody has followed.
pub async fn references(desk: &Desk<'_>) -> anyhow::Result<()> {
    let references = References::new(desk.cold.clone(), Metrics::new()?);
    while references.step().await? > 0 {}
    Ok(())
}

/// Makes a tenant's projections anew, and puts them in place.
pub async fn rebuild(desk: &Desk<'_>, tenant: TenantId) -> anyhow::Result<Replaced> {
    let rebuild = Rebuild::begin(&desk.cold, Some(tenant)).await?;
    let built = async {
        rebuild.build(&|_| ()).await?;
        rebuild.compare(tenant).await?;
        rebuild.apply(tenant, BY).await
    };
    let built = Box::pin(built).await;
    rebuild.end().await?;
    Ok(built?)
}

/// Where a tenant's projections are not what the ledger makes of them.
pub async fn differences(desk: &Desk<'_>, tenant: TenantId) -> anyhow::Result<Vec<Difference>> {
    let rebuild = Rebuild::begin(&desk.cold, Some(tenant)).await?;
    let compared = async {
        rebuild.build(&|_| ()).await?;
        rebuild.compare(tenant).await
    };
    let compared = Box::pin(compared).await;
    rebuild.end().await?;
    Ok(compared?)
}
