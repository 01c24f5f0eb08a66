//! Making the archive this database's own: what a person decides after it was restored, moved or copied, and what the database it
//! came from is refused afterwards.

use super::{Archive, ArchiveError, catch_up::CaughtUp, place};
use crate::{
    objects::segment::{self, Manifest, Owner, SegmentError},
    store::{
        As,
        ledger::segments::{self, Segment, State},
        platform::{
            audit::{self, Entry},
            installation,
        },
    },
};

/// What adopting would do.
#[derive(Clone, Debug)]
pub struct Adoption {
    pub installation: uuid::Uuid,
    pub epoch: i64,
    /// Whether this database is the one in which the epoch began.
    pub is_here: bool,
    /// Whether a new epoch begins: not where one has begun here and was only not finished.
    pub begins: bool,
    /// The segments that are another epoch's.
    pub segments: Vec<Segment>,
}

impl Adoption {
    /// Whether the archive is this database's already.
    pub fn is_done(&self) -> bool {
        !self.begins && self.segments.is_empty()
    }

    pub fn to_json(&self) -> serde_json::Value {
        let Self { installation, epoch, begins, segments, .. } = self;
        serde_json::json!({ "installation": installation, "epoch": epoch, "begins": begins, "segments": segments.len() })
    }
}

/// What adopting has done.
#[derive(Clone, Debug)]
pub struct Adopted {
    pub segments: u64,
    pub caught_up: CaughtUp,
}

impl Archive {
    /// Looks what there is to adopt.
    pub async fn adoption(&self) -> Result<Adoption, ArchiveError> {
        let own = self.installation().await?;
        let refused = self.claim().await.err();
        let mut segments = self.segments(None).await?;
        segments.retain(|one| matches!(one.state, State::Published | State::Marked) && one.epoch != own.epoch);
        let is_unfinished = own.is_here && own.word.is_none() && !segments.is_empty();
        let begins = match refused {
            None => false,
            Some(ArchiveError::NotHere { .. } | ArchiveError::Stale { .. }) => true,
            Some(ArchiveError::OtherEpoch { .. }) => !is_unfinished,
            Some(error) => return Err(error),
        };
        let mut all = self.segments(None).await?;
        all.retain(|one| matches!(one.state, State::Published | State::Marked));
        let segments = if begins { all } else { segments };
        Ok(Adoption { installation: own.id, epoch: own.epoch, is_here: own.is_here, begins, segments })
    }

    /// Adopts: a new epoch begins here where it shall, this database learns what became of the archive meanwhile, and every segment
    /// becomes its own. Done again it goes on.
    pub async fn adopt(&self, begins: bool, by: &str) -> Result<Adopted, ArchiveError> {
        if begins {
            self.begin_epoch(by).await?;
        }
        let caught_up = self.catch_up().await?;
        let own = self.installation().await?;
        let owner = Owner { installation: own.id, epoch: own.epoch.unsigned_abs() };
        let mut adopted = 0;
        for segment in
            self.segments(None).await?.iter().filter(|one| one.state != State::Removed && one.epoch != own.epoch)
        {
            self.store.check_lease().await?;
            let at = place(&segment.name);
            let manifest = match Manifest::load(&self.objects, &at, own.id).await {
                // Gone, or lost: what `archive verify` tells, and no reason to leave the others.
                Err(SegmentError::NotPublished(_) | SegmentError::Missing { .. }) => None,
                manifest => Some(manifest?),
            };
            if manifest.is_some_and(|manifest| manifest.owner != owner) {
                segment::adopt(&self.objects, &at, owner).await?;
            }
            let (name, id, epoch) = (&segment.name, own.id, own.epoch);
            self.store.run_tx("own_segment", As::Worker, |tx| Box::pin(segments::own(tx, name, id, epoch))).await?;
            adopted += 1;
        }
        self.speak(&own).await?;
        Ok(Adopted { segments: adopted, caught_up })
    }

    async fn begin_epoch(&self, by: &str) -> Result<(), ArchiveError> {
        let begun = self.store.run_once("begin_epoch", As::Worker, |tx| {
            Box::pin(async move {
                let epoch = installation::begin_epoch(tx).await?;
                let detail = serde_json::json!({ "epoch": epoch });
                let entry =
                    Entry { tenant: None, actor: by, action: "archive.epoch", subject: epoch.to_string(), detail };
                audit::append(tx, &entry).await
            })
        });
        begun.await?;
        Ok(())
    }
}
