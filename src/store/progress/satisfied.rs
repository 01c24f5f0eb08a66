//! Registrations to look at, because something was said of them in a tenant that asks for `satisfied`.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    model::TenantId,
    store::{StoreError, Tx, door::tx::column, platform::leases},
};

/// An attempt to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    pub tenant: TenantId,
    pub attempt: String,
    pub until: DateTime<Utc>,
}

/// Notes attempts of which something was said, where the tenant asks for it.
pub async fn note(tx: &Tx<'_>, tenant: TenantId, attempts: &[String], until: DateTime<Utc>) -> Result<(), StoreError> {
    tx.execute(
        "/* satisfied::note */ INSERT INTO progress.satisfied_due (tenant_id, attempt_id, until)
         SELECT $1, new.id, $3 FROM unnest($2::text[]) AS new (id)
         WHERE EXISTS (SELECT FROM platform.tenants t WHERE t.tenant_id = $1 AND t.cmi5_satisfied)
         ORDER BY new.id
         ON CONFLICT (tenant_id, attempt_id) DO UPDATE SET until = greatest(satisfied_due.until, excluded.until)",
        &[&tenant.0, &attempts, &until],
    )
    .await
    .map(drop)
}

/// Notes every open attempt of a tenant, if it asks for it: what was said before a course was known, or before anybody
/// asked, counts too.
pub async fn note_open(tx: &Tx<'_>, tenant: TenantId) -> Result<(), StoreError> {
    tx.execute(
        "/* satisfied::note_open */ INSERT INTO progress.satisfied_due (tenant_id, attempt_id, until)
         SELECT a.tenant_id, a.id, clock_timestamp() FROM progress.attempts a
         WHERE a.tenant_id = $1 AND a.state = 'open'
           AND EXISTS (SELECT FROM platform.tenants t WHERE t.tenant_id = $1 AND t.cmi5_satisfied)
           AND EXISTS (SELECT FROM progress.attempt_statements s
                       WHERE s.tenant_id = $1 AND s.attempt_id = a.id AND s.is_cmi5)
         ORDER BY a.id
         ON CONFLICT (tenant_id, attempt_id) DO UPDATE SET until = greatest(satisfied_due.until, excluded.until)",
        &[&tenant.0],
    )
    .await
    .map(drop)
}

/// Some of what is due, of all tenants.
pub async fn due(tx: &Tx<'_>, most: i64) -> Result<Vec<Due>, StoreError> {
    let rows = tx
        .query(
            "/* satisfied::due */ SELECT tenant_id, attempt_id, until FROM progress.satisfied_due
             ORDER BY until, tenant_id, attempt_id LIMIT $1",
            &[&most],
        )
        .await?;
    let due = |row: &tokio_postgres::Row| {
        let (tenant, attempt) = (TenantId(column(row, "tenant_id")?), column(row, "attempt_id")?);
        Ok(Due { tenant, attempt, until: column(row, "until")? })
    };
    rows.iter().map(due).collect()
}

/// Forgets what was looked at, unless more was said meanwhile.
pub async fn done(tx: &Tx<'_>, due: &Due) -> Result<(), StoreError> {
    leases::check(tx).await?;
    tx.execute(
        "/* satisfied::done */ DELETE FROM progress.satisfied_due
         WHERE tenant_id = $1 AND attempt_id = $2 AND until = $3",
        &[&due.tenant.0, &due.attempt, &due.until],
    )
    .await
    .map(drop)
}

/// Whether an attempt is still open.
pub async fn is_open(tx: &Tx<'_>, due: &Due) -> Result<bool, StoreError> {
    let sql = "/* satisfied::is_open */ SELECT EXISTS (SELECT FROM progress.attempts
        WHERE tenant_id = $1 AND id = $2 AND state = 'open') AS open";
    column(&tx.query_one(sql, &[&due.tenant.0, &due.attempt]).await?, "open")
}

/// Those of the statements that are in the ledger, or were.
pub async fn said(tx: &Tx<'_>, tenant: TenantId, ids: &[Uuid]) -> Result<Vec<Uuid>, StoreError> {
    let rows = tx
        .query(
            "/* satisfied::said */ SELECT s.id FROM unnest($2::uuid[]) AS wanted (id)
             CROSS JOIN LATERAL (SELECT id FROM ledger.statement_ids s
                                 WHERE s.tenant_id = $1 AND s.id = wanted.id OFFSET 0) s",
            &[&tenant.0, &ids],
        )
        .await?;
    rows.iter().map(|row| column(row, "id")).collect()
}

/// The texts of statements, each by its moment and id.
pub async fn texts(
    tx: &Tx<'_>,
    tenant: TenantId,
    wanted: &[(DateTime<Utc>, Uuid)],
) -> Result<Vec<(Uuid, String)>, StoreError> {
    let (stored, ids): (Vec<DateTime<Utc>>, Vec<Uuid>) = wanted.iter().copied().unzip();
    let rows = tx
        .query(
            "/* satisfied::texts */ SELECT s.id, s.payload
             FROM unnest($2::timestamptz[], $3::uuid[]) AS wanted (stored, id)
             CROSS JOIN LATERAL (SELECT id, payload FROM ledger.statements s
                                 WHERE s.tenant_id = $1 AND s.stored = wanted.stored AND s.id = wanted.id OFFSET 0) s",
            &[&tenant.0, &stored, &ids],
        )
        .await?;
    rows.iter().map(|row| Ok((column(row, "id")?, column(row, "payload")?))).collect()
}
