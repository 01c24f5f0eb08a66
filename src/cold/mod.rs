//! The ledger wherever it lies: a month may be in the hot tables, in the detached ones, or in segments, and whoever reads
//! through this room does not see which. No transaction is held while objects are read. Writes nothing.

mod direct;
mod lines;
pub mod moments;
mod page;
pub mod plan;
mod segments;
mod sift;

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

pub use lines::Lines;

use crate::{
    model::TenantId,
    objects::{
        segment::Place,
        shelf::{Shelf, ShelfError, Visit, Wanted},
    },
    store::{
        As, Store, StoreError,
        door::error::AsStoreError,
        ledger::{
            away::{self, Published},
            hidden,
        },
    },
};

/// Why something was not read.
#[derive(Debug, thiserror::Error)]
pub enum ColdError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Shelf(#[from] ShelfError),
    /// A month left the tables that it was looked for in.
    #[error("a month moved while it was read")]
    Moved,
    #[error("statement {id} cannot be read: {detail}")]
    Unreadable { id: uuid::Uuid, detail: String },
}

impl ColdError {
    /// Whether the same read may succeed later without anybody mending anything in the archive.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Store(error) => error.is_temporary(),
            Self::Shelf(error) => error.is_temporary(),
            Self::Moved => true,
            Self::Unreadable { .. } => false,
        }
    }

    /// Whether to ask again at once where everything is: something moved in between.
    pub fn is_of_the_move(&self) -> bool {
        match self {
            Self::Moved => true,
            Self::Shelf(error) => error.is_gone(),
            Self::Store(_) | Self::Unreadable { .. } => false,
        }
    }
}

impl AsStoreError for ColdError {
    fn as_store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) => Some(error),
            Self::Shelf(_) | Self::Moved | Self::Unreadable { .. } => None,
        }
    }
}

/// So often something that moved is looked for again.
pub const TRIES: u32 = 3;

/// The way to the ledger's months; cheap to clone.
#[derive(Clone)]
pub struct Cold {
    store: Store,
    shelf: Shelf,
}

impl Cold {
    pub fn new(store: Store, shelf: Shelf) -> Self {
        Self { store, shelf }
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    pub fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    /// The same through another store, for instance one under a lease.
    #[must_use]
    pub fn through(&self, store: Store) -> Self {
        Self { store, shelf: self.shelf.clone() }
    }

    /// The moments at which something was stored that no reader is shown. Asked after lines were read: who was hidden before that is known.
    pub async fn hidden(&self, tenant: TenantId) -> Result<BTreeSet<DateTime<Utc>>, StoreError> {
        self.store.run_tx("hidden", As::Tenant(tenant), |tx| Box::pin(hidden::archived(tx, tenant))).await
    }

    /// A turn at the shelf, and which segments of the tenant count.
    async fn segments(&self, tenant: TenantId) -> Result<Segments, ColdError> {
        let visit = self.shelf.visit().await?;
        let asked = self.store.run_tx("published", As::Tenant(tenant), |tx| {
            Box::pin(async move {
                let published = away::published(tx, tenant).await?;
                Ok::<_, StoreError>((published, hidden::archived(tx, tenant).await?))
            })
        });
        let (published, hidden) = asked.await?;
        Ok(Segments { tenant, visit, published, hidden })
    }
}

/// A tenant's segments, to be read in one turn.
struct Segments {
    tenant: TenantId,
    visit: Visit,
    published: Vec<Published>,
    /// The moments of statements that nobody is shown.
    hidden: BTreeSet<DateTime<Utc>>,
}

impl Segments {
    /// Those with something of this stretch of time, oldest first.
    fn within(&self, stretch: plan::Stretch) -> impl DoubleEndedIterator<Item = Wanted> {
        let touches = move |one: &&Published| one.month.begin() < stretch.upper && stretch.lower < one.month.end();
        self.published.iter().filter(touches).map(|one| Wanted {
            place: Place { tenant: self.tenant, month: one.month, revision: one.revision },
            digest: one.digest.clone(),
        })
    }
}
