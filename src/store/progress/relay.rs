//! What the relay reads of the ledger, and how far it has come.

use chrono::{DateTime, Utc};
use futures_util::future::try_join_all;
use uuid::Uuid;

use crate::model::TenantId;
use crate::store::{
    As, Store, StoreError, Tx,
    door::tx::column,
    ledger::statements,
    platform::{leases, tenants},
};

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
    /// The tenants of the share that have something to send, of those or of all, and how many tenants there are.
    pub async fn relay_positions(
        &self,
        share: Share,
        among: Option<&[TenantId]>,
    ) -> Result<(Vec<Position>, usize), StoreError> {
        let among: &Option<Vec<Uuid>> = &among.map(|among| among.iter().map(|tenant| tenant.0).collect());
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
                           AND ($3::uuid[] IS NULL OR t.tenant_id = ANY ($3))
                         ORDER BY t.tenant_id",
                        &[&share.index, &share.of, among],
                    )
                    .await?;
                let position = |row| {
                    let tenant = TenantId(column(row, "tenant_id")?);
                    Ok(Position { tenant, after: column(row, "position")?, oldest: column(row, "stored")? })
                };
                let positions = rows.iter().map(position).collect::<Result<_, StoreError>>()?;
                Ok((positions, if among.is_none() { tenants::count(tx).await? } else { 0 }))
            })
        })
        .await
    }

    /// The next statements of each of the tenants, after the moment that goes with it, in the order of the ledger, all of them
    /// final: nothing can appear before them.
    pub async fn relay_batches(
        &self,
        asked: &[(TenantId, DateTime<Utc>)],
        most: i64,
    ) -> Result<Vec<Vec<Outgoing>>, StoreError> {
        self.run_tx("relay_batch", As::Worker, |tx| {
            Box::pin(async move {
                let bound = statements::safe_bound(tx).await?;
                try_join_all(asked.iter().map(|(tenant, after)| batch(tx, *tenant, *after, bound, most))).await
            })
        })
        .await
    }

    /// Moves tenants on, each unless somebody else has moved it meanwhile; answers which it did.
    pub async fn relay_advance(&self, moves: &[Move]) -> Result<Vec<bool>, StoreError> {
        self.run_tx("relay_advance", As::Worker, |tx| {
            Box::pin(async move {
                leases::check(tx).await?;
                try_join_all(moves.iter().map(|one| advance(tx, *one))).await
            })
        })
        .await
    }
}

/// A tenant that is moved on. Several are moved in the order of their ids, so that two relays do not wait for each other in a
/// circle.
#[derive(Clone, Copy, Debug)]
pub struct Move {
    pub tenant: TenantId,
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
}

async fn batch(
    tx: &Tx<'_>,
    tenant: TenantId,
    after: DateTime<Utc>,
    bound: DateTime<Utc>,
    most: i64,
) -> Result<Vec<Outgoing>, StoreError> {
    let rows = tx
        .query(
            "/* relay::relay_batch */ SELECT id, stored, occurred, agent_key, payload FROM ledger.statements s
             WHERE tenant_id = $1 AND stored > $2 AND stored < $3
               AND NOT EXISTS (SELECT FROM ledger.hidden h WHERE h.tenant_id = $1 AND h.stored = s.stored)
             ORDER BY stored LIMIT $4",
            &[&tenant.0, &after, &bound, &most],
        )
        .await?;
    let outgoing = |row| {
        Ok(Outgoing {
            id: column(row, "id")?,
            stored: column(row, "stored")?,
            occurred: column(row, "occurred")?,
            agent_key: column(row, "agent_key")?,
            payload: column(row, "payload")?,
        })
    };
    rows.iter().map(outgoing).collect()
}

async fn advance(tx: &Tx<'_>, Move { tenant, from, to }: Move) -> Result<bool, StoreError> {
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
}
