//! What lrsql has and what is here, statement by statement: counted for each month and verb with digests that do not depend on the
//! order, and told apart down to ids. What other systems have stored here does not count.
//!
//! A statement that was committed there after its place had been passed is met here, and taken.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::take::Taker;
use crate::{
    bundle::{
        MonthTally, Tally,
        line::line as line_of,
        tally::{self, Sum},
    },
    cold::Cold,
    model::{TenantId, partition::Month},
    store::{
        As,
        ledger::{attachments, loads},
    },
    transfer::{Arrival, TransferError, compare::Difference, export::Tell},
};

/// At most so many ids of each sort are told of a month and verb.
const MOST: usize = 20;
/// Who shares a moment gets one of its own, and none that is further away than this.
const MOVED: TimeDelta = TimeDelta::seconds(1);

/// What was compared.
#[derive(Clone, Debug, Default)]
pub struct Compared {
    /// What lrsql has, but for people who were erased.
    pub months: Vec<MonthTally>,
    pub statements: u64,
    pub attachments: u64,
    /// Taken only now.
    pub late: u64,
    pub differences: Vec<Difference>,
}

/// A month and verb on both sides.
#[derive(Default)]
struct Cell {
    left: Sum,
    right: Sum,
    only_left: Vec<String>,
    different: Vec<String>,
}

struct Comparing<'c> {
    cold: &'c Cold,
    tenant: TenantId,
    tally: Tally,
    cells: BTreeMap<(Month, String), Cell>,
    contents: (u64, Difference),
    late: u64,
}

/// Compares everything up to a key.
pub async fn compare(
    taker: &mut Taker<'_>,
    cold: &Cold,
    tenant: TenantId,
    (until, page): (Uuid, i64),
    tell: Tell<'_>,
) -> Result<Compared, TransferError> {
    let contents = (0, Difference { kind: "attachments".to_owned(), ..Difference::default() });
    let (tally, cells) = (Tally::default(), BTreeMap::new());
    let mut comparing = Comparing { cold, tenant, tally, cells, contents, late: 0 };
    let (mut after, mut read) = (Uuid::nil(), 0);
    while after < until {
        let mut rows = taker.lrsql.statements(after, page).await?;
        rows.retain(|row| row.key <= until);
        let Some(last) = rows.last() else { break };
        after = last.key;
        read += rows.len() as u64;
        let arrivals = taker.read(rows)?;
        comparing.page(taker, arrivals).await?;
        tell("compared", read);
    }
    Ok(comparing.told())
}

impl Comparing<'_> {
    async fn page(&mut self, taker: &mut Taker<'_>, mut arrivals: Vec<Arrival>) -> Result<(), TransferError> {
        let mut here = self.here(&arrivals).await?;
        let missing: Vec<Arrival> =
            arrivals.iter().filter(|one| !here.contains_key(&one.statement.id)).cloned().collect();
        if !missing.is_empty() {
            let erased = taker.intake.erased(&missing).await?;
            arrivals.retain(|one| !erased.contains(&one.statement.id));
            let late: Vec<Arrival> = missing.into_iter().filter(|one| !erased.contains(&one.statement.id)).collect();
            if !late.is_empty() {
                let before = taker.intake.taken.new;
                taker.take(late).await?;
                taker.intake.finish().await?;
                self.late += taker.intake.taken.new - before;
                here = self.here(&arrivals).await?;
            }
        }
        for arrival in &arrivals {
            self.statement(arrival, here.get(&arrival.statement.id));
        }
        self.attachments(taker, &arrivals).await
    }

    /// What is here of these statements, by their ids.
    async fn here(&self, arrivals: &[Arrival]) -> Result<HashMap<Uuid, (DateTime<Utc>, String)>, TransferError> {
        let tenant = self.tenant;
        let ids: Vec<Uuid> = arrivals.iter().map(|arrival| arrival.statement.id).collect();
        let known = self.cold.store().run_tx("lrsql_known", As::Tenant(tenant), |tx| {
            let ids = ids.clone();
            Box::pin(async move { loads::known(tx, tenant, &ids).await })
        });
        let moments: Vec<DateTime<Utc>> = known.await?.iter().filter(|one| !one.erased).map(|one| one.stored).collect();
        let mut here = HashMap::new();
        let mut each = |kept: crate::store::ledger::away::Kept| {
            here.insert(kept.id, (kept.stored, kept.payload));
            Ok(())
        };
        self.cold.at(tenant, &moments, &mut each).await?;
        Ok(here)
    }

    fn statement(&mut self, arrival: &Arrival, here: Option<&(DateTime<Utc>, String)>) {
        let Arrival { statement, stored } = arrival;
        let (month, verb) = (Month::of(*stored), statement.verb.iri.clone());
        let theirs = tally::line(&line_of(&statement.payload, *stored));
        self.tally.add(month, &verb, &theirs);
        let cell = self.cells.entry((month, verb)).or_default();
        cell.left.add(&theirs);
        let Some((at, payload)) = here else {
            cell.only_left.push(statement.id.to_string());
            return;
        };
        let is_moved = *at > *stored && *at - *stored < MOVED;
        let ours = tally::line(&line_of(payload, if is_moved { *stored } else { *at }));
        cell.right.add(&ours);
        if ours != theirs {
            cell.different.push(statement.id.to_string());
        }
    }

    /// Looks which of the contents that lrsql has are not here.
    async fn attachments(&mut self, taker: &mut Taker<'_>, arrivals: &[Arrival]) -> Result<(), TransferError> {
        let hashes: HashSet<Vec<u8>> = taker.named(arrivals).await?.into_iter().map(|one| one.sha2).collect();
        if hashes.is_empty() {
            return Ok(());
        }
        let (tenant, asked): (TenantId, Vec<Vec<u8>>) = (self.tenant, hashes.iter().cloned().collect());
        let present = self.cold.store().run_tx("lrsql_present", As::Tenant(tenant), |tx| {
            let asked = asked.clone();
            Box::pin(async move { attachments::present(tx, tenant, &asked).await })
        });
        let present: HashSet<Vec<u8>> = present.await?.into_iter().collect();
        let (count, difference) = &mut self.contents;
        *count += hashes.len() as u64;
        difference.only_left.extend(hashes.difference(&present).map(hex::encode));
        Ok(())
    }

    fn told(self) -> Compared {
        let mut differences = Vec::new();
        for ((month, verb), mut cell) in self.cells {
            if cell.left != cell.right {
                cell.only_left.truncate(MOST);
                cell.different.truncate(MOST);
                differences.push(Difference {
                    kind: "statements".to_owned(),
                    month: Some(month),
                    verb: Some(verb),
                    left: cell.left.count,
                    right: cell.right.count,
                    only_left: cell.only_left,
                    different: cell.different,
                    ..Difference::default()
                });
            }
        }
        let (attachments, mut difference) = self.contents;
        if !difference.only_left.is_empty() {
            (difference.left, difference.right) = (attachments, attachments - difference.only_left.len() as u64);
            difference.only_left.truncate(MOST);
            differences.push(difference);
        }
        let months = self.tally.months();
        let statements = months.iter().map(|month| month.statements).sum();
        Compared { months, statements, attachments, late: self.late, differences }
    }
}
