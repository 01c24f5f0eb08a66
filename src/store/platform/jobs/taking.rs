//! A job in the hands of a node: taken under a lease, reported, kept where it has come to, and let go of.
//!
//! All but the taking is done through a store under the job's lease: what a node writes that lost it is refused.

use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

use super::{Checkpoint, Job, columns, job, stored};
use crate::model::{Lease, job::State};
use crate::store::{
    StoreError,
    door::tx::{Tx, column},
    platform::leases,
};

/// What a node knows how to do.
#[derive(Clone, Debug, Default)]
pub struct Known {
    kinds: Vec<&'static str>,
    plans: Vec<Option<String>>,
    formats: Vec<i32>,
}

impl Known {
    /// Also this kind; with `plan`, only of this plan; with a checkpoint of this format or an older one.
    pub fn add(&mut self, kind: &'static str, plan: Option<String>, format: i32) {
        self.kinds.push(kind);
        self.plans.push(plan);
        self.formats.push(format);
    }
}

// A job that runs without a lease is of the release before, which does its jobs itself.
const WAITING: &str = "/* jobs::waiting */
    SELECT j.job_id FROM platform.jobs j
    JOIN unnest($1::text[] /* kinds */, $2::text[] /* plans */, $3::int[] /* formats */) AS known (kind, plan, format)
        ON known.kind = j.kind
    LEFT JOIN platform.leases l ON l.name = 'job/' || j.job_id
    WHERE j.state IN ('pending', 'running')
        AND (j.state = 'pending' AND j.asked IS NULL OR j.state = 'running' AND l.expires_at <= clock_timestamp())
        AND (known.plan IS NULL OR known.plan = j.plan_digest)
        AND coalesce(j.checkpoint_format, 0) <= known.format
        AND ($4::uuid /* only */ IS NULL OR j.job_id = $4)
        AND NOT EXISTS (
            SELECT 1 FROM platform.jobs o JOIN platform.leases held ON held.name = 'job/' || o.job_id
            WHERE o.kind = j.kind AND o.state = 'running' AND o.job_id <> j.job_id
                AND held.expires_at > clock_timestamp())
    ORDER BY j.created_at, j.job_id LIMIT 1";

async fn waiting(tx: &Tx<'_>, known: &Known, only: Option<Uuid>) -> Result<Option<Uuid>, StoreError> {
    let row = tx.query_opt(WAITING, &[&known.kinds, &known.plans, &known.formats, &only]).await?;
    row.map(|row| column(&row, "job_id")).transpose()
}

/// Whether there is a job to take. It locks nothing, so that nodes may ask often.
pub async fn has_waiting(tx: &Tx<'_>, known: &Known, only: Option<Uuid>) -> Result<bool, StoreError> {
    Ok(waiting(tx, known, only).await?.is_some())
}

// One node takes at a time: else two could take two jobs of one kind.
const TURN: &str = "/* jobs::turn */ SELECT pg_advisory_xact_lock(hashtextextended('platform.jobs', 0))";

const TAKE: &str = concat!(
    "/* jobs::take */ UPDATE platform.jobs
     SET state = 'running', attempts = attempts + 1, crashes = crashes + (state = 'running')::int,
         started_at = coalesce(started_at, clock_timestamp()), updated_at = clock_timestamp()
     WHERE job_id = $1 /* id */ RETURNING ",
    columns!()
);

/// Takes the job that waits longest, of those that this node knows how to do: a new one, or one whose node went away. Of
/// each kind one job runs at a time, wherever.
pub async fn take(
    tx: &Tx<'_>,
    known: &Known,
    only: Option<Uuid>,
    holder: &str,
    term: Duration,
) -> Result<Option<(Job, Lease)>, StoreError> {
    tx.execute(TURN, &[]).await?;
    let Some(id) = waiting(tx, known, only).await? else { return Ok(None) };
    // The lease first, then the row: whoever writes under a lease goes the same way.
    let Some(lease) = leases::acquire(tx, &format!("job/{id}"), holder, term).await? else { return Ok(None) };
    Ok(Some((job(&tx.query_one(TAKE, &[&id]).await?)?, lease)))
}

const REPORT: &str = concat!(
    "/* jobs::report */ UPDATE platform.jobs SET progress = $2 /* progress */, updated_at = clock_timestamp()
     WHERE job_id = $1 /* id */ AND state = 'running' RETURNING ",
    columns!()
);

/// A sign of life, with how far the job has come; answers its state, in which stands what was asked of it meanwhile.
pub async fn report(tx: &Tx<'_>, id: Uuid, progress: &Value) -> Result<Option<State>, StoreError> {
    leases::check(tx).await?;
    let row = tx.query_opt(REPORT, &[&id, progress]).await?;
    row.as_ref().map(job).transpose().map(|job| job.map(|job| job.state))
}

const SAVE: &str = "/* jobs::save */
    UPDATE platform.jobs SET checkpoint = $2 /* value */, checkpoint_format = $3 /* format */, crashes = 0
    WHERE job_id = $1 /* id */";

/// Keeps how far the job has come, together with what the transaction did.
pub async fn save(tx: &Tx<'_>, id: Uuid, checkpoint: &Checkpoint) -> Result<(), StoreError> {
    leases::check(tx).await?;
    tx.execute(SAVE, &[&id, &checkpoint.value, &checkpoint.format]).await.map(drop)
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    Succeeded(Value),
    Failed { why: String, outcome: Value },
    Cancelled,
}

// One that was given up because it could not say that it lived ends as it ended.
const FINISH: &str = "/* jobs::finish */
    UPDATE platform.jobs SET state = $2 /* state */, asked = $3 /* asked */, progress = $4 /* progress */,
        outcome = $5 /* outcome */, error = $6 /* error */, crashes = 0,
        finished_at = clock_timestamp(), updated_at = clock_timestamp()
    WHERE job_id = $1 /* id */ AND (state = 'running' OR outcome ? 'stalled')";

/// Ends the job and its lease.
pub async fn finish(tx: &Tx<'_>, id: Uuid, progress: &Value, outcome: &Outcome) -> Result<(), StoreError> {
    leases::check(tx).await?;
    let (state, value, error) = match outcome {
        Outcome::Succeeded(value) => (State::Succeeded, Some(value), None),
        Outcome::Failed { why, outcome } => (State::Failed, Some(outcome), Some(why)),
        Outcome::Cancelled => (State::Cancelled, None, None),
    };
    let (state, asked) = stored(state);
    tx.execute(FINISH, &[&id, &state, &asked, progress, &value, &error]).await?;
    leases::let_go(tx).await
}

const HAND_BACK: &str = "/* jobs::hand_back */
    UPDATE platform.jobs SET state = 'pending', progress = $2 /* progress */, updated_at = clock_timestamp()
    WHERE job_id = $1 /* id */ AND state = 'running'";

/// Puts the job back where it waits, for another node or until it is resumed.
pub async fn hand_back(tx: &Tx<'_>, id: Uuid, progress: &Value) -> Result<(), StoreError> {
    leases::check(tx).await?;
    tx.execute(HAND_BACK, &[&id, progress]).await?;
    leases::let_go(tx).await
}
