//! Figures of what the law asks for: requests, removals and holds, counted.

use chrono::{DateTime, Utc};
use tokio_postgres::Row;

use crate::store::{
    StoreError,
    door::tx::{Tx, column},
};

/// Counts by a name out of a small set.
pub type Counts = Vec<(String, i64)>;

const ERASURES: &str = "/* law::erasures */
    SELECT state AS name, count(*) AS count,
        min(requested_at) FILTER (WHERE state IN ('requested', 'hidden')) AS oldest
    FROM ledger.erasures GROUP BY state";

/// Requests to erase somebody by state, and when the oldest one was made that no law keeps waiting.
pub async fn erasures(tx: &Tx<'_>) -> Result<(Counts, Option<DateTime<Utc>>), StoreError> {
    counts_and_oldest(&tx.query(ERASURES, &[]).await?)
}

const ERASED: &str = "/* law::erased */
    SELECT place AS name, sum(count::bigint)::bigint AS count
    FROM ledger.erasures e, jsonb_each_text(e.counts) AS done (place, count) GROUP BY place";

/// What erasures have done, by place.
pub async fn erased(tx: &Tx<'_>) -> Result<Counts, StoreError> {
    counts(&tx.query(ERASED, &[]).await?)
}

const REMOVALS: &str = "/* law::removals */
    SELECT state AS name, count(*) AS count,
        min(due_at) FILTER (WHERE state IN ('marked', 'removing')) AS oldest
    FROM ledger.removals GROUP BY state";

/// Removals by state, and since when the oldest is due, or will be, that was not made.
pub async fn removals(tx: &Tx<'_>) -> Result<(Counts, Option<DateTime<Utc>>), StoreError> {
    counts_and_oldest(&tx.query(REMOVALS, &[]).await?)
}

const REMOVED: &str = "/* law::removed */
    SELECT place AS name, sum(rows_removed)::bigint AS count FROM ledger.removals GROUP BY place";

/// Rows that retention has removed, by place.
pub async fn removed(tx: &Tx<'_>) -> Result<Counts, StoreError> {
    counts(&tx.query(REMOVED, &[]).await?)
}

const HOLDS: &str = "/* law::holds */
    SELECT scope AS name, count(*) AS count FROM ledger.holds WHERE released_at IS NULL GROUP BY scope";

/// Holds that stand, by what they are over.
pub async fn holds(tx: &Tx<'_>) -> Result<Counts, StoreError> {
    counts(&tx.query(HOLDS, &[]).await?)
}

fn counts(rows: &[Row]) -> Result<Counts, StoreError> {
    rows.iter().map(|row| Ok((column(row, "name")?, column(row, "count")?))).collect()
}

fn counts_and_oldest(rows: &[Row]) -> Result<(Counts, Option<DateTime<Utc>>), StoreError> {
    let oldest =
        rows.iter().map(|row| column::<Option<DateTime<Utc>>>(row, "oldest")).collect::<Result<Vec<_>, _>>()?;
    Ok((counts(rows)?, oldest.into_iter().flatten().min()))
}
