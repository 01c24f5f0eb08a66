//! Bringing a month back: from its segments into a table of its own, which becomes a partition again in one short transaction. Every
//! row comes back byte for byte. Broken off, it is gone on with where it was.

use std::time::{Duration, Instant};

use super::{Archive, ArchiveError, error::ERASED_SINCE, rows::to_ledger, run::Tell};
use crate::{
    model::partition::{Month, State},
    objects::segment::{Row, Segment},
    store::{
        StoreError,
        ledger::{
            fills::{Fill, Parents},
            segments,
        },
    },
};

/// How long the indexes of a large month may take.
const LONGEST: Duration = Duration::from_hours(12);
/// So many rows, or so many bytes of them, are copied in one transaction.
const BATCH: usize = 4_096;
const BATCH_BYTES: usize = 8 << 20;

impl Archive {
    /// Restores a month whose table was dropped; answers whether that is done, or was broken off because it should stop.
    pub async fn restore(
        &self,
        month: Month,
        should_stop: &(dyn Fn() -> bool + Sync),
        tell: Tell<'_>,
    ) -> Result<bool, ArchiveError> {
        let partition = self.partition(month).await?;
        match partition.state {
            State::Dropped => {}
            State::Archived => return Ok(true),
            state => {
                let wanted = "only one whose table was dropped is restored";
                return Err(ArchiveError::Wrong { partition: partition.bounds, state, wanted });
            }
        }
        let segments = self.published(Some(month)).await?;
        let total: i64 = segments.iter().filter_map(|one| one.contents.as_ref()).map(|contents| contents.rows).sum();
        let fill = self.store.begin_month(month, Parents::Detached).await?;
        let mut there = fill.statements.unsigned_abs();
        tell(there);
        for segment in &segments {
            let rows = segment.contents.as_ref().map_or(0, |contents| contents.rows.unsigned_abs());
            if there >= rows {
                there -= rows;
                continue;
            }
            if !self.copy(&fill, segment, there, should_stop, tell).await? {
                return Ok(false);
            }
            there = 0;
        }
        self.finish(&fill, total).await?;
        Ok(true)
    }

    /// Copies a segment's rows from this one on.
    async fn copy(
        &self,
        fill: &Fill,
        segment: &segments::Segment,
        from: u64,
        should_stop: &(dyn Fn() -> bool + Sync),
        tell: Tell<'_>,
    ) -> Result<bool, ArchiveError> {
        let manifest = self.manifest(segment).await?;
        let mut scan = Segment::open(&self.objects, manifest, None)?.scan();
        let (mut skip, mut batch, mut bytes) = (from, Vec::new(), 0);
        while let Some(rows) = scan.next().await? {
            for row in rows {
                if skip > 0 {
                    skip -= 1;
                    continue;
                }
                bytes += row.payload.len();
                batch.push(row);
                if batch.len() >= BATCH || bytes >= BATCH_BYTES {
                    self.copy_batch(fill, &mut batch, tell).await?;
                    bytes = 0;
                }
            }
            if should_stop() {
                return Ok(false);
            }
        }
        self.copy_batch(fill, &mut batch, tell).await?;
        Ok(true)
    }

    async fn copy_batch(&self, fill: &Fill, batch: &mut Vec<Row>, tell: Tell<'_>) -> Result<(), ArchiveError> {
        if batch.is_empty() {
            return Ok(());
        }
        let rows: Vec<_> = batch.iter().map(to_ledger).collect();
        let begun = Instant::now();
        self.store.copy_into_month(fill, &rows).await?;
        tell(rows.len() as u64);
        batch.clear();
        self.aside.rest(begun.elapsed()).await;
        Ok(())
    }

    /// What was copied is counted in the transactions that copied it: it becomes the month only where it is all of it.
    async fn finish(&self, fill: &Fill, total: i64) -> Result<(), ArchiveError> {
        let fills = self.store.months_begun().await?;
        let now = fills.into_iter().find(|one| one.month == fill.month);
        let copied = now.map_or(0, |one| one.statements);
        if copied != total {
            self.store.abandon_month(fill).await?;
            let detail =
                format!("{copied} statements of {} were copied, and its segments have {total}: begin anew", fill.month);
            return Err(StoreError::Shape { name: "restore", detail }.into());
        }
        let patient = self.store.patient(LONGEST);
        patient.index_month(fill).await?;
        if let Err(error) = patient.finish_month(fill).await {
            if error.code() == Some(ERASED_SINCE) {
                self.store.abandon_month(fill).await?;
            }
            return Err(error.into());
        }
        Ok(())
    }
}
