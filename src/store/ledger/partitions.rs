//! The months of the ledger.

use chrono::{DateTime, NaiveDate, Utc};

use crate::store::{As, Store, StoreError, door::tx::column, platform::leases};

/// One month and where it is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Month {
    pub month: NaiveDate,
    pub state: String,
}

impl Store {
    /// Makes the month that holds `moment` if it is missing; answers whether it was.
    pub async fn ensure_month(&self, moment: DateTime<Utc>) -> Result<bool, StoreError> {
        self.run_tx("ensure_month", As::Worker, |tx| {
            Box::pin(async move {
                leases::check(tx).await?;
                let row = tx.query_one("/* ensure_month */ SELECT ledger.ensure_month($1) AS made", &[&moment]).await?;
                column(&row, "made")
            })
        })
        .await
    }

    pub async fn months(&self) -> Result<Vec<Month>, StoreError> {
        self.run_tx("months", As::Worker, |tx| {
            Box::pin(async move {
                let rows =
                    tx.query("/* months */ SELECT month, state FROM ledger.partitions ORDER BY month", &[]).await?;
                rows.iter()
                    .map(|row| Ok(Month { month: column(row, "month")?, state: column(row, "state")? }))
                    .collect()
            })
        })
        .await
    }
}
