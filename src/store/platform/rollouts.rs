//! Rollouts: their rows, what was done by them, and what nodes counted meanwhile.

use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::model::TenantId;
use crate::store::{
    As, Store, StoreError,
    door::tx::{Tx, column},
};

/// A rollout as its row tells.
#[derive(Clone, Debug, PartialEq)]
pub struct Rollout {
    pub id: Uuid,
    pub name: String,
    pub plan: Value,
    pub digest: String,
    /// `running`, `holding`, `paused`, `done`, `aborted` or `rolled_back`.
    pub state: String,
    /// The place of its step.
    pub step: i32,
    /// Since when what the step does is done.
    pub acted_at: Option<DateTime<Utc>>,
    /// The same in seconds, by the clock of the database.
    pub acted_for: Option<f64>,
    pub asked_by: String,
    pub approved_by: Option<String>,
    pub why: Option<String>,
    pub started_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
}

macro_rules! columns {
    () => {
        "rollout_id, name, plan, digest, state, step, acted_at, asked_by, approved_by, why, started_at, finished_at,
         extract(epoch FROM clock_timestamp() - acted_at)::float8 AS acted_for"
    };
}

fn rollout(row: &Row) -> Result<Rollout, StoreError> {
    Ok(Rollout {
        id: column(row, "rollout_id")?,
        name: column(row, "name")?,
        plan: column(row, "plan")?,
        digest: column(row, "digest")?,
        state: column(row, "state")?,
        step: column(row, "step")?,
        acted_at: column(row, "acted_at")?,
        acted_for: column(row, "acted_for")?,
        asked_by: column(row, "asked_by")?,
        approved_by: column(row, "approved_by")?,
        why: column(row, "why")?,
        started_at: column(row, "started_at")?,
        finished_at: column(row, "finished_at")?,
    })
}

const ADD: &str = "/* rollouts::add */ INSERT INTO platform.rollouts (rollout_id, name, plan, digest, state, asked_by)
    VALUES ($1, $2, $3, $4, 'running', $5) ON CONFLICT DO NOTHING";

/// Begins one; `false` while another is underway.
pub async fn add(tx: &Tx<'_>, id: Uuid, name: &str, plan: &Value, digest: &str, by: &str) -> Result<bool, StoreError> {
    Ok(tx.execute(ADD, &[&id, &name, plan, &digest, &by]).await? == 1)
}

const LOCKED: &str = concat!(
    "/* rollouts::underway */ SELECT ",
    columns!(),
    " FROM platform.rollouts WHERE state IN ('running', 'holding', 'paused') FOR UPDATE"
);

/// The one that is underway, held until the transaction ends.
pub async fn underway(tx: &Tx<'_>) -> Result<Option<Rollout>, StoreError> {
    tx.query_opt(LOCKED, &[]).await?.as_ref().map(rollout).transpose()
}

const NEWEST: &str = concat!(
    "/* rollouts::newest */ SELECT ",
    columns!(),
    " FROM platform.rollouts WHERE $1::text IS NULL OR name = $1 ORDER BY started_at DESC LIMIT $2"
);

/// The newest first.
pub async fn newest(tx: &Tx<'_>, name: Option<&str>, most: i64) -> Result<Vec<Rollout>, StoreError> {
    tx.query(NEWEST, &[&name, &most]).await?.iter().map(rollout).collect()
}

const PUT: &str = "/* rollouts::put */ UPDATE platform.rollouts SET state = $2, step = $3, why = $4, approved_by = $5,
        acted_at = CASE WHEN $6 THEN coalesce(acted_at, clock_timestamp()) END,
        finished_at = CASE WHEN $2 IN ('done', 'aborted', 'rolled_back') THEN clock_timestamp() END
    WHERE rollout_id = $1";

/// Writes down where it is now; `acted`: what its step does is done.
pub async fn put(tx: &Tx<'_>, now: &Rollout, acted: bool) -> Result<(), StoreError> {
    tx.execute(PUT, &[&now.id, &now.state, &now.step, &now.why, &now.approved_by, &acted]).await.map(drop)
}

/// Something that was done by a rollout.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub at: DateTime<Utc>,
    pub step: String,
    pub what: String,
    pub detail: Value,
    pub by: String,
}

/// Adds one.
pub async fn note(
    tx: &Tx<'_>,
    id: Uuid,
    (step, what): (&str, &str),
    detail: &Value,
    by: &str,
) -> Result<(), StoreError> {
    let sql = "/* rollouts::note */ INSERT INTO platform.rollout_events (rollout_id, step, what, detail, done_by)
        VALUES ($1, $2, $3, $4, $5)";
    tx.execute(sql, &[&id, &step, &what, detail, &by]).await.map(drop)
}

/// All of a rollout, in their order.
pub async fn events(tx: &Tx<'_>, id: Uuid) -> Result<Vec<Event>, StoreError> {
    let sql = "/* rollouts::events */ SELECT at, step, what, detail, done_by FROM platform.rollout_events
        WHERE rollout_id = $1 ORDER BY number";
    let event = |row: &Row| {
        let (at, step, what) = (column(row, "at")?, column(row, "step")?, column(row, "what")?);
        Ok(Event { at, step, what, detail: column(row, "detail")?, by: column(row, "done_by")? })
    };
    tx.query(sql, &[&id]).await?.iter().map(event).collect()
}

/// How many rows a plan's question finds, up to a thousand. It changes nothing, and has ten seconds.
pub async fn violations(tx: &Tx<'_>, sql: &str) -> Result<i64, StoreError> {
    tx.execute("/* rollouts::violations */ SET TRANSACTION READ ONLY", &[]).await?;
    tx.execute("/* rollouts::violations */ SET LOCAL statement_timeout = '10s'", &[]).await?;
    let sql = format!(
        "/* rollouts::violations */ SELECT count(*) AS rows FROM (SELECT FROM ({sql}\n) AS asked LIMIT 1000) AS wrong"
    );
    column(&tx.query_one(&sql, &[]).await?, "rows")
}

/// What was counted of a tenant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    pub requests: i64,
    pub errors: i64,
    pub slow: i64,
}

/// What is counted for: a rollout whose step is baked, and from which time an answer is slow.
#[derive(Clone, Debug, PartialEq)]
pub struct Watched {
    pub id: Uuid,
    pub step: i32,
    pub slow: String,
}

const SAMPLES: &str = "/* rollouts::samples */
    SELECT tenant_id, sum(requests)::bigint AS requests, sum(errors)::bigint AS errors, sum(slow)::bigint AS slow
    FROM platform.rollout_samples WHERE rollout_id = $1 AND step = $2 GROUP BY tenant_id";

/// What all nodes counted while a step was baked.
pub async fn samples(tx: &Tx<'_>, id: Uuid, step: i32) -> Result<Vec<(TenantId, Sample)>, StoreError> {
    let sample = |row: &Row| {
        let (requests, errors) = (column(row, "requests")?, column(row, "errors")?);
        Ok((TenantId(column(row, "tenant_id")?), Sample { requests, errors, slow: column(row, "slow")? }))
    };
    tx.query(SAMPLES, &[&id, &step]).await?.iter().map(sample).collect()
}

const COUNT: &str = "/* rollouts::count */
    INSERT INTO platform.rollout_samples AS s (rollout_id, step, tenant_id, node, requests, errors, slow)
    SELECT $1, $2, new.tenant, $3, new.requests, new.errors, new.slow
    FROM unnest($4::uuid[], $5::bigint[], $6::bigint[], $7::bigint[]) AS new (tenant, requests, errors, slow)
    ON CONFLICT (rollout_id, step, tenant_id, node) DO UPDATE
    SET requests = s.requests + excluded.requests, errors = s.errors + excluded.errors, slow = s.slow + excluded.slow";

impl Store {
    /// For what requests are counted now.
    pub async fn watched_rollout(&self) -> Result<Option<Watched>, StoreError> {
        let sql =
            "/* rollouts::watched */ SELECT rollout_id, step, plan -> 'watch' ->> 'slow' AS slow FROM platform.rollouts
            WHERE state IN ('running', 'holding', 'paused') AND acted_at IS NOT NULL";
        self.run_tx("watched_rollout", As::Worker, |tx| {
            Box::pin(async move {
                let Some(row) = tx.query_opt(sql, &[]).await? else { return Ok(None) };
                let (id, step) = (column(&row, "rollout_id")?, column(&row, "step")?);
                Ok(Some(Watched { id, step, slow: column(&row, "slow")? }))
            })
        })
        .await
    }

    /// Adds what this node counted.
    pub async fn count_for_rollout(
        &self,
        watched: &Watched,
        node: Uuid,
        counted: &[(TenantId, Sample)],
    ) -> Result<(), StoreError> {
        let tenants: Vec<Uuid> = counted.iter().map(|(tenant, _)| tenant.0).collect();
        let requests: Vec<i64> = counted.iter().map(|(_, sample)| sample.requests).collect();
        let errors: Vec<i64> = counted.iter().map(|(_, sample)| sample.errors).collect();
        let slow: Vec<i64> = counted.iter().map(|(_, sample)| sample.slow).collect();
        let (tenants, requests, errors, slow) = (&tenants, &requests, &errors, &slow);
        self.run_once("count_for_rollout", As::Worker, |tx| {
            Box::pin(async move {
                let Watched { id, step, .. } = watched;
                tx.execute(COUNT, &[id, step, &node, tenants, requests, errors, slow]).await.map(drop)
            })
        })
        .await
    }
}
