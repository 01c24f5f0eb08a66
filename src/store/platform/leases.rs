//! Leases: which node drives a background loop or does a job. Time is the database's, so that clocks of nodes do not matter.
//!
//! A lease alone fences nothing: its holder may be paused until it has run out, and wake up in the middle of its work. So
//! what deletes, drops or publishes calls [`check`] first in the same transaction: from then until its end nobody else can
//! take the lease over, and where somebody has already, the transaction fails.

use std::{collections::HashMap, time::Duration};

use crate::model::Lease;
use crate::store::{
    As, Store, StoreError,
    door::tx::{Tx, column},
};

// Who cannot have it locks nothing, and so neither waits for who has it nor keeps them waiting. The row is made without
// naming an index, because two nodes that make it at once meet in either of the table's two.
const ACQUIRE: &str = "/* leases::acquire */
    WITH taken AS (
        UPDATE platform.leases AS l
        SET holder = $2 /* holder */,
            fence = l.fence + (l.holder <> $2 OR l.expires_at <= clock_timestamp())::int,
            expires_at = clock_timestamp() + make_interval(secs => $3 /* seconds */)
        WHERE name = $1 /* name */ AND (l.holder = $2 OR l.expires_at <= clock_timestamp())
        RETURNING fence
    ), made AS (
        INSERT INTO platform.leases (name, holder, fence, expires_at)
        SELECT $1, $2, 1, clock_timestamp() + make_interval(secs => $3)
        WHERE NOT EXISTS (SELECT 1 FROM platform.leases WHERE name = $1)
        ON CONFLICT DO NOTHING
        RETURNING fence
    )
    SELECT fence FROM taken UNION ALL SELECT fence FROM made";

/// Takes the lease, or keeps it for longer. `None`: somebody else holds it.
pub async fn acquire(tx: &Tx<'_>, name: &str, holder: &str, term: Duration) -> Result<Option<Lease>, StoreError> {
    let row = tx.query_opt(ACQUIRE, &[&name, &holder, &term.as_secs_f64()]).await?;
    row.map(|row| Ok(Lease { name: name.into(), fence: column(&row, "fence")? })).transpose()
}

// The fence is not set, so that this waits for nobody who checks it.
const RENEW: &str = "/* leases::renew */
    UPDATE platform.leases SET expires_at = clock_timestamp() + make_interval(secs => $3 /* seconds */)
    WHERE name = $1 /* name */ AND fence = $2 /* fence */";

/// Keeps the lease for longer; answers whether it is still in these hands.
pub async fn renew(tx: &Tx<'_>, lease: &Lease, term: Duration) -> Result<bool, StoreError> {
    Ok(tx.execute(RENEW, &[&&*lease.name, &lease.fence, &term.as_secs_f64()]).await? > 0)
}

const CHECK: &str = "/* leases::check */
    SELECT 1 AS held FROM platform.leases WHERE name = $1 /* name */ AND fence = $2 /* fence */ FOR KEY SHARE";

/// Fails with [`StoreError::Fenced`] where somebody else took the lease under which this transaction's store works, and
/// keeps it where it is until the transaction ends. Without a lease, as for what a person does by hand, it asks nothing.
pub async fn check(tx: &Tx<'_>) -> Result<(), StoreError> {
    let Some(lease) = tx.lease() else { return Ok(()) };
    let held = tx.query_opt(CHECK, &[&&*lease.name, &lease.fence]).await?;
    held.map(drop).ok_or_else(|| StoreError::Fenced { lease: lease.name.to_string() })
}

const LET_GO: &str = "/* leases::let_go */
    UPDATE platform.leases SET expires_at = '-infinity' WHERE name = $1 /* name */ AND fence = $2 /* fence */";

/// Ends the lease under which this transaction's store works, together with what the transaction does.
pub async fn let_go(tx: &Tx<'_>) -> Result<(), StoreError> {
    let Some(lease) = tx.lease() else { return Ok(()) };
    tx.execute(LET_GO, &[&&*lease.name, &lease.fence]).await.map(drop)
}

const RELEASE: &str = "/* leases::release */
    UPDATE platform.leases SET expires_at = '-infinity' WHERE name = $1 /* name */ AND holder = $2 /* holder */";

const HELD: &str = "/* leases::held */
    SELECT holder, count(*) AS held FROM platform.leases
    WHERE starts_with(name, $1 /* prefix */) AND expires_at > clock_timestamp() GROUP BY holder";

impl Store {
    /// See [`acquire`].
    pub async fn acquire_lease(&self, name: &str, holder: &str, term: Duration) -> Result<Option<Lease>, StoreError> {
        self.run_tx("acquire_lease", As::Worker, |tx| Box::pin(acquire(tx, name, holder, term))).await
    }

    /// See [`renew`].
    pub async fn renew_lease(&self, lease: &Lease, term: Duration) -> Result<bool, StoreError> {
        self.run_tx("renew_lease", As::Worker, |tx| Box::pin(renew(tx, lease, term))).await
    }

    /// Fails where the lease under which this store works is somebody else's: for what is done outside of transactions.
    pub async fn check_lease(&self) -> Result<(), StoreError> {
        if self.lease.is_none() {
            return Ok(());
        }
        self.run_tx("check_lease", As::Worker, |tx| Box::pin(check(tx))).await
    }

    /// Lets go before the term ends, so that another node need not wait for it. The row stays: it keeps the fence.
    pub async fn release_lease(&self, name: &str, holder: &str) -> Result<(), StoreError> {
        self.run_tx("release_lease", As::Worker, |tx| {
            Box::pin(async move { tx.execute(RELEASE, &[&name, &holder]).await.map(drop) })
        })
        .await
    }

    /// How many leases whose names begin with `prefix` each node holds now.
    pub async fn leases_held(&self, prefix: &str) -> Result<HashMap<String, i64>, StoreError> {
        self.run_tx("leases_held", As::Worker, |tx| {
            Box::pin(async move {
                let rows = tx.query(HELD, &[&prefix]).await?;
                rows.iter().map(|row| Ok((column(row, "holder")?, column(row, "held")?))).collect()
            })
        })
        .await
    }
}
