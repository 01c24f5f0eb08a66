//! A tenant moves to another cell: another database with its own brokers and objects. Copied while it works, frozen for a moment,
//! switched, and for a while taken back as easily; then removed here.
//!
//! Two cells never serve one tenant: who leaves is away before the other opens, and the database itself refuses what a node writes
//! that slept through it. What becomes of a move next is decided by `plan`, which is pure.

mod bring;
#[cfg(test)]
mod checked;
mod courier;
mod doors;
mod error;
mod found;
mod old;
pub mod plan;
mod prove;
mod run;
mod sagas;
mod settle;

use std::sync::Arc;

use chrono::TimeDelta;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

pub use self::{error::ResidencyError, found::OldMonth, plan::Act, prove::Proof, run::Stepped};
pub use crate::store::platform::moves::Move;
use crate::{
    model::{
        Clock, Ids, Pseudonyms, TenantId,
        plan::{digest, must_be_the_one},
        residence::{MoveState, Standing},
    },
    objects::Objects,
    store::{
        As, Store, StoreError, Tx,
        platform::{
            audit::{self, Entry},
            carried as rows,
            jobs::{self, NewJob, Placed},
            moves::{self, Planned},
            residences, tenants,
        },
    },
};

/// The kind of its jobs.
pub const KIND: &str = "residency.move";
/// After that a proof is none: a switch asks for a newer one.
pub const FRESH: TimeDelta = TimeDelta::hours(24);
/// Clocks of two cells that lie further apart would keep writers waiting at the switch.
const SKEW: TimeDelta = TimeDelta::milliseconds(500);
/// Characters of a reason.
pub const LONGEST_REASON: usize = 2_000;

/// A cell that can be reached.
#[derive(Clone)]
pub struct Other {
    pub name: String,
    pub endpoint: String,
    pub store: Store,
}

/// This cell as others know it.
#[derive(Clone, Debug)]
pub struct Here {
    pub name: String,
    pub endpoint: String,
}

/// Moves tenants from this cell to others and back.
#[derive(Clone)]
pub struct Residency {
    store: Store,
    /// Where this cell's archived months lie.
    objects: Objects,
    here: Here,
    others: Arc<[Other]>,
    clock: Clock,
    ids: Ids,
    /// What the projections' cursors are made with.
    effects_version: i32,
}

/// What a move would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    pub tenant: TenantId,
    pub name: String,
    pub from: String,
    pub to: String,
    pub endpoint: String,
    /// About how many statements go over.
    pub statements: i64,
    pub months: Vec<String>,
    /// Months that are not in place here: what they have goes along, and is in place there.
    pub old_months: Vec<OldMonth>,
    /// What has to be done before; empty where it can begin.
    pub blockers: Vec<String>,
    /// What does not go along.
    pub stays: Vec<String>,
}

impl Plan {
    pub fn digest(&self) -> String {
        // The number of statements grows while somebody reads the plan.
        digest(&Self { statements: 0, ..self.clone() })
    }
}

/// What somebody asked for, as its job has it.
#[derive(Clone, Debug, Serialize, serde::Deserialize)]
pub struct Order {
    pub r#move: Uuid,
    pub act: String,
}

impl Residency {
    pub fn new(
        (store, objects): (&Store, &Objects),
        here: Here,
        others: Vec<Other>,
        (clock, ids): (&Clock, &Ids),
        effects_version: i32,
    ) -> Self {
        let (store, objects, clock, ids) = (store.clone(), objects.clone(), clock.clone(), ids.clone());
        Self { store, objects, here, others: others.into(), clock, ids, effects_version }
    }

    /// The cells that tenants can be moved to.
    pub fn cells(&self) -> impl Iterator<Item = (&str, &str)> {
        self.others.iter().map(|cell| (cell.name.as_str(), cell.endpoint.as_str()))
    }

    fn cell(&self, name: &str) -> Result<&Other, ResidencyError> {
        self.others.iter().find(|cell| cell.name == name).ok_or_else(|| ResidencyError::NoCell(name.to_owned()))
    }

    /// What a move of the tenant to this cell would do, and what is in its way.
    pub async fn plan(&self, tenant: TenantId, cell: &str) -> Result<Plan, ResidencyError> {
        let other = self.cell(cell)?;
        let found = self.store.run_tx("move_plan", As::Worker, |tx| Box::pin(found::here(tx, tenant)));
        let found = found.await?;
        let all = found.all_months();
        let mut blockers = found.blockers;
        let (named, all) = ((found.name.as_str(), other.name.as_str()), all.as_slice());
        let there = other.store.run_tx("move_plan", As::Worker, |tx| Box::pin(found::there(tx, tenant, named, all)));
        let there = there.await.map_err(|error| away(other, error))?;
        blockers.extend(there);
        blockers.extend(self.alike(other).await?);
        if tenant == TenantId::DEFAULT {
            blockers.push("the default tenant is the operators' own, and every cell has one".to_owned());
        }
        if self.here.endpoint.is_empty() {
            blockers.push(
                "residency.endpoint is not set: the other cell could not say where the tenant went back to".to_owned(),
            );
        }
        let stays = vec![
            "objects of the archive: what is in them goes along, and is archived there by the rules of that cell"
                .to_owned(),
            "running jobs, sessions of pages, and the keys of the audit trail".to_owned(),
        ];
        Ok(Plan {
            tenant,
            name: found.name,
            from: self.here.name.clone(),
            to: other.name.clone(),
            endpoint: other.endpoint.clone(),
            statements: found.statements,
            months: found.months.iter().map(ToString::to_string).collect(),
            old_months: found.old_months,
            blockers,
            stays,
        })
    }

    /// In what the two cells must be alike, and are not.
    async fn alike(&self, other: &Other) -> Result<Vec<String>, ResidencyError> {
        let mut blockers = Vec::new();
        let (here, there) =
            (applied(&self.store).await?, applied(&other.store).await.map_err(|error| away(other, error))?);
        if here != there {
            blockers.push(format!("{} has another schema: bring both cells to one release", other.name));
        }
        for purpose in [Pseudonyms::PURPOSE, "erasure"] {
            if self.store.signing_key(purpose).await? != other.store.signing_key(purpose).await? {
                blockers.push(format!(
                    "{} makes {purpose} keys of its own: `residency join --cell {}` gives a cell that is new those of this one",
                    other.name, other.name
                ));
            }
        }
        let now = |store: &Store| {
            let store = store.clone();
            async move { store.run_tx("cell_time", As::Worker, |tx| Box::pin(residences::clock(tx))).await }
        };
        let (one, two) = tokio::try_join!(now(&self.store), now(&other.store))?;
        let skew = (one - two).abs();
        if skew > SKEW {
            blockers.push(format!(
                "the clocks of the two databases are {} ms apart, more than {}",
                skew.num_milliseconds(),
                SKEW.num_milliseconds()
            ));
        }
        Ok(blockers)
    }

    /// Gives a cell that is new this cell's keys, so that tenants stay who they are when they move between the two.
    pub async fn join(&self, cell: &str, by: &str) -> Result<(), ResidencyError> {
        let other = self.cell(cell)?;
        let (actor, erasure) =
            (self.store.signing_key(Pseudonyms::PURPOSE).await?, self.store.signing_key("erasure").await?);
        let (actor, erasure) = (&actor, &erasure);
        let detail = &json!({ "from": self.here.name });
        let joined = other.store.run_once("join_cells", As::Worker, |tx| {
            Box::pin(async move {
                if !residences::join(tx, actor, erasure).await? {
                    return Ok(false);
                }
                let (action, subject, detail) = ("residency.join", cell.to_owned(), detail.clone());
                audit::append(tx, &Entry { tenant: None, actor: by, action, subject, detail }).await?;
                Ok::<_, StoreError>(true)
            })
        });
        if joined.await.map_err(|error| away(other, error))? {
            return Ok(());
        }
        Err(ResidencyError::Refused(format!(
            "{cell} is not new: somebody has stored something there under its own keys"
        )))
    }

    /// Notes a move after its plan was seen; nothing is copied before it is started.
    pub async fn begin(
        &self,
        (tenant, cell): (TenantId, &str),
        seen: Option<&str>,
        who: (&str, &str),
    ) -> Result<Move, ResidencyError> {
        self.begin_as(self.ids.uuid(), (tenant, cell), seen, who).await
    }

    async fn begin_as(
        &self,
        id: Uuid,
        (tenant, cell): (TenantId, &str),
        seen: Option<&str>,
        (by, reason): (&str, &str),
    ) -> Result<Move, ResidencyError> {
        let plan = self.plan(tenant, cell).await?;
        must_be_the_one(seen, &plan.digest()).map_err(ResidencyError::Refused)?;
        if let Some(first) = plan.blockers.first() {
            return Err(ResidencyError::Refused(format!("the move cannot begin: {first}")));
        }
        if !(1..=LONGEST_REASON).contains(&reason.trim().chars().count()) {
            return Err(ResidencyError::Refused(format!("a reason has 1 to {LONGEST_REASON} characters")));
        }
        let digest = plan.digest();
        let planned = Planned { id, tenant, cell: &plan.to, endpoint: &plan.endpoint, digest: &digest, reason, by };
        self.store
            .run_once("begin_move", As::Worker, |tx| {
                Box::pin(async move {
                    if !moves::add(tx, &planned).await? {
                        return Err(ResidencyError::Refused(
                            "the tenant has a move under way: `residency list` shows it".to_owned(),
                        ));
                    }
                    let detail = json!({ "to": planned.cell, "reason": reason, "plan": planned.digest });
                    note(tx, tenant, (by, "residency.plan"), id, detail).await?;
                    moves::get(tx, id).await?.ok_or(ResidencyError::NoMove)
                })
            })
            .await
    }

    pub async fn get(&self, id: Uuid) -> Result<Move, ResidencyError> {
        let found = self.store.run_tx("move", As::Worker, |tx| Box::pin(moves::get(tx, id))).await?;
        found.ok_or(ResidencyError::NoMove)
    }

    /// The newest moves, of a tenant or of all.
    pub async fn list(&self, tenant: Option<TenantId>, most: i64) -> Result<Vec<Move>, ResidencyError> {
        Ok(self.store.run_tx("moves", As::Worker, |tx| Box::pin(moves::list(tx, tenant, most))).await?)
    }

    /// Where a tenant stands in this cell.
    pub async fn home(&self, tenant: TenantId) -> Result<(Standing, Option<(String, String)>), ResidencyError> {
        let found = self.store.run_tx("home", As::Worker, |tx| {
            Box::pin(async move {
                Ok::<_, StoreError>((tenants::get(tx, tenant).await?, residences::get(tx, tenant).await?))
            })
        });
        let (tenant, residence) = found.await?;
        tenant.ok_or(ResidencyError::NoTenant)?;
        Ok(match residence {
            None => (Standing::Home, None),
            Some(one) => (one.standing, Some((one.cell, one.endpoint))),
        })
    }

    /// Whether an act can be asked for as the move stands; what it would do, in words.
    pub async fn ask(&self, id: Uuid, act: Act) -> Result<(Move, Vec<String>), ResidencyError> {
        let found = self.get(id).await?;
        act.is_for(found.state).map_err(ResidencyError::Refused)?;
        if act == Act::Switch && found.state == MoveState::Verified {
            self.must_be_fresh(&found)?;
        }
        let words = match act {
            Act::Start => vec![
                format!("what the tenant has is copied to {} while it works, and compared", found.cell),
                "the way back is rehearsed".to_owned(),
            ],
            Act::Switch => vec![
                "the tenant's writers wait (503 with Retry-After) while the rest goes over and is compared".to_owned(),
                format!("{} serves it; this cell answers 421 with {}", found.cell, found.endpoint),
            ],
            Act::Reverse => vec![
                format!("what {} took meanwhile comes back while it works there", found.cell),
                "its writers wait there while the rest comes back and is compared; then this cell serves it again"
                    .to_owned(),
            ],
            Act::Purge => vec!["what the tenant had is removed here; there is no way back after that".to_owned()],
            Act::Cancel => vec![format!("what went over is removed in {}; the tenant stays here", found.cell)],
        };
        Ok((found, words))
    }

    fn must_be_fresh(&self, found: &Move) -> Result<(), ResidencyError> {
        let now = self.clock.now();
        match found.proved_at {
            Some(at) if now - at <= FRESH => Ok(()),
            at => Err(ResidencyError::Refused(format!(
                "what was compared last was so {}, and a switch asks for no more than {} hours: start it again",
                at.map_or_else(|| "never".to_owned(), |at| at.to_rfc3339()),
                FRESH.num_hours()
            ))),
        }
    }

    /// Puts the job that does the act, or finds the one that does it already.
    pub async fn order(&self, id: Uuid, act: Act, by: &str) -> Result<Placed, ResidencyError> {
        let (found, _) = self.ask(id, act).await?;
        let (job, order) = (self.ids.uuid(), Order { r#move: id, act: act.name().to_owned() });
        let parameters = serde_json::to_value(&order).unwrap_or_default();
        let parameters = &parameters;
        let placed = self.store.run_once("order_move", As::Worker, |tx| {
            Box::pin(async move {
                let new = NewJob {
                    id: job,
                    kind: KIND,
                    tenant: Some(found.tenant),
                    by,
                    approved_by: None,
                    parameters: parameters.clone(),
                    plan_digest: None,
                };
                let placed = jobs::put_once(tx, &new).await?;
                note(tx, found.tenant, (by, "residency.ask"), id, json!({ "act": act.name() })).await?;
                Ok::<_, StoreError>(placed)
            })
        });
        Ok(placed.await?)
    }

    /// Asks for the removal of what is left here; somebody else has to agree.
    pub async fn ask_purge(&self, id: Uuid, by: &str) -> Result<Move, ResidencyError> {
        let found = self.get(id).await?;
        let asked = self.store.run_once("ask_purge", As::Worker, |tx| {
            Box::pin(async move {
                if !moves::ask_purge(tx, id, by).await? {
                    return Ok::<_, StoreError>(false);
                }
                note(tx, found.tenant, (by, "residency.ask"), id, json!({ "act": "purge" })).await?;
                Ok(true)
            })
        });
        if !asked.await? && self.get(id).await?.purge_asked_by.is_none() {
            let why = format!("a purge is for a move that is switched, and this one is {}", found.state.name());
            return Err(ResidencyError::Refused(why));
        }
        self.get(id).await
    }

    /// Agrees to the removal, which a job begins.
    pub async fn approve_purge(&self, id: Uuid, by: &str) -> Result<Placed, ResidencyError> {
        let found = self.get(id).await?;
        if found.purge_asked_by.as_deref() == Some(by) {
            return Err(ResidencyError::Refused(format!("{by} has asked for the purge: somebody else agrees to it")));
        }
        let approved = self.store.run_once("approve_purge", As::Worker, |tx| {
            Box::pin(async move {
                if !moves::approve_purge(tx, id, by).await? {
                    return Ok::<_, StoreError>(false);
                }
                note(tx, found.tenant, (by, "residency.approve"), id, json!({ "act": "purge" })).await?;
                Ok(true)
            })
        });
        if !approved.await? && self.get(id).await?.state != MoveState::Purging {
            return Err(ResidencyError::Refused(
                "nobody has asked for a purge of this move, or it is not switched".to_owned(),
            ));
        }
        self.order(id, Act::Purge, by).await
    }

    /// How many rows that say something of people are left here of a tenant.
    pub async fn left(&self, tenant: TenantId) -> Result<i64, ResidencyError> {
        Ok(self.store.left_of_moved(tenant).await?.iter().map(|(_, rows)| rows).sum())
    }
}

fn away(cell: &Other, error: impl Into<ResidencyError>) -> ResidencyError {
    match error.into() {
        ResidencyError::Store(error) => ResidencyError::Away { cell: cell.name.clone(), error },
        other => other,
    }
}

/// What the tables of a cell look like.
async fn applied(store: &Store) -> Result<String, ResidencyError> {
    Ok(store.run_tx("cell_schema", As::Worker, |tx| Box::pin(rows::schema(tx))).await?)
}

async fn note(
    tx: &Tx<'_>,
    tenant: TenantId,
    (by, action): (&str, &'static str),
    id: Uuid,
    detail: Value,
) -> Result<audit::EntryId, StoreError> {
    let entry = Entry { tenant: Some(tenant), actor: by, action, subject: id.to_string(), detail };
    audit::append(tx, &entry).await
}
