//! Tenants that were made to be shown: marked when they are made, and cleared of all they have.
//!
//! Their statements go with the months that hold nothing else: see `ledger.drop_demo_month`.

use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

use super::fills::{self, Fill, Parents};
use crate::model::{TenantId, partition::Month};
use crate::store::{
    As, Store, StoreError, Tx,
    door::tx::column,
    platform::{
        audit::{self, Entry},
        leases, tenants,
    },
};

/// A tenant with made-up statements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DemoTenant {
    pub id: TenantId,
    pub name: String,
    /// Ids of statements it has.
    pub statements: i64,
}

const LIST: &str = "/* demo::list */
    SELECT t.tenant_id, t.name, (SELECT count(*) FROM ledger.statement_ids i WHERE i.tenant_id = t.tenant_id) AS statements
    FROM platform.tenants t JOIN ledger.demo_tenants d USING (tenant_id) ORDER BY t.name";

/// Makes a tenant and marks it; `false` where the name is another's.
async fn make(tx: &Tx<'_>, id: TenantId, name: &str, by: &str, now: DateTime<Utc>) -> Result<bool, StoreError> {
    if !tenants::insert(tx, id, name, now).await? {
        return Ok(false);
    }
    let sql = "/* demo::mark */ SELECT ledger.mark_demo_tenant($1 /* tenant */)";
    tx.query_one(sql, &[&id.0]).await?;
    let (action, subject, detail) = ("tenant.create", id.to_string(), json!({ "demo": true }));
    audit::append(tx, &Entry { tenant: Some(id), actor: by, action, subject, detail }).await?;
    Ok(true)
}

const OTHERS: &str = "/* demo::others */
    WITH RECURSIVE tenants (tenant_id) AS (
        (SELECT tenant_id FROM ledger.statements WHERE stored >= $1 /* begins */ AND stored < $2 /* ends */ ORDER BY tenant_id LIMIT 1)
        UNION ALL
        SELECT (SELECT s.tenant_id FROM ledger.statements s WHERE s.tenant_id > t.tenant_id AND s.stored >= $1 AND s.stored < $2
                ORDER BY s.tenant_id LIMIT 1) FROM tenants t WHERE t.tenant_id IS NOT NULL)
    SELECT tenant_id FROM tenants WHERE tenant_id IS NOT NULL
    EXCEPT SELECT tenant_id FROM ledger.demo_tenants LIMIT 1";

/// Somebody who is no demo tenant and has statements in this month.
pub async fn other_in(tx: &Tx<'_>, month: Month) -> Result<Option<TenantId>, StoreError> {
    let row = tx.query_opt(OTHERS, &[&month.begin(), &month.end()]).await?;
    row.map(|row| column::<Uuid>(&row, "tenant_id").map(TenantId)).transpose()
}

const MONTHS: &str = "/* demo::months */
    SELECT p.lower_bound FROM ledger.partitions p
    WHERE p.state IN ('open', 'sealed') AND EXISTS (
        SELECT FROM ledger.demo_tenants d CROSS JOIN LATERAL (
            SELECT FROM ledger.statements s WHERE s.tenant_id = d.tenant_id AND s.stored >= p.lower_bound AND s.stored < p.upper_bound
            LIMIT 1) s)
    ORDER BY p.month";

/// The months that hold statements of demo tenants.
pub async fn months(tx: &Tx<'_>) -> Result<Vec<Month>, StoreError> {
    tx.query(MONTHS, &[]).await?.iter().map(|row| column(row, "lower_bound").map(Month::of)).collect()
}

const AWAY: &str = "/* demo::away */
    SELECT p.lower_bound FROM ledger.partitions p
    WHERE p.state NOT IN ('open', 'sealed') AND EXISTS (
        SELECT FROM ledger.demo_tenants d JOIN ledger.statement_ids i USING (tenant_id)
        WHERE i.stored >= p.lower_bound AND i.stored < p.upper_bound)
       OR EXISTS (SELECT FROM ledger.demo_tenants d JOIN ledger.segments g USING (tenant_id)
                  WHERE g.month = p.month AND g.state <> 'removed')
    ORDER BY p.month";

/// The months that have left the ledger with statements of demo tenants in them, or of which the archive has some.
pub async fn months_away(tx: &Tx<'_>) -> Result<Vec<Month>, StoreError> {
    tx.query(AWAY, &[]).await?.iter().map(|row| column(row, "lower_bound").map(Month::of)).collect()
}

/// The months that were being filled, with statements of demo tenants and of nobody else.
async fn unfinished(tx: &Tx<'_>) -> Result<Vec<Fill>, StoreError> {
    let mut only_ours = Vec::new();
    for fill in fills::all(tx).await?.into_iter().filter(|fill| fill.parents == Parents::Hot) {
        let sql = format!(
            "/* demo::unfinished */ SELECT FROM ledger.filling_statements_{} f
             WHERE NOT EXISTS (SELECT FROM ledger.demo_tenants d WHERE d.tenant_id = f.tenant_id) LIMIT 1",
            fill.month.begin().format("%Y_%m")
        );
        if tx.query_opt(&sql, &[]).await?.is_none() {
            only_ours.push(fill);
        }
    }
    Ok(only_ours)
}

const CLEARED: [&str; 16] = [
    "/* demo::clear */ DELETE FROM ledger.links_due WHERE tenant_id = $1",
    "/* demo::clear */ DELETE FROM ledger.traces WHERE tenant_id = $1",
    "/* demo::clear */ DELETE FROM progress.attempt_names WHERE tenant_id = $1",
    "/* demo::clear */ DELETE FROM progress.attempt_statements WHERE tenant_id = $1",
    "/* demo::clear */ DELETE FROM progress.attempts WHERE tenant_id = $1",
    "/* demo::clear */ DELETE FROM progress.completion_records WHERE tenant_id = $1",
    "/* demo::clear */ DELETE FROM progress.scores WHERE tenant_id = $1",
    "/* demo::clear */ DELETE FROM progress.outbox WHERE tenant_id = $1",
    "/* demo::clear */ DELETE FROM progress.told_events WHERE tenant_id = $1",
    "/* demo::clear */ DELETE FROM progress.attempt_closures WHERE tenant_id = $1",
    "/* demo::clear */ DELETE FROM progress.silences WHERE tenant_id = $1",
    "/* demo::clear */ DELETE FROM progress.satisfied_due WHERE tenant_id = $1",
    "/* demo::clear */ DELETE FROM progress.activity WHERE tenant_id = $1",
    "/* demo::clear */ DELETE FROM progress.activity_due WHERE tenant_id = $1",
    "/* demo::clear */ DELETE FROM progress.activity_counted WHERE tenant_id = $1",
    "/* demo::clear */ DELETE FROM progress.learner_days WHERE tenant_id = $1",
];

impl Store {
    /// All of them, by name.
    pub async fn demo_tenants(&self) -> Result<Vec<DemoTenant>, StoreError> {
        self.run_tx("demo_tenants", As::Worker, |tx| {
            Box::pin(async move {
                let rows = tx.query(LIST, &[]).await?;
                let tenant = |row: &tokio_postgres::Row| {
                    let id = TenantId(column(row, "tenant_id")?);
                    Ok(DemoTenant { id, name: column(row, "name")?, statements: column(row, "statements")? })
                };
                rows.iter().map(tenant).collect()
            })
        })
        .await
    }

    /// Makes a tenant whose past is made up; `false` where the name is taken.
    pub async fn make_demo_tenant(
        &self,
        id: TenantId,
        name: &str,
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        self.run_once("make_demo_tenant", As::Worker, |tx| Box::pin(make(tx, id, name, by, now))).await
    }

    /// See [`months_away`].
    pub async fn demo_months_away(&self) -> Result<Vec<Month>, StoreError> {
        self.run_tx("demo_months_away", As::Worker, |tx| Box::pin(months_away(tx))).await
    }

    /// The months that a seeding which was broken off has begun to fill.
    pub async fn demo_months_unfinished(&self) -> Result<Vec<Fill>, StoreError> {
        self.run_tx("demo_months_unfinished", As::Worker, |tx| Box::pin(unfinished(tx))).await
    }

    /// See [`other_in`].
    pub async fn other_in_month(&self, month: Month) -> Result<Option<TenantId>, StoreError> {
        self.run_tx("other_in_month", As::Worker, |tx| Box::pin(other_in(tx, month))).await
    }

    /// See [`months`].
    pub async fn demo_months(&self) -> Result<Vec<Month>, StoreError> {
        self.run_tx("demo_months", As::Worker, |tx| Box::pin(months(tx))).await
    }

    /// Removes a month that holds nothing but what demo tenants have; answers whether it was there.
    pub async fn drop_demo_month(&self, month: Month) -> Result<bool, StoreError> {
        self.run_tx("drop_demo_month", As::Worker, |tx| {
            Box::pin(async move {
                leases::check(tx).await?;
                let sql = "/* demo::drop_month */ SELECT ledger.drop_demo_month($1 /* moment */) AS dropped";
                column(&tx.query_one(sql, &[&month.begin()]).await?, "dropped")
            })
        })
        .await
    }

    /// Removes at most `most` rows of each table of the ledger that a demo tenant has beside its statements, and, where there are
    /// none, what was made of them; answers how many rows it were.
    pub async fn clear_demo_tenant(&self, tenant: TenantId, most: i64) -> Result<i64, StoreError> {
        self.run_tx("clear_demo_tenant", As::Worker, |tx| {
            Box::pin(async move {
                leases::check(tx).await?;
                let sql = "/* demo::clear */ SELECT ledger.clear_demo_tenant($1 /* tenant */, $2 /* most */) AS gone";
                let gone: i64 = column(&tx.query_one(sql, &[&tenant.0, &most]).await?, "gone")?;
                if gone == 0 {
                    for sql in CLEARED {
                        tx.execute(sql, &[&tenant.0]).await?;
                    }
                }
                Ok(gone)
            })
        })
        .await
    }
}
