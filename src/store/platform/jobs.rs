//! Jobs: work somebody asked for that takes longer than a request. The row is what everybody can see of it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use crate::store::{
    StoreError,
    door::tx::{Tx, column},
};

/// A job as its row tells.
#[derive(Clone, Debug)]
pub struct Job {
    pub id: Uuid,
    pub kind: String,
    /// `pending`, `running`, `succeeded` or `failed`.
    pub state: String,
    /// A credential's key, a token's pseudonym or the command line: never a person's name.
    pub requested_by: String,
    pub request: Value,
    pub progress: Value,
    pub outcome: Option<Value>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    /// Whether the row was touched in the last half minute, as a job that runs does.
    pub fresh: bool,
}

const INSERT: &str = "/* jobs::insert */
    INSERT INTO platform.jobs (job_id, kind, state, requested_by, request)
    VALUES ($1 /* id */, $2 /* kind */, 'running', $3 /* by */, $4 /* request */) ON CONFLICT (job_id) DO NOTHING";

/// Adds a job that starts at once.
pub async fn insert(tx: &Tx<'_>, id: Uuid, kind: &str, by: &str, request: &Value) -> Result<(), StoreError> {
    tx.execute(INSERT, &[&id, &kind, &by, request]).await.map(drop)
}

const PROGRESS: &str = "/* jobs::progress */
    UPDATE platform.jobs SET progress = $2 /* progress */, updated_at = clock_timestamp()
    WHERE job_id = $1 /* id */ AND state = 'running'";

/// Notes how far a job has come, and that somebody still works on it.
pub async fn progress(tx: &Tx<'_>, id: Uuid, progress: &Value) -> Result<(), StoreError> {
    tx.execute(PROGRESS, &[&id, progress]).await.map(drop)
}

const FINISH: &str = "/* jobs::finish */
    UPDATE platform.jobs SET state = CASE WHEN $2 /* well */ THEN 'succeeded' ELSE 'failed' END,
        progress = $3 /* progress */, outcome = $4 /* outcome */, updated_at = clock_timestamp()
    WHERE job_id = $1 /* id */ AND (state = 'running' OR outcome ? 'stalled')";

/// Ends a job, also one that was given up although it only could not say that it lived.
pub async fn finish(tx: &Tx<'_>, id: Uuid, well: bool, progress: &Value, outcome: &Value) -> Result<(), StoreError> {
    tx.execute(FINISH, &[&id, &well, progress, outcome]).await.map(drop)
}

const GIVE_UP: &str = "/* jobs::give_up */
    UPDATE platform.jobs SET state = 'failed', updated_at = clock_timestamp(),
        outcome = jsonb_build_object('stalled', true, 'error', 'the process that did it went away; see what the history says')
    WHERE kind = $1 /* kind */ AND state = 'running'
        AND updated_at < clock_timestamp() - make_interval(secs => $2 /* seconds */)";

/// Ends the jobs of a kind that nobody has touched for so long; answers how many those were.
pub async fn give_up(tx: &Tx<'_>, kind: &str, after: Duration) -> Result<u64, StoreError> {
    tx.execute(GIVE_UP, &[&kind, &after.as_secs_f64()]).await
}

const GET: &str = "/* jobs::get */
    SELECT job_id, kind, state, requested_by, request, progress, outcome, created_at, updated_at,
           updated_at > clock_timestamp() - interval '30 seconds' AS fresh
    FROM platform.jobs WHERE job_id = $1 /* id */ AND kind = $2 /* kind */";

/// One job of a kind.
pub async fn get(tx: &Tx<'_>, id: Uuid, kind: &str) -> Result<Option<Job>, StoreError> {
    let Some(row) = tx.query_opt(GET, &[&id, &kind]).await? else { return Ok(None) };
    Ok(Some(Job {
        id: column(&row, "job_id")?,
        kind: column(&row, "kind")?,
        state: column(&row, "state")?,
        requested_by: column(&row, "requested_by")?,
        request: column(&row, "request")?,
        progress: column(&row, "progress")?,
        outcome: column(&row, "outcome")?,
        created_at: column(&row, "created_at")?,
        updated_at: column(&row, "updated_at")?,
        fresh: column(&row, "fresh")?,
    }))
}
