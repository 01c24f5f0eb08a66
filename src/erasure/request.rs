//! Asking for an erasure: the request in the log and the job that carries it out stand together, or neither does.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{ErasureError, Erasures, RUN, person::Person, plan::Plan, subject::Subject};
use crate::{
    model::{TenantId, erasure::Policy},
    store::{
        As, Tx,
        ledger::erasures::{self, NewErasure},
        platform::{
            audit::{self, Entry},
            jobs::{self, Job, NewJob},
        },
    },
};

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    pub tenant: TenantId,
    pub subject: &'a Subject,
    /// Absent: what the tenant has decided.
    pub policy: Option<Policy>,
    pub by: &'a str,
    pub saga_request: Option<&'a str>,
    /// Only if the plan still has this digest.
    pub seen: Option<&'a str>,
}

/// What came of asking.
#[derive(Clone, Debug)]
pub struct Requested {
    pub id: Uuid,
    pub job: Uuid,
    pub plan: Plan,
}

/// Which job goes on with a request.
#[derive(Clone, Debug)]
pub enum Going {
    Begun(Uuid),
    /// One that was asked for before, and is not over.
    Joined(Box<Job>),
}

/// What is asked of the job: nothing personal.
pub fn parameters(erasure: Uuid) -> Value {
    json!({ "erasure": erasure })
}

impl Erasures {
    /// What a tenant has decided.
    pub async fn policy(&self, tenant: TenantId) -> Result<Policy, ErasureError> {
        let store = self.cold.store();
        Ok(store.run_tx("erasure_policy", As::Worker, |tx| Box::pin(erasures::policy(tx, tenant))).await?)
    }

    /// Decides for a tenant from now on, with an entry in the trail.
    pub async fn decide(&self, tenant: TenantId, policy: Policy, by: &str) -> Result<(), ErasureError> {
        let deciding = self.cold.store().run_once("decide_erasures", As::Worker, |tx| {
            Box::pin(async move {
                erasures::set_policy(tx, tenant, policy, by).await?;
                let detail = json!({ "mentions": policy.mentions, "arrivals": policy.arrivals });
                let (action, subject) = ("erasure.policy", tenant.to_string());
                audit::append(tx, &Entry { tenant: Some(tenant), actor: by, action, subject, detail }).await?;
                Ok::<_, ErasureError>(())
            })
        });
        deciding.await
    }

    /// Plans an erasure without asking for it.
    pub async fn look(&self, request: &Request<'_>) -> Result<Plan, ErasureError> {
        if self.cold.store().tenant(request.tenant).await?.is_none() {
            return Err(ErasureError::NoTenant(request.tenant));
        }
        let policy = match request.policy {
            Some(policy) => policy,
            None => self.policy(request.tenant).await?,
        };
        let person = Person::find(&self.cold, request.tenant, request.subject).await?;
        self.plan(&person, policy).await
    }

    /// Asks for an erasure.
    pub async fn request(&self, request: &Request<'_>) -> Result<Requested, ErasureError> {
        let plan = self.look(request).await?;
        let digest = plan.digest();
        if let Some(seen) = request.seen.filter(|seen| **seen != *digest) {
            return Err(ErasureError::OtherPlan { seen: seen.to_owned(), now: digest });
        }
        let (id, job) = (self.ids.uuid(), self.ids.uuid());
        self.record((id, job), request, plan.policy, Some(&digest)).await?;
        Ok(Requested { id, job, plan })
    }

    /// Writes a request and its job down. Done again under the same ids it changes nothing.
    pub(super) async fn record(
        &self,
        (id, job): (Uuid, Uuid),
        request: &Request<'_>,
        policy: Policy,
        digest: Option<&str>,
    ) -> Result<(), ErasureError> {
        let subject = &request.subject.write();
        let recording = self.cold.store().run_once("record_erasure", As::Worker, |tx| {
            Box::pin(async move {
                let Request { tenant, by, saga_request, .. } = *request;
                erasures::record(tx, &NewErasure { tenant, id, by, subject, policy, saga_request }).await?;
                put_job(tx, (tenant, id), job, by, digest).await
            })
        });
        recording.await
    }

    /// Sees to it that a job goes on with a request: the one that is not over yet, or a new one.
    pub async fn go_on(&self, tenant: TenantId, id: Uuid, by: &str) -> Result<Going, ErasureError> {
        let (job, parameters) = (self.ids.uuid(), parameters(id));
        let putting = self.cold.store().run_once("put_erasure_job", As::Worker, |tx| {
            let (tenant, parameters) = (Some(tenant), parameters.clone());
            let new = NewJob { id: job, kind: RUN, tenant, by, approved_by: None, parameters, plan_digest: None };
            Box::pin(async move { jobs::put_or_join(tx, &new).await })
        });
        Ok(putting.await?.map_or(Going::Begun(job), |joined| Going::Joined(Box::new(joined))))
    }
}

async fn put_job(
    tx: &Tx<'_>,
    (tenant, id): (TenantId, Uuid),
    job: Uuid,
    by: &str,
    plan_digest: Option<&str>,
) -> Result<(), ErasureError> {
    let parameters = parameters(id);
    let job = NewJob { id: job, kind: RUN, tenant: Some(tenant), by, approved_by: None, parameters, plan_digest };
    Ok(jobs::put(tx, &job).await?)
}
