//! Statements out of segments by the keys they have, whichever tables hold their months as well.

use super::{Cold, ColdError, Segments};
use crate::{
    model::{TenantId, partition::Month},
    objects::{
        segment::{Filter, Place, Row, Span},
        shelf::Wanted,
    },
    store::{
        As,
        ledger::away::{self, Published},
    },
};

/// Statements that are in memory together, at most, and their payloads.
const TOGETHER: usize = 500;
const BYTES: usize = 8 << 20;

impl Cold {
    /// The published segments of a tenant. No storage is asked.
    pub async fn published(&self, tenant: TenantId) -> Result<Vec<Published>, ColdError> {
        Ok(self.store.run_tx("published", As::Tenant(tenant), |tx| Box::pin(away::published(tx, tenant))).await?)
    }

    /// Gives `each` the statements of a tenant's published segments, from this month on or of all, that answer the filter, hidden
    /// or not; answers which segments there are.
    pub async fn sift(
        &self,
        tenant: TenantId,
        (filter, from): (&Filter, Option<Month>),
        each: &mut (dyn FnMut(&Published, Row) + Send),
    ) -> Result<Vec<Published>, ColdError> {
        if self.published(tenant).await?.is_empty() {
            return Ok(Vec::new());
        }
        let Segments { visit, published, .. } = self.segments(tenant).await?;
        for one in published.iter().filter(|one| from.is_none_or(|from| one.month >= from)) {
            let place = Place { tenant, month: one.month, revision: one.revision };
            let wanted = Wanted { place, digest: one.digest.clone() };
            let mut span = Span { ascending: true, since: None, until: None, limit: TOGETHER, bytes: BYTES };
            loop {
                let rows = visit.select(&wanted, filter, &span).await?;
                let Some(last) = rows.last() else { break };
                span.since = Some(last.stored);
                rows.into_iter().for_each(|row| each(one, row));
            }
        }
        Ok(published)
    }
}
