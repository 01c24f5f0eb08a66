//! Erasure: one person leaves everything that is kept of a tenant, and nothing of them comes back.
//!
//! ```text
//! requested ── hide ──► hidden ── remove, place by place ──► erased
//!           └─ a law ─► queued (hidden meanwhile), or refused
//! ```
//!
//! `plan` counts every place before anything is done. The rows of `ledger.erasures` say how far a request is; whatever ends half-way
//! is gone on with by doing it again. Segments are written anew by the archive, and attempts of others folded again by the
//! projections, both when a step asks for it.

mod belongings;
mod copies;
mod end;
mod error;
mod find;
mod law;
pub mod log;
mod measure;
pub mod person;
pub mod plan;
mod remains;
mod remove;
pub mod request;
pub mod run;
pub mod sagas;
pub mod subject;
pub mod verify;
mod work;

pub use self::{error::ErasureError, remove::Written, run::Stepped, subject::Subject};
use crate::{
    cold::Cold,
    config::Config,
    model::{Ids, Lease},
    store::{
        As, StoreError,
        ledger::erasures::{self, Erasure},
    },
};

/// The kind of the job, and what the trail calls asking for one.
pub const RUN: &str = "erasure.run";

/// What erasing works with; cheap to clone.
#[derive(Clone)]
pub struct Erasures {
    pub cold: Cold,
    pub ids: Ids,
    /// A count is kept of a course that at least so many people took.
    pub least_people: u32,
    backups: remains::Backups,
}

impl Erasures {
    pub fn new(cold: &Cold, ids: &Ids, config: &Config) -> Self {
        let backups = remains::Backups::of(&config.backup);
        Self { cold: cold.clone(), ids: ids.clone(), least_people: config.erasure.least_people, backups }
    }

    /// What a scan of disks may still find after this one, and until when.
    pub fn remains(&self, erasure: &Erasure) -> serde_json::Value {
        remains::remains(erasure.hidden_at, self.backups)
    }

    /// The same under a lease.
    #[must_use]
    pub fn through(&self, lease: &Lease) -> Self {
        Self { cold: self.cold.through(self.cold.store().under(lease)), ..self.clone() }
    }

    /// A request by its id.
    pub async fn get(&self, id: uuid::Uuid) -> Result<Option<Erasure>, StoreError> {
        let store = self.cold.store();
        store.run_tx("erasure", As::Worker, |tx| Box::pin(erasures::one(tx, id, None))).await
    }
}
