//! The partitions of the ledger: a row each, and the tables `statements_…` and `relations_…` of its name.

use chrono::{DateTime, Utc};
use tokio_postgres::Row;

use crate::model::partition::{Bounds, Change, Partition, State, Weight};
use crate::store::{
    As, Store, StoreError,
    door::tx::{Tx, column},
    ledger::{tables::Tables, voids},
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

// Both pairs of parents are named, and so locked before anything is read: no month changes sides between this answer and the
// end of the transaction.
pub(in crate::store) const AWAY: &str = "/* partitions::away */
    SELECT to_char(month, 'YYYY-MM') AS name, lower_bound, upper_bound, state FROM ledger.partitions
    WHERE state NOT IN ('open', 'sealed')
      AND NOT EXISTS (SELECT FROM ledger.statements, ledger.relations, ledger.detached_statements, ledger.detached_relations
                      WHERE false)
    ORDER BY month";

/// Those that are not among `ledger.statements`, oldest first. **Ask in the transaction of the read**: what it answers stays
/// true until that ends. Detached and archived ones are read in `ledger.detached_statements`, all others in their segments.
pub async fn away(tx: &Tx<'_>) -> Result<Vec<Partition>, StoreError> {
    tx.query(AWAY, &[]).await?.iter().map(partition).collect()
}

const STANDINGS: &str = "/* partitions::standings */
    SELECT to_char(month, 'YYYY-MM') AS name, lower_bound, upper_bound, state, changed_at, held
    FROM ledger.partitions ORDER BY month";

/// A partition with what the schedule looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub partition: Partition,
    /// Since when it is in its state; `None` of one that has never changed.
    pub since: Option<DateTime<Utc>>,
    /// Brought back by hand: the schedule leaves it.
    pub is_held: bool,
}

/// All of them with what the schedule looks at, oldest first.
pub async fn standings(tx: &Tx<'_>) -> Result<Vec<Standing>, StoreError> {
    let standing = |row: &Row| {
        let (partition, since) = (partition(row)?, column(row, "changed_at")?);
        Ok(Standing { partition, since, is_held: column(row, "held")? })
    };
    tx.query(STANDINGS, &[]).await?.iter().map(standing).collect()
}

/// Changes the partition that begins at `lower`, if it is in a state that the change comes from; answers in which state it is
/// then, and `None` where there is none. Whoever is in the way for more than an instant makes it fail with a lock timeout.
pub async fn change(tx: &Tx<'_>, lower: DateTime<Utc>, change: Change) -> Result<Option<State>, StoreError> {
    leases::check(tx).await?;
    match change {
        Change::Detach => voids::settle(tx, Tables::Hot, lower).await?,
        Change::Drop => voids::settle(tx, Tables::Detached, lower).await?,
        Change::Seal | Change::Attach | Change::Archive => 0,
    };
    let sql = match change {
        Change::Seal => "/* partitions::seal */ SELECT ledger.seal_month($1 /* moment */) AS state",
        Change::Detach => "/* partitions::detach */ SELECT ledger.detach_month($1 /* moment */) AS state",
        Change::Attach => "/* partitions::attach */ SELECT ledger.attach_month($1 /* moment */) AS state",
        Change::Archive => "/* partitions::archive */ SELECT ledger.archive_month($1 /* moment */) AS state",
        Change::Drop => "/* partitions::drop */ SELECT ledger.drop_month($1 /* moment */) AS state",
    };
    let state: Option<String> = column(&tx.query_one(sql, &[&lower]).await?, "state")?;
    let known = |state: String| State::parse(&state).ok_or_else(|| unknown(&lower.to_rfc3339(), &state));
    state.map(known).transpose()
}

// Whoever holds one of the parents, and would make a change wait.
const IN_THE_WAY: &str = "/* partitions::in_the_way */
    SELECT DISTINCT l.pid FROM pg_locks l
    WHERE l.granted AND l.pid <> pg_backend_pid() AND l.locktype = 'relation'
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND l.relation IN ('ledger.statements'::regclass, 'ledger.relations'::regclass,
                         'ledger.detached_statements'::regclass, 'ledger.detached_relations'::regclass)
    ORDER BY 1";

/// The server's processes that use the ledger just now.
pub async fn in_the_way(tx: &Tx<'_>) -> Result<Vec<i32>, StoreError> {
    tx.query(IN_THE_WAY, &[]).await?.iter().map(|row| column(row, "pid")).collect()
}

/// Puts back what somebody began to detach beside the work and left half-way; answers how many tables that were.
pub async fn finish_detaching(tx: &Tx<'_>) -> Result<i64, StoreError> {
    leases::check(tx).await?;
    let sql = "/* partitions::finish_detaching */ SELECT ledger.finish_detaching() AS finished";
    column(&tx.query_one(sql, &[]).await?, "finished")
}

// The names are made as `ensure_month` makes them, and stay when a month changes its parents; a partition whose tables are gone
// weighs nothing. The catalog is asked for each table by itself: a join reads all of it for every month.
const WEIGHTS: &str = "/* partitions::weights */
    SELECT to_char(month, 'YYYY-MM') AS name, lower_bound, upper_bound, state,
           coalesce((SELECT sum((SELECT greatest(c.reltuples, 0) FROM pg_class c WHERE c.oid = t.relid))
                     FROM pg_partition_tree(s.oid) t WHERE t.isleaf), 0)::bigint AS rows,
           coalesce((SELECT sum(pg_total_relation_size(t.relid)) FROM (
               SELECT relid FROM pg_partition_tree(s.oid) UNION ALL SELECT relid FROM pg_partition_tree(r.oid)) t), 0)::bigint AS bytes
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

pub(in crate::store) fn partition(row: &Row) -> Result<Partition, StoreError> {
    let state: String = column(row, "state")?;
    let name = || column::<String>(row, "name").unwrap_or_default();
    let state = State::parse(&state).ok_or_else(|| unknown(&name(), &state))?;
    Ok(Partition { bounds: Bounds { lower: column(row, "lower_bound")?, upper: column(row, "upper_bound")? }, state })
}

/// A newer release may know more states than this one.
fn unknown(name: &str, state: &str) -> StoreError {
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
