//! The months that the hot tables do not hold, and what answers for each of them: the detached tables, which have the same
//! form, or segments in object storage.

use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::{
    model::{
        TenantId,
        partition::{Bounds, Month, Partition, State},
    },
    store::{
        StoreError, Tx,
        door::tx::column,
        ledger::{
            partitions::{self, AWAY},
            tables::Tables,
        },
    },
};

/// Who answers for a month that is not hot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeper {
    Detached,
    Segments,
}

/// A part of the ledger's time that the hot tables do not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Away {
    pub bounds: Bounds,
    pub keeper: Keeper,
}

/// The months that are away, oldest first. Ask it first in a transaction: what it answers is then true of the rest.
pub async fn months(tx: &Tx<'_>) -> Result<Vec<Away>, StoreError> {
    read(&tx.query(AWAY, &[]).await?)
}

/// The answer to [`AWAY`]. A month that was removed has nobody who answers, and nothing to say.
pub(in crate::store) fn read(rows: &[Row]) -> Result<Vec<Away>, StoreError> {
    let partitions: Vec<Partition> = rows.iter().map(partitions::partition).collect::<Result<_, _>>()?;
    let away = |one: Partition| keeper(one.state).map(|keeper| Away { bounds: one.bounds, keeper });
    Ok(partitions.into_iter().filter_map(away).collect())
}

fn keeper(state: State) -> Option<Keeper> {
    match state {
        State::Detached | State::Archived => Some(Keeper::Detached),
        State::Attached | State::Dropped | State::Marked => Some(Keeper::Segments),
        State::Open | State::Sealed | State::Removed => None,
    }
}

/// A segment that is published: its newest revision, and the digest of its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    pub month: Month,
    pub revision: u32,
    pub digest: String,
}

/// A tenant's segments that count. A month that is not among them has no statement of this tenant.
pub async fn published(tx: &Tx<'_>, tenant: TenantId) -> Result<Vec<Published>, StoreError> {
    let rows = tx
        .query(
            "/* away::published */ SELECT DISTINCT ON (month) to_char(month, 'YYYY-MM') AS name, revision, digest
             FROM ledger.segments WHERE tenant_id = $1 AND state = 'published' ORDER BY month, revision DESC",
            &[&tenant.0],
        )
        .await?;
    let shape = |detail: String| StoreError::Shape { name: "segments", detail };
    let published = |row: &Row| {
        let (name, revision): (String, i32) = (column(row, "name")?, column(row, "revision")?);
        Ok(Published {
            month: name.parse().map_err(shape)?,
            revision: u32::try_from(revision)
                .map_err(|e| shape(format!("segment {name}: revision {revision}: {e}")))?,
            digest: column(row, "digest")?,
        })
    };
    rows.iter().map(published).collect()
}

/// Where a statement is, by its id: when it was stored, and the state of that month.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whereabouts {
    pub stored: DateTime<Utc>,
    /// `None`: it is hot, or removed with its month.
    pub keeper: Option<Keeper>,
}

pub(in crate::store) const WHEREABOUTS: &str = "/* away::whereabouts */
    SELECT i.stored, p.state FROM ledger.statement_ids i
    JOIN ledger.partitions p ON p.lower_bound <= i.stored AND i.stored < p.upper_bound
    WHERE i.tenant_id = $1 AND i.id = $2 AND NOT i.erased";

/// The answer to [`WHEREABOUTS`]; `None` where nobody knows the id.
pub(in crate::store) fn whereabouts(rows: &[Row]) -> Result<Option<Whereabouts>, StoreError> {
    let Some(row) = rows.first() else { return Ok(None) };
    let state: String = column(row, "state")?;
    Ok(Some(Whereabouts { stored: column(row, "stored")?, keeper: State::parse(&state).and_then(keeper) }))
}

/// A statement out of the tables, with what others are told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    pub id: Uuid,
    pub stored: DateTime<Utc>,
    pub occurred: Option<DateTime<Utc>>,
    pub verb_key: Uuid,
    pub agent_key: Option<Uuid>,
    pub activity_key: Option<Uuid>,
    pub registration_key: Option<Uuid>,
    pub voiding: bool,
    /// It came out of a segment.
    pub is_archived: bool,
    pub payload: String,
}

/// The statements at these moments that the tables of a tier hold.
pub async fn kept_at(
    tx: &Tx<'_>,
    tenant: TenantId,
    tables: Tables,
    moments: &[DateTime<Utc>],
) -> Result<Vec<Kept>, StoreError> {
    let sql = tables.sql(
        "/* away::kept_at */ SELECT s.* FROM unnest($2::timestamptz[]) AS wanted (stored)
         CROSS JOIN LATERAL (SELECT id, stored, occurred, verb_key, agent_key, activity_key, registration_key, voiding,
                                    payload
                             FROM ledger.statements s WHERE s.tenant_id = $1 AND s.stored = wanted.stored LIMIT 1) s",
    );
    let rows = tx.query(&sql, &[&tenant.0, &moments]).await?;
    let kept = |row: &Row| {
        Ok(Kept {
            id: column(row, "id")?,
            stored: column(row, "stored")?,
            occurred: column(row, "occurred")?,
            verb_key: column(row, "verb_key")?,
            agent_key: column(row, "agent_key")?,
            activity_key: column(row, "activity_key")?,
            registration_key: column(row, "registration_key")?,
            voiding: column(row, "voiding")?,
            is_archived: false,
            payload: column(row, "payload")?,
        })
    };
    rows.iter().map(kept).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_one_who_answers() {
        let keepers: Vec<_> = State::ALL.into_iter().map(|state| (state.name(), keeper(state))).collect();
        let (detached, segments) = (Some(Keeper::Detached), Some(Keeper::Segments));
        let wanted = [
            ("open", None),
            ("sealed", None),
            ("detached", detached),
            ("archived", detached),
            ("attached", segments),
            ("dropped", segments),
            ("marked", segments),
            ("removed", None),
        ];
        assert_eq!(keepers, wanted);
    }
}
