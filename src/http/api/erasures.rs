//! `/api/v1/erasures`: one person leaves everything that is kept of a tenant. For administrators.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    Api,
    body::JsonBody,
    described::AgentGiven,
    endpoint::endpoints,
    path::path_id,
    query::{Parameters, refuse},
};
use crate::{
    erasure::{ErasureError, Subject, plan::Plan, request::Request},
    http::{HttpError, Problem, error::ProblemDocument},
    identity::{Caller, IdentityError},
    model::{Scope, TenantId, erasure::Policy},
    store::{
        As,
        ledger::erasures::{self, Erasure},
    },
    xapi::Violations,
};

endpoints! {
    /// Erasures.
    Requests: create as __path_create, list as __path_list, show as __path_show,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewErasure)]
struct Create {
    /// Whose data it is about; absent means the caller's own tenant. Another one is for operators.
    tenant_id: Option<Uuid>,
    /// Who it is about, under every identifier that is known.
    subject: SubjectGiven,
    /// What becomes of statements that only mention the person: `redact`, `keep` or `delete`; absent means what the tenant has decided.
    #[schema(value_type = Option<MentionsName>)]
    mentions: Option<String>,
    /// What becomes of what the same person does later: `erase` or `accept`; absent means what the tenant has decided.
    #[schema(value_type = Option<ArrivalsName>)]
    arrivals: Option<String>,
    /// What the request becomes where a law stands against it: `queue` or `refuse`.
    #[schema(value_type = Option<OnHoldName>)]
    on_hold: Option<String>,
    /// Only count what there is, and do nothing.
    #[serde(default)]
    dry_run: bool,
    /// Do it only if the plan still has this digest.
    #[schema(pattern = r"^[0-9a-f]{64}$")]
    plan: Option<String>,
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = ErasureSubject)]
struct SubjectGiven {
    #[schema(value_type = Option<String>, min_length = 1, max_length = 4000)]
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<String>,
    #[serde(default)]
    #[schema(value_type = Vec<AgentGiven>, max_items = 100)]
    agents: Vec<Map<String, Value>>,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "it describes what `Mentions` reads")]
enum MentionsName {
    Redact,
    Keep,
    Delete,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "it describes what `Arrivals` reads")]
enum ArrivalsName {
    Erase,
    Accept,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "it describes what `OnHold` reads")]
enum OnHoldName {
    Queue,
    Refuse,
}

/// A request as it is shown: never who it was about.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Erasure)]
struct Shown {
    id: Uuid,
    #[schema(value_type = Uuid)]
    tenant_id: TenantId,
    stamp: i64,
    /// `requested`, `hidden` (nobody is shown it any more, and it is being removed), `erased`; `queued` (a law keeps it, hidden) or
    /// `refused`.
    state: &'static str,
    requested_by: String,
    requested_at: DateTime<Utc>,
    #[schema(value_type = Object)]
    policy: Policy,
    /// What was done, by place.
    #[schema(value_type = Object)]
    counts: Value,
    /// Why it waits, or was refused.
    #[schema(required)]
    reason: Option<String>,
    #[schema(required)]
    hidden_at: Option<DateTime<Utc>>,
    #[schema(required)]
    finished_at: Option<DateTime<Utc>>,
    /// The number of the audit trail's entry that says it is over.
    #[schema(required)]
    audit_entry: Option<i64>,
}

impl From<Erasure> for Shown {
    fn from(erasure: Erasure) -> Self {
        Self {
            id: erasure.id,
            tenant_id: erasure.tenant,
            stamp: erasure.stamp,
            state: erasure.state.name(),
            requested_by: erasure.requested_by,
            requested_at: erasure.requested_at,
            policy: erasure.policy,
            counts: erasure.counts,
            reason: erasure.reason,
            hidden_at: erasure.hidden_at,
            finished_at: erasure.finished_at,
            audit_entry: erasure.audit_id,
        }
    }
}

/// What would be, or is being, done.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ErasurePlanned)]
struct Planned {
    /// Absent where it was only planned.
    #[schema(required)]
    id: Option<Uuid>,
    /// The job that does it.
    #[schema(required)]
    job_id: Option<Uuid>,
    /// Everything that was counted, by place; identifiers that are the same person's; laws; remarks.
    #[schema(value_type = Object)]
    plan: Plan,
    digest: String,
}

/// Which requests are listed.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes what `Parameters` reads")]
struct Whose {
    #[param(rename = "tenantId", required = false)]
    tenant: Uuid,
}

const TENANT: &str = "tenantId";
/// Requests that are listed, at most.
const MOST: i64 = 1_000;

/// Asks for a person to be erased: plans it, records it, and puts a job that does it.
#[utoipa::path(post, path = "/api/v1/erasures", tag = "erasures", operation_id = "requestErasure", request_body = Create,
    responses((status = 202, description = "it is recorded, and a job does it", body = Planned),
              (status = 200, description = "it was only planned", body = Planned),
              (status = 409, description = "the plan is another one by now", body = ProblemDocument,
               content_type = "application/problem+json")))]
async fn create(
    caller: Caller,
    api: Data<Api>,
    JsonBody(given): JsonBody<Create>,
    req: HttpRequest,
) -> Result<HttpResponse, Problem> {
    Parameters::read(req.query_string(), &[])?;
    let tenant = whose(&caller, given.tenant_id)?;
    let subject = Subject::read(&json!(given.subject)).map_err(|error| HttpError::from(ErasureError::from(error)))?;
    let decided = api.erasures.policy(tenant).await.map_err(HttpError::from)?;
    let policy = policy(&given, decided)?;
    let by = caller.credential.audit_name();
    let request = Request {
        tenant,
        subject: &subject,
        policy: Some(policy),
        by: &by,
        saga_request: None,
        seen: given.plan.as_deref(),
    };
    if given.dry_run {
        let plan = api.erasures.look(&request).await.map_err(HttpError::from)?;
        let digest = plan.digest();
        return Ok(HttpResponse::Ok().json(Planned { id: None, job_id: None, plan, digest }));
    }
    let done = api.erasures.request(&request).await.map_err(HttpError::from)?;
    let digest = done.plan.digest();
    let body = Planned { id: Some(done.id), job_id: Some(done.job), plan: done.plan, digest };
    let place = format!("/api/v1/erasures/{}", done.id);
    Ok(HttpResponse::Accepted().insert_header(("Location", place)).json(body))
}

fn policy(given: &Create, decided: Policy) -> Result<Policy, HttpError> {
    let policy = decided.but(given.mentions.as_deref(), given.arrivals.as_deref(), given.on_hold.as_deref());
    policy.map_err(|why| Violations::whole("api.body", format!("the body does not fit: {why}")).into())
}

/// The tenant that somebody may ask about.
fn whose(caller: &Caller, asked: Option<Uuid>) -> Result<TenantId, HttpError> {
    caller.require(Scope::Admin).map_err(HttpError::from)?;
    match asked.map(TenantId) {
        Some(other) if other != caller.tenant => {
            caller.require_operator().map_err(HttpError::from)?;
            Ok(other)
        }
        _ => Ok(caller.tenant),
    }
}

/// The requests there were, the newest first, a thousand at most.
#[utoipa::path(get, path = "/api/v1/erasures", tag = "erasures", operation_id = "listErasures", params(Whose),
    responses((status = 200, description = "the requests", body = Vec<Shown>)))]
async fn list(caller: Caller, api: Data<Api>, req: HttpRequest) -> Result<HttpResponse, Problem> {
    let parameters = Parameters::read(req.query_string(), &[TENANT])?;
    let asked = parameters.text(TENANT).map(str::parse::<Uuid>).transpose();
    let tenant = whose(&caller, asked.map_err(|_| refuse(TENANT, "it is no UUID"))?)?;
    let list =
        api.store.run_tx("list_erasures", As::Worker, |tx| Box::pin(erasures::list(tx, Some(tenant), false, MOST)));
    let shown: Vec<Shown> = list.await.map_err(HttpError::from)?.into_iter().map(Shown::from).collect();
    Ok(HttpResponse::Ok().json(shown))
}

/// A request, and how far it is.
#[utoipa::path(get, path = "/api/v1/erasures/{id}", tag = "erasures", operation_id = "getErasure",
    params(("id" = Uuid, Path, description = "the erasure's id")),
    responses((status = 200, description = "the request", body = Shown)))]
async fn show(caller: Caller, api: Data<Api>, id: Path<String>, req: HttpRequest) -> Result<HttpResponse, Problem> {
    Parameters::read(req.query_string(), &[])?;
    caller.require(Scope::Admin)?;
    let id = path_id(&id, "erasure")?;
    let found = api.erasures.get(id).await.map_err(HttpError::from)?;
    // Another tenant's is for operators; to everybody else it is not there.
    let found = found.filter(|one| whose(&caller, Some(one.tenant.0)).is_ok());
    let found = found.ok_or_else(|| HttpError::from(IdentityError::NotFound("erasure")))?;
    Ok(HttpResponse::Ok().json(Shown::from(found)))
}

impl From<ErasureError> for HttpError {
    fn from(error: ErasureError) -> Self {
        match error {
            ErasureError::Subject(error) => Violations::whole("api.erasure", error.to_string()).into(),
            ErasureError::NoTenant(_) => Self::NotFound(error.to_string()),
            ErasureError::Unknown(_) => Self::NotFound(error.to_string()),
            ErasureError::OtherPlan { .. } | ErasureError::Over(_) | ErasureError::OtherKey(_) => {
                Self::Conflict(error.to_string())
            }
            ErasureError::Held { .. } => Self::Conflict(error.to_string()),
            ErasureError::Unreadable(_) | ErasureError::StillNamed | ErasureError::HoldSince => Self::internal(error),
            ErasureError::Cold(error) => error.into(),
            ErasureError::Store(error) => error.into(),
        }
    }
}
