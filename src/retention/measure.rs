//! What was marked, spared and removed, since when something is due, and what is held, for who watches.

use super::{Retention, RetentionError};
use crate::{
    store::{As, StoreError, ledger::law},
    telemetry::Metrics,
};

impl Retention {
    /// Counts it.
    pub async fn measure(&self, metrics: &Metrics) -> Result<(), RetentionError> {
        let counting = self.store.run_tx("measure_retention", As::Worker, |tx| {
            Box::pin(async move {
                Ok::<_, StoreError>((law::removals(tx).await?, law::removed(tx).await?, law::holds(tx).await?))
            })
        });
        let ((states, oldest), removed, holds) = counting.await?;
        metrics.law.removals(&states, oldest.map(|at| at.timestamp()));
        metrics.law.removed(&removed);
        metrics.law.holds(&holds);
        Ok(())
    }
}
