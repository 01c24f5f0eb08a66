//! Writing a segment anew, without somebody: what it holds goes through a change into the next revision, which is read back, proven
//! and noted before the old one goes; and whatever else lay there of the month from before goes with it.

use uuid::Uuid;

use super::{Archive, ArchiveError, Claim, place};
use crate::{
    model::{TenantId, partition::Month},
    objects::segment::{self, Manifest, Row, Segment, SegmentError, Writer, Writing},
    store::{
        As,
        ledger::{
            erasures, hidden, holds,
            segments::{self, Begun, Name, State},
        },
    },
    telemetry::Aside,
};

/// What becomes of a statement: nothing, itself, or another one in its place.
pub type Change<'c> = &'c (dyn Fn(Row) -> Result<Option<Row>, String> + Send + Sync);

/// What a segment is written anew for.
#[derive(Clone, Copy)]
pub struct Rewriting<'r> {
    pub erasure: Uuid,
    pub change: Change<'r>,
    /// The holds that were asked when it was looked through: where another one stands by now, the old segment stays.
    pub holds: &'r [Uuid],
}

/// What was written anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rewritten {
    pub segments: u64,
    /// Objects that are gone, and their bytes.
    pub objects: u64,
    pub bytes: u64,
    pub written: u64,
}

impl std::ops::AddAssign for Rewritten {
    fn add_assign(&mut self, more: Self) {
        self.segments += more.segments;
        self.objects += more.objects;
        self.bytes += more.bytes;
        self.written += more.written;
    }
}

impl Archive {
    /// Writes a tenant's month anew where a published segment has it, for an erasure, and removes every other object of that month
    /// which this database knows of. Done again it comes to the same end.
    pub async fn rewrite(
        &self,
        (tenant, month): (TenantId, Month),
        rewriting: &Rewriting<'_>,
    ) -> Result<Rewritten, ArchiveError> {
        let claim = self.claim().await?;
        let mut known = self.segments(Some(month)).await?;
        known.retain(|segment| segment.name.tenant == tenant);
        let mut done = Rewritten::default();
        if let Some(old) = known.iter().find(|segment| segment.state == State::Published) {
            let manifest = self.manifest(old).await?;
            manifest.must_belong_to(&claim.owner())?;
            // Always a revision that nobody has begun: what a crash left is not looked at, and goes below.
            let revision = known.iter().map(|one| one.name.revision + 1).max().unwrap_or(0);
            let name = Name { tenant, month, revision };
            done.written = self.write_changed(&claim, name, manifest, rewriting).await?;
            done.segments = 1;
        }
        done += self.purge(&claim, tenant, month).await?;
        Ok(done)
    }

    /// Removes of a tenant's month what lies there and does not count.
    pub async fn purge_month(&self, tenant: TenantId, month: Month) -> Result<Rewritten, ArchiveError> {
        let known = self.segments(Some(month)).await?;
        if known.iter().all(|segment| segment.name.tenant != tenant) {
            return Ok(Rewritten::default());
        }
        let claim = self.claim().await?;
        self.purge(&claim, tenant, month).await
    }

    /// Removes everything that there is of these months of a tenant, the segments that answer for them as well: the tenant is at home
    /// in another installation. Done again it goes on.
    pub async fn leave(&self, tenant: TenantId, months: &[Month]) -> Result<(), ArchiveError> {
        let claim = self.claim().await?;
        for month in months {
            let gone = self.remove_month(&claim, tenant, *month).await?;
            // They are elsewhere, not nowhere: a database from before, for which the tenant is at home here, must miss them.
            segment::unsay_gone(&self.objects, &place(&Name { tenant, month: *month, revision: 0 })).await?;
            tracing::info!(%month, objects = gone.objects, bytes = gone.bytes, "a tenant that moved left the archive");
        }
        Ok(())
    }

    async fn remove_month(&self, claim: &Claim, tenant: TenantId, month: Month) -> Result<Rewritten, ArchiveError> {
        for segment in self.published(Some(month)).await?.iter().filter(|one| one.name.tenant == tenant) {
            match Manifest::read(&self.objects, &place(&segment.name)).await {
                Err(SegmentError::NotPublished(_)) => {}
                manifest => manifest?.must_belong_to(&claim.owner())?,
            }
            let name = &segment.name;
            self.store.run_tx("mark_segment", As::Worker, |tx| Box::pin(segments::mark(tx, name))).await?;
        }
        self.purge(claim, tenant, month).await
    }

    /// Answers how many bytes the new revision has; of a segment of which nothing is left there is none.
    async fn write_changed(
        &self,
        claim: &Claim,
        name: Name,
        old: Manifest,
        rewriting: &Rewriting<'_>,
    ) -> Result<u64, ArchiveError> {
        let Rewriting { erasure, change, holds } = *rewriting;
        let clean = self.store.run_tx("clean_but", As::Worker, |tx| Box::pin(erasures::clean_but(tx, erasure)));
        let (owner, id, before) = (claim.owner(), self.ids.uuid(), Name { revision: old.place.revision, ..name });
        let begun = &Begun {
            name,
            installation: owner.installation,
            epoch: i64::try_from(owner.epoch).unwrap_or(i64::MAX),
            retention_class: old.retention_class.clone(),
            clean: clean.await?,
        };
        self.store.run_tx("begin_segment", As::Worker, |tx| Box::pin(segments::begin(tx, begun, id))).await?;
        let writing = Writing {
            place: place(&name),
            owner,
            id,
            retention_class: begun.retention_class.clone(),
            erasure_stamp: begun.clean.stamp,
            written_at: self.clock.now(),
        };
        let mut writer = Writer::new(&self.objects, writing, *self.sizes);
        let rows = match self.pour(&mut writer, old, change).await {
            Ok(rows) => rows,
            Err(error) => {
                writer.abandon().await;
                return Err(error);
            }
        };
        if rows == 0 {
            writer.abandon().await;
            self.give_way(&before, holds).await?;
            return Ok(0);
        }
        // An erasure has a time to keep, and waits for nobody.
        let verified = segment::verify(&self.objects, writer.finish().await?, &Aside::default()).await?;
        self.store.check_lease().await?;
        let published = segment::publish(&self.objects, verified).await?;
        self.note_unless(&name, published.manifest(), Some(holds)).await?;
        self.clear_writings(&name).await?;
        Ok(published.manifest().parts.iter().map(|part| part.bytes).sum())
    }

    /// A segment of which nothing is left answers for its month no more, unless a hold came since it was looked through.
    async fn give_way(&self, name: &Name, holds: &[Uuid]) -> Result<(), ArchiveError> {
        let Name { tenant, month, .. } = *name;
        let marking = self.store.run_tx("mark_segment", As::Worker, |tx| {
            Box::pin(async move {
                if holds::came_since(tx, tenant, holds).await? {
                    return Err(ArchiveError::HoldSince { tenant, month });
                }
                Ok(segments::mark(tx, name).await?)
            })
        });
        marking.await
    }

    /// Pours the statements of a segment through the change; answers how many came out.
    async fn pour(&self, writer: &mut Writer, old: Manifest, change: Change<'_>) -> Result<u64, ArchiveError> {
        let (tenant, month) = (old.place.tenant, old.place.month);
        let mut scan = Segment::open(&self.objects, old, None)?.scan();
        let mut rows = 0;
        while let Some(some) = scan.next().await? {
            for row in some {
                let changed = change(row).map_err(|rule| ArchiveError::Unwritable { tenant, month, rule })?;
                if let Some(row) = changed {
                    writer.push(row).await?;
                    rows += 1;
                }
            }
        }
        Ok(rows)
    }

    /// Removes of a tenant's month every object that is not the published segment's: revisions that were replaced, what was begun
    /// and never counted, and what attempts have staged. Caches are told to forget them.
    async fn purge(&self, claim: &Claim, tenant: TenantId, month: Month) -> Result<Rewritten, ArchiveError> {
        let mut known = self.segments(Some(month)).await?;
        known.retain(|segment| segment.name.tenant == tenant);
        let mut gone = Rewritten::default();
        for segment in known.iter().filter(|one| matches!(one.state, State::Marked | State::Staged)) {
            self.store.check_lease().await?;
            let keys = self.objects_of(&segment.name).await?;
            if let Ok(manifest) = Manifest::read(&self.objects, &place(&segment.name)).await {
                self.forget_parts(&manifest).await?;
            }
            match segment.state {
                State::Marked => self.remove(claim, &segment.name).await?,
                _ => self.remove_begun(claim, &segment.name, &keys).await?,
            }
            gone.objects += keys.len() as u64;
            gone.bytes += keys.iter().map(|(_, bytes)| bytes).sum::<u64>();
        }
        let writings = self.store.run_tx("writings", As::Worker, |tx| Box::pin(segments::writings(tx))).await?;
        let of_month = |one: &&segments::Writing| one.name.tenant == tenant && one.name.month == month;
        for writing in writings.iter().filter(of_month).filter(|one| !one.is_cleared) {
            self.clear(writing).await?;
        }
        Ok(gone)
    }

    async fn forget_parts(&self, manifest: &Manifest) -> Result<(), ArchiveError> {
        let parts: Vec<(String, i64)> =
            manifest.parts.iter().map(|part| (part.sha256.clone(), i64::try_from(part.bytes).unwrap_or(0))).collect();
        let parts = &parts;
        Ok(self.store.run_tx("forget_parts", As::Worker, |tx| Box::pin(hidden::forget_parts(tx, parts))).await?)
    }

    /// What was begun and never counted: a whole segment that nothing was noted of, or parts alone.
    pub(super) async fn remove_begun(
        &self,
        claim: &Claim,
        name: &Name,
        keys: &[(String, u64)],
    ) -> Result<(), ArchiveError> {
        match segment::remove(&self.objects, &place(name), &claim.owner()).await {
            Ok(()) => {}
            Err(SegmentError::NotPublished(_)) => {}
            Err(error) => return Err(error.into()),
        }
        let left = self.objects_of(name).await?;
        if left.is_empty() || keys.is_empty() { Ok(()) } else { self.remove_parts(name, &left).await }
    }
}
