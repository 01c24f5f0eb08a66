//! Attempts that an administrator closed by hand: each has its place in the ledger's order, like a statement.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use uuid::Uuid;

use super::{StoreError, Tx, statements, tx::column};
use crate::model::{
    TenantId,
    attempt::{Fact, Outcome},
};

/// A closing by hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closure {
    pub attempt: String,
    pub id: Uuid,
    pub outcome: Outcome,
    /// Who did it, as the audit trail names them.
    pub by: String,
    pub reason: String,
}

/// The attempt's outcome, if it has one; `None` when there is no such attempt.
pub async fn standing(tx: &Tx<'_>, tenant: TenantId, attempt: &str) -> Result<Option<Option<String>>, StoreError> {
    let sql = "/* attempt_standing */ SELECT outcome FROM progress.attempts WHERE tenant_id = $1 AND id = $2";
    tx.query_opt(sql, &[&tenant.0, &attempt]).await?.map(|row| column(&row, "outcome")).transpose()
}

/// The closing by hand that the attempt has already, with its moment.
pub async fn of_attempt(
    tx: &Tx<'_>,
    tenant: TenantId,
    attempt: &str,
) -> Result<Option<(Closure, DateTime<Utc>)>, StoreError> {
    let sql = "/* closure_of_attempt */ SELECT attempt_id, id, stored, outcome, closed_by, reason
        FROM progress.attempt_closures WHERE tenant_id = $1 AND attempt_id = $2";
    let found = tx.query_opt(sql, &[&tenant.0, &attempt]).await?;
    let closure = |row: Row| {
        let closure = Closure {
            attempt: column(&row, "attempt_id")?,
            id: column(&row, "id")?,
            outcome: outcome(&row)?,
            by: column(&row, "closed_by")?,
            reason: column(&row, "reason")?,
        };
        Ok((closure, column(&row, "stored")?))
    };
    found.map(closure).transpose()
}

/// Adds a closing; answers its moment. Until the transaction ends, no projection reads past it.
pub async fn insert(tx: &Tx<'_>, tenant: TenantId, closure: &Closure) -> Result<DateTime<Utc>, StoreError> {
    let row = tx.query_one("/* reserve_closure */ SELECT ledger.reserve(1) AS moment", &[]).await?;
    let stored = statements::moment(column(&row, "moment")?)?;
    let sql = "/* insert_closure */ INSERT INTO progress.attempt_closures
            (tenant_id, attempt_id, id, stored, outcome, closed_by, reason) VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let Closure { attempt, id, outcome, by, reason } = closure;
    tx.execute(sql, &[&tenant.0, attempt, id, &stored, &outcome.as_str(), by, reason]).await?;
    Ok(stored)
}

/// The attempts that were closed after `after` and before `before`, in order.
pub async fn between(
    tx: &Tx<'_>,
    tenant: TenantId,
    after: DateTime<Utc>,
    before: DateTime<Utc>,
) -> Result<Vec<(String, DateTime<Utc>)>, StoreError> {
    let sql = "/* closures_between */ SELECT attempt_id, stored FROM progress.attempt_closures
        WHERE tenant_id = $1 AND stored > $2 AND stored < $3 ORDER BY stored";
    let rows = tx.query(sql, &[&tenant.0, &after, &before]).await?;
    rows.iter().map(|row| Ok((column(row, "attempt_id")?, column(row, "stored")?))).collect()
}

/// What closings up to `until` say of the attempts: as a statement would, by a verb of that effect.
pub async fn facts(
    tx: &Tx<'_>,
    tenant: TenantId,
    attempts: &[String],
    until: DateTime<Utc>,
) -> Result<HashMap<String, Fact>, StoreError> {
    let sql = "/* closure_facts */ SELECT attempt_id, id, stored, outcome FROM progress.attempt_closures
        WHERE tenant_id = $1 AND attempt_id = ANY($2) AND stored <= $3";
    let rows = tx.query(sql, &[&tenant.0, &attempts, &until]).await?;
    let fact = |row: &Row| {
        let stored = column(row, "stored")?;
        let fact = Fact {
            statement: column(row, "id")?,
            stored,
            occurred: stored,
            effect: outcome(row)?.effect(),
            success: None,
            score: None,
            seconds: None,
            voided: false,
        };
        Ok((column(row, "attempt_id")?, fact))
    };
    rows.iter().map(fact).collect()
}

fn outcome(row: &Row) -> Result<Outcome, StoreError> {
    let name: &str = column(row, "outcome")?;
    let unknown = || StoreError::Shape { name: "closures", detail: format!("unknown outcome {name:?}") };
    Outcome::named(name).ok_or_else(unknown)
}
