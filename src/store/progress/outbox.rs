//! The outbox: events that are told in the transaction of what they tell, until the relay has sent them.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::relay::Share;
use crate::model::TenantId;
use crate::store::{As, Store, StoreError, Tx, door::tx::column, platform::leases};

/// An event to be told.
#[derive(Clone, Copy, Debug)]
pub struct Telling<'a> {
    pub id: Uuid,
    pub kind: &'a str,
    pub key: &'a str,
    pub correlation: &'a str,
    pub causation: Uuid,
    pub occurred: DateTime<Utc>,
    /// A JSON object as text.
    pub data: &'a str,
}

/// An event as it waits in the outbox.
#[derive(Clone, Debug)]
pub struct Told {
    pub tenant: TenantId,
    pub id: Uuid,
    pub kind: String,
    pub key: String,
    pub correlation: String,
    pub causation: Uuid,
    pub occurred: DateTime<Utc>,
    pub created: DateTime<Utc>,
    pub data: String,
}

const PUT: &str = "/* outbox::put */ INSERT INTO progress.outbox
         (tenant_id, id, type, key, correlation_id, causation_id, occurred_at, data)
     SELECT $1, new.id, new.type, new.key, new.correlation, new.causation, new.occurred, new.data
     FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::uuid[], $7::timestamptz[], $8::text[])
          WITH ORDINALITY AS new (id, type, key, correlation, causation, occurred, data, place)
     WHERE NOT EXISTS (SELECT FROM progress.told_events t WHERE t.tenant_id = $1 AND t.id = new.id)
     ORDER BY new.place ON CONFLICT DO NOTHING";

/// Puts events into the outbox in this order, but for those that were told before.
pub async fn put(tx: &Tx<'_>, tenant: TenantId, events: &[Telling<'_>]) -> Result<(), StoreError> {
    let ids: Vec<Uuid> = events.iter().map(|event| event.id).collect();
    let kinds: Vec<&str> = events.iter().map(|event| event.kind).collect();
    let keys: Vec<&str> = events.iter().map(|event| event.key).collect();
    let correlations: Vec<&str> = events.iter().map(|event| event.correlation).collect();
    let causes: Vec<Uuid> = events.iter().map(|event| event.causation).collect();
    let times: Vec<DateTime<Utc>> = events.iter().map(|event| event.occurred).collect();
    let data: Vec<&str> = events.iter().map(|event| event.data).collect();
    tx.execute(PUT, &[&tenant.0, &ids, &kinds, &keys, &correlations, &causes, &times, &data]).await.map(drop)
}

impl Store {
    /// The oldest events of the share's outbox. One tenant's are in the order in which they were told: whoever writes
    /// them holds the tenant's projection cursor until its end, so a later position is never visible before an earlier.
    pub async fn outbox_batch(&self, share: Share, most: i64) -> Result<Vec<Told>, StoreError> {
        self.run_tx("outbox_batch", As::Worker, |tx| {
            Box::pin(async move {
                let rows = tx
                    .query(
                        "/* outbox::outbox_batch */ SELECT tenant_id, id, type, key, correlation_id, causation_id, occurred_at,
                             created_at, data
                         FROM progress.outbox
                         WHERE published_at IS NULL AND get_byte(uuid_send(tenant_id), 15) % $2 = $1
                         ORDER BY position LIMIT $3",
                        &[&share.index, &share.of, &most],
                    )
                    .await?;
                rows.iter()
                    .map(|row| {
                        Ok(Told {
                            tenant: TenantId(column(row, "tenant_id")?),
                            id: column(row, "id")?,
                            kind: column(row, "type")?,
                            key: column(row, "key")?,
                            correlation: column(row, "correlation_id")?,
                            causation: column(row, "causation_id")?,
                            occurred: column(row, "occurred_at")?,
                            created: column(row, "created_at")?,
                            data: column(row, "data")?,
                        })
                    })
                    .collect()
            })
        })
        .await
    }

    /// Marks events as published.
    pub async fn outbox_published(&self, events: &[Told]) -> Result<(), StoreError> {
        let tenants: Vec<Uuid> = events.iter().map(|event| event.tenant.0).collect();
        let ids: Vec<Uuid> = events.iter().map(|event| event.id).collect();
        self.run_tx("outbox_published", As::Worker, |tx| {
            let (tenants, ids) = (tenants.clone(), ids.clone());
            Box::pin(async move {
                leases::check(tx).await?;
                let sql = "/* outbox::outbox_published */ UPDATE progress.outbox o SET published_at = clock_timestamp()
                    FROM unnest($1::uuid[], $2::uuid[]) AS sent (tenant_id, id)
                    WHERE o.tenant_id = sent.tenant_id AND o.id = sent.id AND o.published_at IS NULL";
                tx.execute(sql, &[&tenants, &ids]).await.map(drop)
            })
        })
        .await
    }

    /// Forgets up to `most` events that were published before `before`, but for their ids: an event that was told once
    /// is not told again. Answers how many those were.
    pub async fn outbox_prune(&self, before: DateTime<Utc>, most: i64) -> Result<u64, StoreError> {
        self.run_tx("outbox_prune", As::Worker, |tx| {
            Box::pin(async move {
                leases::check(tx).await?;
                let sql = "/* outbox::outbox_prune */ WITH old AS (
                        SELECT tenant_id, id FROM progress.outbox WHERE published_at < $1 ORDER BY published_at LIMIT $2
                        FOR UPDATE SKIP LOCKED),
                    gone AS (
                        DELETE FROM progress.outbox o USING old WHERE o.tenant_id = old.tenant_id AND o.id = old.id
                        RETURNING o.tenant_id, o.id)
                    INSERT INTO progress.told_events (tenant_id, id) SELECT tenant_id, id FROM gone ON CONFLICT DO NOTHING";
                tx.execute(sql, &[&before, &most]).await
            })
        })
        .await
    }
}
