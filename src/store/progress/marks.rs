//! What was said of cmi5 sessions and units that decides what may follow: one row for each such thing.

use std::collections::HashSet;

use tokio_postgres::Row;
use uuid::Uuid;

use crate::{
    cmi5::{Mark, Verb},
    model::TenantId,
    store::{As, Store, StoreError, Tx, door::tx::column, ledger::voids::voids_at},
};

/// A mark means something only within its tenant.
pub type Key = (TenantId, Uuid);

/// Those of the marks that are there. One whose statement is voided is gone for good.
pub async fn known(tx: &Tx<'_>, tenant: TenantId, keys: &[Uuid]) -> Result<Vec<Mark>, StoreError> {
    let rows = tx
        .query(
            concat!(
                "/* marks::known */ SELECT m.key, m.statement_id, m.verb, m.occurred,
                        EXISTS (SELECT FROM ledger.statement_ids s
                                JOIN ledger.refs v ON v.tenant_id = s.tenant_id AND v.target_id = s.id
                                WHERE s.tenant_id = m.tenant_id AND s.id = m.statement_id AND ",
                voids_at!("s.stored"),
                ") AS voided
                 FROM unnest($2::uuid[]) AS wanted (key)
                 CROSS JOIN LATERAL (SELECT * FROM progress.cmi5_marks m
                                     WHERE m.tenant_id = $1 AND m.key = wanted.key OFFSET 0) m"
            ),
            &[&tenant.0, &keys],
        )
        .await?;
    let (mut marks, mut voided) = (Vec::new(), Vec::new());
    for row in &rows {
        if column(row, "voided")? { voided.push(column(row, "key")?) } else { marks.push(mark(row)?) }
    }
    if !voided.is_empty() {
        forget(tx, tenant, &voided).await?;
    }
    Ok(marks)
}

/// Those of the marks that are there, and the keys of those whose statement somebody has voided, or tried to.
pub async fn seen(tx: &Tx<'_>, keys: &[Key]) -> Result<(Vec<Mark>, HashSet<Uuid>), StoreError> {
    let (tenants, keys): (Vec<Uuid>, Vec<Uuid>) = keys.iter().map(|(tenant, key)| (tenant.0, key)).unzip();
    let rows = tx
        .query(
            "/* marks::seen */ SELECT m.key, m.statement_id, m.verb, m.occurred,
                    coalesce((SELECT true FROM ledger.refs v WHERE v.tenant_id = m.tenant_id AND v.target_id = m.statement_id
                              AND v.voids LIMIT 1), false) AS voided
             FROM unnest($1::uuid[], $2::uuid[]) AS wanted (tenant_id, key)
             CROSS JOIN LATERAL (SELECT * FROM progress.cmi5_marks m
                                 WHERE m.tenant_id = wanted.tenant_id AND m.key = wanted.key OFFSET 0) m",
            &[&tenants, &keys],
        )
        .await?;
    let (mut marks, mut doubtful) = (Vec::new(), HashSet::new());
    for row in &rows {
        let mark = mark(row)?;
        if column(row, "voided")? {
            doubtful.insert(mark.key);
        }
        marks.push(mark);
    }
    Ok((marks, doubtful))
}

fn mark(row: &Row) -> Result<Mark, StoreError> {
    let verb: &str = column(row, "verb")?;
    let unknown = || StoreError::Shape { name: "marks", detail: format!("unknown verb {verb:?}") };
    Ok(Mark {
        key: column(row, "key")?,
        statement: column(row, "statement_id")?,
        verb: Verb::named(verb).ok_or_else(unknown)?,
        occurred: column(row, "occurred")?,
    })
}

async fn forget(tx: &Tx<'_>, tenant: TenantId, voided: &[Uuid]) -> Result<(), StoreError> {
    // Whoever deletes it second deletes nothing, and then meets the mark of whoever was first.
    let sql = "/* marks::forget */ DELETE FROM progress.cmi5_marks WHERE tenant_id = $1 AND key = ANY($2)";
    tx.execute(sql, &[&tenant.0, &voided]).await.map(drop)
}

/// Adds marks, sorted so that two groups that share some wait for each other instead of deadlocking. A unique violation
/// means that another transaction added one of them meanwhile: the caller reads again and judges anew.
pub async fn insert(tx: &Tx<'_>, marks: &[(TenantId, Mark)]) -> Result<(), StoreError> {
    let tenants: Vec<Uuid> = marks.iter().map(|(tenant, _)| tenant.0).collect();
    let keys: Vec<Uuid> = marks.iter().map(|(_, mark)| mark.key).collect();
    let statements: Vec<Uuid> = marks.iter().map(|(_, mark)| mark.statement).collect();
    let verbs: Vec<&str> = marks.iter().map(|(_, mark)| mark.verb.name()).collect();
    let occurred: Vec<_> = marks.iter().map(|(_, mark)| mark.occurred).collect();
    tx.execute(
        "/* marks::insert */ INSERT INTO progress.cmi5_marks (tenant_id, key, statement_id, verb, occurred)
         SELECT new.* FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::timestamptz[])
             AS new (tenant_id, key, statement_id, verb, occurred) ORDER BY new.tenant_id, new.key",
        &[&tenants, &keys, &statements, &verbs, &occurred],
    )
    .await
    .map(drop)
}

impl Store {
    /// Whether the session with this mark for its end is over, in a tenant that holds units to cmi5's rules.
    pub async fn is_over(&self, tenant: TenantId, end: Uuid) -> Result<bool, StoreError> {
        self.run_tx("session_is_over", As::Tenant(tenant), |tx| {
            Box::pin(async move {
                let row = tx
                    .query_one(
                        "/* marks::is_over */ SELECT EXISTS (
                             SELECT FROM platform.tenants t
                             JOIN progress.cmi5_marks m ON m.tenant_id = t.tenant_id
                             WHERE t.tenant_id = $1 AND t.cmi5_strict AND m.key = $2) AS over",
                        &[&tenant.0, &end],
                    )
                    .await?;
                column(&row, "over")
            })
        })
        .await
    }
}
