//! `/api/v1/admin/residency`: tenants that move to another cell and back, for operators, and where a tenant is at home, for
//! gateways. Each act answers first what it would do, and is done as a job once it is told to.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::http::{
    HttpError, Problem,
    api::{
        body::{JsonBody, OptionalBody},
        endpoint::endpoints,
        path::path_id,
        query::{Parameters, refuse},
    },
    caller::Caller,
    error::ProblemDocument,
};
use crate::{
    model::TenantId,
    residency::{Act, LONGEST_REASON, Move, Plan, Residency, ResidencyError},
    store::platform::jobs::Placed,
};

/// Moves on a page at most.
const MOST: i64 = 200;

endpoints! {
    /// Moves of tenants between cells.
    Moves: list as __path_list, begin as __path_begin, show as __path_show, ask as __path_ask, home as __path_home,
}

/// A move as it stands.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ResidencyMove)]
struct Shown {
    id: Uuid,
    tenant_id: Uuid,
    /// The cell it goes to, and where that answers.
    cell: String,
    endpoint: String,
    /// `planned`, `copying`, `verified`, `frozen`, `switching`, `switched`, `returning`, `reopening`, `returned`, `purging`, `purged`
    /// or `cancelled`.
    state: &'static str,
    reason: String,
    requested_by: String,
    /// What was found the same in both cells last, and when.
    #[schema(nullable = false, value_type = Object)]
    #[serde(skip_serializing_if = "Option::is_none")]
    proof: Option<Value>,
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    proved_at: Option<DateTime<Utc>>,
    /// Why the last attempt at a step was given up.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    trouble: Option<String>,
    /// How long writers waited at the switch.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    frozen_ms: Option<i64>,
    /// Who asked for the removal of what is left here; somebody else agrees.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    purge_asked_by: Option<String>,
    /// The entry of the audit trail that holds the report.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<i64>,
    created_at: DateTime<Utc>,
    changed_at: DateTime<Utc>,
}

impl From<Move> for Shown {
    fn from(of: Move) -> Self {
        Self {
            id: of.id,
            tenant_id: of.tenant.0,
            cell: of.cell,
            endpoint: of.endpoint,
            state: of.state.name(),
            reason: of.reason,
            requested_by: of.requested_by,
            proof: of.proof,
            proved_at: of.proved_at,
            trouble: of.trouble,
            frozen_ms: of.frozen_ms,
            purge_asked_by: of.purge_asked_by,
            report: of.report,
            created_at: of.created_at,
            changed_at: of.changed_at,
        }
    }
}

/// Moves.
#[derive(Serialize, ToSchema)]
#[schema(as = ResidencyMoves)]
struct Listed {
    data: Vec<Shown>,
}

/// The newest 200 moves.
#[utoipa::path(get, path = "/api/v1/admin/residency/moves", tag = "residency", operation_id = "listMoves",
    params(("tenantId" = Option<Uuid>, Query, description = "only of this tenant")),
    responses((status = 200, description = "the moves, the newest first", body = Listed)))]
async fn list(caller: Caller, residency: Data<Residency>, req: HttpRequest) -> Result<HttpResponse, Problem> {
    caller.require_operator()?;
    let given = Parameters::read(req.query_string(), &["tenantId"])?;
    let tenant = match given.text("tenantId") {
        Some(text) => Some(TenantId(text.parse().map_err(|_| refuse("tenantId", "a UUID was expected"))?)),
        None => None,
    };
    let found = residency.list(tenant, MOST).await.map_err(problem)?;
    Ok(HttpResponse::Ok().json(Listed { data: found.into_iter().map(Shown::from).collect() }))
}

/// Which tenant, where to, and whether it shall be noted.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = ResidencyOrder)]
struct Order {
    tenant_id: Uuid,
    /// A cell of `residency.cells`.
    to: String,
    /// The digest of the plan that was seen; absent means that it is only planned.
    #[schema(pattern = r"^[0-9a-f]{64}$")]
    plan: Option<String>,
    /// Why; it stands in the audit trail.
    #[schema(min_length = 1, max_length = 2000)]
    reason: Option<String>,
}

/// What a move would do.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ResidencyPlan)]
struct Planned {
    /// What goes where, what stays, and what is in the way.
    #[schema(value_type = Object)]
    plan: Plan,
    /// Sent back as `plan` the move is noted, if it is still the same.
    digest: String,
}

/// Says what a move would do; with the digest of that it is noted, and can be started.
#[utoipa::path(post, path = "/api/v1/admin/residency/moves", tag = "residency", operation_id = "planMove",
    request_body = Order,
    responses((status = 200, description = "what it would do", body = Planned),
              (status = 201, description = "it is noted", body = Shown),
              (status = 404, description = "there is no such tenant or cell", body = ProblemDocument, content_type = "application/problem+json"),
              (status = 409, description = "something is in its way, or the plan is another one by now", body = ProblemDocument,
               content_type = "application/problem+json")))]
async fn begin(
    caller: Caller,
    residency: Data<Residency>,
    req: HttpRequest,
    body: JsonBody<Order>,
) -> Result<HttpResponse, Problem> {
    caller.require_operator()?;
    Parameters::read(req.query_string(), &[])?;
    let Order { tenant_id, to, plan: seen, reason } = body.0;
    let tenant = TenantId(tenant_id);
    if seen.is_none() {
        let plan = residency.plan(tenant, &to).await.map_err(problem)?;
        return Ok(HttpResponse::Ok().json(Planned { digest: plan.digest(), plan }));
    }
    let (by, reason) = (caller.credential.audit_name(), reasoned(reason.as_deref().unwrap_or("asked for"))?);
    let noted = residency.begin((tenant, &to), seen.as_deref(), (&by, &reason)).await.map_err(problem)?;
    let place = format!("/api/v1/admin/residency/moves/{}", noted.id);
    Ok(HttpResponse::Created().insert_header(("Location", place)).json(Shown::from(noted)))
}

/// One move.
#[utoipa::path(get, path = "/api/v1/admin/residency/moves/{moveId}", tag = "residency", operation_id = "getMove",
    params(("moveId" = Uuid, Path, description = "the move")),
    responses((status = 200, description = "the move", body = Shown),
              (status = 404, description = "there is no such move", body = ProblemDocument, content_type = "application/problem+json")))]
async fn show(
    caller: Caller,
    residency: Data<Residency>,
    id: Path<String>,
    req: HttpRequest,
) -> Result<HttpResponse, Problem> {
    caller.require_operator()?;
    Parameters::read(req.query_string(), &[])?;
    let found = residency.get(path_id(&id, "move")?).await.map_err(problem)?;
    Ok(HttpResponse::Ok().json(Shown::from(found)))
}

/// Whether it shall be done.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ResidencyAct)]
struct Wanted {
    /// Absent or false: what would be done is answered.
    apply: Option<bool>,
}

/// What an act does, and the job that does it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ResidencyActed)]
struct Acted {
    r#move: Shown,
    does: Vec<String>,
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    job_id: Option<Uuid>,
}

/// Starts a move, switches it, reverses it, cancels it or purges what is left; a purge is asked for by one and agreed to by another.
#[utoipa::path(post, path = "/api/v1/admin/residency/moves/{moveId}/{act}", tag = "residency", operation_id = "actOnMove",
    params(("moveId" = Uuid, Path, description = "the move"),
           ("act" = String, Path, description = "`start`, `switch`, `reverse`, `cancel` or `purge`")),
    request_body = Option<Wanted>,
    responses((status = 200, description = "what it does", body = Acted),
              (status = 202, description = "a job does it", body = Acted),
              (status = 404, description = "there is no such move or act", body = ProblemDocument, content_type = "application/problem+json"),
              (status = 409, description = "it cannot be done as the move stands", body = ProblemDocument,
               content_type = "application/problem+json")))]
async fn ask(
    caller: Caller,
    residency: Data<Residency>,
    named: Path<(String, String)>,
    req: HttpRequest,
    body: OptionalBody<Wanted>,
) -> Result<HttpResponse, Problem> {
    caller.require_operator()?;
    Parameters::read(req.query_string(), &[])?;
    let (id, act) = named.into_inner();
    let id = path_id(&id, "move")?;
    let act = Act::named(&act).ok_or_else(|| HttpError::NotFound("there is no such act".to_owned()))?;
    let (by, is_wanted) = (caller.credential.audit_name(), body.0.unwrap_or_default().apply == Some(true));
    if act == Act::Purge {
        return purge(&residency, id, &by, is_wanted).await;
    }
    let (found, does) = residency.ask(id, act).await.map_err(problem)?;
    if !is_wanted {
        return Ok(HttpResponse::Ok().json(Acted { r#move: found.into(), does, job_id: None }));
    }
    let placed = residency.order(id, act, &by).await.map_err(problem)?;
    answered(found, does, placed)
}

async fn purge(residency: &Residency, id: Uuid, by: &str, is_wanted: bool) -> Result<HttpResponse, Problem> {
    let does = vec!["what the tenant had is removed here once somebody else agrees; there is no way back".to_owned()];
    let found = residency.get(id).await.map_err(problem)?;
    if !is_wanted {
        return Ok(HttpResponse::Ok().json(Acted { r#move: found.into(), does, job_id: None }));
    }
    if found.purge_asked_by.as_deref().is_some_and(|first| first != by) {
        let placed = residency.approve_purge(id, by).await.map_err(problem)?;
        return answered(found, does, placed);
    }
    let asked = residency.ask_purge(id, by).await.map_err(problem)?;
    Ok(HttpResponse::Ok().json(Acted { r#move: asked.into(), does, job_id: None }))
}

/// A reason that can be kept.
pub fn reasoned(reason: &str) -> Result<String, HttpError> {
    if !(1..=LONGEST_REASON).contains(&reason.trim().chars().count()) || reason.chars().count() > LONGEST_REASON {
        return Err(refuse("reason", &format!("1 to {LONGEST_REASON} characters were expected")));
    }
    Ok(reason.to_owned())
}

/// The job that was placed.
pub fn begun(placed: Placed) -> Result<Uuid, HttpError> {
    match placed {
        Placed::This(job) => Ok(job),
        _ => Err(HttpError::Conflict("another tenant's move is at work: wait for its job".to_owned())),
    }
}

fn answered(found: Move, does: Vec<String>, placed: Placed) -> Result<HttpResponse, Problem> {
    let job = begun(placed)?;
    let place = format!("/api/v1/admin/jobs/{job}");
    let acted = Acted { r#move: found.into(), does, job_id: Some(job) };
    Ok(HttpResponse::Accepted().insert_header(("Location", place)).json(acted))
}

/// Where a tenant is served.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ResidencyHome)]
struct Home {
    tenant_id: Uuid,
    /// `home`: this cell serves it. `frozen`: it is read here and not written, for a moment. `away`: another cell serves it.
    /// `arriving`: it is on its way here.
    standing: &'static str,
    /// The other cell, where there is one.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    cell: Option<String>,
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<String>,
}

/// In which cell a tenant is at home, for gateways that send its clients there.
#[utoipa::path(get, path = "/api/v1/admin/residency/homes/{tenantId}", tag = "residency", operation_id = "getHome",
    params(("tenantId" = Uuid, Path, description = "the tenant")),
    responses((status = 200, description = "where it is served", body = Home),
              (status = 404, description = "there is no such tenant", body = ProblemDocument, content_type = "application/problem+json")))]
async fn home(
    caller: Caller,
    residency: Data<Residency>,
    id: Path<String>,
    req: HttpRequest,
) -> Result<HttpResponse, Problem> {
    caller.require_operator()?;
    Parameters::read(req.query_string(), &[])?;
    let tenant_id = path_id(&id, "tenant")?;
    let (standing, other) = residency.home(TenantId(tenant_id)).await.map_err(problem)?;
    let (cell, endpoint) = other.unzip();
    Ok(HttpResponse::Ok().json(Home { tenant_id, standing: standing.name(), cell, endpoint }))
}

fn problem(error: ResidencyError) -> Problem {
    not_done(error).into()
}

/// Why something was not done, as whoever asked for it hears it.
pub fn not_done(error: ResidencyError) -> HttpError {
    let text = error.to_string();
    match error {
        ResidencyError::NoCell(_) | ResidencyError::NoTenant | ResidencyError::NoMove => HttpError::NotFound(text),
        ResidencyError::Refused(_) | ResidencyError::Differs(_) | ResidencyError::Segment(_) => {
            HttpError::Conflict(text)
        }
        ResidencyError::Away { .. } => {
            tracing::warn!(error = text, "another cell cannot be reached");
            let why = "the other cell does not answer".to_owned();
            HttpError::Unavailable { why, retry_after: std::time::Duration::from_secs(5) }
        }
        ResidencyError::Store(error) => HttpError::Store(error),
    }
}
