//! Commands of other services: each becomes a request of its own, and is answered again when that is over.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{
    ErasureError, Erasures, RUN,
    law::Holds,
    person::Person,
    request::{Going, Request, parameters},
    subject::Subject,
    work::Learned,
};
use crate::{
    model::{erasure::State, job::State as JobState},
    store::{
        As, Tx,
        ledger::{
            erased,
            erasures::{self, Erasure},
            hidden,
        },
        platform::jobs,
        progress::{
            outbox::{self, Telling},
            sagas::{self, Asked},
        },
    },
    xapi::keys,
};

/// The kind of its commands.
const KIND: &str = "erasure";
/// The event that answers.
const ACKNOWLEDGED: &str = "gdpr.subject_request.acknowledged.v1";
/// Who asks, in the trail.
const BY: &str = "command";

impl Erasures {
    /// Takes up commands that wait, and requests that the law kept and keeps no more; answers how many.
    pub async fn look_around(&self) -> Result<usize, ErasureError> {
        let store = self.cold.store();
        let waiting =
            store.run_tx("waiting_sagas", As::Worker, |tx| Box::pin(sagas::in_state(tx, KIND, "recorded"))).await?;
        for asked in &waiting {
            self.take_up(asked).await?;
        }
        Ok(waiting.len() + self.again().await?)
    }

    async fn take_up(&self, asked: &Asked) -> Result<(), ErasureError> {
        let (store, tenant, request) = (self.cold.store(), asked.tenant, &*asked.request);
        let value: Value = serde_json::from_str(&asked.data).unwrap_or_default();
        let id = derived(&[&tenant.to_string(), "erasure", request]);
        match Subject::read(&value["subject"]) {
            Ok(subject) => {
                if let Some(over) = self.get(id).await?.filter(|known| known.state.is_over()) {
                    return self.tell_again(asked, &over, &subject).await;
                }
                let policy = self.policy(tenant).await?;
                let job = derived(&[&id.to_string(), "job"]);
                let wanted = Request {
                    tenant,
                    subject: &subject,
                    policy: None,
                    by: BY,
                    saga_request: Some(request),
                    seen: None,
                };
                self.record((id, job), &wanted, policy, None).await?;
                let taking = store.run_tx("saga_runs", As::Worker, |tx| {
                    Box::pin(async move { sagas::settle(tx, (tenant, KIND), request, "running").await })
                });
                taking.await?;
            }
            Err(error) => self.fails(asked, &error.to_string()).await?,
        }
        Ok(())
    }

    async fn fails(&self, asked: &Asked, why: &str) -> Result<(), ErasureError> {
        let Asked { tenant, request, event, .. } = asked;
        let (store, status) = (self.cold.store(), "failed");
        let refusing = store.run_once("saga_fails", As::Worker, |tx| {
            Box::pin(async move {
                sagas::settle(tx, (*tenant, KIND), request, status).await?;
                tell(tx, (*tenant, request, event), status, &json!({ "reason": why })).await
            })
        });
        refusing.await
    }

    /// Somebody asks again for what is over: they hear how it ended, and nothing is done. What the request said is forgotten, so
    /// that it is about the same person is known by the marks alone.
    async fn tell_again(&self, asked: &Asked, over: &Erasure, subject: &Subject) -> Result<(), ErasureError> {
        let (store, of) = (self.cold.store(), (asked.tenant, over.id));
        let keys: &Vec<Uuid> = &subject.agents.iter().map(|ifi| keys::agent(asked.tenant.0, ifi)).collect();
        let known = store.run_tx("same_person", As::Worker, |tx| Box::pin(erased::of_erasure(tx, of, keys))).await?;
        if over.state == State::Erased && keys.iter().any(|key| !known.contains(key)) {
            let why = "a request of this name is over and was about other identifiers: ask under another requestId";
            return self.fails(asked, why).await;
        }
        let months: Vec<String> = over.months.iter().map(ToString::to_string).collect();
        let detail =
            &json!({ "counts": over.counts, "months": months, "policy": over.policy, "remains": self.remains(over) });
        let telling = store.run_once("saga_hears_again", As::Worker, |tx| {
            Box::pin(answer(tx, over, over.state, over.reason.as_deref(), (over.audit_id.unwrap_or_default(), detail)))
        });
        telling.await
    }

    /// Lets requests go on that wait for a law which does not stand against them any more, or that no job works on. What has come
    /// meanwhile of those that go on waiting is hidden like the rest.
    async fn again(&self) -> Result<usize, ErasureError> {
        let store = self.cold.store();
        let open =
            store.run_tx("open_erasures", As::Worker, |tx| Box::pin(erasures::list(tx, None, true, 100))).await?;
        let mut begun = 0;
        for erasure in open.iter().filter(|one| one.state == State::Queued) {
            if self.is_let_go(erasure).await? && self.goes_on(erasure).await? {
                begun += 1;
            }
        }
        Ok(begun)
    }

    /// Whether no law stands against it any more; where one does, what it keeps is hidden.
    async fn is_let_go(&self, erasure: &Erasure) -> Result<bool, ErasureError> {
        let value = erasure.subject.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok());
        let Some(value) = value else { return Ok(false) };
        let learned = erasure.learned.as_ref().map(Learned::read).transpose()?.unwrap_or_default();
        let person = Person::find(&self.cold, erasure.tenant, &Subject::read(&value)?).await?;
        // Most wait for a hold over the person: what they did is looked through only when that is gone.
        let is_free = !Holds::of(self, &person, &learned).await?.is_any()
            && self.search(&person, erasure.policy, &learned).await?.laws.is_empty();
        if !is_free {
            let (of, keys, store) = ((erasure.tenant, erasure.id), &person.keys(), self.cold.store());
            let hiding = store.run_tx("hide_arrived", As::Worker, |tx| Box::pin(hidden::hide_arrived(tx, of, keys)));
            hiding.await?;
        }
        Ok(is_free)
    }

    /// Puts a job, unless one is there, or the last one failed: that is for a person to look at.
    async fn goes_on(&self, erasure: &Erasure) -> Result<bool, ErasureError> {
        let (store, parameters) = (self.cold.store(), &parameters(erasure.id));
        let last = store.run_tx("last_erasure_job", As::Worker, |tx| Box::pin(jobs::newest(tx, RUN, parameters)));
        if last.await?.is_some_and(|job| job.state != JobState::Succeeded) {
            return Ok(false);
        }
        Ok(matches!(self.go_on(erasure.tenant, erasure.id, BY).await?, Going::Begun(_)))
    }
}

/// Answers whoever asked by a command, in the transaction that ends the request.
pub(super) async fn answer(
    tx: &Tx<'_>,
    erasure: &Erasure,
    state: State,
    why: Option<&str>,
    (audit, detail): (i64, &Value),
) -> Result<(), ErasureError> {
    let Some(request) = &erasure.saga_request else { return Ok(()) };
    let (is, status) = match state {
        State::Erased => ("completed", "erased"),
        _ => ("failed", "refused"),
    };
    let Some((_, event)) = sagas::settle(tx, (erasure.tenant, KIND), request, is).await? else { return Ok(()) };
    let more = json!({ "erasureId": erasure.id, "stamp": erasure.stamp, "counts": detail["counts"], "months": detail["months"],
        "policy": detail["policy"], "remains": detail["remains"], "auditEntry": audit, "reason": why });
    tell(tx, (erasure.tenant, request, &event), status, &more).await
}

async fn tell(
    tx: &Tx<'_>,
    (tenant, request, event): (crate::model::TenantId, &str, &str),
    status: &str,
    more: &Value,
) -> Result<(), ErasureError> {
    let now = erasures::now(tx).await?;
    let mut data = json!({ "requestId": request, "commandId": event, "service": "progress-service", "status": status,
        "acknowledgedAt": now.to_rfc3339_opts(chrono::SecondsFormat::Micros, true) });
    if let (Some(data), Some(more)) = (data.as_object_mut(), more.as_object()) {
        data.extend(
            more.iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name.clone(), value.clone())),
        );
    }
    let data = data.to_string();
    let telling = Telling {
        id: derived(&[ACKNOWLEDGED, &tenant.to_string(), request, status, event]),
        kind: ACKNOWLEDGED,
        key: request,
        correlation: event,
        causation: event.parse().unwrap_or_else(|_| derived(&["gdpr.subject_request.erasure.v1", event])),
        occurred: now,
        data: &data,
    };
    Ok(outbox::put(tx, tenant, &[telling]).await?)
}

/// An id made of what it stands for: the same parts give the same id.
fn derived(parts: &[&str]) -> Uuid {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part.len().to_be_bytes());
        hasher.update(part);
    }
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hasher.finalize()[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_comes_again_is_the_same_request() {
        assert_eq!(derived(&["a", "b"]), derived(&["a", "b"]));
        assert_ne!(derived(&["a", "b"]), derived(&["ab", ""]));
    }
}
