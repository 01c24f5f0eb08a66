//! What the relay reads of the ledger, and how far it has come.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::model::TenantId;
use crate::store::{As, Store, StoreError, door::tx::column, ledger::statements, platform::leases};

/// A part of the tenants: those whose id's last byte leaves `index` when divided by `of`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    pub index: i32,
    pub of: i32,
}

impl Share {
    /// Every tenant.
    pub const WHOLE: Self = Self { index: 0, of: 1 };
}

/// A statement that is to go out.
#[derive(Clone, Debug)]
pub struct Outgoing {
    pub id: Uuid,
    pub stored: DateTime<Utc>,
    pub occurred: Option<DateTime<Utc>>,
    pub agent_key: Option<Uuid>,
    pub payload: String,
}

/// A tenant with statements that have not gone out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub tenant: TenantId,
    /// The last moment that has gone out.
    pub after: DateTime<Utc>,
    /// The first that has not.
    pub oldest: DateTime<Utc>,
}

impl Store {
    /// The tenants of the share that have something to send.
    pub async fn relay_positions(&self, share: Share) -> Result<Vec<Position>, StoreError> {
        self.run_tx("relay_positions", As::Worker, |tx| {
            Box::pin(async move {
                let rows = tx
                    .query(
                        "/* relay::relay_positions */ SELECT t.tenant_id, coalesce(c.position, 'epoch') AS position, s.stored
                         FROM platform.tenants t LEFT JOIN progress.relay_cursors c USING (tenant_id)
                         CROSS JOIN LATERAL (
                             SELECT stored FROM ledger.statements
                             WHERE tenant_id = t.tenant_id AND stored > coalesce(c.position, 'epoch')
                             ORDER BY stored LIMIT 1) s
                         WHERE get_byte(uuid_send(t.tenant_id), 15) % $2 = $1
                         ORDER BY t.tenant_id",
                        &[&share.index, &share.of],
                    )
                    .await?;
                let position = |row| {
                    let tenant = TenantId(column(row, "tenant_id")?);
                    Ok(Position { tenant, after: column(row, "position")?, oldest: column(row, "stored")? })
                };
                rows.iter().map(position).collect()
            })
        })
        .await
    }

    /// The next statements of a tenant in the order of the ledger, all of them final: nothing can appear before them.
    pub async fn relay_batch(
        &self,
        tenant: TenantId,
        after: DateTime<Utc>,
        most: i64,
    ) -> Result<Vec<Outgoing>, StoreError> {
        self.run_tx("relay_batch", As::Worker, |tx| {
            Box::pin(async move {
                let bound = statements::safe_bound(tx).await?;
                let rows = tx
                    .query(
                        "/* relay::relay_batch */ SELECT id, stored, occurred, agent_key, payload FROM ledger.statements
                         WHERE tenant_id = $1 AND stored > $2 AND stored < $3 ORDER BY stored LIMIT $4",
                        &[&tenant.0, &after, &bound, &most],
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
    pub async fn relay_advance(
        &self,
        tenant: TenantId,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        self.run_tx("relay_advance", As::Worker, |tx| {
            Box::pin(async move {
                leases::check(tx).await?;
                let moved = tx
                    .execute(
                        "/* relay::relay_advance */ INSERT INTO progress.relay_cursors AS c (tenant_id, position)
                         VALUES ($1, $2)
                         ON CONFLICT (tenant_id) DO UPDATE SET position = excluded.position, updated_at = clock_timestamp()
                             WHERE c.position = $3",
                        &[&tenant.0, &to, &from],
                    )
                    .await?;
                Ok(moved > 0)
            })
        })
        .await
    }
}
