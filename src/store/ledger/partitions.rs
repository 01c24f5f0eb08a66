//! The partitions of the ledger: a row each, and the tables `statements_…` and `relations_…` of its name.

use chrono::{DateTime, Utc};
use tokio_postgres::Row;

use crate::model::partition::{Bounds, Partition, State, Weight};
use crate::store::{
    As, Store, StoreError,
    door::tx::{Tx, column},
    platform::leases,
};

const ENSURE: &str = "/* partitions::ensure */ SELECT ledger.ensure_month($1 /* moment */) AS made";

/// Makes the partition that holds `moment` if it is missing; answers whether it was.
pub async fn ensure(tx: &Tx<'_>, moment: DateTime<Utc>) -> Result<bool, StoreError> {
    leases::check(tx).await?;
    column(&tx.query_one(ENSURE, &[&moment]).await?, "made")
}

const LIST: &str = "/* partitions::list */
    SELECT to_char(month, 'YYYY-MM') AS name, lower_bound, upper_bound, state FROM ledger.partitions ORDER BY month";

const BOUNDS: &str = "/* partitions::bounds */ SELECT lower_bound, upper_bound FROM ledger.partitions ORDER BY month";

/// Where all of them begin and end, oldest first. Making them ahead must not fail where a newer release left one in a state
/// that is not known here.
pub async fn bounds(tx: &Tx<'_>) -> Result<Vec<Bounds>, StoreError> {
    let bounds = |row: &Row| Ok(Bounds { lower: column(row, "lower_bound")?, upper: column(row, "upper_bound")? });
    tx.query(BOUNDS, &[]).await?.iter().map(bounds).collect()
}

/// All of them, oldest first.
pub async fn list(tx: &Tx<'_>) -> Result<Vec<Partition>, StoreError> {
    tx.query(LIST, &[]).await?.iter().map(partition).collect()
}

// The names are made as `ensure_month` makes them; a partition whose tables are gone weighs nothing.
const WEIGHTS: &str = "/* partitions::weights */
    SELECT to_char(month, 'YYYY-MM') AS name, lower_bound, upper_bound, state,
           greatest(coalesce(s.reltuples, 0), 0)::bigint AS rows,
           (coalesce(pg_total_relation_size(s.oid), 0) + coalesce(pg_total_relation_size(r.oid), 0))::bigint AS bytes
    FROM ledger.partitions p
    LEFT JOIN pg_class s ON s.oid = to_regclass('ledger.statements_' || to_char(p.month, 'YYYY_MM'))
    LEFT JOIN pg_class r ON r.oid = to_regclass('ledger.relations_' || to_char(p.month, 'YYYY_MM'))
    ORDER BY month";

/// All of them with what they take up on the disk.
pub async fn weights(tx: &Tx<'_>) -> Result<Vec<(Partition, Weight)>, StoreError> {
    let rows = tx.query(WEIGHTS, &[]).await?;
    let weight = |row: &Row| Ok(Weight { rows: column(row, "rows")?, bytes: column(row, "bytes")? });
    rows.iter().map(|row| Ok((partition(row)?, weight(row)?))).collect()
}

fn partition(row: &Row) -> Result<Partition, StoreError> {
    let state: String = column(row, "state")?;
    let state = State::parse(&state).ok_or_else(|| unknown(row, &state))?;
    Ok(Partition { bounds: Bounds { lower: column(row, "lower_bound")?, upper: column(row, "upper_bound")? }, state })
}

/// A newer release may know more states than this one.
fn unknown(row: &Row, state: &str) -> StoreError {
    let name = column::<String>(row, "name").unwrap_or_default();
    let detail = format!("partition {name} is {state:?}, which this release does not know");
    StoreError::Shape { name: "partitions", detail }
}

impl Store {
    /// See [`ensure`].
    pub async fn ensure_partition(&self, moment: DateTime<Utc>) -> Result<bool, StoreError> {
        self.run_tx("ensure_partition", As::Worker, |tx| Box::pin(ensure(tx, moment))).await
    }

    /// See [`bounds`].
    pub async fn partition_bounds(&self) -> Result<Vec<Bounds>, StoreError> {
        self.run_tx("partition_bounds", As::Worker, |tx| Box::pin(bounds(tx))).await
    }

    /// See [`list`].
    pub async fn partitions(&self) -> Result<Vec<Partition>, StoreError> {
        self.run_tx("partitions", As::Worker, |tx| Box::pin(list(tx))).await
    }

    /// See [`weights`].
    pub async fn partition_weights(&self) -> Result<Vec<(Partition, Weight)>, StoreError> {
        self.run_tx("partition_weights", As::Worker, |tx| Box::pin(weights(tx))).await
    }
}
