//! What a tenant had is removed from a cell in which it is not at home: piece by piece, so that nobody waits.
//!
//! Keys of its clients stay, so that they are told where it went; so do rules, flags and the audit trail, which say nothing of people.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::model::{TenantId, partition::Month};
use crate::store::{
    As, Store, StoreError, Tx,
    door::tx::column,
    ledger::{holds, segments, tables::Tables},
    platform::leases,
};

/// Rows of each table at once.
const MOST: i64 = 5_000;

const STATEMENTS: &str = "/* leaving::statements */
    WITH piece AS (SELECT stored FROM ledger.statements WHERE tenant_id = $1 /* tenant */ ORDER BY stored LIMIT $2 /* most */),
         gone AS (DELETE FROM ledger.statements s WHERE s.tenant_id = $1 AND s.stored <= (SELECT max(stored) FROM piece) RETURNING s.stored)
    SELECT count(*) AS gone FROM gone";

const RELATIONS: &str = "/* leaving::relations */
    WITH piece AS (SELECT key, stored FROM ledger.relations WHERE tenant_id = $1 /* tenant */ ORDER BY key, stored LIMIT $2 /* most */),
         gone AS (DELETE FROM ledger.relations r USING piece WHERE r.tenant_id = $1 AND r.key = piece.key AND r.stored = piece.stored
                  RETURNING r.stored)
    SELECT count(*) AS gone FROM gone";

const BESIDE: [&str; 25] = [
    "/* leaving::links_due */ DELETE FROM ledger.links_due WHERE tenant_id = $1",
    "/* leaving::traces */ DELETE FROM ledger.traces WHERE tenant_id = $1",
    "/* leaving::hidden */ DELETE FROM ledger.hidden WHERE tenant_id = $1",
    "/* leaving::hidden_persons */ DELETE FROM ledger.hidden_persons WHERE tenant_id = $1",
    "/* leaving::erased_identifiers */ DELETE FROM ledger.erased_identifiers WHERE tenant_id = $1",
    "/* leaving::attempt_names */ DELETE FROM progress.attempt_names WHERE tenant_id = $1",
    "/* leaving::attempt_statements */ DELETE FROM progress.attempt_statements WHERE tenant_id = $1",
    "/* leaving::attempts */ DELETE FROM progress.attempts WHERE tenant_id = $1",
    "/* leaving::completion_records */ DELETE FROM progress.completion_records WHERE tenant_id = $1",
    "/* leaving::scores */ DELETE FROM progress.scores WHERE tenant_id = $1",
    "/* leaving::outbox */ DELETE FROM progress.outbox WHERE tenant_id = $1",
    "/* leaving::told_events */ DELETE FROM progress.told_events WHERE tenant_id = $1",
    "/* leaving::attempt_closures */ DELETE FROM progress.attempt_closures WHERE tenant_id = $1",
    "/* leaving::forwards */ DELETE FROM progress.forwards WHERE tenant_id = $1",
    "/* leaving::silences */ DELETE FROM progress.silences WHERE tenant_id = $1",
    "/* leaving::satisfied_due */ DELETE FROM progress.satisfied_due WHERE tenant_id = $1",
    "/* leaving::saga_requests */ DELETE FROM progress.saga_requests WHERE tenant_id = $1 AND kind <> 'residency'",
    "/* leaving::anonymous_counts */ UPDATE progress.anonymous_counts SET attempts = 0, people = 0 WHERE tenant_id = $1",
    "/* leaving::activity */ DELETE FROM progress.activity WHERE tenant_id = $1",
    "/* leaving::activity_due */ DELETE FROM progress.activity_due WHERE tenant_id = $1",
    "/* leaving::activity_counted */ DELETE FROM progress.activity_counted WHERE tenant_id = $1",
    "/* leaving::learner_days */ DELETE FROM progress.learner_days WHERE tenant_id = $1",
    "/* leaving::sessions */ DELETE FROM platform.sessions WHERE tenant_id = $1",
    "/* leaving::person_sessions */ DELETE FROM platform.person_sessions WHERE tenant_id = $1",
    "/* leaving::launches */ DELETE FROM platform.credentials WHERE tenant_id = $1 AND registration IS NOT NULL AND expires_at < now()",
];

const CMI5: [&str; 2] = [
    "/* leaving::cmi5_marks */ DELETE FROM progress.cmi5_marks WHERE tenant_id = $1",
    "/* leaving::course_units */ DELETE FROM progress.course_units WHERE tenant_id = $1",
];

/// Tables with rows that say something of people.
const OF_PEOPLE: [&str; 13] = [
    "ledger.statements",
    "ledger.relations",
    "ledger.detached_statements",
    "ledger.detached_relations",
    "ledger.statement_ids",
    "ledger.documents",
    "ledger.attachments",
    "ledger.agents",
    "progress.attempts",
    "progress.attempt_names",
    "progress.attempt_statements",
    "progress.completion_records",
    "progress.learner_days",
];

impl Store {
    /// Ends the holds of a tenant that is not at home here: they stand where it is.
    pub async fn release_moved_holds(&self, tenant: TenantId, by: &str, reason: &str) -> Result<(), StoreError> {
        self.run_tx("release_moved_holds", As::Retention(tenant), |tx| {
            Box::pin(async move {
                for hold in holds::list(tx, Some(tenant), false).await? {
                    holds::release(tx, tenant, hold.id, by, reason).await?;
                }
                Ok(())
            })
        })
        .await
    }

    /// Removes a piece of what the tenant has here; answers how many rows of the ledger went, 0 at the end.
    pub async fn remove_moved(&self, tenant: TenantId, move_id: Uuid) -> Result<u64, StoreError> {
        let gone = self.run_tx("remove_moved", As::Eraser(tenant), |tx| Box::pin(statements(tx, tenant))).await?;
        if gone > 0 {
            return Ok(gone);
        }
        self.run_tx("clear_moved", As::Worker, |tx| Box::pin(beside(tx, tenant, move_id))).await
    }

    /// The months of which the tenant has objects in the archive here.
    pub async fn segments_of_moved(&self, tenant: TenantId) -> Result<Vec<Month>, StoreError> {
        self.run_tx("segments_of_moved", As::Worker, |tx| Box::pin(segments::left(tx, tenant))).await
    }

    /// How many rows there are that say something of people, by table, where there are any; the archive counts by months.
    pub async fn left_of_moved(&self, tenant: TenantId) -> Result<Vec<(&'static str, i64)>, StoreError> {
        self.run_tx("left_of_moved", As::Worker, |tx| {
            Box::pin(async move {
                let mut left = Vec::new();
                for table in OF_PEOPLE {
                    let sql = format!("/* leaving::left */ SELECT count(*) AS rows FROM {table} WHERE tenant_id = $1");
                    let rows: i64 = column(&tx.query_one(&sql, &[&tenant.0]).await?, "rows")?;
                    if rows > 0 {
                        left.push((table, rows));
                    }
                }
                let months = segments::left(tx, tenant).await?.len();
                if months > 0 {
                    left.push(("ledger.segments", i64::try_from(months).unwrap_or(i64::MAX)));
                }
                Ok(left)
            })
        })
        .await
    }
}

async fn statements(tx: &Tx<'_>, tenant: TenantId) -> Result<u64, StoreError> {
    leases::check(tx).await?;
    let mut all = 0;
    for tables in [Tables::Hot, Tables::Detached] {
        let gone: i64 = column(&tx.query_one(&tables.sql(STATEMENTS), &[&tenant.0, &MOST]).await?, "gone")?;
        let related: i64 = column(&tx.query_one(&tables.sql(RELATIONS), &[&tenant.0, &(4 * MOST)]).await?, "gone")?;
        all += gone.unsigned_abs() + related.unsigned_abs();
    }
    Ok(all)
}

async fn beside(tx: &Tx<'_>, tenant: TenantId, move_id: Uuid) -> Result<u64, StoreError> {
    leases::check(tx).await?;
    tx.query_one("/* leaving::named */ SELECT set_config('app.move_id', $1::uuid::text, true)", &[&move_id]).await?;
    let sql = "/* leaving::clear */ SELECT ledger.clear_moved_tenant($1 /* tenant */, $2 /* most */) AS gone";
    let gone: i64 = column(&tx.query_one(sql, &[&tenant.0, &MOST]).await?, "gone")?;
    if gone == 0 {
        for sql in BESIDE {
            tx.execute(sql, &[&tenant.0]).await?;
        }
        tx.act_as(As::Tenant(tenant)).await?;
        for sql in CMI5 {
            tx.execute(sql, &[&tenant.0]).await?;
        }
    }
    Ok(gone.unsigned_abs())
}

/// The moment at which the newest statement of the tenant was stored here.
pub async fn newest(tx: &Tx<'_>, tenant: TenantId) -> Result<Option<DateTime<Utc>>, StoreError> {
    let sql =
        "/* leaving::newest */ SELECT max(stored) AS newest FROM ledger.statements WHERE tenant_id = $1 /* tenant */";
    column(&tx.query_one(sql, &[&tenant.0]).await?, "newest")
}
