//! A rebuild: the projections made again from the ledger, beside the live ones, compared with them, and put in their
//! place where they differ. Ingest and the live step go on meanwhile, and no event is told.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use tokio::task::{JoinError, JoinSet};

use super::{
    activity::{self, Read},
    batch,
    effects::EFFECTS,
    error::ProjectionError,
    run,
};
use crate::{
    cold::{Cold, ColdError},
    model::{Pseudonyms, TenantId},
    store::{
        As, Store, StoreError, Tx,
        door::error::AsStoreError,
        platform::audit::{self, Entry},
        progress::{
            projections::{self as rows, Line, Of, Side},
            rebuild::{self, Difference, Shadow},
        },
    },
};

/// Statements read at once.
const LINES: i64 = 10_000;
/// Attempts folded at once.
const ATTEMPTS: i64 = 2_000;
/// Transactions that fold beside each other.
const FOLDERS: usize = 3;

#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    #[error("another rebuild is at work")]
    Busy,
    #[error(transparent)]
    Cold(#[from] ColdError),
    #[error(transparent)]
    Projection(#[from] ProjectionError),
}

impl From<StoreError> for RebuildError {
    fn from(error: StoreError) -> Self {
        Self::Projection(error.into())
    }
}

impl AsStoreError for RebuildError {
    fn as_store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Projection(error) => error.as_store_error(),
            Self::Cold(error) => error.as_store_error(),
            Self::Busy => None,
        }
    }
}

/// What a rebuild is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RebuildProgress {
    /// Statements read so far.
    Reading(TenantId, u64),
    Indexing,
    /// Attempts folded so far.
    Folding(TenantId, u64),
    Comparing(TenantId),
}

/// What was put in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replaced {
    pub removed: u64,
    pub added: u64,
}

/// A rebuild under way.
pub struct Rebuild {
    store: Store,
    cold: Cold,
    shadow: Shadow,
    pseudonyms: Pseudonyms,
    tenants: Vec<(TenantId, DateTime<Utc>)>,
}

impl Rebuild {
    /// Prepares a rebuild of one tenant or of all; nothing live is touched before [`Rebuild::apply`].
    pub async fn begin(cold: &Cold, only: Option<TenantId>) -> Result<Self, RebuildError> {
        let store = cold.store();
        let shadow = Shadow::create(store).await?.ok_or(RebuildError::Busy)?;
        let pseudonyms = run::pseudonyms(store).await?;
        // What waits to be taken off is no difference: a rebuild does not count it to begin with.
        activity::settle(cold).await?;
        let mut tenants =
            store.run_tx("projection_positions", As::Worker, |tx| Box::pin(rebuild::positions(tx))).await?;
        tenants.retain(|(tenant, _)| only.is_none_or(|only| only == *tenant));
        Ok(Self { store: store.clone(), cold: cold.clone(), shadow, pseudonyms, tenants })
    }

    pub fn tenants(&self) -> impl Iterator<Item = TenantId> {
        self.tenants.iter().map(|(tenant, _)| *tenant)
    }

    /// Builds the shadow as far as the live projections had come at the beginning.
    pub async fn build(&self, tell: &(dyn Fn(RebuildProgress) + Sync)) -> Result<(), RebuildError> {
        for (tenant, until) in &self.tenants {
            self.gather(*tenant, *until, tell).await?;
        }
        tell(RebuildProgress::Indexing);
        self.shadow.index().await?;
        for (tenant, until) in &self.tenants {
            self.fold(*tenant, *until, tell).await?;
        }
        Ok(())
    }

    /// Reads the ledger, archived months too, and keeps what it says of attempts; the next batch is read while this one is written.
    async fn gather(
        &self,
        tenant: TenantId,
        until: DateTime<Utc>,
        tell: &(dyn Fn(RebuildProgress) + Sync),
    ) -> Result<(), RebuildError> {
        let of = Of { tenant, side: Side::Shadow };
        self.store
            .run_tx("shadow_cursor", As::Worker, |tx| Box::pin(rows::lock_cursor(tx, of, EFFECTS.version)))
            .await?;
        let mut read = 0;
        let end = until + TimeDelta::microseconds(1);
        let mut source = self.cold.lines(tenant, DateTime::UNIX_EPOCH, end, LINES);
        let mut lines = source.next().await?;
        while !lines.is_empty() {
            read += lines.len() as u64;
            let (kept, next) = tokio::join!(self.keep(of, lines, until), source.next());
            kept?;
            lines = next?;
            tell(RebuildProgress::Reading(tenant, read));
        }
        if until > DateTime::UNIX_EPOCH {
            self.store.run_tx("shadow_cursor", As::Worker, |tx| Box::pin(arrive(tx, of, until))).await?;
        }
        Ok(())
    }

    async fn keep(&self, of: Of, lines: Vec<Line>, until: DateTime<Utc>) -> Result<(), RebuildError> {
        let pseudonyms = self.pseudonyms.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let found = batch::read(of.tenant, &pseudonyms, &lines)?;
            Ok::<_, ProjectionError>((lines, found))
        });
        let (lines, found) = &reading.await.map_err(|error| StoreError::Unreachable(error.to_string()))??;
        let keeping = self.store.run_tx("rebuild_keep", As::Worker, |tx| {
            Box::pin(async move {
                let standing = &batch::keep(tx, of, found).await?;
                activity::count_anew(tx, of, &Read { lines, found, standing }, until).await
            })
        });
        Ok(keeping.await?)
    }

    async fn fold(
        &self,
        tenant: TenantId,
        until: DateTime<Utc>,
        tell: &(dyn Fn(RebuildProgress) + Sync),
    ) -> Result<(), RebuildError> {
        let of = Of { tenant, side: Side::Shadow };
        let (mut folding, mut folded, mut after) = (JoinSet::new(), 0, String::new());
        loop {
            let ids = self.chunk(of, &after).await?;
            let last = ids.last().cloned();
            while folding.len() >= if last.is_some() { FOLDERS } else { 1 } {
                let done: Option<Result<Result<u64, RebuildError>, JoinError>> = folding.join_next().await;
                folded += done
                    .transpose()
                    .map_err(|error| StoreError::Unreachable(error.to_string()))?
                    .transpose()?
                    .unwrap_or(0);
                tell(RebuildProgress::Folding(tenant, folded));
            }
            let Some(last) = last else { return Ok(()) };
            folding.spawn(settle(self.store.clone(), of, ids, until));
            after = last;
        }
    }

    /// The attempts that come after one.
    async fn chunk(&self, of: Of, after: &str) -> Result<Vec<String>, StoreError> {
        self.store
            .run_tx("rebuild_attempts", As::Worker, |tx| Box::pin(rebuild::attempts_after(tx, of, after, ATTEMPTS)))
            .await
    }

    /// Where the live projections differ, as of one moment.
    pub async fn compare(&self, tenant: TenantId) -> Result<Vec<Difference>, RebuildError> {
        let of = Of { tenant, side: Side::Shadow };
        self.store.run_tx("rebuild_compare", As::Worker, |tx| Box::pin(compare(tx, of, &self.pseudonyms))).await
    }

    /// Makes the live projections what the rebuild says they are, in one transaction that holds back only the tenant's
    /// projections, and only for as long as the rows that differ take.
    pub async fn apply(&self, tenant: TenantId, by: &str) -> Result<Replaced, RebuildError> {
        self.store.run_once("rebuild_apply", As::Worker, |tx| Box::pin(apply(tx, tenant, &self.pseudonyms, by))).await
    }

    /// Removes the shadow.
    pub async fn end(self) -> Result<(), RebuildError> {
        Ok(self.shadow.end().await?)
    }
}

/// The ledger is read up to here, and counted.
async fn arrive(tx: &Tx<'_>, of: Of, until: DateTime<Utc>) -> Result<(), StoreError> {
    rows::move_cursor(tx, of, until).await?;
    activity::counted(tx, of, until).await
}

async fn settle(store: Store, of: Of, ids: Vec<String>, until: DateTime<Utc>) -> Result<u64, RebuildError> {
    let ids = &ids;
    store.run_tx("rebuild_fold", As::Worker, |tx| Box::pin(batch::settle(tx, of, ids, until))).await?;
    Ok(ids.len() as u64)
}

async fn compare(tx: &Tx<'_>, of: Of, pseudonyms: &Pseudonyms) -> Result<Vec<Difference>, RebuildError> {
    rebuild::one_moment(tx).await?;
    let positions = rebuild::positions(tx).await?;
    follow(tx, of, pseudonyms, &positions).await?;
    rebuild::forget_differences(tx, of.tenant).await?;
    rebuild::compare(tx, of.tenant, None).await?;
    Ok(rebuild::differences(tx, of.tenant).await?)
}

/// Brings the shadow to where the live projections are; answers the attempts that this touched.
async fn follow(
    tx: &Tx<'_>,
    of: Of,
    pseudonyms: &Pseudonyms,
    positions: &[(TenantId, DateTime<Utc>)],
) -> Result<Vec<String>, RebuildError> {
    let mut touched = Vec::new();
    let Some((_, live)) = positions.iter().find(|(tenant, _)| *tenant == of.tenant) else { return Ok(touched) };
    loop {
        let done = run::project(tx, of, pseudonyms, *live + TimeDelta::microseconds(1), run::BATCH).await?;
        touched.extend(done.touched);
        if done.read == 0 {
            return Ok(touched);
        }
    }
}

async fn apply(tx: &Tx<'_>, tenant: TenantId, pseudonyms: &Pseudonyms, by: &str) -> Result<Replaced, RebuildError> {
    let (live, shadow) = (Of { tenant, side: Side::Live }, Of { tenant, side: Side::Shadow });
    // From here on no step of this tenant runs, so the two stand still.
    let position = rows::lock_cursor(tx, live, EFFECTS.version).await?;
    let touched = follow(tx, shadow, pseudonyms, &[(tenant, position)]).await?;
    rebuild::compare(tx, tenant, Some(&touched)).await?;
    let (removed, added) = rebuild::replace(tx, tenant, EFFECTS.version).await?;
    let detail = json!({ "removed": removed, "added": added, "effectsVersion": EFFECTS.version });
    let (action, subject) = ("projections.rebuild", tenant.to_string());
    audit::append(tx, &Entry { tenant: Some(tenant), actor: by, action, subject, detail }).await?;
    Ok(Replaced { removed, added })
}
