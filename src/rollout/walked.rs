//! Steps that a job does: a backfill, which may have been done before, and a comparison, which is made anew.

use serde_json::json;

use super::{
    error::RolloutError,
    plan::Step,
    turn::{Stepped, actor, hold, on, worse},
};
use crate::{
    model::job::State,
    store::{
        StoreError, Tx,
        platform::{
            backfills::{self, Kept},
            jobs,
            rollouts::{self, Rollout},
        },
    },
};

/// What a comparison notes when it begins.
const COMPARING: &str = "comparing";

/// Waits for a backfill.
pub async fn filled(tx: &Tx<'_>, rollout: &mut Rollout, step: &Step, name: &str) -> Result<Stepped, RolloutError> {
    match kept(tx, name).await? {
        Some(kept) if kept.verified_at.is_some() => {
            on(tx, rollout, step, json!({ "rows": kept.rows, "digest": kept.digest })).await
        }
        Some(Kept { job: Some(job), .. }) => match jobs::get(tx, job).await? {
            Some(job) if job.state == State::Failed => {
                let why = format!("the backfill {name} failed: {}", job.error.unwrap_or_default());
                worse(tx, rollout, step, &why, &json!({ "job": job.id })).await
            }
            _ => hold(tx, rollout, &format!("the backfill {name} is not verified yet")).await,
        },
        _ => Ok(Stepped::Begin { name: name.to_owned(), again: false }),
    }
}

/// Waits for a comparison of its own: one that was made before says nothing of what was written since.
pub async fn compared(tx: &Tx<'_>, rollout: &mut Rollout, step: &Step, name: &str) -> Result<Stepped, RolloutError> {
    let begun = rollouts::events(tx, rollout.id).await?.into_iter().rev();
    let Some(begun) = begun.filter(|event| event.step == step.name).find(|event| event.what == COMPARING) else {
        let by = actor(rollout);
        rollouts::note(tx, rollout.id, (&step.name, COMPARING), &json!({ "comparison": name }), &by).await?;
        return Ok(Stepped::Begin { name: name.to_owned(), again: true });
    };
    let kept = kept(tx, name).await?;
    let job = match kept.as_ref().and_then(|kept| kept.job) {
        Some(id) => jobs::get(tx, id).await?.filter(|job| job.created_at >= begun.at),
        None => None,
    };
    let (Some(kept), Some(job)) = (kept, job) else {
        return Ok(Stepped::Begin { name: name.to_owned(), again: true });
    };
    match job.state {
        State::Succeeded => on(tx, rollout, step, json!({ "rows": kept.rows, "digest": kept.digest })).await,
        State::Failed => {
            let why = format!("the comparison {name} failed: {}", job.error.unwrap_or_default());
            worse(tx, rollout, step, &why, &json!({ "job": job.id })).await
        }
        State::Cancelled => {
            let why = format!("the comparison {name} was cancelled: `backfill retry {name}`, or `rollout abort`");
            hold(tx, rollout, &why).await
        }
        _ => hold(tx, rollout, &format!("the comparison {name} is not over yet")).await,
    }
}

/// What is kept of a backfill or comparison.
async fn kept(tx: &Tx<'_>, name: &str) -> Result<Option<Kept>, StoreError> {
    let is_it = |kept: &Kept| {
        format!("{}/{}", kept.module, kept.file).trim_end_matches(".sql") == name.trim_end_matches(".sql")
    };
    Ok(backfills::all(tx).await?.into_iter().find(is_it))
}
