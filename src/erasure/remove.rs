//! Statements leaving: out of the tables in batches, and out of the segments by asking for these to be written anew.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    ErasureError, Erasures, Stepped,
    law::stands_over,
    person::Fate,
    work::{Learned, Work},
};
use crate::{
    model::{TenantId, erasure::Mentions, partition::Month},
    objects::segment::Row,
    store::{
        As, Tx,
        ledger::{
            away::Published,
            erasing::{self, Found},
            erasures::{self, Change},
            holds, statements,
            tables::Tables,
        },
        platform::jobs::Context,
        progress::{activity::Leaving, erasing as projected},
    },
};

/// Statements that leave in one transaction; those that are written anew are fewer.
const BATCH: i64 = 500;
const REDACTED: i64 = 100;
/// A statement of a segment: its id, and when it was stored.
type Moment = (Uuid, DateTime<Utc>);

/// How often the bound is asked for.
const AGAIN: Duration = Duration::from_millis(100);
/// How long a step waits for it.
const PATIENCE: Duration = Duration::from_secs(5);

/// What came of writing segments anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    pub segments: u64,
    pub objects: u64,
    pub bytes_removed: u64,
    pub bytes_written: u64,
}

impl Erasures {
    /// The segments that a step asked for are written anew: all of them, or those that were done when a hold came in between.
    pub async fn rewritten(
        &self,
        job: &Context,
        of: (TenantId, Uuid),
        (done, is_all): (&Written, bool),
    ) -> Result<(), ErasureError> {
        let noting = job.store.run_once("rewritten", As::Worker, |tx| {
            Box::pin(async move {
                let Written { segments, objects, bytes_removed, bytes_written } = *done;
                let counts = [
                    ("segments", segments),
                    ("objects", objects),
                    ("bytesRemoved", bytes_removed),
                    ("bytesWritten", bytes_written),
                ];
                for (place, more) in counts {
                    erasures::tally(tx, of, place, more).await?;
                }
                let learned = now(tx, job, of).await?;
                Learned { purged: learned.purged || is_all, ..learned }.keep(tx, job, of).await
            })
        });
        noting.await
    }

    /// The attempts that a step asked for are folded again.
    pub async fn folded(&self, job: &Context, of: (TenantId, Uuid)) -> Result<(), ErasureError> {
        let noting = job.store.run_once("folded", As::Worker, |tx| {
            Box::pin(async move {
                let learned = now(tx, job, of).await?;
                Learned { attempts: BTreeSet::new(), ..learned }.keep(tx, job, of).await
            })
        });
        noting.await
    }
}

/// What was learned by now, which may be more than when the step began.
async fn now(tx: &Tx<'_>, job: &Context, (tenant, id): (TenantId, Uuid)) -> Result<Learned, ErasureError> {
    let erasure = erasures::one(tx, id, Some(tenant)).await?.ok_or(ErasureError::Unknown(id))?;
    Learned::of(job, &erasure)
}

impl Work<'_> {
    /// Whether whoever was storing something while the person was not yet recognised has ended.
    pub async fn settled(&self) -> Result<bool, ErasureError> {
        let (mut learned, store, tenant) = (self.learned(), &self.job.store, self.erasure.tenant);
        let since = match learned.since {
            Some(since) => since,
            None => {
                let now = store.run_tx("ledger_now", As::Tenant(tenant), |tx| Box::pin(statements::now(tx))).await?;
                learned.since = Some(now);
                let kept = &learned;
                store.run_tx("settle_since", As::Worker, |tx| Box::pin(self.keep(tx, kept))).await?;
                self.learn(learned);
                now
            }
        };
        let began = Instant::now();
        while began.elapsed() < PATIENCE && !self.job.should_stop() {
            store.run_tx("catch_up", As::Tenant(tenant), |tx| Box::pin(statements::catch_up(tx))).await?;
            let bound = store.run_tx("safe_bound", As::Worker, |tx| Box::pin(statements::safe_bound(tx))).await?;
            if bound > since {
                return Ok(true);
            }
            tokio::time::sleep(AGAIN).await;
        }
        Ok(false)
    }

    /// Takes the person's statements out of the tables, and what mentions them as the policy says; answers whether that is done, or
    /// was broken off because the job should stop.
    pub async fn statements(&self) -> Result<bool, ErasureError> {
        let mut done = 0;
        for tables in [Tables::Hot, Tables::Detached] {
            loop {
                let (began, learned) = (Instant::now(), &self.learned());
                let batch = self
                    .job
                    .store
                    .run_once("erase_batch", As::Worker, |tx| Box::pin(self.batch_in(tx, tables, learned.clone())));
                let (count, learned) = batch.await?;
                self.learn(learned);
                if count == 0 {
                    break;
                }
                done += count;
                self.tell(done, "removing statements");
                if self.job.should_stop() {
                    return Ok(false);
                }
                // Half of the time is everybody else's.
                tokio::time::sleep(began.elapsed()).await;
            }
        }
        Ok(true)
    }

    async fn batch_in(
        &self,
        tx: &Tx<'_>,
        tables: Tables,
        mut learned: Learned,
    ) -> Result<(u64, Learned), ErasureError> {
        self.ask_the_law(tx).await?;
        let (of, sought) = (self.of(), &self.person.sought());
        let mut going = erasing::of_actor(tx, of.0, tables, sought, BATCH).await?;
        if going.is_empty() && self.erasure.policy.mentions == Mentions::Delete {
            going = erasing::mentioning(tx, of.0, tables, sought, BATCH).await?;
        }
        if going.is_empty() {
            let redacts = self.erasure.policy.mentions == Mentions::Redact;
            return Ok((if redacts { self.redact(tx, tables).await? } else { 0 }, learned));
        }
        for one in &going {
            learned.learn(of.0, &one.payload, (one.verb_key, one.activity_key, one.registration_key))?;
        }
        let leaving: Vec<Leaving> = going.iter().map(Found::leaving).collect();
        learned.attempts.extend(projected::forget_said(tx, of.0, &leaving).await?);
        self.note_months(tx, &going).await?;
        let gone = erasing::delete(tx, of, tables, &going).await?;
        erasures::tally(tx, of, "statements", gone).await?;
        self.keep(tx, &learned).await?;
        Ok((gone, learned))
    }

    async fn redact(&self, tx: &Tx<'_>, tables: Tables) -> Result<u64, ErasureError> {
        let of = self.of();
        let found = erasing::mentioning(tx, of.0, tables, &self.person.sought(), REDACTED).await?;
        self.note_months(tx, &found).await?;
        for one in &found {
            let payload = self.person.redact(&one.payload).map_err(ErasureError::Unreadable)?;
            erasing::rewrite(tx, of, tables, one, &payload).await?;
        }
        erasures::tally(tx, of, "redacted", found.len() as u64).await?;
        Ok(found.len() as u64)
    }

    /// Whoever copies one of these months from now on finds out that it is not what it was.
    async fn note_months(&self, tx: &Tx<'_>, found: &[Found]) -> Result<(), ErasureError> {
        let months: BTreeSet<Month> = found.iter().map(|one| Month::of(one.stored)).collect();
        let months: Vec<Month> = months.into_iter().collect();
        let (tenant, id) = self.of();
        erasures::change(tx, tenant, id, &Change { months: &months, ..Change::default() }).await?;
        Ok(())
    }

    /// Buries what segments have of the person, and asks for these to be written anew; `None` once no segment has anything.
    pub async fn segments(&self) -> Result<Option<Stepped>, ErasureError> {
        let (of, mut learned, standing) = (self.of(), self.learned(), self.standing().await?);
        let (mut gone, mut redacted, mut months, mut wrong) = (Vec::new(), Vec::new(), BTreeSet::new(), None);
        let mut each = |segment: &Published, row: Row| {
            match self.person.fate(row.agent_key, &row.relations, self.erasure.policy.mentions) {
                Fate::Stays => return,
                Fate::Redacted => redacted.push((row.id, row.stored)),
                Fate::Goes => {
                    let keys = (row.verb_key, row.activity_key, row.registration_key);
                    if let Err(error) = learned.learn(of.0, &row.payload, keys) {
                        wrong = Some(error);
                    }
                    gone.push(Leaving { id: row.id, stored: row.stored, verb: row.verb_key, voiding: row.voiding });
                }
            }
            if let Some(hold) = standing.iter().find(|hold| stands_over(hold, &row)) {
                wrong = Some(hold.into());
            }
            months.insert(segment.month);
        };
        self.tell(0, "looking through archived months");
        self.erasures.cold.sift(of.0, (&self.person.filter(), None), &mut each).await?;
        if let Some(error) = wrong {
            return Err(error);
        }
        if months.is_empty() && learned.purged {
            return Ok(None);
        }
        let months: Vec<Month> = months.into_iter().collect();
        let holds: Vec<Uuid> = standing.iter().map(|hold| hold.id).collect();
        self.bury((&gone, &redacted), &months, learned, &holds).await?;
        let others = self.erasure.months.iter().copied().filter(|month| !months.contains(month)).collect();
        let (erasure, person) = (Box::new(self.erasure.clone()), Arc::clone(&self.person));
        Ok(Some(Stepped::Segments { erasure, person, months, others, holds }))
    }

    /// Leaves tombstones of what goes from segments, before any of these is written, while no hold stands but these.
    async fn bury(
        &self,
        (gone, redacted): (&[Leaving], &[Moment]),
        months: &[Month],
        learned: Learned,
        holds: &[Uuid],
    ) -> Result<(), ErasureError> {
        let (of, store) = (self.of(), &self.job.store);
        self.learn(learned);
        for some in gone.chunks(BATCH.unsigned_abs() as usize) {
            let before = &self.learned();
            let burying = store.run_once("bury_archived", As::Worker, |tx| {
                Box::pin(async move {
                    if holds::came_since(tx, of.0, holds).await? {
                        return Err(ErasureError::HoldSince);
                    }
                    let (ids, mut learned): (Vec<Uuid>, _) = (some.iter().map(|one| one.id).collect(), before.clone());
                    learned.attempts.extend(projected::forget_said(tx, of.0, some).await?);
                    let moments: Vec<Moment> = some.iter().map(|one| (one.id, one.stored)).collect();
                    let new = erasures::note(tx, of, &moments, false).await?;
                    erasing::bury(tx, of.0, &ids).await?;
                    erasures::tally(tx, of, "archived", new).await?;
                    self.keep(tx, &learned).await?;
                    Ok(learned)
                })
            });
            self.learn(burying.await?);
        }
        let learned = &self.learned();
        let noting = store.run_once("note_archived", As::Worker, |tx| {
            Box::pin(async move {
                let new = erasures::note(tx, of, redacted, true).await?;
                erasures::tally(tx, of, "archivedRedacted", new).await?;
                erasures::change(tx, of.0, of.1, &Change { months, ..Change::default() }).await?;
                self.keep(tx, learned).await
            })
        });
        noting.await
    }
}
