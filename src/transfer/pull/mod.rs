//! A pull: what another LRS has stored, taken in page by page with its past. Gone on with from a cursor that moves only once what is before
//! it is durable here and seen. What comes twice is the same, and skipped.

mod documents;
mod places;

use std::{collections::HashMap, path::Path};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::documents::{Found, Position};
use super::{
    Arrival, Brought, TransferError,
    export::Tell,
    fault::Problems,
    foreign::{Intake, Taken},
    noted,
    remote::{Page, Remote},
};
use crate::{
    cold::Cold,
    model::Clock,
    xapi::{prepare::VOIDED, syntax::timestamp},
};

/// After so many statements, months that were filled appear and the cursor moves.
const TOGETHER: usize = 10_000;

/// Where a pull goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    pub endpoint: String,
    pub tenant: uuid::Uuid,
    /// Everything that was stored up to here is here.
    pub since: DateTime<Utc>,
    #[serde(default)]
    pub documents: Position,
}

impl Cursor {
    /// The one in a file; none where there is no file. Another pull's is refused.
    pub fn read(file: &Path, endpoint: &str, tenant: uuid::Uuid) -> Result<Option<Self>, TransferError> {
        let Some(cursor) = noted::read::<Self>(file)? else { return Ok(None) };
        if cursor.endpoint != endpoint || cursor.tenant != tenant {
            let whose = format!("it is of a pull from {} into {}", cursor.endpoint, cursor.tenant);
            return Err(noted::wrong(file, whose));
        }
        Ok(Some(cursor))
    }
}

/// What is wanted.
pub struct Order<'o> {
    pub cursor: Cursor,
    pub is_new: bool,
    pub file: Option<&'o Path>,
    pub page: u32,
    /// So much is read again where the other side does not say up to when nothing is missing.
    pub overlap: TimeDelta,
    /// Also what documents those have whom statements name.
    pub documents: bool,
    pub clock: Clock,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pulled {
    pub taken: Taken,
    pub read: u64,
    pub attachments: u64,
    /// Contents whose bytes are not what their hash says: left out.
    pub broken_attachments: u64,
    /// Whether the other side's word on what is visible was believed.
    pub is_consistent: bool,
    pub since: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub documents: Option<Found>,
}

/// Reads to the end of what the other side has now.
pub async fn pull(
    remote: &mut Remote,
    cold: &Cold,
    mut intake: Intake,
    mut order: Order<'_>,
    tell: Tell<'_>,
) -> Result<Pulled, TransferError> {
    let mut done = Box::pin(statements(remote, &mut intake, &mut order, tell)).await?;
    let Order { mut cursor, file, overlap, .. } = order;
    if order.documents {
        let read = documents::take(remote, (cold, &mut intake), (&mut cursor, file), overlap, tell);
        done.documents = Some(Box::pin(read).await?);
    }
    done.taken = intake.taken;
    done.since = Some(cursor.since);
    Ok(done)
}

fn save(cursor: &Cursor, file: Option<&Path>) -> Result<(), TransferError> {
    file.map_or(Ok(()), |file| noted::write(file, cursor))
}

async fn statements(
    remote: &mut Remote,
    intake: &mut Intake,
    order: &mut Order<'_>,
    tell: Tell<'_>,
) -> Result<Pulled, TransferError> {
    let Order { cursor, is_new, file, page: size, overlap, clock, .. } = order;
    let (mut done, mut waiting, mut newest) = (Pulled { is_consistent: true, ..Pulled::default() }, 0, None);
    let mut asked = clock.now();
    let mut page = remote.since((!*is_new).then_some(cursor.since), *size).await?;
    loop {
        // Who says "up to now" does not look what is still being written: that is no word to go by.
        let honest = page.through.filter(|through| *through < asked);
        done.is_consistent &= honest.is_some();
        with_voided(remote, &mut page).await?;
        done.read += page.statements.len() as u64;
        waiting += page.statements.len();
        let more = page.more.take();
        newest = newest.max(take(intake, page, &mut done).await?);
        tell("pulled", done.read);
        if waiting >= TOGETHER || more.is_none() {
            intake.finish().await?;
            waiting = 0;
            // What others are still writing may come behind what was read.
            let behind = newest.map(|newest: DateTime<Utc>| {
                if done.is_consistent {
                    honest.map_or(newest, |through| newest.min(through))
                } else {
                    newest - *overlap
                }
            });
            if let Some(behind) = behind.filter(|behind| *behind > cursor.since) {
                cursor.since = behind;
                save(cursor, *file)?;
            }
        }
        match more {
            Some(more) => {
                asked = clock.now();
                page = remote.page(more).await?;
            }
            None => return Ok(done),
        }
    }
}

/// Adds to a page what its statements void: lists show those no more.
async fn with_voided(remote: &mut Remote, page: &mut Page) -> Result<(), TransferError> {
    let voided =
        |one: &Value| (one["verb"]["id"] == VOIDED).then(|| one["object"]["id"].as_str().map(str::to_owned))?;
    for id in page.statements.iter().filter_map(voided).collect::<Vec<_>>() {
        if let Some((statement, attachments)) = remote.voided(&id).await? {
            page.statements.push(statement);
            page.attachments.extend(attachments);
        }
    }
    Ok(())
}

/// Takes a page; answers when its newest statement was stored there.
async fn take(intake: &mut Intake, page: Page, done: &mut Pulled) -> Result<Option<DateTime<Utc>>, TransferError> {
    let (mut problems, mut arrivals, mut newest): (Problems, Vec<Arrival>, Option<DateTime<Utc>>) =
        (Problems::default(), Vec::new(), None);
    let mut bringers: HashMap<String, uuid::Uuid> = HashMap::new();
    for (place, statement) in (1..).zip(page.statements) {
        newest = newest.max(statement.get("stored").and_then(Value::as_str).and_then(timestamp::parse));
        if let Some(arrival) = intake.read("statements", Some(place), Ok(statement), &mut problems) {
            let key = arrival.statement.authority_key;
            bringers.extend(arrival.statement.attachments.iter().map(|one| (one.sha2.clone(), key)));
            arrivals.push(arrival);
        }
    }
    if let Some(problem) = problems.found.first() {
        return Err(TransferError::Refused(format!("a statement of the other LRS cannot be taken: {problem}")));
    }
    let mut brought = Vec::new();
    for (hash, content) in page.attachments {
        let sha2 = hex::decode(&hash).unwrap_or_default();
        if super::validate::hashed(&content, sha2.len()) != sha2 {
            done.broken_attachments += 1;
        } else if let Some(authority) = bringers.get(&hash) {
            brought.push(Brought { sha2, content, authority: *authority });
        }
    }
    done.attachments += brought.len() as u64;
    intake.attachments(&brought).await?;
    // The same may stand on a page twice.
    let mut ids = std::collections::HashSet::new();
    arrivals.retain(|arrival| ids.insert(arrival.statement.id));
    intake.take(arrivals).await?;
    Ok(newest)
}
