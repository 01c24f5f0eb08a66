//! What the plan says, done: new things are marked, what is kept after all is spared, and what waited long enough goes. Done again it
//! goes on where it was.

use serde_json::json;

use super::{
    Retention, RetentionError,
    plan::Principle,
    units::{Plan, Unit, digest},
};
use crate::{
    model::TenantId,
    store::{
        As, StoreError,
        ledger::removals::{self, Of, Removal, State},
        platform::audit::{self, Entry},
    },
};

/// What was done.
#[derive(Clone, Debug, Default)]
pub struct Done {
    pub marked: Vec<Removal>,
    pub removed: Vec<Removal>,
    pub spared: Vec<Removal>,
    /// Marked, and not due yet.
    pub waiting: Vec<Removal>,
}

impl Retention {
    /// Marks, spares and removes as the plan says now; `seen` is the digest of the plan that somebody confirmed. Removes only with
    /// `removes`.
    pub async fn apply(
        &self,
        tenant: Option<TenantId>,
        (seen, by): (Option<&str>, &str),
        removes: bool,
    ) -> Result<Done, RetentionError> {
        let plan = self.plan(tenant, None).await?;
        let now = digest(&plan);
        if let Some(seen) = seen.filter(|seen| *seen != now) {
            return Err(RetentionError::Changed { seen: seen.to_owned(), now });
        }
        let mut done = Done::default();
        let open = self.removals(tenant, false).await?;
        for removal in &open {
            self.settle(removal, &plan, (removes, by), &mut done).await?;
        }
        for unit in plan.units.iter().filter(|unit| unit.goes()) {
            if !open.iter().any(|removal| removal.of == of(unit)) {
                done.marked.extend(self.mark(unit, &now, by).await?);
            }
        }
        Ok(done)
    }

    /// The removals of a tenant or of all.
    pub async fn removals(&self, tenant: Option<TenantId>, with_ended: bool) -> Result<Vec<Removal>, RetentionError> {
        let list = self.store.run_tx("removals", As::Worker, |tx| Box::pin(removals::list(tx, tenant, with_ended)));
        Ok(list.await?)
    }

    async fn mark(&self, unit: &Unit, plan: &str, by: &str) -> Result<Option<Removal>, RetentionError> {
        let (Some(until), Some(rule)) = (unit.until, unit.rule) else { return Ok(None) };
        let marked_at = self.clock.now();
        let removal = Removal {
            id: self.ids.uuid(),
            of: of(unit),
            until,
            rule,
            principle: unit.principle.name().to_owned(),
            plan: plan.to_owned(),
            marked_by: by.to_owned(),
            marked_at,
            due_at: marked_at.checked_add_signed(self.grace).unwrap_or(chrono::DateTime::<chrono::Utc>::MAX_UTC),
            state: State::Marked,
            spared_by: None,
            rows: 0,
        };
        let marked = &removal;
        self.store
            .run_once("mark_removal", As::Retention(unit.tenant), |tx| {
                Box::pin(async move {
                    removals::mark(tx, marked).await?;
                    audit::append(tx, &entry(marked, "retention.mark", by, unit.rows)).await.map(drop)
                })
            })
            .await?;
        Ok(Some(removal))
    }

    async fn settle(
        &self,
        removal: &Removal,
        plan: &Plan,
        (removes, by): (bool, &str),
        done: &mut Done,
    ) -> Result<(), RetentionError> {
        let unit = plan.units.iter().find(|unit| unit.goes() && of(unit) == removal.of);
        if unit.is_none() && removal.state == State::Marked {
            let stays = plan.units.iter().find(|unit| !unit.goes() && of(unit) == removal.of);
            let why = stays.map_or(Principle::NoRule.name(), |unit| unit.principle.name());
            done.spared.push(self.spare(removal, why, by).await?);
            return Ok(());
        }
        if !removes || removal.due_at > self.clock.now() {
            done.waiting.push(removal.clone());
            return Ok(());
        }
        match self.remove(removal, by).await? {
            Some(removed) => done.removed.push(removed),
            None => done.spared.push(self.spare(removal, Principle::Hold.name(), by).await?),
        }
        Ok(())
    }

    pub(super) async fn spare(&self, removal: &Removal, why: &str, by: &str) -> Result<Removal, RetentionError> {
        self.store
            .run_once("spare_removal", As::Retention(removal.of.tenant), |tx| {
                Box::pin(async move {
                    if removals::move_to(tx, removal, State::Spared, Some(why), 0).await? {
                        let mut spared = entry(removal, "retention.spare", by, removal.rows);
                        spared.detail["because"] = json!(why);
                        audit::append(tx, &spared).await?;
                    }
                    Ok::<_, StoreError>(())
                })
            })
            .await?;
        Ok(Removal { state: State::Spared, spared_by: Some(why.to_owned()), ..removal.clone() })
    }
}

/// What a removal of this line is of.
fn of(unit: &Unit) -> Of {
    let Unit { tenant, place, month, revision, course, .. } = unit;
    Of { tenant: *tenant, place: *place, month: *month, revision: *revision, course: *course }
}

/// The entry in the trail: what and how much, never whose.
pub(super) fn entry<'e>(removal: &Removal, action: &'static str, by: &'e str, rows: i64) -> Entry<'e> {
    Entry {
        tenant: Some(removal.of.tenant),
        actor: by,
        action,
        subject: removal.id.to_string(),
        detail: json!({ "place": removal.of.place, "month": removal.of.month, "revision": removal.of.revision,
            "until": removal.until, "rows": rows, "rule": removal.rule, "principle": removal.principle,
            "plan": removal.plan, "due": removal.due_at }),
    }
}
