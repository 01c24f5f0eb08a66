//! What the database of a SQL LRS (lrsql) has, taken in with its past: statements in the order of their keys with the contents of
//! their attachments, then documents; compared at the end. That database is only read. Gone on with from a cursor that moves only
//! once what is before it is durable here and seen. What comes twice is the same, and skipped.

pub mod compare;
pub mod credentials;
pub mod documents;
mod source;
mod take;

pub use source::Lrsql;

use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use self::{compare::Compared, take::Taker};
use super::{
    TransferError,
    export::Tell,
    foreign::{Intake, Taken},
    noted,
    past_documents::Documents,
};
use crate::{cold::Cold, model::TenantId};

/// After so many statements, months that were filled appear and the cursor moves.
const TOGETHER: usize = 10_000;

/// Where it goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Host, port and name of the database.
    pub database: String,
    pub tenant: Uuid,
    /// The key of the last statement that is here.
    pub after: Uuid,
    /// Documents that were modified up to here are here.
    pub documents: Option<DateTime<Utc>>,
}

impl Cursor {
    pub fn new(database: &str, tenant: TenantId) -> Self {
        Self { database: database.to_owned(), tenant: tenant.0, after: Uuid::nil(), documents: None }
    }

    /// The one in a file, or a new one where there is no file. Another pull's is refused.
    pub fn read(file: &Path, database: &str, tenant: TenantId) -> Result<Self, TransferError> {
        let new = Self::new(database, tenant);
        let Some(cursor) = noted::read::<Self>(file)? else { return Ok(new) };
        if (&cursor.database, cursor.tenant) != (&new.database, new.tenant) {
            let whose = format!("it is of a pull from {} into {}", cursor.database, cursor.tenant);
            return Err(noted::wrong(file, whose));
        }
        Ok(cursor)
    }

    /// The key behind which is read: some time before the last one, for keys are given before they are committed.
    pub fn behind(&self, overlap: TimeDelta) -> Uuid {
        let millis = (self.after.as_u128() >> 80).saturating_sub(overlap.num_milliseconds().unsigned_abs().into());
        Uuid::from_u128(millis << 80)
    }
}

/// What is wanted.
pub struct Order<'o> {
    pub cursor: Cursor,
    pub file: Option<&'o Path>,
    pub page: u32,
    /// So much is read again.
    pub overlap: TimeDelta,
    pub is_compared: bool,
}

/// What came of it.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pulled {
    pub taken: Taken,
    pub read: u64,
    pub attachments: u64,
    /// Contents whose bytes are not what their hash says: left out.
    pub broken_attachments: u64,
    pub documents: Documents,
    /// Where the next one goes on.
    pub after: Uuid,
    #[serde(skip)]
    pub compared: Option<Compared>,
}

/// Reads to the end of what lrsql has now.
pub async fn pull(
    lrsql: &mut Lrsql,
    cold: &Cold,
    intake: Intake,
    order: Order<'_>,
    tell: Tell<'_>,
) -> Result<Pulled, TransferError> {
    let Order { mut cursor, file, page, overlap, is_compared } = order;
    let (tenant, page) = (TenantId(cursor.tenant), i64::from(page));
    let mut taker = Taker::new(lrsql, intake, cold.store().clone(), tenant);
    let read = statements(&mut taker, &mut cursor, (file, page, overlap), tell).await?;
    let since = cursor.documents.map(|documents| documents - overlap);
    let (documents, newest) = documents::take(&mut taker, cold.store(), tenant, (since, page), tell).await?;
    cursor.documents = cursor.documents.max(newest);
    save(&cursor, file)?;
    let compared = if is_compared {
        Some(Box::pin(compare::compare(&mut taker, cold, tenant, (cursor.after, page), tell)).await?)
    } else {
        None
    };
    Ok(Pulled {
        taken: taker.intake.taken.clone(),
        read,
        attachments: taker.attachments,
        broken_attachments: taker.broken,
        documents,
        after: cursor.after,
        compared,
    })
}

async fn statements(
    taker: &mut Taker<'_>,
    cursor: &mut Cursor,
    (file, page, overlap): (Option<&Path>, i64, TimeDelta),
    tell: Tell<'_>,
) -> Result<u64, TransferError> {
    let (mut read, mut waiting, mut after) = (0, 0, cursor.behind(overlap));
    loop {
        let rows = taker.lrsql.statements(after, page).await?;
        let last = rows.last().map(|row| row.key);
        waiting += rows.len();
        read += rows.len() as u64;
        if last.is_some() {
            let arrivals = taker.read(rows)?;
            taker.take(arrivals).await?;
            tell("pulled", read);
        }
        after = last.unwrap_or(after);
        if waiting >= TOGETHER || last.is_none() {
            taker.intake.finish().await?;
            waiting = 0;
            cursor.after = cursor.after.max(after);
            save(cursor, file)?;
        }
        if last.is_none() {
            return Ok(read);
        }
    }
}

fn save(cursor: &Cursor, file: Option<&Path>) -> Result<(), TransferError> {
    file.map_or(Ok(()), |file| noted::write(file, cursor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_again_is_told_by_the_keys() {
        let cursor = |after: u128| Cursor { after: Uuid::from_u128(after), ..Cursor::new("db", TenantId(Uuid::nil())) };
        let behind = |after: u128, seconds| cursor(after).behind(TimeDelta::seconds(seconds)).as_u128();
        assert_eq!(behind((5_000 << 80) + 7, 2), 3_000 << 80);
        assert_eq!(behind(5_000 << 80, 60), 0, "from the beginning");
        assert_eq!(behind(0, 300), 0);
    }
}
