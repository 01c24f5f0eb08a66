//! Writing a month down, tenant by tenant: what a table holds goes into a segment, is read back, published, and noted. Whatever
//! ends half-way is done again and comes to the same end.

use std::time::{Duration, Instant};

use uuid::Uuid;

use super::{Archive, ArchiveError, Claim, NOBODY, place, rows::Rows};
use crate::{
    model::{
        TenantId,
        partition::{Bounds, Change, Month, State},
    },
    objects::segment::{self, Manifest, Published, Row, SegmentError, Writer, Writing},
    partitions::change::{self, Wish},
    store::{
        As,
        ledger::{
            erasures, holds, month_rows, retention,
            segments::{self, Begun, Contents, Name, Segment},
        },
    },
};

/// How long an index of a large month may take.
const LONGEST: Duration = Duration::from_hours(12);
/// How long a change of state waits for its moment, in a job that will be tried again.
const PATIENCE: Duration = Duration::from_mins(2);
/// A revision that is occupied by what a crash left is passed over; so many in a row are no accident.
const MOST_REVISIONS: u32 = 16;

/// What becomes of how far the writing is: called with so many statements more.
pub type Tell<'t> = &'t (dyn Fn(u64) + Sync);

impl Archive {
    /// Brings a sealed month out of the queries' way; one that is further already stays.
    pub async fn detach(&self, month: Month, by: &str) -> Result<(), ArchiveError> {
        if self.partition(month).await?.state == State::Sealed {
            self.change(month, Change::Detach, by).await?;
        }
        Ok(())
    }

    pub(super) async fn change(&self, month: Month, change: Change, by: &str) -> Result<bool, ArchiveError> {
        let wish = Wish { month, change, has_brokers: false, by, patience: PATIENCE };
        Ok(change::make(&self.store, &wish).await?)
    }

    /// Fails where the month is not one that can be written down now; makes it quick to read.
    pub async fn ready(&self, month: Month) -> Result<Bounds, ArchiveError> {
        let partition = self.partition(month).await?;
        let (bounds, state) = (partition.bounds, partition.state);
        if !matches!(state, State::Detached | State::Archived) {
            let wanted = "only the table of one that is detached or archived is read from end to end";
            return Err(ArchiveError::Wrong { partition: bounds, state, wanted });
        }
        let store = self.store.patient(LONGEST);
        store.run_tx("ready_month", As::Worker, |tx| Box::pin(month_rows::ready(tx, &bounds))).await?;
        Ok(bounds)
    }

    /// The first tenant after this one, or of all, that has statements in the month.
    pub async fn next_tenant(&self, month: &Bounds, after: Option<TenantId>) -> Result<Option<TenantId>, ArchiveError> {
        let after = after.unwrap_or(NOBODY);
        let next =
            self.store.run_tx("next_tenant", As::Worker, |tx| Box::pin(month_rows::next_tenant(tx, month, after)));
        Ok(next.await?)
    }

    /// Sees to it that a published segment holds a tenant's month. Answers how many statements that are.
    pub async fn write(
        &self,
        claim: &Claim,
        (month, bounds): (Month, &Bounds),
        tenant: TenantId,
        tell: Tell<'_>,
    ) -> Result<u64, ArchiveError> {
        let mut known = self.segments(Some(month)).await?;
        known.retain(|segment| segment.name.tenant == tenant);
        for segment in
            known.iter().rev().filter(|one| matches!(one.state, segments::State::Staged | segments::State::Published))
        {
            if let Some(rows) = self.finish_begun(claim, bounds, segment).await? {
                tell(rows);
                return Ok(rows);
            }
        }
        // Above all that there were: of what is only begun the revision is free, unless somebody has finished it.
        let free = |one: &Segment| one.name.revision + u32::from(one.state != segments::State::Staged);
        let first = known.iter().map(free).max().unwrap_or(0);
        for revision in first..first + MOST_REVISIONS {
            let name = Name { tenant, month, revision };
            match self.write_anew(claim, bounds, name, tell).await {
                // By a part that a crash left, with what has changed since: gc knows it by its row.
                Err(ArchiveError::Segment(SegmentError::Occupied { key })) => {
                    tracing::warn!(
                        key,
                        "a part of a segment that was never published is in the way; the next revision is written"
                    );
                }
                written => return written,
            }
        }
        Err(SegmentError::Occupied { key: place(&Name { tenant, month, revision: first }).folder() }.into())
    }

    /// One that lies there already, whole and equal to the table, is not written again: all that it may lack is its note.
    async fn finish_begun(
        &self,
        claim: &Claim,
        month: &Bounds,
        segment: &Segment,
    ) -> Result<Option<u64>, ArchiveError> {
        let manifest = match Manifest::load(&self.objects, &place(&segment.name), claim.owner().installation).await {
            Ok(manifest) => manifest,
            Err(SegmentError::NotPublished(_)) if segment.state == segments::State::Staged => return Ok(None),
            // What a published one's object has become is not for this to judge: it is written anew.
            Err(error @ SegmentError::Storage { .. }) => return Err(error.into()),
            Err(error) => {
                tracing::warn!(%error, "a segment cannot be taken as it is");
                return Ok(None);
            }
        };
        if manifest.must_belong_to(&claim.owner()).is_err() {
            return Ok(None);
        }
        match self.compare(month, &manifest).await {
            Ok(()) => {}
            Err(
                ArchiveError::Differs { .. }
                | ArchiveError::Segment(SegmentError::Damaged { .. } | SegmentError::Missing { .. }),
            ) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        }
        let proven = segment::audit(&self.objects, manifest, &self.aside).await?;
        if segment.state == segments::State::Staged {
            self.note(&segment.name, proven.manifest()).await?;
        }
        Ok(Some(proven.manifest().summary.rows))
    }

    async fn write_anew(&self, claim: &Claim, month: &Bounds, name: Name, tell: Tell<'_>) -> Result<u64, ArchiveError> {
        self.clear_writings(&name).await?;
        let (owner, writing) = (claim.owner(), self.ids.uuid());
        let class =
            self.store.run_tx("class_of", As::Worker, |tx| Box::pin(retention::class_of(tx, name.tenant))).await?;
        let begun = &Begun {
            name,
            installation: owner.installation,
            epoch: i64::try_from(owner.epoch).unwrap_or(i64::MAX),
            retention_class: class,
            // Before anything is read: what is erased from here on, this may still have.
            clean: self.store.run_tx("clean_of_erasures", As::Worker, |tx| Box::pin(erasures::clean(tx))).await?,
        };
        self.store.run_tx("begin_segment", As::Worker, |tx| Box::pin(segments::begin(tx, begun, writing))).await?;
        let published = self.publish((begun, writing), owner, month, tell).await?;
        self.note(&name, published.manifest()).await?;
        self.clear_writings(&name).await?;
        Ok(published.manifest().summary.rows)
    }

    async fn publish(
        &self,
        (begun, writing): (&Begun, Uuid),
        owner: segment::Owner,
        month: &Bounds,
        tell: Tell<'_>,
    ) -> Result<Published, ArchiveError> {
        let writing = Writing {
            place: place(&begun.name),
            owner,
            id: writing,
            retention_class: begun.retention_class.clone(),
            erasure_stamp: begun.clean.stamp,
            written_at: self.clock.now(),
        };
        let mut writer = Writer::new(&self.objects, writing, *self.sizes);
        if let Err(error) = self.fill(&mut writer, month, begun.name.tenant, tell).await {
            writer.abandon().await;
            return Err(error);
        }
        let staged = writer.finish().await?;
        self.must_be_all(month, &begun.name, staged.manifest().summary.rows).await?;
        let verified = segment::verify(&self.objects, staged, &self.aside).await?;
        // Nothing fences the storage: whoever lost the job meanwhile publishes nothing.
        self.store.check_lease().await?;
        Ok(segment::publish(&self.objects, verified).await?)
    }

    /// Somebody may have brought the month back while it was read: then there was no more of it to read.
    async fn must_be_all(&self, month: &Bounds, name: &Name, read: u64) -> Result<(), ArchiveError> {
        let tenant = name.tenant;
        let count = self.store.run_tx("count_month", As::Worker, |tx| Box::pin(month_rows::count(tx, month, tenant)));
        let there = count.await?.unsigned_abs();
        if there == read {
            return Ok(());
        }
        let rule = format!("{read} statements were read, and the table has {there}");
        Err(ArchiveError::Differs { tenant, month: name.month, rule })
    }

    /// The next page is read while one is encoded.
    async fn fill(
        &self,
        writer: &mut Writer,
        month: &Bounds,
        tenant: TenantId,
        tell: Tell<'_>,
    ) -> Result<(), ArchiveError> {
        let mut rows = Rows::of(self, *month, tenant);
        let mut page = rows.next().await?;
        while !page.is_empty() {
            let begun = Instant::now();
            let count = page.len() as u64;
            let (next, pushed) = tokio::join!(rows.next(), push(writer, page));
            pushed?;
            tell(count);
            page = next?;
            self.aside.rest(begun.elapsed()).await;
        }
        Ok(())
    }

    /// Notes that a segment answers for its month, unless somebody was erased from that since it was read: then it goes again.
    pub(super) async fn note(&self, name: &Name, manifest: &Manifest) -> Result<(), ArchiveError> {
        self.note_unless(name, manifest, None).await
    }

    /// The same; where it lacks what another one has, only while no hold stands but these.
    pub(super) async fn note_unless(
        &self,
        name: &Name,
        manifest: &Manifest,
        holds: Option<&[Uuid]>,
    ) -> Result<(), ArchiveError> {
        let (Name { tenant, month, .. }, contents) = (*name, &contents(manifest));
        let publishing = self.store.run_tx("publish_segment", As::Worker, |tx| {
            Box::pin(async move {
                if let Some(known) = holds
                    && holds::came_since(tx, tenant, known).await?
                {
                    return Err(ArchiveError::HoldSince { tenant, month });
                }
                match segments::publish(tx, name, contents).await? {
                    true => Ok(()),
                    false => Err(ArchiveError::ErasedSince { tenant, month }),
                }
            })
        });
        if let Err(error) = publishing.await {
            if matches!(error, ArchiveError::HoldSince { .. } | ArchiveError::ErasedSince { .. }) {
                self.store.check_lease().await?;
                segment::remove(&self.objects, &manifest.place, &manifest.owner).await?;
            }
            return Err(error);
        }
        self.metrics.archive.published(manifest.summary.rows, contents.bytes.unsigned_abs());
        Ok(())
    }

    /// Removes what earlier attempts at this very segment have staged: they are over, or not fenced any more.
    pub(super) async fn clear_writings(&self, name: &Name) -> Result<(), ArchiveError> {
        let writings = self.store.run_tx("writings", As::Worker, |tx| Box::pin(segments::writings(tx))).await?;
        for writing in writings.into_iter().filter(|one| one.name == *name && !one.is_cleared) {
            self.clear(&writing).await?;
        }
        Ok(())
    }

    pub(super) async fn clear(&self, writing: &segments::Writing) -> Result<(), ArchiveError> {
        self.store.check_lease().await?;
        segment::clear(&self.objects, &place(&writing.name), writing.id).await?;
        let (name, id) = (&writing.name, writing.id);
        Ok(self.store.run_tx("cleared", As::Worker, |tx| Box::pin(segments::cleared(tx, name, id))).await?)
    }
}

async fn push(writer: &mut Writer, page: Vec<Row>) -> Result<(), ArchiveError> {
    for row in page {
        writer.push(row).await?;
    }
    Ok(())
}

/// What the ledger notes of a manifest.
pub(super) fn contents(manifest: &Manifest) -> Contents {
    let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    Contents {
        rows: number(manifest.summary.rows),
        bytes: number(manifest.parts.iter().map(|part| part.bytes).sum()),
        first_stored: manifest.summary.first_stored,
        last_stored: manifest.summary.last_stored,
        digest: manifest.summary.digest.clone(),
        verbs: serde_json::json!(manifest.verbs),
    }
}
