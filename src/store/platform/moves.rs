//! Moves of tenants to other cells, as the cell knows them that they leave.

use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::model::{TenantId, residence::MoveState};
use crate::store::{StoreError, Tx, door::tx::column, platform::leases};

#[derive(Clone, Debug, PartialEq)]
pub struct Move {
    pub id: Uuid,
    pub tenant: TenantId,
    pub cell: String,
    pub endpoint: String,
    pub state: MoveState,
    pub plan_digest: String,
    pub reason: String,
    pub requested_by: String,
    pub proof: Option<Value>,
    pub proved_at: Option<DateTime<Utc>>,
    /// The entry of the audit trail that holds the report.
    pub report: Option<i64>,
    pub trouble: Option<String>,
    pub frozen_ms: Option<i64>,
    pub purge_asked_by: Option<String>,
    pub purge_approved_by: Option<String>,
    pub created_at: DateTime<Utc>,
    pub changed_at: DateTime<Utc>,
}

const COLUMNS: &str =
    "move_id, tenant_id, cell, endpoint, state, plan_digest, reason, requested_by, proof, proved_at, report,
    trouble, frozen_ms, purge_asked_by, purge_approved_by, created_at, changed_at";

fn one(row: &Row) -> Result<Move, StoreError> {
    let state: &str = column(row, "state")?;
    let unknown = || StoreError::Shape { name: "moves", detail: format!("unknown state {state:?}") };
    Ok(Move {
        id: column(row, "move_id")?,
        tenant: TenantId(column(row, "tenant_id")?),
        cell: column(row, "cell")?,
        endpoint: column(row, "endpoint")?,
        state: MoveState::named(state).ok_or_else(unknown)?,
        plan_digest: column(row, "plan_digest")?,
        reason: column(row, "reason")?,
        requested_by: column(row, "requested_by")?,
        proof: column(row, "proof")?,
        proved_at: column(row, "proved_at")?,
        report: column(row, "report")?,
        trouble: column(row, "trouble")?,
        frozen_ms: column(row, "frozen_ms")?,
        purge_asked_by: column(row, "purge_asked_by")?,
        purge_approved_by: column(row, "purge_approved_by")?,
        created_at: column(row, "created_at")?,
        changed_at: column(row, "changed_at")?,
    })
}

/// A move that is to be noted.
#[derive(Clone, Copy, Debug)]
pub struct Planned<'a> {
    pub id: Uuid,
    pub tenant: TenantId,
    pub cell: &'a str,
    pub endpoint: &'a str,
    pub digest: &'a str,
    pub reason: &'a str,
    pub by: &'a str,
}

const ADD: &str = "/* moves::add */
    INSERT INTO platform.moves (move_id, tenant_id, cell, endpoint, state, plan_digest, reason, requested_by)
    VALUES ($1 /* move */, $2 /* tenant */, $3 /* cell */, $4 /* endpoint */, 'planned', $5 /* digest */, $6 /* reason */, $7 /* by */)
    ON CONFLICT DO NOTHING";

/// Notes a move; `false` where the tenant has one under way.
pub async fn add(tx: &Tx<'_>, planned: &Planned<'_>) -> Result<bool, StoreError> {
    let Planned { id, tenant, cell, endpoint, digest, reason, by } = planned;
    Ok(tx.execute(ADD, &[id, &tenant.0, cell, endpoint, digest, reason, by]).await? == 1)
}

/// One move.
pub async fn get(tx: &Tx<'_>, id: Uuid) -> Result<Option<Move>, StoreError> {
    let sql = format!("/* moves::get */ SELECT {COLUMNS} FROM platform.moves WHERE move_id = $1 /* move */");
    tx.query_opt(&sql, &[&id]).await?.as_ref().map(one).transpose()
}

/// The newest ones, of a tenant or of all.
pub async fn list(tx: &Tx<'_>, tenant: Option<TenantId>, most: i64) -> Result<Vec<Move>, StoreError> {
    let sql = format!(
        "/* moves::list */ SELECT {COLUMNS} FROM platform.moves WHERE $1::uuid IS NULL OR tenant_id = $1
         ORDER BY created_at DESC, move_id LIMIT $2 /* most */"
    );
    tx.query(&sql, &[&tenant.map(|tenant| tenant.0), &most]).await?.iter().map(one).collect()
}

const SET: &str = "/* moves::set */
    UPDATE platform.moves SET state = $3 /* to */, trouble = $4 /* trouble */, changed_at = clock_timestamp()
    WHERE move_id = $1 /* move */ AND state = $2 /* from */";

/// Takes a move from one state to the next; `false` where it is not in the first.
pub async fn set(
    tx: &Tx<'_>,
    id: Uuid,
    (from, to): (MoveState, MoveState),
    trouble: Option<&str>,
) -> Result<bool, StoreError> {
    leases::check(tx).await?;
    Ok(tx.execute(SET, &[&id, &from.name(), &to.name(), &trouble]).await? == 1)
}

const PROVE: &str = "/* moves::prove */
    UPDATE platform.moves SET proof = coalesce(proof, '{}') || jsonb_build_object($2::text /* part */, $3::jsonb /* proof */),
        proved_at = $4 /* when */, changed_at = clock_timestamp() WHERE move_id = $1";

/// Keeps a part of what was found the same in both cells, and when; `None`: it is not known any more.
pub async fn prove(
    tx: &Tx<'_>,
    id: Uuid,
    (part, proof): (&str, &Value),
    at: Option<DateTime<Utc>>,
) -> Result<(), StoreError> {
    leases::check(tx).await?;
    tx.execute(PROVE, &[&id, &part, proof, &at]).await.map(drop)
}

/// Keeps which entry of the trail holds the report.
pub async fn report(tx: &Tx<'_>, id: Uuid, entry: i64) -> Result<(), StoreError> {
    let sql = "/* moves::report */ UPDATE platform.moves SET report = $2 /* entry */ WHERE move_id = $1 /* move */";
    tx.execute(sql, &[&id, &entry]).await.map(drop)
}

/// Keeps how many milliseconds writers waited.
pub async fn frozen_for(tx: &Tx<'_>, id: Uuid, ms: i64) -> Result<(), StoreError> {
    let sql = "/* moves::frozen_for */ UPDATE platform.moves SET frozen_ms = $2 /* ms */ WHERE move_id = $1 /* move */";
    tx.execute(sql, &[&id, &ms]).await.map(drop)
}

const ASK_PURGE: &str = "/* moves::ask_purge */
    UPDATE platform.moves SET purge_asked_by = $2 /* by */, changed_at = clock_timestamp()
    WHERE move_id = $1 AND state = 'switched' AND purge_asked_by IS NULL";

/// Asks for the purge; `false` where it is not switched, or somebody has asked.
pub async fn ask_purge(tx: &Tx<'_>, id: Uuid, by: &str) -> Result<bool, StoreError> {
    Ok(tx.execute(ASK_PURGE, &[&id, &by]).await? == 1)
}

const APPROVE_PURGE: &str = "/* moves::approve_purge */
    UPDATE platform.moves SET purge_approved_by = $2 /* by */, state = 'purging', changed_at = clock_timestamp()
    WHERE move_id = $1 AND state = 'switched' AND purge_asked_by <> $2";

/// Agrees to the purge, which begins; `false` where nobody else has asked for it.
pub async fn approve_purge(tx: &Tx<'_>, id: Uuid, by: &str) -> Result<bool, StoreError> {
    Ok(tx.execute(APPROVE_PURGE, &[&id, &by]).await? == 1)
}
