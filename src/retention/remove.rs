//! Removing what was marked, in pieces: each in a transaction that asks for holds first. Whatever ends half-way is gone on with.

use super::{
    Retention, RetentionError,
    look::{Ground, last_of, sieve},
    marks::entry,
};
use crate::{
    model::{
        partition::{Month, State as MonthState},
        retention::Place,
    },
    objects::{segment, shelf::Wanted},
    store::{
        As, StoreError,
        ledger::{
            aged, holds,
            removals::{self, Removal, Rows, State},
            segments,
            tables::Tables,
        },
        platform::audit,
    },
};

/// Rows that go in one transaction.
const TOGETHER: i64 = 1_000;

/// Wherever the month lies: it may move before its turn comes, but not within a transaction that has looked at the hot tables first.
const TABLES: [Tables; 2] = [Tables::Hot, Tables::Detached];

/// What a piece came to.
enum Piece {
    /// So many went, and there may be more.
    Some(i64),
    End,
    /// A hold keeps them.
    Held,
}

impl Retention {
    /// Removes; `None`: a hold came in between, and what is left stays.
    pub(super) async fn remove(&self, removal: &Removal, by: &str) -> Result<Option<Removal>, RetentionError> {
        let ground = self.ground(removal.of.tenant, None).await?;
        let gone = match (removal.of.place, removal.of.revision, removal.of.month) {
            (Place::Statements, Some(revision), Some(month)) => {
                self.remove_segment(removal, &ground, (month, revision)).await?
            }
            (Place::Statements, None, Some(month)) => self.remove_rows(removal, &ground, month).await?,
            _ => self.remove_aged(removal).await?,
        };
        let Some(gone) = gone else { return Ok(None) };
        self.store
            .run_once("end_removal", As::Retention(removal.of.tenant), |tx| {
                Box::pin(async move {
                    if removals::move_to(tx, removal, State::Removed, None, 0).await? {
                        audit::append(tx, &entry(removal, "retention.remove", by, removal.rows + gone)).await?;
                    }
                    Ok::<_, StoreError>(())
                })
            })
            .await?;
        Ok(Some(Removal { state: State::Removed, rows: removal.rows + gone, ..removal.clone() }))
    }

    async fn remove_rows(
        &self,
        removal: &Removal,
        ground: &Ground,
        month: Month,
    ) -> Result<Option<i64>, RetentionError> {
        let until = removal.until.min(last_of(month));
        let mut gone = 0;
        let is_held = loop {
            match self.some_rows(removal, ground, month, until).await? {
                Piece::Some(rows) => gone += rows,
                Piece::End => break false,
                Piece::Held => break true,
            }
        };
        // Also where it ends here: what is spared is not looked at again.
        let (tenant, from) = (removal.of.tenant, month.begin());
        let relations = self.store.run_tx("remove_relations", As::Retention(tenant), |tx| {
            Box::pin(async move {
                for tables in TABLES {
                    let rows = &Rows { tenant, tables, from, until, only: &[], but: &[] };
                    removals::remove_relations(tx, rows).await?;
                }
                Ok::<_, StoreError>(())
            })
        });
        relations.await?;
        Ok((!is_held).then_some(gone))
    }

    async fn some_rows(
        &self,
        removal: &Removal,
        ground: &Ground,
        month: Month,
        until: chrono::DateTime<chrono::Utc>,
    ) -> Result<Piece, RetentionError> {
        let (tenant, now) = (removal.of.tenant, self.clock.now());
        let piece = self.store.run_tx("remove_rows", As::Retention(tenant), |tx| {
            Box::pin(async move {
                let holds = holds::standing(tx, tenant).await?;
                if holds.iter().any(holds::Hold::is_of_all) {
                    return Ok::<_, StoreError>(Piece::Held);
                }
                let (only, mut but) = sieve(ground, removal.of.course, now, until);
                but.extend(holds.iter().flat_map(|hold| hold.keys.iter().copied()));
                let mut gone = 0;
                for tables in TABLES {
                    let rows = &Rows { tenant, tables, from: month.begin(), until, only: &only, but: &but };
                    gone += removals::remove_some(tx, rows, TOGETHER).await?;
                }
                removals::move_to(tx, removal, State::Removing, None, gone).await?;
                Ok(if gone == 0 { Piece::End } else { Piece::Some(gone) })
            })
        });
        Ok(piece.await?)
    }

    async fn remove_aged(&self, removal: &Removal) -> Result<Option<i64>, RetentionError> {
        let (tenant, place, until) = (removal.of.tenant, removal.of.place, removal.until);
        let mut gone = 0;
        loop {
            let piece = self.store.run_tx("remove_aged", As::Retention(tenant), |tx| {
                Box::pin(async move {
                    if !holds::standing(tx, tenant).await?.is_empty() {
                        return Ok::<_, StoreError>(Piece::Held);
                    }
                    let rows = aged::remove_some(tx, tenant, place, until, TOGETHER).await?;
                    removals::move_to(tx, removal, State::Removing, None, rows).await?;
                    Ok(if rows == 0 { Piece::End } else { Piece::Some(rows) })
                })
            });
            match piece.await? {
                Piece::Some(rows) => gone += rows,
                Piece::End => return Ok(Some(gone)),
                Piece::Held => return Ok(None),
            }
        }
    }

    /// First the segment gives way, in the transaction in which it is decided; then every id of it becomes a tombstone.
    async fn remove_segment(
        &self,
        removal: &Removal,
        ground: &Ground,
        (month, revision): (Month, u32),
    ) -> Result<Option<i64>, RetentionError> {
        let tenant = removal.of.tenant;
        if removal.state == State::Marked {
            let decided = self.store.run_tx("segment_gives_way", As::Retention(tenant), |tx| {
                Box::pin(async move {
                    let holds = holds::standing(tx, tenant).await?;
                    // One that came after the segment was looked through may be about somebody in it.
                    let is_new = |hold: &holds::Hold| !ground.holds.iter().any(|known| known.id == hold.id);
                    if holds.iter().any(|hold| hold.is_of_all() || is_new(hold)) {
                        return Ok::<_, StoreError>(false);
                    }
                    removals::give_way(tx, &removal.of).await?;
                    removals::move_to(tx, removal, State::Removing, None, 0).await?;
                    Ok(true)
                })
            });
            if !decided.await? {
                return Ok(None);
            }
        }
        if ground.has_table(month) {
            return self.remove_rows(removal, ground, month).await;
        }
        self.bury_segment(removal, (month, revision)).await.map(Some)
    }

    async fn bury_segment(&self, removal: &Removal, (month, revision): (Month, u32)) -> Result<i64, RetentionError> {
        let tenant = removal.of.tenant;
        let all = self.store.run_tx("segments", As::Worker, |tx| Box::pin(segments::list(tx, Some(month)))).await?;
        let is_it = |one: &&segments::Segment| (one.name.tenant, one.name.revision) == (tenant, revision);
        let Some(contents) = all.iter().find(is_it).and_then(|one| one.contents.as_ref()) else { return Ok(0) };
        let wanted = Wanted { place: segment::Place { tenant, month, revision }, digest: contents.digest.clone() };
        let mut scan = self.shelf.visit().await?.scan(&wanted).await?;
        let mut gone = 0;
        while let Some(rows) = scan.next().await? {
            let ids: Vec<uuid::Uuid> = rows.iter().map(|row| row.id).collect();
            for some in ids.chunks(usize::try_from(TOGETHER).unwrap_or(1)) {
                let buried = self.store.run_tx("bury", As::Retention(tenant), |tx| {
                    Box::pin(async move {
                        let buried = removals::bury(tx, tenant, some).await?;
                        removals::move_to(tx, removal, State::Removing, None, buried).await?;
                        Ok::<_, StoreError>(buried)
                    })
                });
                gone += buried.await?;
            }
        }
        Ok(gone)
    }
}

impl Ground {
    /// Whether the rows of the month are in tables too.
    fn has_table(&self, month: Month) -> bool {
        matches!(self.state(month), Some(MonthState::Detached | MonthState::Archived))
    }
}
