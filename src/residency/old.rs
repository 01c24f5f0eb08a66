//! Months that are not in place where a tenant leaves: detached, or in the archive. They go over while the tenant is served, each read
//! whole from where it is kept, and arrive as rows of a month in place. They do not change, so that nobody waits for them: before
//! the freeze, and at it, it is only asked whether they are still what went.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    ResidencyError,
    courier::{Courier, Tell, What},
    prove::{counted, difference, tallied},
};
use crate::{
    bundle::{MonthTally, Tally},
    model::partition::Month,
    objects::{
        Objects,
        segment::{self, Manifest, Place as At, Row, Segment, SegmentError},
    },
    store::{
        As,
        ledger::{
            absent::{Absent, Kept},
            carried::{self, OnItsWay, Place, Stretch},
            loads::{self, Claimed},
            tables::Tables,
        },
    },
    telemetry::Aside,
};

/// Under which the report has them.
pub const PART: &str = "absent";
/// Relations that are put at once.
const MOST_RELATIONS: usize = 10_000;

/// A month that went over, found the same there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Went {
    /// Where it was kept, so that another content is another one.
    from: String,
    relations: i64,
    #[serde(flatten)]
    tally: MonthTally,
}

impl Went {
    /// What is kept of a move.
    pub fn all(proof: Option<&Value>) -> Vec<Self> {
        let kept = proof.and_then(|proof| proof.get(PART)).cloned();
        kept.and_then(|kept| serde_json::from_value(kept).ok()).unwrap_or_default()
    }

    pub fn month(&self) -> Month {
        self.tally.month
    }

    /// What it came to.
    pub fn tally(&self) -> &MonthTally {
        &self.tally
    }

    /// The same, of what has a statement at all.
    pub fn tallies(&self) -> &[MonthTally] {
        if self.tally.statements == 0 { &[] } else { std::slice::from_ref(&self.tally) }
    }

    pub fn is(&self, absent: &Absent) -> bool {
        self.month() == absent.month && self.from == from(&absent.kept)
    }
}

fn from(kept: &Kept) -> String {
    match kept {
        Kept::Table => "table".to_owned(),
        Kept::Segment { revision, digest, .. } => format!("segment {revision} {digest}"),
    }
}

/// What is read of a month comes to.
#[derive(Default)]
struct Read {
    tally: Tally,
    relations: i64,
    sum: i128,
}

impl Courier {
    /// Brings a month that is not in place, and finds it the same there; `None` where it was to stop before its end.
    pub async fn old_month(
        &self,
        objects: &Objects,
        absent: &Absent,
        (goes_on, tell): (&(dyn Fn() -> bool + Sync), Tell<'_>),
    ) -> Result<Option<Went>, ResidencyError> {
        let month = absent.month;
        self.make(&[month]).await?;
        let read = match &absent.kept {
            Kept::Table => self.out_of_table(month, tell).await?,
            Kept::Segment { revision, digest, installation } => {
                let place = At { tenant: self.tenant, month, revision: *revision };
                let segment = open(objects, (place, digest), *installation).await?;
                match self.out_of_segment(&segment, (goes_on, tell)).await? {
                    Some(read) => read,
                    None => return Ok(None),
                }
            }
        };
        let (tenant, there) = (self.tenant, Stretch::month(month, Tables::Hot));
        let here = read.tally.months();
        if let Some(why) = difference(&here, &counted(&self.to, tenant, there).await?) {
            return Err(ResidencyError::Differs(why));
        }
        let sum =
            self.to.run_tx("sum_of_relations", As::Worker, |tx| Box::pin(carried::sum_of_relations(tx, tenant, there)));
        let (relations, sum) = sum.await?;
        if (relations, sum.as_str()) != (read.relations, read.sum.to_string().as_str()) {
            let why = format!("{month} has {} relations here and {relations} there, or others", read.relations);
            return Err(ResidencyError::Differs(why));
        }
        let nothing = MonthTally { month, statements: 0, digest: String::new(), verbs: Vec::new() };
        let tally = here.into_iter().next().unwrap_or(nothing);
        Ok(Some(Went { from: from(&absent.kept), relations, tally }))
    }

    async fn out_of_table(&self, month: Month, tell: Tell<'_>) -> Result<Read, ResidencyError> {
        let (tenant, of) = (self.tenant, Stretch::month(month, Tables::Detached));
        self.statements(of, tell).await?;
        let mut read = Read::default();
        read.tally.join(&counted(&self.from, tenant, of).await?);
        let sum =
            self.from.run_tx("sum_of_relations", As::Worker, |tx| Box::pin(carried::sum_of_relations(tx, tenant, of)));
        let (relations, sum) = sum.await?;
        (read.relations, read.sum) = (relations, number(&sum)?);
        Ok(read)
    }

    async fn out_of_segment(
        &self,
        segment: &Segment,
        (goes_on, tell): (&(dyn Fn() -> bool + Sync), Tell<'_>),
    ) -> Result<Option<Read>, ResidencyError> {
        let (mut scan, mut read, mut done) = (segment.scan(), Read::default(), 0);
        while let Some(rows) = scan.next().await? {
            if !goes_on() {
                return Ok(None);
            }
            done += rows.len() as u64;
            self.rows(rows, &mut read).await?;
            tell(done);
        }
        Ok(Some(read))
    }

    /// Brings rows of a segment, with the digests that the guard of ids has.
    async fn rows(&self, rows: Vec<Row>, read: &mut Read) -> Result<(), ResidencyError> {
        let tenant = self.tenant;
        let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
        let ids = &ids;
        let known = self.from.run_tx("carried_ids", As::Worker, |tx| Box::pin(loads::known(tx, tenant, ids))).await?;
        let known: HashMap<Uuid, Claimed> = known.into_iter().map(|one| (one.id, one)).collect();
        let (mut page, mut relations) = (Vec::with_capacity(rows.len()), Vec::<Place>::new());
        for row in rows {
            let id = known.get(&row.id).filter(|id| id.stored == row.stored);
            let id = id.ok_or_else(|| {
                let month = Month::of(row.stored);
                ResidencyError::Differs(format!(
                    "statement {} of the archived {month} has another moment in this database, or none: it is for a person to look at",
                    row.id
                ))
            })?;
            // What was erased is not brought anywhere, whoever still has it.
            if !id.erased {
                relations.extend(row.relations.iter().map(|key| (*key, row.stored)));
                page.push(on_its_way(row, id));
            }
        }
        self.brings(What::Statements(&page)).await?;
        for some in relations.chunks(MOST_RELATIONS) {
            self.brings(What::Relations(some)).await?;
            let sum = self.from.run_tx("sum_of_read", As::Worker, |tx| Box::pin(carried::sum_of(tx, some))).await?;
            read.sum += number(&sum)?;
        }
        read.relations += i64::try_from(relations.len()).unwrap_or(i64::MAX);
        read.tally.join(&tallied(page).await?);
        Ok(())
    }

    /// What is in place here of a month comes to.
    pub async fn in_place(&self, month: Month) -> Result<Vec<MonthTally>, ResidencyError> {
        counted(&self.from, self.tenant, Stretch::month(month, Tables::Hot)).await
    }
}

/// Opens a segment after every byte and every row of it was read and found as it was written: nothing of a damaged one goes over.
async fn open(objects: &Objects, (place, digest): (At, &str), installation: Uuid) -> Result<Segment, ResidencyError> {
    let manifest = Manifest::load(objects, &place, installation).await?;
    let found = manifest.summary.digest.clone();
    if found != digest {
        let (key, wanted) = (place.manifest(), digest.to_owned());
        return Err(SegmentError::Misplaced { key, what: "the content digest", found, wanted }.into());
    }
    // Writers do not wait for it, and neither does it wait for them.
    let sound = segment::audit(objects, manifest, &Aside::default()).await?;
    Ok(Segment::open(objects, sound.manifest().clone(), None)?)
}

/// A row of a segment, as the statements of tables go over.
fn on_its_way(row: Row, id: &Claimed) -> OnItsWay {
    let moment = |at: DateTime<Utc>| at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    let line = json!({ "tenant_id": row.tenant.0, "id": row.id, "stored": moment(row.stored), "occurred": row.occurred.map(moment),
        "verb_key": row.verb_key, "agent_key": row.agent_key, "activity_key": row.activity_key,
        "registration_key": row.registration_key, "refers_to": row.refers_to, "voiding": row.voiding, "converts": row.converts,
        "payload": row.payload, "digest": format!("\\x{}", hex::encode(&id.digest)), "erased": id.erased });
    OnItsWay { stored: row.stored, line: line.to_string(), payload: row.payload }
}

fn number(sum: &str) -> Result<i128, ResidencyError> {
    sum.parse().map_err(|_| ResidencyError::Refused(format!("{sum:?} is no sum of relations")))
}

/// What went over and is not what there is any more: `None` where all of it is. A month may have come back into place.
pub fn changed(went: &[Went], absent: &[Absent], in_place: &[Month]) -> Option<String> {
    let is_there = |one: &&Went| absent.iter().any(|there| one.is(there)) || in_place.contains(&one.month());
    let gone = went.iter().find(|one| !is_there(one));
    let gone = gone.map(|one| {
        let other = absent.iter().find(|there| there.month == one.month());
        let now = other.map_or_else(|| "nothing".to_owned(), |other| from(&other.kept));
        format!("{} went over out of {}, and now there is {now}", one.month(), one.from)
    });
    let new = || absent.iter().find(|there| !went.iter().any(|one| one.is(there)));
    gone.or_else(|| {
        new().map(|new| format!("{} is not in place any more, and has not gone over as it is kept", new.month))
    })
}
