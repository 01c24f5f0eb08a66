//! A tenant's ledger from a moment on, in its order, for who reads all of it: out of the tables as far as they go, out of a
//! segment where a month has only that.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Cold, ColdError, Segments, TRIES, plan::Stretch};
use crate::{
    model::TenantId,
    objects::{segment::Row, shelf::Scan},
    store::{
        As, Store, StoreError,
        ledger::{
            away::{self, Away, Keeper},
            tables::Tables,
        },
        progress::projections::{self, Line},
    },
};

/// Statements on their way.
pub struct Lines {
    cold: Cold,
    tenant: TenantId,
    /// What comes next was stored after this.
    after: DateTime<Utc>,
    /// And before this.
    end: DateTime<Utc>,
    most: i64,
    scan: Option<(Scan, DateTime<Utc>)>,
}

impl Cold {
    /// What was stored after `after` and before `end`, at most `most` at a time.
    pub fn lines(&self, tenant: TenantId, after: DateTime<Utc>, end: DateTime<Utc>, most: i64) -> Lines {
        Lines { cold: self.clone(), tenant, after, end, most, scan: None }
    }
}

impl Lines {
    /// The next statements; none at the end.
    pub async fn next(&mut self) -> Result<Vec<Line>, ColdError> {
        let mut tries = 0;
        loop {
            match Box::pin(self.some()).await {
                Err(error) if error.is_of_the_move() && tries < TRIES => {
                    // From where it was, out of wherever the month is now.
                    (self.scan, tries) = (None, tries + 1);
                }
                other => return other,
            }
        }
    }

    async fn some(&mut self) -> Result<Vec<Line>, ColdError> {
        loop {
            let lines = if self.scan.is_some() { self.scanned().await? } else { self.out_of_tables().await? };
            let Some(lines) = lines else { continue };
            if let Some(last) = lines.last() {
                self.after = last.stored;
            }
            return Ok(lines);
        }
    }

    /// What the open segment goes on with; `None` once it is at its end.
    async fn scanned(&mut self) -> Result<Option<Vec<Line>>, ColdError> {
        let Some((scan, upper)) = &mut self.scan else { return Ok(None) };
        let Some(rows) = scan.next().await? else {
            self.after = self.after.max(*upper - TimeDelta::microseconds(1));
            self.scan = None;
            return Ok(None);
        };
        let is_wanted = |row: &Row| row.stored > self.after && row.stored < self.end;
        let lines: Vec<Line> = rows.into_iter().filter(is_wanted).map(line).collect();
        Ok(Some(lines).filter(|lines| !lines.is_empty()))
    }

    /// What the tables have before the next archived month; `None` once that month is open.
    async fn out_of_tables(&mut self) -> Result<Option<Vec<Line>>, ColdError> {
        let asked = (self.after, self.end);
        let (mut lines, away) = tables(self.cold.store.clone(), self.tenant, asked, self.most).await?;
        let is_next =
            |one: &&Away| one.keeper == Keeper::Segments && one.bounds.upper - TimeDelta::microseconds(1) > self.after;
        let Some(next) = away.iter().find(is_next).filter(|one| one.bounds.lower < self.end) else {
            return Ok(Some(lines));
        };
        lines.retain(|line| line.stored < next.bounds.lower);
        if !lines.is_empty() {
            return Ok(Some(lines));
        }
        let segments: Segments = self.cold.segments(self.tenant).await?;
        let stretch = Stretch { lower: next.bounds.lower, upper: next.bounds.upper };
        let wanted = segments.within(stretch).find(|one| one.place.month.end() > self.after);
        match wanted {
            Some(wanted) => {
                let upper = wanted.place.month.end().min(next.bounds.upper);
                self.scan = Some((segments.visit.scan(&wanted).await?, upper));
            }
            None => self.after = next.bounds.upper - TimeDelta::microseconds(1),
        }
        Ok(None)
    }
}

/// The next statements of hot and detached tables, as far as both are known.
async fn tables(
    store: Store,
    tenant: TenantId,
    between: (DateTime<Utc>, DateTime<Utc>),
    most: i64,
) -> Result<(Vec<Line>, Vec<Away>), ColdError> {
    let read = store.run_tx("ledger_lines", As::Worker, |tx| {
        Box::pin(async move {
            let away = away::months(tx).await?;
            let hot = projections::ledger_lines(tx, tenant, Tables::Hot, between, most).await?;
            let detached = projections::ledger_lines(tx, tenant, Tables::Detached, between, most).await?;
            Ok::<_, StoreError>((hot, detached, away))
        })
    });
    let (mut lines, detached, away) = read.await?;
    let cut = |lines: &[Line]| lines.last().filter(|_| lines.len() as i64 >= most).map(|line| line.stored);
    let known = [cut(&lines), cut(&detached)].into_iter().flatten().min();
    lines.extend(detached);
    lines.sort_by_key(|line| line.stored);
    lines.retain(|line| known.is_none_or(|known| line.stored <= known));
    Ok((lines, away))
}

fn line(row: Row) -> Line {
    Line {
        id: row.id,
        stored: row.stored,
        verb_key: row.verb_key,
        agent_key: row.agent_key,
        has_registration: row.registration_key.is_some(),
        voids: row.refers_to.filter(|_| row.voiding),
        payload: row.payload,
    }
}
