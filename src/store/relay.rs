//! What the relay reads of the ledger, and how far it has come with each tenant.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{As, Store, StoreError, run_tx::column, statements};
use crate::model::TenantId;

/// A statement that is to go out.
#[derive(Clone, Debug)]
pub struct Outgoing {
    pub id: Uuid,
    pub stored: DateTime<Utc>,
    pub occurred: Option<DateTime<Utc>>,
    pub agent_key: Option<Uuid>,
    pub payload: String,
}

/// A tenant and the last moment that has gone out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub tenant: TenantId,
    pub after: DateTime<Utc>,
}

impl Store {
    pub async fn relay_positions(&self) -> Result<Vec<Position>, StoreError> {
        self.run_tx("relay_positions", As::Worker, |tx| {
            Box::pin(async move {
                let rows = tx
                    .query(
                        "/* relay_positions */ SELECT t.tenant_id, coalesce(c.position, 'epoch') AS position
                         FROM platform.tenants t LEFT JOIN progress.relay_cursors c USING (tenant_id)
                         ORDER BY t.tenant_id",
                        &[],
                    )
                    .await?;
                let position =
                    |row| Ok(Position { tenant: TenantId(column(row, "tenant_id")?), after: column(row, "position")? });
                rows.iter().map(position).collect()
            })
        })
        .await
    }

    /// The next statements of a tenant in the order of the ledger, all of them final: nothing can appear before them.
    pub async fn relay_batch(&self, from: Position, most: i64) -> Result<Vec<Outgoing>, StoreError> {
        self.run_tx("relay_batch", As::Worker, |tx| {
            Box::pin(async move {
                let bound = statements::safe_bound(tx).await?;
                let rows = tx
                    .query(
                        "/* relay_batch */ SELECT id, stored, occurred, agent_key, payload FROM ledger.statements
                         WHERE tenant_id = $1 AND stored > $2 AND stored < $3 ORDER BY stored LIMIT $4",
                        &[&from.tenant.0, &from.after, &bound, &most],
                    )
                    .await?;
                rows.iter()
                    .map(|row| {
                        Ok(Outgoing {
                            id: column(row, "id")?,
                            stored: column(row, "stored")?,
                            occurred: column(row, "occurred")?,
                            agent_key: column(row, "agent_key")?,
                            payload: column(row, "payload")?,
                        })
                    })
                    .collect()
            })
        })
        .await
    }

    /// Moves a tenant on, unless somebody else has moved it meanwhile; answers whether it did.
    pub async fn relay_advance(&self, from: Position, to: DateTime<Utc>) -> Result<bool, StoreError> {
        self.run_tx("relay_advance", As::Worker, |tx| {
            Box::pin(async move {
                let moved = tx
                    .execute(
                        "/* relay_advance */ INSERT INTO progress.relay_cursors AS c (tenant_id, position)
                         VALUES ($1, $2)
                         ON CONFLICT (tenant_id) DO UPDATE SET position = excluded.position, updated_at = clock_timestamp()
                             WHERE c.position = $3",
                        &[&from.tenant.0, &to, &from.after],
                    )
                    .await?;
                Ok(moved > 0)
            })
        })
        .await
    }
}
