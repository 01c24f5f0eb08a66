//! How many requests there are, what waits, since when, and what was removed, for who watches.

use super::{ErasureError, Erasures};
use crate::{
    store::{As, StoreError, ledger::law},
    telemetry::Metrics,
};

impl Erasures {
    /// Counts it.
    pub async fn measure(&self, metrics: &Metrics) -> Result<(), ErasureError> {
        let counting = self.cold.store().run_tx("measure_erasures", As::Worker, |tx| {
            Box::pin(async move { Ok::<_, StoreError>((law::erasures(tx).await?, law::erased(tx).await?)) })
        });
        let ((states, oldest), erased) = counting.await?;
        metrics.law.erasures(&states, oldest.map(|at| at.timestamp()));
        metrics.law.erased(&erased);
        Ok(())
    }
}
