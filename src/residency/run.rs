//! Does what `plan` says, one step after the other: each is a transaction in one cell, or work that may be done again. Whoever is
//! cut off asks again, and goes on from where the rows say that it stands.

use std::time::Instant;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{
    Act, Move, Order, Other, Residency, ResidencyError, away,
    courier::Courier,
    doors::{Doors, standing},
    note,
    plan::{Facts, Step, next},
    prove::Proof,
};
use crate::{
    model::{
        TenantId,
        partition::Month,
        residence::{MoveState, Standing},
    },
    store::{
        As, Store,
        platform::{
            carried as rows,
            jobs::{Context, Progress},
            moves,
            residences::{self, Turn},
        },
    },
};

/// What a step says of its job.
#[derive(Debug)]
pub enum Stepped {
    More,
    Done(Value),
    Failed {
        why: String,
        outcome: Value,
    },
    /// The archive is to remove everything of the tenant's months; then the job goes on.
    Archived {
        tenant: TenantId,
        months: Vec<Month>,
    },
}

/// Everything that a step needs.
pub(super) struct Walk<'a> {
    pub residency: &'a Residency,
    pub store: Store,
    other: &'a Other,
    pub job: &'a Context,
    by: &'a str,
    pub same: Option<bool>,
    trouble: Option<String>,
    frozen: Option<Instant>,
}

impl Residency {
    /// A step of the job that does an act.
    pub async fn step(&self, job: &Context) -> Result<Stepped, ResidencyError> {
        let order: Order = job.parameters()?;
        let act = Act::named(&order.act)
            .ok_or_else(|| ResidencyError::Refused(format!("there is no act {:?}", order.act)))?;
        let found = self.get(order.r#move).await?;
        let other = self.cell(&found.cell)?;
        let (store, by) = (job.store.clone(), job.job.requested_by.as_str());
        let mut walk = Walk { residency: self, store, other, job, by, same: None, trouble: None, frozen: None };
        walk.along(act, found).await
    }
}

impl Walk<'_> {
    async fn along(&mut self, act: Act, mut found: Move) -> Result<Stepped, ResidencyError> {
        loop {
            match self.once(act, &found).await {
                Ok(Some(stepped)) => return Ok(stepped),
                Ok(None) => found = self.residency.get(found.id).await?,
                Err(error) => {
                    self.let_go(found.id, &error).await;
                    return Err(error);
                }
            }
        }
    }

    /// One step; answers what the job comes to, where it comes to something.
    async fn once(&mut self, act: Act, found: &Move) -> Result<Option<Stepped>, ResidencyError> {
        let facts = self.facts(found).await?;
        let step = match next(act, &facts) {
            Ok(step) => step,
            Err(why) => {
                // What was given up says why; it is no contradiction.
                let why = self.trouble.clone().or_else(|| found.trouble.clone()).unwrap_or(why);
                let outcome = json!({ "move": found.id, "state": found.state.name() });
                return Ok(Some(Stepped::Failed { why, outcome }));
            }
        };
        if step == Step::Nothing {
            let outcome = json!({ "move": found.id, "state": found.state.name(), "frozenMs": found.frozen_ms });
            return Ok(Some(Stepped::Done(outcome)));
        }
        if self.job.should_stop() && self.may_rest(found) {
            return Ok(Some(Stepped::More));
        }
        if step == Step::Clear {
            let (tenant, months) = (found.tenant, self.store.segments_of_moved(found.tenant).await?);
            if !months.is_empty() {
                self.tell("removing what is archived", 0);
                return Ok(Some(Stepped::Archived { tenant, months }));
            }
        }
        tracing::info!(r#move = %found.id, state = found.state.name(), ?step, "a tenant moves");
        self.tell(step.words(), 0);
        match self.take(step, found).await {
            Err(ResidencyError::Differs(why)) if step != Step::Bring && step != Step::Clear => {
                (self.same, self.trouble) = (Some(false), Some(why));
                Ok(None)
            }
            other => other.map(|()| None),
        }
    }

    /// Writers wait for nobody's trouble: before the decision the tenant is served again where it was. Where that cannot be said
    /// either, or another node has it, whoever comes next goes on.
    async fn let_go(&mut self, id: Uuid, error: &ResidencyError) {
        self.trouble = Some(error.to_string());
        let Ok(found) = self.residency.get(id).await else { return };
        let thawed = match found.state {
            MoveState::Frozen => self.take(Step::Thaw, &found).await,
            MoveState::Returning => match standing(&self.other.store, found.tenant).await {
                Ok(Standing::Frozen) => self.take(Step::ThawThere, &found).await,
                other => other.map(drop),
            },
            _ => return,
        };
        if let Err(thawing) = thawed {
            tracing::warn!(r#move = %id, %error, %thawing, "a tenant stays frozen until somebody goes on with its move");
        }
    }

    /// Whether the job may be left for a while as it stands: not while writers wait.
    fn may_rest(&self, found: &Move) -> bool {
        !matches!(found.state, MoveState::Frozen | MoveState::Switching | MoveState::Reopening)
    }

    pub fn tell(&self, note: &str, done: u64) {
        self.job.progress(&Progress { done, unit: "rows", note: Some(note.to_owned()), ..Progress::default() });
    }

    async fn facts(&self, found: &Move) -> Result<Facts, ResidencyError> {
        let tenant = found.tenant;
        let here = standing(&self.store, tenant).await?;
        let there = standing(&self.other.store, tenant).await.map_err(|error| away(self.other, error))?;
        Ok(Facts { state: found.state, here, there, same: self.same })
    }

    async fn take(&mut self, step: Step, found: &Move) -> Result<(), ResidencyError> {
        use MoveState as S;
        use Standing::{Arriving, Away, Frozen, Home};
        match step {
            Step::Nothing => Ok(()),
            Step::Arrive => self.arrive(found).await,
            Step::Copying => self.set(found, (found.state, S::Copying)).await,
            Step::Bring => self.bring(found).await,
            Step::Verified => self.set(found, (S::Copying, S::Verified)).await,
            Step::Freeze => {
                self.residency.must_be_fresh(found)?;
                // What came since the proof goes over before anybody waits.
                if !self.catch_up(found).await? {
                    return Ok(());
                }
                self.here(found, (Home, Frozen), (S::Verified, S::Frozen), Doors::Close).await?;
                (self.same, self.frozen) = (None, Some(Instant::now()));
                Ok(())
            }
            Step::BringRest => self.bring_rest(found, self.forth(found), "forth").await,
            Step::Thaw => self.here(found, (Frozen, Home), (S::Frozen, S::Copying), Doors::Open).await,
            Step::Leave => self.here(found, (Frozen, Away), (S::Frozen, S::Switching), Doors::Forget).await,
            Step::Open => self.open(found).await,
            Step::Switched => self.switched(found).await,
            Step::Return => {
                self.same = None;
                self.here(found, (Away, Arriving), (S::Switched, S::Returning), Doors::Leave).await
            }
            Step::BringBack => self.bring_back(found).await,
            Step::FreezeThere => {
                self.there(found, (Home, Frozen), Doors::Close).await?;
                (self.same, self.frozen) = (None, Some(Instant::now()));
                Ok(())
            }
            Step::BringBackRest => self.bring_rest(found, self.back(found), "back").await,
            Step::ThawThere => self.there(found, (Frozen, Home), Doors::Open).await,
            Step::GiveUp => self.here(found, (Arriving, Away), (S::Returning, S::Switched), Doors::Leave).await,
            Step::Reopening => self.set(found, (S::Returning, S::Reopening)).await,
            Step::LeaveThere => self.there(found, (Frozen, Away), Doors::Forget).await,
            Step::Reopen => self.reopen(found).await,
            Step::ClearThere => self.clear_there(found).await,
            Step::Cancelled => self.cancelled(found).await,
            Step::Clear => self.clear(found).await,
            Step::Purged => self.noted(found, (S::Purging, S::Purged), "residency.purge", json!({ "left": 0 })).await,
        }
    }

    pub fn forth(&self, found: &Move) -> Courier {
        let cells = [self.residency.here.name.clone(), found.cell.clone()];
        let (from, to) = (self.store.clone(), self.other.store.clone());
        Courier { from, to, cells, tenant: found.tenant, move_id: found.id }
    }

    pub fn back(&self, found: &Move) -> Courier {
        let cells = [found.cell.clone(), self.residency.here.name.clone()];
        let (from, to) = (self.other.store.clone(), self.store.clone());
        Courier { from, to, cells, tenant: found.tenant, move_id: found.id }
    }

    async fn set(&self, found: &Move, between: (MoveState, MoveState)) -> Result<(), ResidencyError> {
        let (id, trouble) = (found.id, self.trouble.as_deref());
        let set = self.store.run_tx("move_state", As::Worker, |tx| Box::pin(moves::set(tx, id, between, trouble)));
        if set.await? { Ok(()) } else { Err(changed()) }
    }

    /// A change here: of where the tenant stands, and of the move, in one transaction.
    async fn here(
        &self,
        found: &Move,
        (from, to): (Standing, Standing),
        between: (MoveState, MoveState),
        doors: Doors,
    ) -> Result<(), ResidencyError> {
        let turn =
            Turn { tenant: found.tenant, from, to, move_id: found.id, cell: &found.cell, endpoint: &found.endpoint };
        let (turn, effects, trouble) = (&turn, self.residency.effects_version, self.trouble.as_deref());
        let by = self.by;
        let done = self.store.run_once("move_turn", As::Worker, |tx| {
            Box::pin(async move {
                if !moves::set(tx, found.id, between, trouble).await? || !residences::turn(tx, turn).await? {
                    return Err(changed());
                }
                doors.set(tx, turn.tenant, effects).await?;
                let detail = json!({ "state": between.1.name(), "standing": to.name(), "trouble": trouble });
                note(tx, found.tenant, (by, "residency.step"), found.id, detail).await?;
                Ok(())
            })
        });
        done.await
    }

    /// A change in the other cell.
    async fn there(&self, found: &Move, (from, to): (Standing, Standing), doors: Doors) -> Result<(), ResidencyError> {
        self.store.check_lease().await?;
        let here = &self.residency.here;
        let turn =
            Turn { tenant: found.tenant, from, to, move_id: found.id, cell: &here.name, endpoint: &here.endpoint };
        let (turn, effects, by) = (&turn, self.residency.effects_version, self.by);
        let done = self.other.store.run_once("move_turn", As::Worker, |tx| {
            Box::pin(async move {
                if !residences::turn(tx, turn).await? {
                    return Err(changed());
                }
                doors.set(tx, turn.tenant, effects).await?;
                note(tx, found.tenant, (by, "residency.step"), found.id, json!({ "standing": to.name() })).await?;
                Ok(())
            })
        });
        done.await.map_err(|error| away(self.other, error))
    }

    async fn arrive(&self, found: &Move) -> Result<(), ResidencyError> {
        let plan = self.residency.plan(found.tenant, &found.cell).await?;
        if let Some(first) = plan.blockers.first() {
            return Err(ResidencyError::Refused(first.clone()));
        }
        let from = standing(&self.other.store, found.tenant).await?;
        self.there(found, (from, Standing::Arriving), Doors::Close).await
    }

    /// Lets the other cell serve: the tenant's relay and projections go on there where they stood here.
    async fn open(&self, found: &Move) -> Result<(), ResidencyError> {
        let tenant = found.tenant;
        let positions = self.store.run_tx("parked", As::Worker, |tx| Box::pin(residences::parked(tx, tenant))).await?;
        let horizon = self.other.store.run_tx("horizon", As::Worker, |tx| Box::pin(rows::horizon(tx))).await?;
        if let Some(forth) = Proof::kept(found.proof.as_ref(), "forth") {
            let opened = json!(Proof { compared: Some(horizon.clone()), horizon, ..forth });
            self.store_proof(found.id, ("opened", &opened), found.proved_at).await?;
        }
        self.there(found, (Standing::Arriving, Standing::Home), Doors::OpenAt(positions)).await?;
        self.writers_waited(found).await
    }

    /// Keeps for how long nobody could write.
    async fn writers_waited(&self, found: &Move) -> Result<(), ResidencyError> {
        let Some(frozen) = self.frozen else { return Ok(()) };
        let (id, ms) = (found.id, i64::try_from(frozen.elapsed().as_millis()).unwrap_or(i64::MAX));
        Ok(self.store.run_tx("frozen_for", As::Worker, |tx| Box::pin(moves::frozen_for(tx, id, ms))).await?)
    }

    /// Tells the tenant's trail again in the other cell, and leaves the report in this one's: with what each table comes to where the
    /// tenant was, which nobody changes any more.
    async fn switched(&self, found: &Move) -> Result<(), ResidencyError> {
        let courier = self.forth(found);
        courier.trail().await?;
        let tables = courier.tables_come_to().await?;
        let tables: Map<String, Value> =
            tables.into_iter().map(|(table, sum)| (table.to_owned(), json!(sum))).collect();
        let report = json!({ "from": self.residency.here.name, "to": found.cell, "endpoint": found.endpoint, "reason": found.reason,
            "frozenMs": found.frozen_ms, "provedAt": found.proved_at, "proof": found.proof, "tables": tables });
        self.noted(found, (MoveState::Switching, MoveState::Switched), "residency.report", report).await
    }

    async fn reopen(&self, found: &Move) -> Result<(), ResidencyError> {
        let tenant = found.tenant;
        self.back(found).trail().await?;
        let there =
            self.other.store.run_tx("parked", As::Worker, |tx| Box::pin(residences::parked(tx, tenant))).await?;
        let between = (MoveState::Reopening, MoveState::Returned);
        self.here(found, (Standing::Arriving, Standing::Home), between, Doors::OpenAt(there)).await?;
        self.writers_waited(found).await
    }

    async fn clear_there(&self, found: &Move) -> Result<(), ResidencyError> {
        self.remove_all(&self.other.store, found).await?;
        self.there(found, (Standing::Arriving, Standing::Away), Doors::Leave).await
    }

    async fn clear(&mut self, found: &Move) -> Result<(), ResidencyError> {
        self.remove_all(&self.store, found).await?;
        let left = self.store.left_of_moved(found.tenant).await?;
        if !left.is_empty() {
            let left: Vec<String> = left.iter().map(|(table, rows)| format!("{rows} in {table}")).collect();
            return Err(ResidencyError::Differs(format!("rows of the tenant are left here: {}", left.join(", "))));
        }
        self.same = Some(true);
        Ok(())
    }

    async fn remove_all(&self, store: &Store, found: &Move) -> Result<(), ResidencyError> {
        store.release_moved_holds(found.tenant, self.by, &format!("the tenant is in {}", found.cell)).await?;
        let mut removed = 0;
        loop {
            self.store.check_lease().await?;
            let gone = store.remove_moved(found.tenant, found.id).await?;
            if gone == 0 {
                return Ok(());
            }
            removed += gone;
            self.tell("removing", removed);
        }
    }

    async fn cancelled(&self, found: &Move) -> Result<(), ResidencyError> {
        let from = standing(&self.store, found.tenant).await?;
        let doors = if from == Standing::Frozen { Doors::Open } else { Doors::Leave };
        self.here(found, (from, Standing::Home), (found.state, MoveState::Cancelled), doors).await
    }

    /// The move comes to another state, with an entry of the trail that is kept as its report.
    async fn noted(
        &self,
        found: &Move,
        between: (MoveState, MoveState),
        action: &'static str,
        detail: Value,
    ) -> Result<(), ResidencyError> {
        let (by, detail) = (self.by, &detail);
        let done = self.store.run_once("move_report", As::Worker, |tx| {
            Box::pin(async move {
                if !moves::set(tx, found.id, between, None).await? {
                    return Err(changed());
                }
                let entry = note(tx, found.tenant, (by, action), found.id, detail.clone()).await?;
                moves::report(tx, found.id, entry.0).await?;
                Ok(())
            })
        });
        done.await
    }
}

fn changed() -> ResidencyError {
    ResidencyError::Refused("somebody else goes on with this move: look at it again".to_owned())
}
