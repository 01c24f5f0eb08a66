//! The archive: months of the ledger as segments in object storage, written, proven, and only then dropped; and back.
//!
//! ```text
//! detached ── write (tenant by tenant) ──► archived ── prove ──► Proven ── drop ──► dropped ── restore ──► archived
//! ```
//!
//! The rows of `ledger.segments` say how far a month is, so whatever ends half-way is gone on with by doing it again. What is
//! deleted or published is this installation's in this epoch: see `owner`.

pub mod adopt;
pub mod ask;
pub mod catch_up;
mod error;
pub mod foreign;
pub mod gc;
pub mod jobs;
mod kinds;
mod owner;
pub mod plan;
mod prove;
pub mod restore;
pub mod rewrite;
mod rows;
pub mod run;
pub mod schedule;
pub mod verify;

use std::sync::Arc;

pub use self::{
    error::ArchiveError,
    owner::Claim,
    prove::{Proven, drop_month, prove},
};
use crate::{
    model::{
        Clock, Ids, TenantId,
        partition::{Month, Partition},
    },
    objects::{
        Objects,
        segment::{Place, Sizes},
    },
    store::{
        As, Store,
        ledger::{
            partitions,
            segments::{self, Name, Segment},
        },
    },
    telemetry::{Aside, Metrics},
};

/// What the archive works with; cheap to clone.
#[derive(Clone)]
pub struct Archive {
    pub store: Store,
    pub objects: Objects,
    pub clock: Clock,
    pub ids: Ids,
    pub metrics: Metrics,
    aside: Aside,
    sizes: Arc<Sizes>,
}

impl Archive {
    pub fn new(store: &Store, objects: &Objects, clock: &Clock, ids: &Ids, metrics: &Metrics) -> Self {
        Self {
            store: store.clone(),
            objects: objects.clone(),
            clock: clock.clone(),
            ids: ids.clone(),
            metrics: metrics.clone(),
            aside: Aside::new(metrics),
            sizes: Arc::default(),
        }
    }

    /// The same with parts and groups of other sizes.
    #[must_use]
    pub fn with_sizes(self, sizes: Sizes) -> Self {
        Self { sizes: Arc::new(sizes), ..self }
    }

    /// The same through another store: under a lease.
    #[must_use]
    pub fn through(&self, store: &Store) -> Self {
        Self { store: store.clone(), ..self.clone() }
    }

    async fn partition(&self, month: Month) -> Result<Partition, ArchiveError> {
        let all = self.store.run_tx("partitions", As::Worker, |tx| Box::pin(partitions::list(tx))).await?;
        let found = all.into_iter().find(|one| one.bounds.lower == month.begin());
        found.ok_or(ArchiveError::Unknown(month))
    }

    /// The segments that answer for a month, or for all.
    async fn published(&self, month: Option<Month>) -> Result<Vec<Segment>, ArchiveError> {
        Ok(self.store.run_tx("published", As::Worker, |tx| Box::pin(segments::published(tx, None, month))).await?)
    }

    /// All segments that there ever were, of a month or of all.
    pub async fn segments(&self, month: Option<Month>) -> Result<Vec<Segment>, ArchiveError> {
        Ok(self.store.run_tx("segments", As::Worker, |tx| Box::pin(segments::list(tx, month))).await?)
    }
}

/// Where the objects of a segment lie.
pub(crate) fn place(name: &Name) -> Place {
    Place { tenant: name.tenant, month: name.month, revision: name.revision }
}

/// Where databases say whose the archive is.
const OWNERS: &str = "_owners";

/// Before every tenant.
const NOBODY: TenantId = TenantId(uuid::Uuid::nil());
