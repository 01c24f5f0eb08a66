//! Leases: which node drives a background loop. Time is the database's, so that clocks of nodes do not matter.

use std::{collections::HashMap, time::Duration};

use crate::store::{As, Store, StoreError, door::tx::column};

/// Proof of holding a lease; `fence` grows whenever it changes hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    pub fence: i64,
}

impl Store {
    /// Takes the lease, or keeps it for longer. `None`: somebody else holds it.
    pub async fn acquire_lease(&self, name: &str, holder: &str, term: Duration) -> Result<Option<Lease>, StoreError> {
        const SQL: &str = "/* acquire_lease: name, holder, seconds */
            INSERT INTO platform.leases AS l (name, holder, fence, expires_at)
            VALUES ($1, $2, 1, clock_timestamp() + make_interval(secs => $3))
            ON CONFLICT (name) DO UPDATE
            SET holder = excluded.holder,
                fence = l.fence + (l.holder <> excluded.holder)::int,
                expires_at = excluded.expires_at
            WHERE l.holder = excluded.holder OR l.expires_at <= clock_timestamp()
            RETURNING fence";
        let (name, holder, seconds) = (name.to_owned(), holder.to_owned(), term.as_secs_f64());
        self.run_tx("acquire_lease", As::Worker, |tx| {
            let (name, holder) = (name.clone(), holder.clone());
            Box::pin(async move {
                let row = tx.query_opt(SQL, &[&name, &holder, &seconds]).await?;
                row.map(|row| Ok(Lease { fence: column(&row, "fence")? })).transpose()
            })
        })
        .await
    }

    /// Lets go before the term ends, so that another node need not wait for it. The row stays: it keeps the fence.
    pub async fn release_lease(&self, name: &str, holder: &str) -> Result<(), StoreError> {
        const SQL: &str = "/* release_lease: name, holder */
            UPDATE platform.leases SET expires_at = '-infinity' WHERE name = $1 AND holder = $2";
        let (name, holder) = (name.to_owned(), holder.to_owned());
        self.run_tx("release_lease", As::Worker, |tx| {
            let (name, holder) = (name.clone(), holder.clone());
            Box::pin(async move { tx.execute(SQL, &[&name, &holder]).await.map(drop) })
        })
        .await
    }

    /// How many leases whose names begin with `prefix` each node holds now.
    pub async fn leases_held(&self, prefix: &str) -> Result<HashMap<String, i64>, StoreError> {
        const SQL: &str = "/* leases_held: prefix */ SELECT holder, count(*) AS held FROM platform.leases
            WHERE starts_with(name, $1) AND expires_at > clock_timestamp() GROUP BY holder";
        let prefix = prefix.to_owned();
        self.run_tx("leases_held", As::Worker, |tx| {
            let prefix = prefix.clone();
            Box::pin(async move {
                let rows = tx.query(SQL, &[&prefix]).await?;
                rows.iter().map(|row| Ok((column(row, "holder")?, column(row, "held")?))).collect()
            })
        })
        .await
    }
}
