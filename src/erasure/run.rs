//! The job: from a request to nothing left, a place at a time. A step that is broken off anywhere is done again.

use std::sync::{Arc, Mutex};

use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    ErasureError, Erasures,
    person::Person,
    plan::{Outcome, Plan},
    sagas,
    subject::Subject,
    work::{Learned, Work, said},
};
use crate::{
    model::{TenantId, erasure::State, partition::Month},
    store::{
        As,
        ledger::{
            away::Published,
            erased,
            erasures::{self, Change, Erasure},
            hidden,
            tables::Tables,
        },
        platform::{
            audit::{self, Entry},
            jobs::Context,
        },
        progress::sagas as commands,
    },
};

/// What a step says of its job.
pub enum Stepped {
    More,
    Done(Value),
    /// `months` of a tenant's segments are to be written anew without the person, while no hold stands but these, and of `others`
    /// goes what lies there and does not count; then the job goes on.
    Segments {
        erasure: Box<Erasure>,
        person: Arc<Person>,
        months: Vec<Month>,
        others: Vec<Month>,
        holds: Vec<Uuid>,
    },
    /// These attempts are others', and have to be folded again; then the job goes on.
    Attempts {
        of: (TenantId, Uuid),
        attempts: Vec<String>,
    },
}

#[derive(Deserialize)]
struct Order {
    erasure: Uuid,
}

impl Erasures {
    /// A step of the job.
    pub async fn step(&self, job: &Context) -> Result<Stepped, ErasureError> {
        let Order { erasure: id } = job.parameters()?;
        let erasures = Self { cold: self.cold.through(job.store.clone()), ..self.clone() };
        let erasure = erasures.get(id).await?.ok_or(ErasureError::Unknown(id))?;
        if erasure.state.is_over() {
            return Ok(Stepped::Done(said(&erasure)));
        }
        let text = erasure.subject.as_deref().ok_or(ErasureError::Over(id))?;
        let value: Value = serde_json::from_str(text).map_err(|error| ErasureError::Unreadable(error.to_string()))?;
        let subject = Subject::read(&value)?;
        let person = Arc::new(Person::find(&erasures.cold, erasure.tenant, &subject).await?);
        let learned = Mutex::new(Learned::of(job, &erasure)?);
        let work = Work { erasures, job, erasure, person, learned };
        match work.erasure.state {
            State::Requested | State::Queued => work.begin().await,
            _ => work.go_on().await,
        }
    }
}

impl Work<'_> {
    /// Asks the law, and hides what is found.
    async fn begin(&self) -> Result<Stepped, ErasureError> {
        self.tell(0, "looking for everything");
        let search = self.erasures.search(&self.person, self.erasure.policy, &self.learned()).await?;
        let plan = Plan::of(&self.person, self.erasure.policy, search.found, search.laws);
        let months: Vec<Month> = search.months.into_iter().collect();
        let why: Vec<String> = plan.laws.iter().map(|law| format!("{}: {}", law.law, law.reason)).collect();
        let (outcome, why) = (plan.outcome(), why.join("; "));
        if outcome == Outcome::Refused {
            return self.refuse(&why).await;
        }
        if outcome == Outcome::Erased {
            self.remember().await?;
        }
        self.hide(outcome == Outcome::Queued).await?;
        let state = if outcome == Outcome::Erased { State::Hidden } else { State::Queued };
        let (tenant, id) = self.of();
        let reason = Some(&*why).filter(|_| state == State::Queued);
        let change = &Change { state: Some(state), reason, months: &months, ..Change::default() };
        let store = &self.job.store;
        store.run_tx("hide_erasure", As::Worker, |tx| Box::pin(erasures::change(tx, tenant, id, change))).await?;
        if state == State::Hidden {
            return Ok(Stepped::More);
        }
        self.queued(&why).await
    }

    async fn refuse(&self, why: &str) -> Result<Stepped, ErasureError> {
        let (_, id) = self.of();
        self.ended(State::Refused, Some(why), &[]).await?;
        let erasure = self.erasures.get(id).await?.ok_or(ErasureError::Unknown(id))?;
        Ok(Stepped::Done(said(&erasure)))
    }

    /// It waits for the law, and this job is over: another one begins when the law has said yes.
    async fn queued(&self, why: &str) -> Result<Stepped, ErasureError> {
        let (tenant, id) = self.of();
        if let Some(request) = &self.erasure.saga_request {
            let store = &self.job.store;
            let running = store.run_tx("saga_waits", As::Worker, |tx| {
                Box::pin(async move { commands::settle(tx, (tenant, "erasure"), request, "running").await })
            });
            running.await?;
        }
        Ok(Stepped::Done(json!({ "erasure": id, "tenant": tenant, "state": State::Queued, "reason": why })))
    }

    /// From here on whatever comes is recognised.
    async fn remember(&self) -> Result<(), ErasureError> {
        let (of, keys) = (self.of(), &self.person.keys());
        let erases = self.erasure.policy.arrivals == crate::model::erasure::Arrivals::Erase;
        let remembering = self.job.store.run_tx("remember_erased", As::Worker, |tx| {
            Box::pin(async move { erased::remember(tx, of, keys, erases).await })
        });
        Ok(remembering.await?)
    }

    /// Hides everything that was found: for the time being alone what is theirs, else what only mentions them as well.
    pub async fn hide(&self, only_own: bool) -> Result<(), ErasureError> {
        use crate::model::erasure::Mentions;
        let (of, store) = (self.of(), &self.job.store);
        let hides_mentions = match self.erasure.policy.mentions {
            Mentions::Keep => false,
            Mentions::Redact => !only_own,
            Mentions::Delete => true,
        };
        let relations = if hides_mentions { self.person.sought().relations() } else { Vec::new() };
        let (keys, users, relations) = (&self.person.keys(), &self.person.users(), &relations);
        let hiding = store.run_tx("hide", As::Worker, |tx| {
            Box::pin(async move {
                hidden::hide_person(tx, of, keys, users).await?;
                hidden::hide_found(tx, of, Tables::Hot, keys, relations).await?;
                hidden::hide_found(tx, of, Tables::Detached, keys, relations).await
            })
        });
        hiding.await?;
        let mut found = Vec::new();
        let is_own =
            |row: &crate::objects::segment::Row| row.agent_key.is_some_and(|key| self.person.agents.contains_key(&key));
        let mut each = |_: &_, row: crate::objects::segment::Row| {
            if hides_mentions || is_own(&row) {
                found.push((row.id, row.stored));
            }
        };
        self.erasures.cold.sift(of.0, (&self.person.filter(), None), &mut each).await?;
        for some in found.chunks(5_000) {
            store.run_tx("hide_archived", As::Worker, |tx| Box::pin(hidden::hide(tx, of, some))).await?;
        }
        Ok(())
    }

    /// Removes, place by place.
    async fn go_on(&self) -> Result<Stepped, ErasureError> {
        match self.places().await {
            // A hold that was placed meanwhile wins: what it is about stays, hidden, until it ends.
            Err(error) if error.is_held() => {
                let why = error.to_string();
                let (tenant, id) = self.of();
                let change = &Change { state: Some(State::Queued), reason: Some(&why), ..Change::default() };
                let store = &self.job.store;
                let stopping = store.run_tx("erasure_held", As::Worker, |tx| {
                    Box::pin(async move {
                        erased::forget(tx, id).await?;
                        erasures::change(tx, tenant, id, change).await
                    })
                });
                stopping.await?;
                self.queued(&why).await
            }
            // It may concern somebody else: the next step asks.
            Err(ErasureError::HoldSince) => Ok(Stepped::More),
            other => other,
        }
    }

    async fn places(&self) -> Result<Stepped, ErasureError> {
        if !self.settled().await? {
            return Ok(Stepped::More);
        }
        if !self.statements().await? {
            return Ok(Stepped::More);
        }
        if let Some(stepped) = self.segments().await? {
            return Ok(stepped);
        }
        if !self.copies().await? {
            return Ok(Stepped::More);
        }
        self.belongings().await?;
        if let Some(stepped) = self.projections().await? {
            return Ok(stepped);
        }
        self.end().await
    }

    /// Writes the end down, with its entry in the trail, the answer to whoever asked, and the end of the hiding.
    /// Answers false, and writes nothing, where something is left, or a segment was published beside those that were looked through.
    pub async fn ended(&self, state: State, why: Option<&str>, looked: &[Published]) -> Result<bool, ErasureError> {
        let ((tenant, id), by) = (self.of(), &*self.job.job.requested_by);
        let now = self.erasures.get(id).await?.ok_or(ErasureError::Unknown(id))?;
        let months: Vec<String> = now.months.iter().map(ToString::to_string).collect();
        let detail = json!({ "state": state, "stamp": now.stamp, "policy": now.policy, "counts": now.counts, "months": months,
            "reason": why, "requestedAt": now.requested_at, "hiddenAt": now.hidden_at,
            "identifiers": self.person.agents.len(), "remains": self.erasures.remains(&now) });
        let (detail, now) = (&detail, &now);
        let ending = self.job.store.run_once("end_erasure", As::Worker, |tx| {
            Box::pin(async move {
                let (action, subject) = ("erasure.end", id.to_string());
                let entry = Entry { tenant: Some(tenant), actor: by, action, subject, detail: detail.clone() };
                if state == State::Erased {
                    erasures::own(tx).await?;
                    if !self.is_clean(tx, looked).await? {
                        return Ok(false);
                    }
                } else {
                    erased::forget(tx, id).await?;
                }
                let audit = audit::append(tx, &entry).await?;
                let change = Change { state: Some(state), reason: why, audit_id: Some(audit.0), ..Change::default() };
                if !erasures::change(tx, tenant, id, &change).await? {
                    return Ok(true);
                }
                hidden::end(tx, id).await?;
                // What was learned on the way is of no more use, and is of the person.
                self.job.save(tx, &Learned::default()).await?;
                sagas::answer(tx, now, state, why, (audit.0, detail)).await?;
                Ok::<_, ErasureError>(true)
            })
        });
        ending.await
    }
}
