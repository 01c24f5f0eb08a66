//! Which trace a new statement belongs to: for requests that are traced, until their events are out and read.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::statements::Id;
use crate::model::TenantId;
use crate::store::{As, Store, StoreError, Tx, door::tx::column, platform::leases};
use crate::telemetry::TraceContext;

/// A new statement, and the span that wrote it.
#[derive(Clone, Copy, Debug)]
pub struct Traced {
    pub of: Id,
    pub context: TraceContext,
}

/// Keeps them, in the transaction that writes their statements.
pub async fn keep(tx: &Tx<'_>, traced: &[Traced]) -> Result<(), StoreError> {
    if traced.is_empty() {
        return Ok(());
    }
    let (tenants, ids): (Vec<Uuid>, Vec<Uuid>) = traced.iter().map(|one| (one.of.0.0, one.of.1)).unzip();
    let contexts: Vec<String> = traced.iter().map(|one| one.context.to_string()).collect();
    tx.execute(
        "/* traces::keep */ INSERT INTO ledger.traces (tenant_id, statement_id, traceparent)
         SELECT new.* FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS new",
        &[&tenants, &ids, &contexts],
    )
    .await
    .map(drop)
}

impl Store {
    /// The spans that wrote those of the statements whose requests are traced.
    pub async fn traces_of(&self, statements: &[Id]) -> Result<HashMap<Id, TraceContext>, StoreError> {
        let (tenants, ids): (Vec<Uuid>, Vec<Uuid>) = statements.iter().map(|(tenant, id)| (tenant.0, *id)).unzip();
        let (tenants, ids) = (&tenants, &ids);
        self.run_tx("traces", As::Worker, |tx| {
            Box::pin(async move {
                let rows = tx
                    .query(
                        "/* traces::of */ SELECT wanted.*, t.traceparent
                         FROM unnest($1::uuid[], $2::uuid[]) AS wanted (tenant_id, id)
                         CROSS JOIN LATERAL (SELECT traceparent FROM ledger.traces t
                             WHERE t.tenant_id = wanted.tenant_id AND t.statement_id = wanted.id
                             ORDER BY number DESC LIMIT 1) t",
                        &[tenants, ids],
                    )
                    .await?;
                let mut found = HashMap::new();
                for row in &rows {
                    let text: String = column(row, "traceparent")?;
                    let of = (TenantId(column(row, "tenant_id")?), column(row, "id")?);
                    found.extend(TraceContext::parse(&text).map(|context| (of, context)));
                }
                Ok(found)
            })
        })
        .await
    }

    /// Forgets up to `most` that were kept before `before`; answers how many those were.
    pub async fn traces_prune(&self, before: DateTime<Utc>, most: i64) -> Result<u64, StoreError> {
        self.run_tx("traces_prune", As::Worker, |tx| {
            Box::pin(async move {
                leases::check(tx).await?;
                let sql = "/* traces::prune */ DELETE FROM ledger.traces t USING (
                        SELECT number FROM ledger.traces WHERE made_at < $1 ORDER BY made_at LIMIT $2 FOR UPDATE SKIP LOCKED) old
                    WHERE t.number = old.number";
                tx.execute(sql, &[&before, &most]).await
            })
        })
        .await
    }
}
