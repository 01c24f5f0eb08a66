//! Jobs: work somebody asked for that takes longer than a request. The row is what everybody can see of it; whoever wants
//! something of a job puts it into the row, and the node that has the job finds it there.

mod context;
mod taking;

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio_postgres::Row;
use uuid::Uuid;

pub use self::{
    context::Context,
    taking::{Known, Outcome, finish, hand_back, has_waiting, report, save, take},
};
use super::audit::{self, Entry};
use crate::model::{
    TenantId,
    job::{Act, State, Verdict},
};
use crate::store::{
    StoreError,
    door::{
        error::AsStoreError,
        tx::{Tx, column},
    },
};

/// A job as its row tells.
#[derive(Clone, Debug)]
pub struct Job {
    pub id: Uuid,
    pub kind: String,
    pub tenant: Option<TenantId>,
    pub state: State,
    /// A credential's key, a token's pseudonym or the command line: never a person's name.
    pub requested_by: String,
    pub approved_by: Option<String>,
    pub parameters: Value,
    /// Of the plan that was shown to whoever asked.
    pub plan_digest: Option<String>,
    /// See [`Progress`].
    pub progress: Value,
    pub checkpoint: Option<Checkpoint>,
    pub outcome: Option<Value>,
    /// Why it failed, in a line.
    pub error: Option<String>,
    /// How often a node took it.
    pub attempts: i32,
    /// How often in a row a node that had it went away before it came any further.
    pub crashes: i32,
    pub created_at: DateTime<Utc>,
    /// The last sign of life.
    pub updated_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    /// Whether that sign was within the last half minute, as it is while a node works on it.
    pub is_fresh: bool,
}

impl Job {
    /// Whether a node should be at work, or take it up, and none gave a sign of life.
    pub fn is_stalled(&self) -> bool {
        self.state.is_underway() && !self.is_fresh
    }
}

/// How far a job has come, in the form of its kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    pub format: i32,
    pub value: Value,
}

/// What a job tells of how far it has come: for people, and for the bar on their terminal.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Progress {
    pub done: u64,
    /// Absent while nobody knows.
    pub total: Option<u64>,
    /// What is counted: `files`, `statements`.
    pub unit: &'static str,
    /// What is done just now; no personal data.
    pub note: Option<String>,
    /// What else a kind has to tell.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// A job that somebody asks for.
#[derive(Clone, Debug)]
pub struct NewJob<'a> {
    pub id: Uuid,
    /// Also the action in the audit trail.
    pub kind: &'static str,
    pub tenant: Option<TenantId>,
    pub by: &'a str,
    pub approved_by: Option<&'a str>,
    /// Without personal data: they stand in the audit trail as well.
    pub parameters: Value,
    pub plan_digest: Option<&'a str>,
}

/// What is read of a row.
macro_rules! columns {
    () => {
        "job_id, kind, tenant_id, state, asked, requested_by, approved_by, request, plan_digest, progress, checkpoint,
         checkpoint_format, outcome, error, attempts, crashes, created_at, updated_at, started_at, finished_at,
         updated_at > clock_timestamp() - interval '30 seconds' AS fresh"
    };
}
use columns;

const PUT: &str = "/* jobs::put */
    INSERT INTO platform.jobs (job_id, kind, state, requested_by, request, tenant_id, approved_by, plan_digest)
    VALUES ($1 /* id */, $2 /* kind */, 'pending', $3 /* by */, $4 /* parameters */, $5 /* tenant */,
            $6 /* approved by */, $7 /* plan */)
    ON CONFLICT (job_id) DO NOTHING";

/// Puts a job into the queue, with an entry in the audit trail: a node that does its kind takes it from there. One that is there
/// already is not put again.
pub async fn put(tx: &Tx<'_>, job: &NewJob<'_>) -> Result<(), StoreError> {
    let NewJob { id, kind, tenant, by, approved_by, parameters, plan_digest } = job;
    let tenant_id = tenant.map(|tenant| tenant.0);
    if tx.execute(PUT, &[id, kind, by, parameters, &tenant_id, approved_by, plan_digest]).await? == 0 {
        return Ok(());
    }
    let detail = parameters.clone();
    audit::append(tx, &Entry { tenant: *tenant, actor: by, action: kind, subject: id.to_string(), detail }).await?;
    Ok(())
}

// Two who ask at once: the second one finds the job of the first.
const ALONE: &str =
    "/* jobs::alone */ SELECT pg_advisory_xact_lock(hashtextextended('platform.jobs/' || $1 /* kind */, 0))";

const UNFINISHED: &str = "/* jobs::unfinished */
    SELECT job_id FROM platform.jobs
    WHERE kind = $1 /* kind */ AND state IN ('pending', 'running') ORDER BY created_at LIMIT 1";

/// Puts a job into the queue unless one of its kind is not over yet; answers which that is.
pub async fn put_alone(tx: &Tx<'_>, job: &NewJob<'_>) -> Result<Option<Uuid>, StoreError> {
    tx.execute(ALONE, &[&job.kind]).await?;
    if let Some(row) = tx.query_opt(UNFINISHED, &[&job.kind]).await? {
        return column(&row, "job_id").map(Some);
    }
    put(tx, job).await.map(|()| None)
}

/// Which job does what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed {
    /// One that was put, or that was asked for the very same before.
    This(Uuid),
    /// Another one of the kind is not over yet.
    Other(Uuid),
}

/// As [`put_alone`], but whoever asks for what is not over yet gets the job that does it.
pub async fn put_once(tx: &Tx<'_>, job: &NewJob<'_>) -> Result<Placed, StoreError> {
    let Some(other) = put_alone(tx, job).await? else { return Ok(Placed::This(job.id)) };
    let is_same = get(tx, other).await?.is_some_and(|found| found.parameters == job.parameters);
    Ok(if is_same { Placed::This(other) } else { Placed::Other(other) })
}

const NEWEST: &str = concat!(
    "/* jobs::newest */ SELECT ",
    columns!(),
    " FROM platform.jobs WHERE kind = $1 /* kind */ AND request = $2 /* parameters */
      ORDER BY created_at DESC, job_id DESC LIMIT 1"
);

/// The last job of a kind that was asked for the very same.
pub async fn newest(tx: &Tx<'_>, kind: &str, parameters: &Value) -> Result<Option<Job>, StoreError> {
    tx.query_opt(NEWEST, &[&kind, &parameters]).await?.as_ref().map(job).transpose()
}

/// Puts a job into the queue, beside others of its kind, unless one that was asked for the very same is not over yet; answers that one.
pub async fn put_or_join(tx: &Tx<'_>, job: &NewJob<'_>) -> Result<Option<Job>, StoreError> {
    tx.execute(ALONE, &[&job.kind]).await?;
    if let Some(other) = newest(tx, job.kind, &job.parameters).await?.filter(|found| !found.state.is_over()) {
        return Ok(Some(other));
    }
    put(tx, job).await.map(|()| None)
}

fn job(row: &Row) -> Result<Job, StoreError> {
    let (state, asked): (String, Option<String>) = (column(row, "state")?, column(row, "asked")?);
    let (format, value): (Option<i32>, Option<Value>) = (column(row, "checkpoint_format")?, column(row, "checkpoint")?);
    Ok(Job {
        id: column(row, "job_id")?,
        kind: column(row, "kind")?,
        tenant: column::<Option<Uuid>>(row, "tenant_id")?.map(TenantId),
        state: shown(&state, asked.as_deref())?,
        requested_by: column(row, "requested_by")?,
        approved_by: column(row, "approved_by")?,
        parameters: column(row, "request")?,
        plan_digest: column(row, "plan_digest")?,
        progress: column(row, "progress")?,
        checkpoint: format.zip(value).map(|(format, value)| Checkpoint { format, value }),
        outcome: column(row, "outcome")?,
        error: column(row, "error")?,
        attempts: column(row, "attempts")?,
        crashes: column(row, "crashes")?,
        created_at: column(row, "created_at")?,
        updated_at: column(row, "updated_at")?,
        started_at: column(row, "started_at")?,
        finished_at: column(row, "finished_at")?,
        is_fresh: column(row, "fresh")?,
    })
}

/// The state of a row: what was asked of it says the rest.
fn shown(state: &str, asked: Option<&str>) -> Result<State, StoreError> {
    Ok(match (state, asked) {
        ("pending", None) => State::Queued,
        ("pending", Some(_)) => State::Paused,
        ("running", None) => State::Running,
        ("running", Some("pause")) => State::Pausing,
        ("running", Some(_)) => State::Cancelling,
        ("failed", Some("cancel")) => State::Cancelled,
        ("failed", _) => State::Failed,
        ("succeeded", _) => State::Succeeded,
        _ => return Err(StoreError::Shape { name: "job.state", detail: format!("{state} is not known") }),
    })
}

/// The same the other way: the two columns of a state.
fn stored(state: State) -> (&'static str, Option<&'static str>) {
    match state {
        State::Queued => ("pending", None),
        State::Paused => ("pending", Some("pause")),
        State::Running => ("running", None),
        State::Pausing => ("running", Some("pause")),
        State::Cancelling => ("running", Some("cancel")),
        State::Cancelled => ("failed", Some("cancel")),
        State::Failed => ("failed", None),
        State::Succeeded => ("succeeded", None),
    }
}

const GET: &str = concat!("/* jobs::get */ SELECT ", columns!(), " FROM platform.jobs WHERE job_id = $1 /* id */");

pub async fn get(tx: &Tx<'_>, id: Uuid) -> Result<Option<Job>, StoreError> {
    tx.query_opt(GET, &[&id]).await?.as_ref().map(job).transpose()
}

const ALL_OF: &str = concat!(
    "/* jobs::all_of */ SELECT ",
    columns!(),
    " FROM unnest($1::uuid[] /* ids */) AS wanted (job_id) JOIN platform.jobs USING (job_id)"
);

/// Those of these ids.
pub async fn all_of(tx: &Tx<'_>, ids: &[Uuid]) -> Result<Vec<Job>, StoreError> {
    tx.query(ALL_OF, &[&ids]).await?.iter().map(job).collect()
}

/// Which jobs are listed.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub kind: Option<String>,
    pub state: Option<State>,
    /// Only those before this one.
    pub before: Option<(DateTime<Utc>, Uuid)>,
}

const LIST: &str = concat!(
    "/* jobs::list */ SELECT ",
    columns!(),
    " FROM platform.jobs
      WHERE ($1::text /* kind */ IS NULL OR kind = $1)
        AND ($2::text /* state */ IS NULL OR state = $2 AND (state = 'succeeded' OR asked IS NOT DISTINCT FROM $3 /* asked */))
        AND ($4::timestamptz /* before */ IS NULL OR (created_at, job_id) < ($4, $5 /* id */))
      ORDER BY created_at DESC, job_id DESC LIMIT $6 /* most */"
);

/// The newest first.
pub async fn list(tx: &Tx<'_>, filter: &Filter, most: i64) -> Result<Vec<Job>, StoreError> {
    let (state, asked) = filter.state.map(stored).unzip();
    let (before, id) = filter.before.unzip();
    let rows = tx.query(LIST, &[&filter.kind, &state, &asked.flatten(), &before, &id, &most]).await?;
    rows.iter().map(job).collect()
}

/// Why something cannot be asked of a job.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    #[error("there is no job {0}")]
    Unknown(Uuid),
    #[error("a job that is {} cannot be asked to {}", .state.name(), .act.name())]
    Refused { state: State, act: Act },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AsStoreError for AskError {
    fn as_store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) => Some(error),
            Self::Unknown(_) | Self::Refused { .. } => None,
        }
    }
}

const LOCK: &str =
    concat!("/* jobs::lock */ SELECT ", columns!(), " FROM platform.jobs WHERE job_id = $1 /* id */ FOR UPDATE");

// The sign of life stays as it is while a node has the job.
const PUT_INTO: &str = concat!(
    "/* jobs::ask */ UPDATE platform.jobs
     SET state = $2 /* state */, asked = $3 /* asked */,
         updated_at = CASE WHEN $2 = 'running' THEN updated_at ELSE clock_timestamp() END,
         finished_at = CASE WHEN $2 = 'failed' THEN clock_timestamp() END,
         outcome = CASE WHEN $2 = 'failed' THEN outcome END, error = CASE WHEN $2 = 'failed' THEN error END,
         crashes = CASE WHEN $2 = 'pending' THEN 0 ELSE crashes END
     WHERE job_id = $1 /* id */ RETURNING ",
    columns!()
);

/// Asks something of a job, with an entry in the audit trail where that changes anything. A node that has it sees it
/// within a second or so, and ends the step it is in.
pub async fn ask(tx: &Tx<'_>, id: Uuid, act: Act, by: &str) -> Result<Job, AskError> {
    let row = tx.query_opt(LOCK, &[&id]).await?.ok_or(AskError::Unknown(id))?;
    let before = job(&row)?;
    match before.state.on(act) {
        Verdict::Done => {}
        Verdict::Already => return Ok(before),
        Verdict::Refused => return Err(AskError::Refused { state: before.state, act }),
    }
    let is_underway = before.state.is_underway();
    let (state, asked) = stored(match act {
        Act::Pause if is_underway => State::Pausing,
        Act::Pause => State::Paused,
        Act::Resume if is_underway => State::Running,
        Act::Resume | Act::Retry => State::Queued,
        Act::Cancel if is_underway => State::Cancelling,
        Act::Cancel => State::Cancelled,
    });
    let after = job(&tx.query_one(PUT_INTO, &[&id, &state, &asked]).await?)?;
    let action = match act {
        Act::Pause => "jobs.pause",
        Act::Resume => "jobs.resume",
        Act::Cancel => "jobs.cancel",
        Act::Retry => "jobs.retry",
    };
    let detail = json!({ "kind": before.kind, "was": before.state.name(), "is": after.state.name() });
    audit::append(tx, &Entry { tenant: before.tenant, actor: by, action, subject: id.to_string(), detail }).await?;
    Ok(after)
}

const GIVE_UP: &str = "/* jobs::give_up */
    WITH silent AS (SELECT clock_timestamp() - make_interval(secs => $2 /* seconds */) AS since)
    UPDATE platform.jobs j SET state = 'failed', updated_at = clock_timestamp(), finished_at = clock_timestamp(),
        error = 'the process that did it went away',
        outcome = jsonb_build_object('stalled', true, 'error', 'the process that did it went away; see what the history says')
    FROM silent
    WHERE j.kind = $1 /* kind */ AND j.updated_at < silent.since
        AND (j.state = 'running' OR j.state = 'pending' AND j.asked IS NULL AND NOT EXISTS (
            SELECT 1 FROM platform.jobs o WHERE o.kind = $1 AND o.state = 'running' AND o.updated_at >= silent.since))";

/// Ends the jobs of a kind of which there was no sign of life for so long, and those that nobody has taken for so long
/// although no other was in their way; answers how many those were.
pub async fn give_up(tx: &Tx<'_>, kind: &str, after: Duration) -> Result<u64, StoreError> {
    tx.execute(GIVE_UP, &[&kind, &after.as_secs_f64()]).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_is_kept_in_two_columns_and_comes_back() {
        for state in State::ALL {
            let (kept, asked) = stored(state);
            assert_eq!(shown(kept, asked).unwrap(), state);
            assert!(["pending", "running", "succeeded", "failed"].contains(&kept), "the release before knows no other");
        }
        assert!(shown("ajar", None).is_err());
        assert_eq!(shown("succeeded", Some("cancel")).unwrap(), State::Succeeded, "it was faster");
    }

    #[test]
    fn progress_is_one_flat_object() {
        let more = Map::from_iter([("planned".to_owned(), json!(3))]);
        let progress = Progress { done: 1, total: Some(3), unit: "files", note: None, more };
        assert_eq!(json!(progress), json!({ "done": 1, "total": 3, "unit": "files", "note": null, "planned": 3 }));
    }
}
