//! What nobody needs any more in the archive, each by the name that a row or a manifest gives it: never by what a listing shows
//! alone.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{Archive, ArchiveError, Claim, OWNERS, kinds, place};
use crate::{
    model::partition::Month,
    objects::segment::{self, Manifest, SegmentError},
    store::{
        As,
        ledger::{
            removals,
            segments::{self, Name, Segment, State, Writing},
        },
        platform::jobs as queue,
    },
};

/// Who reads a segment that another one has replaced has so long to finish.
const GRACE: TimeDelta = TimeDelta::hours(1);

/// Something to remove.
#[derive(Clone, Debug)]
pub struct Leftover {
    pub what: What,
    /// Of which segment; absent where it is of none.
    pub name: Option<Name>,
    /// Its objects with their sizes, as far as they are there.
    pub keys: Vec<(String, u64)>,
}

#[derive(Clone, Debug)]
pub enum What {
    /// What a writing has staged and not cleared away.
    Staged(Writing),
    /// What was begun and of which nothing was noted, and in whose place a later revision was published.
    Abandoned(Name),
    /// A segment that another one has replaced.
    Replaced(Name),
    /// Beginnings of files, in a folder where a crash cut off their writing.
    Fragments,
}

impl Leftover {
    pub fn why(&self) -> &'static str {
        match self.what {
            What::Staged(_) => "staged and left",
            What::Abandoned(_) => "never published",
            What::Replaced(_) => "replaced by another revision",
            What::Fragments => "cut off while it was written",
        }
    }

    pub fn bytes(&self) -> u64 {
        self.keys.iter().map(|(_, bytes)| bytes).sum()
    }

    pub fn to_json(&self) -> Value {
        let keys: Vec<&str> = self.keys.iter().map(|(key, _)| key.as_str()).collect();
        let name = self.name.as_ref();
        json!({ "tenant": name.map(|name| name.tenant), "month": name.map(|name| name.month),
                "revision": name.map(|name| name.revision), "why": self.why(), "bytes": self.bytes(), "objects": keys })
    }
}

impl Archive {
    /// What could be removed now. What a job works on is left to it.
    pub async fn leftovers(&self) -> Result<Vec<Leftover>, ArchiveError> {
        let busy = self.at_work().await?;
        let mut found = Vec::new();
        let writings = self.store.run_tx("writings", As::Worker, |tx| Box::pin(segments::writings(tx))).await?;
        for writing in writings.into_iter().filter(|one| !busy.contains(&one.name.month)) {
            let keys = self.list(&place(&writing.name).staging(writing.id)).await?;
            if !keys.is_empty() || !writing.is_cleared {
                found.push(Leftover { what: What::Staged(writing), name: Some(writing.name), keys });
            }
            self.add_fragments(&mut found, &place(&writing.name).staging(writing.id), Some(writing.name)).await?;
        }
        let (all, now) = (self.segments(None).await?, self.clock.now());
        // What gave way because its time had come is read once more for its ids.
        let read = self.store.run_tx("unfinished", As::Worker, |tx| Box::pin(removals::unfinished(tx))).await?;
        let is_read = |name: &Name| read.contains(&(name.tenant, name.month, name.revision));
        for one in all.iter().filter(|one| !busy.contains(&one.name.month) && !is_read(&one.name)) {
            if let Some(what) = what(one, &all, now) {
                let keys = self.objects_of(&one.name).await?;
                if !keys.is_empty() || matches!(what, What::Replaced(_)) {
                    found.push(Leftover { what, name: Some(one.name), keys });
                }
            }
            if one.name.revision == 0 {
                self.add_fragments(&mut found, &place(&one.name).folder(), Some(one.name)).await?;
            }
        }
        self.add_fragments(&mut found, OWNERS, None).await?;
        Ok(found)
    }

    async fn add_fragments(
        &self,
        found: &mut Vec<Leftover>,
        folder: &str,
        name: Option<Name>,
    ) -> Result<(), ArchiveError> {
        let keys = self.objects.fragments(folder).await;
        let keys = keys.map_err(|source| ArchiveError::Objects { key: folder.to_owned(), doing: "listed", source })?;
        if !keys.is_empty() {
            found.push(Leftover { what: What::Fragments, name, keys });
        }
        Ok(())
    }

    /// The months that a job writes, or will go on to write.
    async fn at_work(&self) -> Result<Vec<Month>, ArchiveError> {
        let filter = &queue::Filter { kind: Some(kinds::RUN.to_owned()), ..queue::Filter::default() };
        let list = self.store.run_tx("jobs", As::Worker, |tx| Box::pin(queue::list(tx, filter, 1_000))).await?;
        let unfinished = list.into_iter().filter(|job| !job.state.is_over());
        Ok(unfinished.filter_map(|job| job.parameters["month"].as_str().and_then(|name| name.parse().ok())).collect())
    }

    /// Removes what was found; answers how many objects that were.
    pub async fn collect(&self, claim: &Claim, leftovers: &[Leftover]) -> Result<u64, ArchiveError> {
        let mut removed = 0;
        for leftover in leftovers {
            self.store.check_lease().await?;
            match &leftover.what {
                What::Staged(writing) => self.clear(writing).await?,
                What::Abandoned(name) => self.remove_begun(claim, name, &leftover.keys).await?,
                What::Replaced(name) => self.remove(claim, name).await?,
                What::Fragments => self.remove_fragments(&leftover.keys).await?,
            }
            removed += leftover.keys.len() as u64;
        }
        Ok(removed)
    }

    async fn remove_fragments(&self, keys: &[(String, u64)]) -> Result<(), ArchiveError> {
        for (key, _) in keys {
            let failed = |source| ArchiveError::Objects { key: key.clone(), doing: "removed", source };
            self.objects.remove_fragment(key).await.map_err(failed)?;
        }
        Ok(())
    }

    pub(super) async fn remove(&self, claim: &Claim, name: &Name) -> Result<(), ArchiveError> {
        let known = self.segments(Some(name.month)).await?;
        if !known.iter().any(|one| one.name.tenant == name.tenant && one.state == State::Published) {
            segment::say_gone(&self.objects, &place(name), &claim.owner()).await?;
        }
        segment::remove(&self.objects, &place(name), &claim.owner()).await?;
        Ok(self.store.run_tx("segment_removed", As::Worker, |tx| Box::pin(segments::removed(tx, name))).await?)
    }

    /// Only while there is no manifest: with one they are a segment, whosever it is.
    pub(super) async fn remove_parts(&self, name: &Name, keys: &[(String, u64)]) -> Result<(), ArchiveError> {
        let place = place(name);
        match Manifest::read(&self.objects, &place).await {
            Err(SegmentError::NotPublished(_)) => {}
            Err(error) => return Err(error.into()),
            Ok(manifest) => {
                let (tenant, month) = (place.tenant, place.month);
                let rule = format!("it is {}'s, and nothing was noted of it", manifest.owner);
                return Err(ArchiveError::OtherManifest { tenant, month, rule });
            }
        }
        for (key, _) in keys {
            let failed = |source| ArchiveError::Objects { key: key.clone(), doing: "removed", source };
            self.objects.delete(key).await.map_err(failed)?;
        }
        Ok(())
    }

    /// The objects that this segment would be made of: its parts by their names, and its manifest.
    pub(super) async fn objects_of(&self, name: &Name) -> Result<Vec<(String, u64)>, ArchiveError> {
        let place = place(name);
        let mut keys = self.list(&place.folder()).await?;
        let most = u32::try_from(keys.len()).unwrap_or(u32::MAX);
        let mut own: Vec<String> = (0..most).map(|number| place.part(number)).collect();
        own.push(place.manifest());
        keys.retain(|(key, _)| own.contains(key));
        Ok(keys)
    }

    async fn list(&self, folder: &str) -> Result<Vec<(String, u64)>, ArchiveError> {
        let listed = self.objects.list(folder).await;
        listed.map_err(|source| ArchiveError::Objects { key: folder.to_owned(), doing: "listed", source })
    }
}

/// What of a segment can go.
fn what(one: &Segment, all: &[Segment], now: DateTime<Utc>) -> Option<What> {
    let answered = |other: &&Segment| {
        other.state == State::Published
            && (other.name.tenant, other.name.month) == (one.name.tenant, one.name.month)
            && other.name.revision > one.name.revision
    };
    match one.state {
        State::Staged => all.iter().find(answered).map(|_| What::Abandoned(one.name)),
        State::Marked if one.marked_at.is_none_or(|at| now - at >= GRACE) => Some(What::Replaced(one.name)),
        _ => None,
    }
}
