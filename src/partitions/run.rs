//! Making partitions, and looking how far they reach.

use chrono::{DateTime, Utc};

use super::plan::{Reach, missing, reach};
use crate::{
    model::{partition::Bounds, scheme::Scheme},
    store::{As, Store, StoreError, ledger::partitions},
    telemetry::Metrics,
};

/// Looks how far the ledger reaches and keeps the gauge.
pub async fn look(store: &Store, now: DateTime<Utc>, metrics: &Metrics) -> Result<Reach, StoreError> {
    let reach = reach(now, &store.partition_bounds().await?);
    metrics.ledger.ends_at.set(reach.until.map_or(0, |end| end.timestamp()) as f64);
    Ok(reach)
}

/// Puts back what somebody began to detach beside the work and left half-way: new queries see nothing of it meanwhile.
pub async fn mend(store: &Store) -> Result<(), StoreError> {
    let mended = store.run_tx("finish_detaching", As::Worker, |tx| Box::pin(partitions::finish_detaching(tx))).await?;
    if mended > 0 {
        tracing::warn!(tables = mended, "a partition was left half detached, and was put back");
    }
    Ok(())
}

/// Makes what is missing, divided by the scheme; answers which partitions those were.
pub async fn make_ahead(
    store: &Store,
    now: DateTime<Utc>,
    scheme: Scheme,
    metrics: &Metrics,
) -> Result<Vec<Bounds>, StoreError> {
    let missing = missing(now, &store.partition_bounds().await?);
    for partition in &missing {
        store.ensure_divided(partition.lower, scheme).await?;
        tracing::info!(%partition, "a partition of the ledger was made");
    }
    look(store, now, metrics).await?;
    Ok(missing)
}
