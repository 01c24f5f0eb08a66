//! What a node does for the rollout that is underway: a step, its gate or its bake, and the way back. Done again it does nothing twice.

use serde_json::json;
use uuid::Uuid;

use super::{
    error::RolloutError,
    plan::{Plan, Sets, Step, What, span},
    turn::{Stepped, actor, end, hold, hold_as, on, place, plan_of, worse},
    verdict::{Counted, Verdict, judge},
    walked::{compared, filled},
};
use crate::{
    flags::{self, Change, declared},
    model::TenantId,
    store::{
        As, Store, StoreError, Tx,
        platform::{
            flags as rows, leases,
            rollouts::{self, Rollout},
            tenants,
        },
        schema::migrations::standing::Wanted,
    },
};

/// What stands still while the whole is looked at: a step that switches, before it does and while it is baked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    rollout: Uuid,
    step: i32,
    has_switched: bool,
}

/// What was found wrong with the whole at a moment; empty: nothing.
#[derive(Clone, Debug)]
pub struct Looked {
    pub at: Moment,
    pub wrong: Vec<String>,
}

/// The moment at which the whole is to be looked at; `None`: nothing is switched.
pub async fn moment(store: &Store) -> Result<Option<Moment>, RolloutError> {
    let Some(seen) = underway(store).await? else { return Ok(None) };
    let plan = plan_of(&seen)?;
    let order = plan.order().map_err(RolloutError::Refused)?;
    let switches = order.get(place(&seen)).is_some_and(|step| step.what.sets().is_some());
    Ok(Some(now(&seen)).filter(|_| switches && seen.state != "paused"))
}

fn now(rollout: &Rollout) -> Moment {
    Moment { rollout: rollout.id, step: rollout.step, has_switched: rollout.acted_at.is_some() }
}

/// The checks of the plan that is underway that do not hold.
pub async fn broken_checks(store: &Store) -> Result<Vec<String>, RolloutError> {
    let Some(seen) = underway(store).await? else { return Ok(Vec::new()) };
    let mut broken = Vec::new();
    for check in plan_of(&seen)?.checks {
        let sql = &check.sql;
        match store.run_tx("rollout_check", As::Worker, |tx| Box::pin(rollouts::violations(tx, sql))).await {
            Ok(0) => {}
            Ok(rows) => broken.push(format!("{}: {rows} rows", check.name)),
            Err(error) if error.is_temporary() => return Err(error.into()),
            Err(error) => broken.push(format!("{}: {error}", check.name)),
        }
    }
    Ok(broken)
}

async fn underway(store: &Store) -> Result<Option<Rollout>, StoreError> {
    store.run_tx("look_for_rollout", As::Worker, |tx| Box::pin(rollouts::underway(tx))).await
}

/// Looks after the rollout that is underway, under the store's lease; `looked`: how the whole was found last.
pub async fn step(store: &Store, looked: Option<&Looked>) -> Result<Stepped, RolloutError> {
    let Some(seen) = underway(store).await? else { return Ok(Stepped::Idle) };
    // The history is the owner's: it is asked for beforehand.
    let missing = &missing(store, &seen).await?;
    store.run_once("step_rollout", As::Worker, |tx| Box::pin(in_its_turn(tx, missing, looked))).await
}

async fn in_its_turn(tx: &Tx<'_>, missing: &[String], looked: Option<&Looked>) -> Result<Stepped, RolloutError> {
    leases::check(tx).await?;
    let Some(mut rollout) = rollouts::underway(tx).await? else { return Ok(Stepped::Idle) };
    if rollout.state == "paused" {
        return Ok(Stepped::Idle);
    }
    let plan = plan_of(&rollout)?;
    let order = plan.order().map_err(RolloutError::Refused)?;
    let Some(step) = order.get(place(&rollout)) else {
        return end(tx, &mut rollout).await;
    };
    match &step.what {
        What::Expand { .. } => gate(tx, &mut rollout, step, missing).await,
        What::Contract { .. } if rollout.approved_by.is_none() => {
            let why = "the contract cannot be taken back: somebody else approves it by `rollout advance`";
            hold_as(tx, &mut rollout, "needs_approval", why).await
        }
        What::Contract { .. } => gate(tx, &mut rollout, step, missing).await,
        What::Backfill { backfill } => filled(tx, &mut rollout, step, backfill).await,
        What::Compare { compare } => compared(tx, &mut rollout, step, compare).await,
        What::Switch { .. } | What::DualWrite { .. } => {
            // What was seen before it was switched says nothing of what came by it.
            let Some(Looked { wrong, .. }) = looked.filter(|looked| looked.at == now(&rollout)) else {
                return Ok(Stepped::Idle);
            };
            // What is wrong by the time of a later switch came while an earlier one was in force.
            let is_in_force =
                rollout.acted_at.is_some() || order[..place(&rollout)].iter().any(|one| one.what.sets().is_some());
            match (rollout.acted_at.is_some(), wrong.is_empty()) {
                (false, true) => switch(tx, &mut rollout, step).await,
                (true, true) => bake(tx, &mut rollout, &plan, &order).await,
                (_, false) if !is_in_force => {
                    hold(tx, &mut rollout, &format!("something is wrong before it begins: {}", wrong.join("; "))).await
                }
                (_, false) => {
                    let why = format!("integrity: {}", wrong.join("; "));
                    worse(tx, &mut rollout, step, &why, &json!({ "wrong": wrong })).await
                }
            }
        }
    }
}

/// Files of the step it is at that are not applied.
async fn missing(store: &Store, rollout: &Rollout) -> Result<Vec<String>, RolloutError> {
    let plan = plan_of(rollout)?;
    let order = plan.order().map_err(RolloutError::Refused)?;
    let (What::Expand { files } | What::Contract { files }) = (match order.get(place(rollout)) {
        Some(step) => &step.what,
        None => return Ok(Vec::new()),
    }) else {
        return Ok(Vec::new());
    };
    let wanted = |name: &String| {
        let (schema, file) = name.split_once('/')?;
        Some(Wanted { schema: schema.to_owned(), file: file.to_owned() })
    };
    let wanted: Vec<Wanted> = files.iter().filter_map(wanted).collect();
    match store.unapplied(&wanted).await? {
        Some(missing) => Ok(missing.iter().map(|one| format!("{}/{}", one.schema, one.file)).collect()),
        None => {
            Err(RolloutError::Refused("the history of migrations cannot be read by the service's login".to_owned()))
        }
    }
}

/// Waits for files.
async fn gate(tx: &Tx<'_>, rollout: &mut Rollout, step: &Step, missing: &[String]) -> Result<Stepped, RolloutError> {
    if missing.is_empty() {
        return on(tx, rollout, step, json!({})).await;
    }
    hold(tx, rollout, &format!("{} not applied: `migrations run`", missing.join(", "))).await
}

/// Sets the flag of a step, and writes down what it was.
async fn switch(tx: &Tx<'_>, rollout: &mut Rollout, step: &Step) -> Result<Stepped, RolloutError> {
    let Some(sets @ Sets { flag, value, bake, .. }) = step.what.sets() else { return Ok(Stepped::Idle) };
    let value = declared::read(flags::flag(flag)?, value).map_err(RolloutError::Refused)?;
    let in_force = rows::in_force(tx).await?;
    let (by, reason) = (actor(rollout), format!("step {} of the rollout {}", step.name, rollout.name));
    for tenant in whom(tx, sets).await? {
        let before = in_force.iter().find(|set| set.name == flag && set.tenant == tenant);
        let before = before.and_then(|set| set.value.clone());
        flags::set(tx, &Change { name: flag, tenant, value: Some(value.clone()), reason: &reason }, &by).await?;
        let detail = json!({ "flag": flag, "tenant": tenant, "value": value, "before": before });
        rollouts::note(tx, rollout.id, (&step.name, "set"), &detail, &by).await?;
    }
    if let Some(bake) = bake {
        rollouts::note(tx, rollout.id, (&step.name, "baking"), &json!({ "for": bake }), &by).await?;
    }
    (rollout.state, rollout.why) = ("running".to_owned(), None);
    rollouts::put(tx, rollout, true).await?;
    Ok(Stepped::More)
}

/// For whom a step sets its flag: its pilots, or everybody.
async fn whom(tx: &Tx<'_>, sets: Sets<'_>) -> Result<Vec<Option<TenantId>>, RolloutError> {
    if sets.is_for_everybody() {
        return Ok(vec![None]);
    }
    let mut found = Vec::new();
    for pilot in sets.pilots {
        let tenant = tenants::named(tx, pilot).await?;
        let tenant = tenant.ok_or_else(|| RolloutError::Refused(format!("the pilot {pilot} is gone")))?;
        found.push(Some(tenant.id));
    }
    Ok(found)
}

/// Watches how requests go with the flag, and decides.
async fn bake(tx: &Tx<'_>, rollout: &mut Rollout, plan: &Plan, order: &[&Step]) -> Result<Stepped, RolloutError> {
    let Some(step) = order.get(place(rollout)) else { return Ok(Stepped::Idle) };
    let Some(bake) = step.what.sets().and_then(|sets| sets.bake).and_then(span) else {
        return on(tx, rollout, step, json!({})).await;
    };
    let (new, old) = groups(tx, rollout, order).await?;
    let is_over = rollout.acted_for.is_some_and(|seconds| seconds >= bake.as_secs_f64());
    let figures = json!({ "new": new, "old": old });
    match judge(&new, &old, plan.watch.tolerance) {
        Verdict::Worse(why) => worse(tx, rollout, step, &why, &figures).await,
        Verdict::NotWorse if is_over => {
            rollouts::note(tx, rollout.id, (&step.name, "not_worse"), &figures, &actor(rollout)).await?;
            on(tx, rollout, step, figures).await
        }
        Verdict::Unknown(missing) if is_over => hold(tx, rollout, &format!("nobody knows yet: {missing}")).await,
        Verdict::NotWorse | Verdict::Unknown(_) => Ok(Stepped::Idle),
    }
}

/// Pilots against the rest; for everybody, all against who was the rest while there were pilots.
async fn groups(tx: &Tx<'_>, rollout: &Rollout, order: &[&Step]) -> Result<(Counted, Counted), RolloutError> {
    let here = place(rollout);
    let sets_of = |at: usize| order.get(at).and_then(|step| step.what.sets());
    let Some(sets) = sets_of(here) else { return Ok(Default::default()) };
    let split = async |at: usize, sets: Sets<'_>| {
        let pilots = whom(tx, sets).await?;
        let place = i32::try_from(at).unwrap_or(i32::MAX);
        let (mut theirs, mut others) = (Counted::default(), Counted::default());
        for (tenant, sample) in rollouts::samples(tx, rollout.id, place).await? {
            let group = if pilots.contains(&Some(tenant)) || pilots == [None] { &mut theirs } else { &mut others };
            group.requests += sample.requests;
            group.errors += sample.errors;
            group.slow += sample.slow;
        }
        Ok::<_, RolloutError>((theirs, others))
    };
    let (new, rest) = split(here, sets).await?;
    if !sets.is_for_everybody() {
        return Ok((new, rest));
    }
    let pilots = |at: usize| sets_of(at).filter(|one| !one.is_for_everybody() && one.flag == sets.flag);
    match (0..here).rev().find_map(|at| Some((at, pilots(at)?))) {
        Some((at, pilots)) => Ok((new, split(at, pilots).await?.1)),
        None => Ok((new, Counted::default())),
    }
}
