//! `/api/v1/retention`: rules, holds, the plan and what is done by it. For administrators of their own tenant; what counts for
//! everybody is for operators.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::{
    Api,
    body::JsonBody,
    endpoint::endpoints,
    path::path_id,
    query::{Parameters, refuse},
};
use crate::{
    http::{HttpError, Problem},
    identity::Caller,
    model::{Scope, TenantId, retention::days},
    retention::{Change, Named, NewHold, RetentionError, Trial, Written, digest},
    store::ledger::{
        holds::Hold,
        removals::Removal,
        retention::{Request, Set},
    },
};

endpoints! {
    /// What is kept and for how long.
    Retention: policy as __path_policy, set as __path_set, assign as __path_assign, plan as __path_plan, apply as __path_apply,
        removals as __path_removals, list_holds as __path_list_holds, add_hold as __path_add_hold,
        release as __path_release, requests as __path_requests, sign_off as __path_sign_off,
}

/// A list, whole.
fn listed(data: Vec<Value>) -> HttpResponse {
    HttpResponse::Ok().json(Listed { data })
}

/// A list.
#[derive(Serialize, ToSchema)]
#[schema(as = RetentionList)]
struct Listed {
    #[schema(value_type = Vec<Object>)]
    data: Vec<Value>,
}

/// An administrator's own tenant, or for an operator the one that `tenantId` names.
fn whose(caller: &Caller, parameters: &Parameters) -> Result<TenantId, Problem> {
    caller.require(Scope::Admin)?;
    let named = parameters.parsed("tenantId", "expected a UUID", |text| text.parse().ok())?.map(TenantId);
    match named {
        Some(other) if other != caller.tenant => {
            caller.require_operator()?;
            Ok(other)
        }
        _ => Ok(caller.tenant),
    }
}

const OF: &[&str] = &["tenantId"];

/// The rules in force for the tenant, and its class; with `history=true` every change there ever was.
#[utoipa::path(get, path = "/api/v1/retention/policy", tag = "retention", operation_id = "getRetentionPolicy",
    params(("tenantId" = Option<Uuid>, Query, description = "another tenant's; for operators"),
        ("history" = Option<bool>, Query, description = "every change there ever was")),
    responses((status = 200, description = "class and rules", body = Object)))]
async fn policy(caller: Caller, api: Data<Api>, req: HttpRequest) -> Result<HttpResponse, Problem> {
    let parameters = Parameters::read(req.query_string(), &["tenantId", "history"])?;
    let tenant = whose(&caller, &parameters)?;
    let history = parameters.one_of("history", &["true", "false"])?.is_some_and(|text| text == "true");
    let (classes, rules) = api.retention.policy(Some(tenant), history).await?;
    let class = api.retention.class_of(tenant).await?;
    let classes: Vec<Value> = classes
        .iter()
        .map(|one| json!({ "class": one.name, "needsSignOff": one.needs_sign_off, "about": one.about }))
        .collect();
    let rules: Vec<Value> = rules.iter().map(rule_shown).collect();
    Ok(HttpResponse::Ok().json(json!({ "tenantId": tenant, "class": class, "classes": classes, "rules": rules })))
}

/// A rule that is to be set.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = RetentionRuleGiven)]
struct Given {
    class: String,
    /// `statements`, `documents`, `attachments`, `attempts` or `events`.
    covers: String,
    course: Option<String>,
    /// `stored`, or `withdrawn` of a course.
    starts: Option<String>,
    /// Such as `7y`.
    keep: Option<String>,
    /// Such as `90d`.
    delete: Option<String>,
    /// For every tenant of the class; for operators.
    everybody: Option<bool>,
    reason: String,
    /// Without it only the effect is shown.
    apply: Option<bool>,
    /// The digest of the plan that another person has signed.
    plan: Option<String>,
}

/// Sets a rule, or shows what it would come to. What a law keeps is answered 409 with the digest that another person signs.
#[utoipa::path(post, path = "/api/v1/retention/policy", tag = "retention", operation_id = "setRetentionPolicy",
    params(("tenantId" = Option<Uuid>, Query, description = "another tenant's; for operators")),
    request_body = Given, responses((status = 200, description = "the effect, and whether it was set", body = Object)))]
async fn set(caller: Caller, api: Data<Api>, req: HttpRequest, body: JsonBody<Given>) -> Result<HttpResponse, Problem> {
    let tenant = whose(&caller, &Parameters::read(req.query_string(), OF)?)?;
    let given = body.0;
    let everybody = given.everybody.unwrap_or(false);
    if everybody {
        caller.require_operator()?;
    }
    let written = Written {
        class: &given.class,
        covers: &given.covers,
        course: given.course.as_deref(),
        starts: given.starts.as_deref(),
        keep: given.keep.as_deref(),
        delete: given.delete.as_deref(),
    };
    let rule = written.rule(tenant, everybody)?;
    let wish = Wish { reason: &given.reason, apply: given.apply.unwrap_or(false), plan: given.plan.as_deref() };
    change(&caller, &api, Change::Rule(rule), &wish).await
}

/// A class for a tenant.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = RetentionClassGiven)]
struct Assigned {
    class: String,
    reason: String,
    apply: Option<bool>,
    plan: Option<String>,
}

/// Says of which class the tenant is, or shows what that would come to.
#[utoipa::path(post, path = "/api/v1/retention/class", tag = "retention", operation_id = "setRetentionClass",
    params(("tenantId" = Option<Uuid>, Query, description = "another tenant's; for operators")),
    request_body = Assigned, responses((status = 200, description = "the effect, and whether it was set", body = Object)))]
async fn assign(
    caller: Caller,
    api: Data<Api>,
    req: HttpRequest,
    body: JsonBody<Assigned>,
) -> Result<HttpResponse, Problem> {
    let tenant = whose(&caller, &Parameters::read(req.query_string(), OF)?)?;
    let Assigned { class, reason, apply, plan } = body.0;
    let wish = Wish { reason: &reason, apply: apply.unwrap_or(false), plan: plan.as_deref() };
    change(&caller, &api, Change::Class { tenant, class }, &wish).await
}

struct Wish<'w> {
    reason: &'w str,
    apply: bool,
    plan: Option<&'w str>,
}

async fn change(caller: &Caller, api: &Api, change: Change, wish: &Wish<'_>) -> Result<HttpResponse, Problem> {
    let preview = api.retention.preview(change).await?;
    if wish.apply {
        let by = caller.credential.audit_name();
        api.retention.change(&preview, (wish.reason, &by), wish.plan).await?;
    }
    let answer =
        json!({ "effects": preview.effects, "needsSignOff": preview.guarded.is_some(), "applied": wish.apply });
    Ok(HttpResponse::Ok().json(answer))
}

/// What goes and what stays, and which principle decided; with `olderThan` what if everything older than that went.
#[utoipa::path(get, path = "/api/v1/retention/plan", tag = "retention", operation_id = "getRetentionPlan",
    params(("tenantId" = Option<Uuid>, Query, description = "another tenant's; for operators"),
        ("olderThan" = Option<String>, Query, description = "such as 90d or 2y")),
    responses((status = 200, description = "the plan and its digest", body = Object)))]
async fn plan(caller: Caller, api: Data<Api>, req: HttpRequest) -> Result<HttpResponse, Problem> {
    let parameters = Parameters::read(req.query_string(), &["tenantId", "olderThan"])?;
    let tenant = whose(&caller, &parameters)?;
    let older = parameters.text("olderThan").map(days).transpose().map_err(|why| refuse("olderThan", &why))?;
    let plan = api.retention.plan(Some(tenant), older.map(Trial::OlderThan).as_ref()).await?;
    Ok(HttpResponse::Ok().json(json!({ "units": plan.units, "digest": digest(&plan) })))
}

/// What was confirmed.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = RetentionApplied)]
struct Confirmed {
    /// The digest of the plan as it was seen.
    plan: String,
    /// Mark and spare alone.
    mark_only: Option<bool>,
}

/// Marks what goes, spares what is kept after all, and removes what was marked long enough ago.
#[utoipa::path(post, path = "/api/v1/retention/apply", tag = "retention", operation_id = "applyRetention",
    params(("tenantId" = Option<Uuid>, Query, description = "another tenant's; for operators")),
    request_body = Confirmed, responses((status = 200, description = "what was done", body = Object)))]
async fn apply(
    caller: Caller,
    api: Data<Api>,
    req: HttpRequest,
    body: JsonBody<Confirmed>,
) -> Result<HttpResponse, Problem> {
    let tenant = whose(&caller, &Parameters::read(req.query_string(), OF)?)?;
    let (by, removes) = (caller.credential.audit_name(), !body.0.mark_only.unwrap_or(false));
    let done = api.retention.apply(Some(tenant), (Some(&body.0.plan), &by), removes).await?;
    let shown = |some: &[Removal]| some.iter().map(removal_shown).collect::<Vec<_>>();
    Ok(HttpResponse::Ok().json(json!({ "marked": shown(&done.marked), "waiting": shown(&done.waiting),
        "spared": shown(&done.spared), "removed": shown(&done.removed) })))
}

/// What is marked, and what went or was spared.
#[utoipa::path(get, path = "/api/v1/retention/removals", tag = "retention", operation_id = "listRemovals",
    params(("tenantId" = Option<Uuid>, Query, description = "another tenant's; for operators")),
    responses((status = 200, description = "the removals", body = Listed)))]
async fn removals(caller: Caller, api: Data<Api>, req: HttpRequest) -> Result<HttpResponse, Problem> {
    let tenant = whose(&caller, &Parameters::read(req.query_string(), OF)?)?;
    let found = api.retention.removals(Some(tenant), true).await?;
    Ok(listed(found.iter().map(removal_shown).collect::<Vec<_>>()))
}

/// The holds of the tenant, those that ended too.
#[utoipa::path(get, path = "/api/v1/retention/holds", tag = "retention", operation_id = "listHolds",
    params(("tenantId" = Option<Uuid>, Query, description = "another tenant's; for operators")),
    responses((status = 200, description = "the holds", body = Listed)))]
async fn list_holds(caller: Caller, api: Data<Api>, req: HttpRequest) -> Result<HttpResponse, Problem> {
    let tenant = whose(&caller, &Parameters::read(req.query_string(), OF)?)?;
    let found = api.retention.holds(Some(tenant), true).await?;
    Ok(listed(found.iter().map(hold_shown).collect::<Vec<_>>()))
}

/// A hold that is to be placed: on the whole tenant, or on one of the others.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewHold)]
struct Held {
    whole_tenant: Option<bool>,
    /// A person by identifiers, each an Agent.
    #[schema(value_type = Option<Vec<Object>>)]
    agents: Option<Vec<Map<String, Value>>>,
    /// A person by the platform's id.
    user: Option<String>,
    registration: Option<String>,
    course: Option<String>,
    /// It is kept for ever, so name nobody.
    reason: String,
    /// The law or order it rests on.
    law: String,
}

/// Places a hold: nothing that stands under it is removed until it ends.
#[utoipa::path(post, path = "/api/v1/retention/holds", tag = "retention", operation_id = "addHold",
    params(("tenantId" = Option<Uuid>, Query, description = "another tenant's; for operators")),
    request_body = Held, responses((status = 201, description = "placed", body = Object)))]
async fn add_hold(
    caller: Caller,
    api: Data<Api>,
    req: HttpRequest,
    body: JsonBody<Held>,
) -> Result<HttpResponse, Problem> {
    let tenant = whose(&caller, &Parameters::read(req.query_string(), OF)?)?;
    let Held { whole_tenant, agents, user, registration, course, reason, law } = body.0;
    let named = Named {
        whole_tenant: whole_tenant.unwrap_or(false),
        agents,
        user,
        registration: registration.as_deref(),
        course: course.as_deref(),
    };
    let scope = api.retention.scope(tenant, named).await?;
    let new = NewHold { tenant, scope, reason: &reason, law: &law };
    let placed = api.retention.hold(&new, &caller.credential.audit_name()).await?;
    Ok(HttpResponse::Created().json(hold_shown(&placed)))
}

/// Why.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = RetentionReason)]
struct Because {
    reason: String,
}

/// Ends a hold.
#[utoipa::path(post, path = "/api/v1/retention/holds/{id}/release", tag = "retention", operation_id = "releaseHold",
    params(("id" = Uuid, Path, description = "the hold's id"),
        ("tenantId" = Option<Uuid>, Query, description = "another tenant's; for operators")),
    request_body = Because, responses((status = 200, description = "ended", body = Object)))]
async fn release(
    caller: Caller,
    api: Data<Api>,
    id: Path<String>,
    req: HttpRequest,
    body: JsonBody<Because>,
) -> Result<HttpResponse, Problem> {
    let tenant = whose(&caller, &Parameters::read(req.query_string(), OF)?)?;
    let (id, by) = (path_id(&id, "hold")?, caller.credential.audit_name());
    let ended = api.retention.release(tenant, id, &by, &body.0.reason).await?;
    Ok(HttpResponse::Ok().json(hold_shown(&ended)))
}

/// The plans of shortening that wait for another person's word, or have it.
#[utoipa::path(get, path = "/api/v1/retention/requests", tag = "retention", operation_id = "listRetentionRequests",
    params(("tenantId" = Option<Uuid>, Query, description = "another tenant's; for operators")),
    responses((status = 200, description = "the requests", body = Listed)))]
async fn requests(caller: Caller, api: Data<Api>, req: HttpRequest) -> Result<HttpResponse, Problem> {
    let tenant = whose(&caller, &Parameters::read(req.query_string(), OF)?)?;
    let found = api.retention.requests().await?;
    let own = found.iter().filter(|one| one.tenant.is_none_or(|of| of == tenant));
    let shown = |one: &Request| {
        json!({ "digest": one.digest, "tenantId": one.tenant, "plan": one.plan, "requestedBy": one.requested_by,
            "requestedAt": one.requested_at, "signedBy": one.signed_by })
    };
    Ok(listed(own.map(shown).collect::<Vec<_>>()))
}

/// Signs the plan of this digest, which somebody else asked for.
#[utoipa::path(post, path = "/api/v1/retention/requests/{digest}/sign-off", tag = "retention", operation_id = "signOffRetention",
    params(("digest" = String, Path, description = "of the plan")),
    request_body = Because, responses((status = 200, description = "signed", body = Object)))]
async fn sign_off(
    caller: Caller,
    api: Data<Api>,
    plan: Path<String>,
    req: HttpRequest,
    body: JsonBody<Because>,
) -> Result<HttpResponse, Problem> {
    let tenant = whose(&caller, &Parameters::read(req.query_string(), &[])?)?;
    requested(&caller, &api, tenant, &plan).await?;
    let signed = api.retention.sign_off(&plan, &caller.credential.audit_name(), &body.0.reason).await?;
    Ok(HttpResponse::Ok().json(json!({ "digest": signed.digest, "signedBy": signed.signed_by })))
}

fn rule_shown(one: &Set) -> Value {
    let rule = &one.rule;
    json!({ "number": rule.number, "tenantId": rule.tenant, "class": rule.class, "covers": rule.covers,
        "course": rule.course.as_ref().map(|course| &course.id), "starts": rule.starts, "keepDays": rule.keep,
        "deleteDays": rule.delete, "reason": one.reason, "setBy": one.by, "setAt": one.at, "signedOff": one.signed_off })
}

fn removal_shown(one: &Removal) -> Value {
    json!({ "id": one.id, "place": one.of.place, "month": one.of.month, "revision": one.of.revision, "until": one.until,
        "rule": one.rule, "principle": one.principle, "plan": one.plan, "markedBy": one.marked_by, "markedAt": one.marked_at,
        "due": one.due_at, "state": one.state.name(), "sparedBy": one.spared_by, "rows": one.rows })
}

fn hold_shown(hold: &Hold) -> Value {
    let ended: Option<(&str, DateTime<Utc>, &str)> =
        hold.released.as_ref().map(|ended| (ended.by.as_str(), ended.at, ended.reason.as_str()));
    json!({ "id": hold.id, "tenantId": hold.tenant, "scope": hold.scope, "named": hold.named, "reason": hold.reason,
        "law": hold.law, "placedBy": hold.placed_by, "placedAt": hold.placed_at,
        "released": ended.map(|(by, at, reason)| json!({ "by": by, "at": at, "reason": reason })) })
}

/// The plan of this digest that waits for another person, if it is of the caller's tenant; those of others are for operators.
pub async fn requested(caller: &Caller, api: &Api, tenant: TenantId, plan: &str) -> Result<Request, HttpError> {
    let known = api.retention.requests().await?;
    let found = known.into_iter().find(|one| one.digest == plan);
    let found = found.ok_or_else(|| RetentionError::NoRequest(plan.to_owned()))?;
    if found.tenant != Some(tenant) {
        caller.require_operator()?;
    }
    Ok(found)
}

impl From<RetentionError> for HttpError {
    fn from(error: RetentionError) -> Self {
        match error {
            RetentionError::Store(error) => Self::Store(error),
            RetentionError::NoHold(_) | RetentionError::NoRequest(_) | RetentionError::NoTenant(_) => {
                Self::NotFound(error.to_string())
            }
            RetentionError::NoClass(_) | RetentionError::Refused(_) => refuse("retention", &error.to_string()),
            RetentionError::Changed { .. } | RetentionError::NeedsSignOff { .. } | RetentionError::SamePerson(_) => {
                Self::Conflict(error.to_string())
            }
            RetentionError::Shelf(_) => {
                Self::Unavailable { why: error.to_string(), retry_after: std::time::Duration::from_secs(5) }
            }
        }
    }
}
