//! What people do with rollouts: begin one, let it go on, pause it, take it back, and read what it did.

use serde_json::json;
use uuid::Uuid;

use super::{
    error::RolloutError,
    plan::{Known, Plan, Tell, What},
    turn,
};
use crate::{
    model::Ids,
    store::{
        As, Store, StoreError, Tx,
        platform::{
            audit::{self, Entry},
            rollouts::{self, Event, Rollout},
            tellings::{self, Receiver},
            tenants,
        },
    },
};

/// Tenants that are looked at for pilots at most.
const MANY: i64 = 100_000;

/// The desk.
#[derive(Clone)]
pub struct Desk {
    store: Store,
    ids: Ids,
    /// Files and backfills of this binary.
    known: Known,
}

impl Desk {
    pub fn new(store: &Store, ids: &Ids, known: Known) -> Self {
        Self { store: store.clone(), ids: ids.clone(), known }
    }

    /// Everything that is wrong with a plan, against what this binary and this database have.
    pub async fn faults(&self, plan: &Plan) -> Result<Vec<String>, StoreError> {
        let tenants = self.store.run_tx("tenants", As::Worker, |tx| Box::pin(tenants::list(tx, None, MANY))).await?;
        let tenants = tenants.into_iter().map(|tenant| tenant.name).collect();
        Ok(plan.faults(&Known { tenants, ..self.known.clone() }))
    }

    /// Begins a rollout; nodes do its steps from now on.
    pub async fn start(&self, plan: &Plan, digest: &str, by: &str) -> Result<Uuid, RolloutError> {
        let faults = self.faults(plan).await?;
        if !faults.is_empty() {
            return Err(RolloutError::Faults(faults));
        }
        let (id, value) = (self.ids.uuid(), &json!(plan));
        let receivers = &plan.tell.as_ref().map(Tell::names).unwrap_or_default();
        self.store
            .run_once("start_rollout", As::Worker, |tx| {
                Box::pin(async move {
                    if !rollouts::add(tx, id, &plan.name, value, digest, by).await? {
                        return Err(RolloutError::Underway);
                    }
                    rollouts::note(tx, id, ("", "started"), &json!({ "digest": digest }), by).await?;
                    tellings::add(tx, id, receivers).await?;
                    trail(tx, "rollout.start", &plan.name, by).await?;
                    Ok(id)
                })
            })
            .await
    }

    /// The newest rollouts, of a name or all, with what they did.
    pub async fn look(&self, name: Option<&str>, most: i64) -> Result<Vec<(Rollout, Vec<Event>)>, StoreError> {
        self.store
            .run_tx("look_at_rollouts", As::Worker, |tx| {
                Box::pin(async move {
                    let mut found = Vec::new();
                    for rollout in rollouts::newest(tx, name, most).await? {
                        let events = rollouts::events(tx, rollout.id).await?;
                        found.push((rollout, events));
                    }
                    Ok(found)
                })
            })
            .await
    }

    /// Whom a rollout tells, and how far each of them was told.
    pub async fn receivers(&self, rollout: Uuid) -> Result<Vec<Receiver>, StoreError> {
        self.store.run_tx("receivers", As::Worker, |tx| Box::pin(tellings::of(tx, rollout))).await
    }

    /// Lets receivers be tried again, at once, whom the newest rollout of a name could not reach, also when it is over.
    pub async fn tell_again(&self, name: &str, by: &str) -> Result<Vec<Receiver>, RolloutError> {
        self.store
            .run_once("tell_again", As::Worker, |tx| {
                Box::pin(async move {
                    let found = rollouts::newest(tx, Some(name), 1).await?.pop();
                    let rollout = found.ok_or_else(|| RolloutError::Unknown(name.to_owned()))?.id;
                    if tellings::again(tx, rollout).await? == 0 {
                        return Err(RolloutError::Refused("it could reach everybody whom it tells".to_owned()));
                    }
                    trail(tx, "rollout.tell", name, by).await?;
                    Ok(tellings::of(tx, rollout).await?)
                })
            })
            .await
    }

    /// Approves the contract that waits for it, from somebody else.
    pub async fn approve(&self, name: &str, by: &str) -> Result<Rollout, RolloutError> {
        self.go_on(name, by, |is_contract| {
            let why = "no contract waits for an approval".to_owned();
            if is_contract { Ok(()) } else { Err(RolloutError::Refused(why)) }
        })
        .await
    }

    /// Lets one go on: a contract that waits for an approval has it by this, from somebody else; one that holds goes past what
    /// was not known.
    pub async fn advance(&self, name: &str, by: &str) -> Result<Rollout, RolloutError> {
        self.go_on(name, by, |_| Ok(())).await
    }

    async fn go_on(
        &self,
        name: &str,
        by: &str,
        may: impl Fn(bool) -> Result<(), RolloutError> + Send + Sync,
    ) -> Result<Rollout, RolloutError> {
        self.act(name, by, "advanced", |rollout, by| {
            let plan = turn::plan_of(rollout)?;
            let order = plan.order().map_err(RolloutError::Refused)?;
            let what = order.get(turn::place(rollout)).map(|step| &step.what);
            let is_contract = matches!(what, Some(What::Contract { .. }));
            let is_switch = what.is_some_and(|what| what.sets().is_some());
            let is_proven = matches!(what, Some(What::Backfill { .. } | What::Compare { .. }));
            may(is_contract)?;
            if rollout.state != "holding" {
                return Err(RolloutError::Refused(format!(
                    "it is {}: only one that holds can be advanced",
                    rollout.state
                )));
            }
            if is_contract {
                if by.trim().to_lowercase() == rollout.asked_by.trim().to_lowercase() {
                    let why =
                        format!("{} asked for it: somebody else approves the contract, by --by NAME", rollout.asked_by);
                    return Err(RolloutError::Refused(why));
                }
                rollout.approved_by = Some(by.to_owned());
            } else if is_proven {
                let why = "what it waits for is proven, not taken for granted: `backfill list` says where it stands";
                return Err(RolloutError::Refused(why.to_owned()));
            } else if rollout.acted_at.is_none() && is_switch {
                return Err(RolloutError::Refused("nothing was switched yet: mend what it waits for".to_owned()));
            } else {
                rollout.step += 1;
            }
            (rollout.state, rollout.why) = ("running".to_owned(), None);
            Ok(is_contract && rollout.acted_at.is_some())
        })
        .await
    }

    /// Lets one wait: nothing is done, what is set stays set.
    pub async fn pause(&self, name: &str, by: &str) -> Result<Rollout, RolloutError> {
        self.act(name, by, "paused", |rollout, _| {
            rollout.state = "paused".to_owned();
            Ok(rollout.acted_at.is_some())
        })
        .await
    }

    /// Lets a paused one go on.
    pub async fn resume(&self, name: &str, by: &str) -> Result<Rollout, RolloutError> {
        self.act(name, by, "resumed", |rollout, _| {
            if rollout.state != "paused" {
                return Err(RolloutError::Refused(format!("it is {}, not paused", rollout.state)));
            }
            rollout.state = "running".to_owned();
            Ok(rollout.acted_at.is_some())
        })
        .await
    }

    async fn act(
        &self,
        name: &str,
        by: &str,
        what: &'static str,
        change: impl Fn(&mut Rollout, &str) -> Result<bool, RolloutError> + Send + Sync,
    ) -> Result<Rollout, RolloutError> {
        let change = &change;
        self.store
            .run_once("act_on_rollout", As::Worker, |tx| {
                Box::pin(async move {
                    let mut rollout = named(tx, name).await?;
                    let step = turn::step_name(&rollout);
                    let acted = change(&mut rollout, by)?;
                    rollouts::put(tx, &rollout, acted).await?;
                    rollouts::note(tx, rollout.id, (&step, what), &json!({}), by).await?;
                    trail(tx, "rollout.act", name, by).await?;
                    Ok(rollout)
                })
            })
            .await
    }

    /// Takes everything back that can be: flags become what they were. Not once a contract was approved.
    pub async fn abort(&self, name: &str, why: &str, by: &str) -> Result<Rollout, RolloutError> {
        self.store
            .run_once("abort_rollout", As::Worker, |tx| {
                Box::pin(async move {
                    let mut rollout = named(tx, name).await?;
                    if rollout.approved_by.is_some() {
                        return Err(RolloutError::Refused(
                            "its contract was approved: there is no way back".to_owned(),
                        ));
                    }
                    turn::take_back(tx, &mut rollout, "aborted", why, by).await?;
                    trail(tx, "rollout.abort", name, by).await?;
                    Ok(rollout)
                })
            })
            .await
    }
}

async fn named(tx: &Tx<'_>, name: &str) -> Result<Rollout, RolloutError> {
    let found = rollouts::underway(tx).await?.filter(|rollout| rollout.name == name);
    found.ok_or_else(|| RolloutError::NotUnderway(name.to_owned()))
}

async fn trail(tx: &Tx<'_>, action: &'static str, name: &str, by: &str) -> Result<(), StoreError> {
    let entry = Entry { tenant: None, actor: by, action, subject: name.to_owned(), detail: json!({}) };
    audit::append(tx, &entry).await.map(drop)
}
