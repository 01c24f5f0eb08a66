//! What ends an attempt without a statement: an administrator closed it by hand, or it was silent for long. Each has its
//! place in the ledger's order, like a statement.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::model::{
    TenantId,
    attempt::{Effect, Fact, Outcome},
};
use crate::store::{StoreError, Tx, door::tx::column, ledger::statements};

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
    let sql = "/* closures::attempt_standing */ SELECT outcome FROM progress.attempts WHERE tenant_id = $1 AND id = $2";
    tx.query_opt(sql, &[&tenant.0, &attempt]).await?.map(|row| column(&row, "outcome")).transpose()
}

/// The closing by hand that the attempt has already, with its moment.
pub async fn of_attempt(
    tx: &Tx<'_>,
    tenant: TenantId,
    attempt: &str,
) -> Result<Option<(Closure, DateTime<Utc>)>, StoreError> {
    let sql = "/* closures::closure_of_attempt */ SELECT attempt_id, id, stored, outcome, closed_by, reason
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
    let row = tx.query_one("/* closures::reserve_closure */ SELECT ledger.reserve(1) AS moment", &[]).await?;
    let stored = statements::moment(column(&row, "moment")?)?;
    let sql = "/* closures::insert_closure */ INSERT INTO progress.attempt_closures
            (tenant_id, attempt_id, id, stored, outcome, closed_by, reason) VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let Closure { attempt, id, outcome, by, reason } = closure;
    tx.execute(sql, &[&tenant.0, attempt, id, &stored, &outcome.as_str(), by, reason]).await?;
    Ok(stored)
}

/// An attempt that was silent for long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silence {
    pub attempt: String,
    pub id: Uuid,
    /// When the last statement was stored of those that were looked at.
    pub last_word: DateTime<Utc>,
}

/// Adds a silence, unless it is known. Until the transaction ends, no projection reads past it.
pub async fn insert_silence(tx: &Tx<'_>, tenant: TenantId, silence: &Silence) -> Result<(), StoreError> {
    let row = tx.query_one("/* closures::reserve_silence */ SELECT ledger.reserve(1) AS moment", &[]).await?;
    let stored = statements::moment(column(&row, "moment")?)?;
    let sql =
        "/* closures::insert_silence */ INSERT INTO progress.silences (tenant_id, attempt_id, id, stored, last_word)
        VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
    tx.execute(sql, &[&tenant.0, &silence.attempt, &silence.id, &stored, &silence.last_word]).await.map(drop)
}

/// The attempts that were closed or found silent after `after` and before `before`, in order.
pub async fn between(
    tx: &Tx<'_>,
    tenant: TenantId,
    after: DateTime<Utc>,
    before: DateTime<Utc>,
) -> Result<Vec<(String, DateTime<Utc>)>, StoreError> {
    let sql = "/* closures::closures_between */
        SELECT attempt_id, stored FROM progress.attempt_closures WHERE tenant_id = $1 AND stored > $2 AND stored < $3
        UNION ALL
        SELECT attempt_id, stored FROM progress.silences WHERE tenant_id = $1 AND stored > $2 AND stored < $3
        ORDER BY stored";
    let rows = tx.query(sql, &[&tenant.0, &after, &before]).await?;
    rows.iter().map(|row| Ok((column(row, "attempt_id")?, column(row, "stored")?))).collect()
}

/// What closings and silences up to `until` say of the attempts: as a statement would, by a verb of that effect.
pub async fn facts(
    tx: &Tx<'_>,
    tenant: TenantId,
    attempts: &[String],
    until: DateTime<Utc>,
) -> Result<HashMap<String, Vec<Fact>>, StoreError> {
    let sql = "/* closures::closure_facts */
        SELECT attempt_id, id, stored, stored AS occurred, outcome FROM progress.attempt_closures
        WHERE tenant_id = $1 AND attempt_id = ANY($2) AND stored <= $3
        UNION ALL
        SELECT attempt_id, id, stored, last_word, NULL FROM progress.silences
        WHERE tenant_id = $1 AND attempt_id = ANY($2) AND stored <= $3";
    let rows = tx.query(sql, &[&tenant.0, &attempts, &until]).await?;
    let mut facts: HashMap<String, Vec<Fact>> = HashMap::new();
    for row in &rows {
        let is_silence = column::<Option<&str>>(row, "outcome")?.is_none();
        let fact = Fact {
            statement: column(row, "id")?,
            stored: column(row, "stored")?,
            occurred: column(row, "occurred")?,
            effect: if is_silence { Effect::Silent } else { outcome(row)?.effect() },
            success: None,
            score: None,
            seconds: None,
            voided: false,
            cmi5: None,
        };
        facts.entry(column(row, "attempt_id")?).or_default().push(fact);
    }
    Ok(facts)
}

/// An open attempt, and what was said of it last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    pub tenant: TenantId,
    pub attempt: String,
    /// When it was stored.
    pub last_word: DateTime<Utc>,
    pub is_cmi5: bool,
}

/// The next open attempts after one, by tenant and id.
pub async fn open_attempts(
    tx: &Tx<'_>,
    (tenant, attempt): (TenantId, &str),
    most: i64,
) -> Result<Vec<Open>, StoreError> {
    let sql =
        "/* closures::open_attempts */ SELECT a.tenant_id, a.id, last.stored, coalesce(last.is_cmi5, false) AS is_cmi5
        FROM (SELECT tenant_id, id FROM progress.attempts
              WHERE state = 'open' AND (tenant_id, id) > ($1, $2)
                -- Of who is on the way to another cell nothing is said here.
                AND NOT EXISTS (SELECT FROM platform.residences r WHERE r.tenant_id = attempts.tenant_id AND r.standing <> 'home')
              ORDER BY tenant_id, id LIMIT $3) a
        CROSS JOIN LATERAL (SELECT f.stored, f.is_cmi5 FROM progress.attempt_statements f
                            WHERE f.tenant_id = a.tenant_id AND f.attempt_id = a.id
                            ORDER BY f.stored DESC LIMIT 1) last
        ORDER BY a.tenant_id, a.id";
    let open = |row: &Row| {
        Ok(Open {
            tenant: TenantId(column(row, "tenant_id")?),
            attempt: column(row, "id")?,
            last_word: column(row, "stored")?,
            is_cmi5: column(row, "is_cmi5")?,
        })
    };
    tx.query(sql, &[&tenant.0, &attempt, &most]).await?.iter().map(open).collect()
}

fn outcome(row: &Row) -> Result<Outcome, StoreError> {
    let name: &str = column(row, "outcome")?;
    let unknown = || StoreError::Shape { name: "closures", detail: format!("unknown outcome {name:?}") };
    Outcome::named(name).ok_or_else(unknown)
}
