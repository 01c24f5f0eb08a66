//! What a database that was brought back from a backup does not know of its own archive: months that were written anew since, months
//! of which nothing is left, and months that were only written down since. It learns them from what lies there.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Archive, ArchiveError, place, run::contents};
use crate::{
    objects::segment::{self, Manifest, Place, SegmentError, Since},
    store::{
        As,
        ledger::{
            erasures::{self, Clean},
            segments::{self, Begun, Name, Segment},
        },
        platform::tenants,
    },
};

/// Tenants that are asked for at once.
const PAGE: i64 = 1_000;

/// What was learned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CaughtUp {
    /// Months that a later revision answers for.
    pub replaced: u64,
    /// Months of which nothing is left, and that was meant.
    pub gone: u64,
    /// Segments that lie there and that nothing was known of: the next run takes them where they are what the table holds, and else
    /// they are named by `archive gc` once another one has their place.
    pub found: u64,
    /// Segments that should be there and are not: who asks for their months gets an error.
    pub lost: Vec<String>,
}

impl CaughtUp {
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    pub fn to_json(&self) -> Value {
        let Self { replaced, gone, found, lost } = self;
        json!({ "replaced": replaced, "gone": gone, "found": found, "lost": lost })
    }
}

impl Archive {
    /// Learns what became of the archive while this database was not there. Changes no object, so that a copy may do it. Done again
    /// it finds nothing.
    pub async fn catch_up(&self) -> Result<CaughtUp, ArchiveError> {
        let mut learned = CaughtUp { found: self.register_unknown().await?, ..CaughtUp::default() };
        for segment in self.published(None).await? {
            let at = place(&segment.name);
            match Manifest::load(&self.objects, &at, segment.installation).await {
                // What else is wrong with one `archive verify` tells.
                Err(SegmentError::NotPublished(_)) => {}
                Err(error @ SegmentError::Storage { .. }) => return Err(error.into()),
                _ => continue,
            }
            match segment::since(&self.objects, &at, segment.installation).await? {
                Some(Since::Replaced(manifest)) => {
                    self.take_over(&segment, *manifest).await?;
                    learned.replaced += 1;
                }
                Some(Since::Gone) => {
                    self.is_gone(&segment).await?;
                    learned.gone += 1;
                }
                None => learned.lost.push(at.to_string()),
            }
        }
        Ok(learned)
    }

    async fn register_unknown(&self) -> Result<u64, ArchiveError> {
        let known: BTreeSet<Name> = self.segments(None).await?.into_iter().map(|segment| segment.name).collect();
        let own = self.installation().await?.id;
        let (mut after, mut registered) = (None, 0);
        loop {
            let named: Option<&str> = after.as_deref();
            let page = self.store.run_tx("tenants", As::Worker, |tx| Box::pin(tenants::list(tx, named, PAGE))).await?;
            let Some(last) = page.last() else { return Ok(registered) };
            after = Some(last.name.clone());
            for tenant in page {
                for at in segment::published_of(&self.objects, tenant.id).await? {
                    let Place { tenant, month, revision } = at;
                    if !known.contains(&Name { tenant, month, revision }) {
                        registered += u64::from(self.register(&at, own).await?);
                    }
                }
            }
        }
    }

    /// Gives a segment of this installation its row; answers whether it is one.
    async fn register(&self, at: &Place, own: uuid::Uuid) -> Result<bool, ArchiveError> {
        let manifest = match Manifest::load(&self.objects, at, own).await {
            Ok(manifest) => manifest,
            Err(error @ SegmentError::Storage { .. }) => return Err(error.into()),
            Err(error) => {
                tracing::warn!(%error, "what lies there cannot be taken for a segment of this installation");
                return Ok(false);
            }
        };
        let Place { tenant, month, revision } = *at;
        let clean = self.store.run_tx("clean_of_erasures", As::Worker, |tx| Box::pin(erasures::clean(tx))).await?;
        let begun = &Begun {
            name: Name { tenant, month, revision },
            installation: own,
            epoch: i64::try_from(manifest.owner.epoch).unwrap_or(i64::MAX),
            retention_class: manifest.retention_class,
            // It was written after everything that ended here; stamps of what was erased since the backup mean something else.
            clean: Clean { stamp: clean.stamp.min(manifest.erasure_stamp), ..clean },
        };
        self.store.run_tx("register_segment", As::Worker, |tx| Box::pin(segments::register(tx, begun))).await?;
        Ok(true)
    }

    /// A later revision answers from now on: every byte of it was read, and is what its manifest says.
    async fn take_over(&self, old: &Segment, manifest: Manifest) -> Result<(), ArchiveError> {
        let name = &Name { revision: manifest.place.revision, ..old.name };
        let proven = segment::audit(&self.objects, manifest, &self.aside).await?;
        let (contents, gone) = (&contents(proven.manifest()), &old.name);
        let (tenant, month) = (name.tenant, name.month);
        let taking = self.store.run_tx("take_over_segment", As::Worker, |tx| {
            Box::pin(async move {
                if !segments::publish(tx, name, contents).await? {
                    return Err(ArchiveError::ErasedSince { tenant, month });
                }
                Ok(segments::removed(tx, gone).await?)
            })
        });
        taking.await
    }

    async fn is_gone(&self, segment: &Segment) -> Result<(), ArchiveError> {
        let name = &segment.name;
        let noting = self.store.run_tx("segment_is_gone", As::Worker, |tx| {
            Box::pin(async move {
                segments::mark(tx, name).await?;
                Ok::<_, ArchiveError>(segments::removed(tx, name).await?)
            })
        });
        noting.await
    }
}
