//! A background step: references whose two sides were written at the same moment are linked once both are visible.

use crate::store::{As, Store, StoreError, statements};

/// References looked at in one step.
const BATCH: i64 = 1_000;

/// Settles what lies below the safe bound; answers how many references it looked at.
pub async fn step(store: &Store) -> Result<usize, StoreError> {
    let bound = store.run_tx("settle_bound", As::Worker, |tx| Box::pin(statements::safe_bound(tx))).await?;
    store
        .run_tx("settle_refs", As::Worker, |tx| {
            Box::pin(async move { statements::settle_refs(tx, bound, BATCH).await })
        })
        .await
}
