//! What follows once statements are in: references are looked for, and attempts, completions and scores are made. No event is told.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use super::Desk;
use crate::{
    cli::access::BY,
    ingest::settle::References,
    model::TenantId,
    projections::rebuild::{Rebuild, Replaced},
    store::progress::rebuild::Difference,
    telemetry::Metrics,
    transfer::foreign::Taken,
};

/// That statements come in whose projections are not made yet. Beside a cursor a file remembers it: who was killed between the two finds
/// nothing new to take, and makes them all the same.
pub struct Due {
    file: Option<PathBuf>,
    was_killed: bool,
}

impl Due {
    pub fn begin(cursor: Option<&Path>) -> anyhow::Result<Self> {
        let file = cursor.map(|cursor| {
            let mut name = cursor.as_os_str().to_owned();
            name.push(".due");
            PathBuf::from(name)
        });
        let was_killed = file.as_ref().is_some_and(|file| file.exists());
        if let Some(file) = &file {
            let made = File::create(file).and_then(|file| file.sync_all());
            made.with_context(|| format!("cannot write {}", file.display()))?;
        }
        Ok(Self { file, was_killed })
    }

    /// Follows references and makes projections, where something came. Without a cursor everything is read each time, and nobody knows
    /// what an earlier time left.
    pub async fn settle(self, desk: &Desk<'_>, tenant: TenantId, taken: &Taken) -> anyhow::Result<()> {
        references(desk).await?;
        if taken.new > 0 || self.was_killed || self.file.is_none() && taken.same > 0 {
            Box::pin(rebuild(desk, tenant)).await?;
        }
        self.file
            .map_or(Ok(()), |file| fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display())))
    }
}

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
