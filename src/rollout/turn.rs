//! How a rollout goes on, holds, ends or is taken back: one row and what is noted of it, in the transaction of the step.

use serde_json::{Value, json};

use super::{
    error::RolloutError,
    plan::{Plan, Step},
};
use crate::{
    flags::{self, Change},
    model::TenantId,
    store::{
        StoreError, Tx,
        platform::rollouts::{self, Rollout},
    },
};

/// What became of a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stepped {
    /// There is nothing to do, or it waits.
    Idle,
    /// It went on.
    More,
    /// It waits for this backfill or comparison, which nobody has begun; `again`: one that is done already says nothing.
    Begin { name: String, again: bool },
}

/// The plan that a rollout keeps.
pub fn plan_of(rollout: &Rollout) -> Result<Plan, StoreError> {
    let shape = |error: serde_json::Error| StoreError::Shape { name: "rollout.plan", detail: error.to_string() };
    serde_json::from_value(rollout.plan.clone()).map_err(shape)
}

pub fn place(rollout: &Rollout) -> usize {
    usize::try_from(rollout.step).unwrap_or(usize::MAX)
}

/// The name of the step it is at.
pub fn step_name(rollout: &Rollout) -> String {
    let plan = plan_of(rollout).ok();
    let order = plan.as_ref().and_then(|plan| plan.order().ok());
    order.and_then(|order| order.get(place(rollout)).map(|step| step.name.clone())).unwrap_or_default()
}

/// It made things worse: the way back.
pub async fn worse(
    tx: &Tx<'_>,
    rollout: &mut Rollout,
    step: &Step,
    why: &str,
    figures: &Value,
) -> Result<Stepped, RolloutError> {
    tracing::error!(rollout = rollout.name, step = step.name, why, "a rollout is taken back");
    let by = actor(rollout);
    rollouts::note(tx, rollout.id, (&step.name, "worse"), &json!({ "why": why, "figures": figures }), &by).await?;
    take_back(tx, rollout, "rolled_back", why, &by).await?;
    Ok(Stepped::More)
}

/// The step is over; the next one begins.
pub async fn on(tx: &Tx<'_>, rollout: &mut Rollout, step: &Step, detail: Value) -> Result<Stepped, RolloutError> {
    let by = actor(rollout);
    rollouts::note(tx, rollout.id, (&step.name, "done"), &detail, &by).await?;
    rollout.step += 1;
    (rollout.state, rollout.why) = ("running".to_owned(), None);
    rollouts::put(tx, rollout, false).await?;
    Ok(Stepped::More)
}

/// It holds, and says what is missing; once.
pub async fn hold(tx: &Tx<'_>, rollout: &mut Rollout, why: &str) -> Result<Stepped, RolloutError> {
    hold_as(tx, rollout, "holds", why).await
}

pub async fn hold_as(tx: &Tx<'_>, rollout: &mut Rollout, what: &str, why: &str) -> Result<Stepped, RolloutError> {
    if rollout.state == "holding" && rollout.why.as_deref() == Some(why) {
        return Ok(Stepped::Idle);
    }
    let (is_first, by, step) = (rollout.state != "holding", actor(rollout), step_name(rollout));
    (rollout.state, rollout.why) = ("holding".to_owned(), Some(why.to_owned()));
    rollouts::put(tx, rollout, rollout.acted_at.is_some()).await?;
    if is_first {
        rollouts::note(tx, rollout.id, (&step, what), &json!({ "why": why }), &by).await?;
    }
    Ok(Stepped::Idle)
}

pub async fn end(tx: &Tx<'_>, rollout: &mut Rollout) -> Result<Stepped, RolloutError> {
    (rollout.state, rollout.why) = ("done".to_owned(), None);
    rollouts::put(tx, rollout, false).await?;
    rollouts::note(tx, rollout.id, ("", "ended"), &json!({}), &actor(rollout)).await?;
    Ok(Stepped::More)
}

/// Every flag becomes what it was before, the last first; what was written meanwhile stays.
pub async fn take_back(
    tx: &Tx<'_>,
    rollout: &mut Rollout,
    state: &str,
    why: &str,
    by: &str,
) -> Result<(), RolloutError> {
    let reason = format!("the rollout {} is taken back", rollout.name);
    for event in rollouts::events(tx, rollout.id).await?.into_iter().rev().filter(|event| event.what == "set") {
        let name = event.detail["flag"].as_str().unwrap_or_default();
        let tenant = event.detail["tenant"].as_str().and_then(|id| id.parse().ok()).map(TenantId);
        let value = Some(event.detail["before"].clone()).filter(|before| !before.is_null());
        flags::set(tx, &Change { name, tenant, value, reason: &reason }, by).await?;
    }
    let step = step_name(rollout);
    (rollout.state, rollout.why) = (state.to_owned(), Some(why.to_owned()));
    rollouts::put(tx, rollout, false).await?;
    rollouts::note(tx, rollout.id, (&step, state), &json!({ "why": why }), by).await?;
    Ok(())
}

pub fn actor(rollout: &Rollout) -> String {
    format!("rollout:{}", rollout.name)
}
