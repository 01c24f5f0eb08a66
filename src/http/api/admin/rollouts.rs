//! `/api/v1/admin/rollouts`: what `rollout` does on the command line. For operators.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::receivers;
use crate::http::{
    HttpError, Problem,
    api::{
        body::JsonBody,
        endpoint::endpoints,
        query::{Parameters, refuse},
    },
    caller::Caller,
    error::ProblemDocument,
};
use crate::{
    model::plan as digests,
    rollout::{
        Desk, Plan, RolloutError,
        plan::{self, is_name},
        plan_of, timed,
    },
    store::platform::rollouts::{Event, Rollout},
};

endpoints! {
    /// Rollouts.
    Rollouts: list as __path_list, start as __path_start, check as __path_check, show as __path_show,
        advance as __path_advance, approve as __path_approve, pause as __path_pause, resume as __path_resume,
        abort as __path_abort, tell_again as __path_tell_again,
}

/// Rollouts of a list.
const MOST: i64 = 100;
/// Characters of a reason.
const LONGEST: usize = 2_000;

/// A rollout and where it is.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Rollout)]
struct Shown {
    id: Uuid,
    name: String,
    /// `running`, `holding`, `paused`, `done`, `aborted` or `rolled_back`.
    state: String,
    /// The place of its step, from 0.
    step: i32,
    /// Why it holds, or why it was taken back.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    asked_by: String,
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    approved_by: Option<String>,
    /// Of its plan.
    digest: String,
    started_at: DateTime<Utc>,
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_at: Option<DateTime<Utc>>,
}

/// The newest rollouts.
#[derive(Serialize, ToSchema)]
#[schema(as = Rollouts)]
struct Listed {
    data: Vec<Shown>,
}

/// Something that a rollout did.
#[derive(Serialize, ToSchema)]
#[schema(as = RolloutEvent)]
struct Did {
    at: DateTime<Utc>,
    /// The step's name; empty: the whole.
    step: String,
    what: String,
    #[schema(value_type = Object)]
    detail: Value,
    by: String,
}

/// How long a step takes.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RolloutStepTime)]
struct Timed {
    step: String,
    /// For which it is baked; absent: as long as others need for it.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    at_least_seconds: Option<f64>,
    /// From the end of the step before; absent: it is not over.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    took_seconds: Option<f64>,
}

impl From<timed::Timed> for Timed {
    fn from(timed::Timed { step, at_least, took }: timed::Timed) -> Self {
        Self { step, at_least_seconds: at_least, took_seconds: took }
    }
}

/// A rollout with everything that it did, and its plan.
#[derive(Serialize, ToSchema)]
#[schema(as = RolloutReport)]
struct Told {
    #[serde(flatten)]
    rollout: Shown,
    #[schema(value_type = Object)]
    plan: Value,
    /// Its steps in their order, with how long each takes.
    steps: Vec<Timed>,
    events: Vec<Did>,
    /// Whom it tells.
    receivers: Vec<receivers::Shown>,
}

/// A plan as its file says it.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = RolloutPlan)]
struct Given {
    /// The text of the file, in TOML.
    plan: String,
}

/// A plan to begin.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = RolloutOrder)]
struct Order {
    /// The text of the file, in TOML.
    plan: String,
    /// The digest of the plan that was seen: another one is 409.
    digest: Option<String>,
}

/// What a plan does, and what is wrong with it.
#[derive(Serialize, ToSchema)]
#[schema(as = RolloutPlanned)]
struct Planned {
    name: String,
    digest: String,
    /// The names of the steps in the order in which they are done; empty where there is none.
    order: Vec<String>,
    /// Empty: it can be begun.
    faults: Vec<String>,
}

/// Why.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RolloutEnd)]
struct End {
    #[schema(min_length = 1, max_length = 2000)]
    reason: String,
}

/// The last 100 rollouts, the newest first.
#[utoipa::path(get, path = "/api/v1/admin/rollouts", tag = "rollouts", operation_id = "listRollouts",
    responses((status = 200, description = "the rollouts", body = Listed)))]
async fn list(caller: Caller, desk: Data<Desk>, req: HttpRequest) -> Result<HttpResponse, Problem> {
    caller.require_operator()?;
    Parameters::read(req.query_string(), &[])?;
    let found = desk.look(None, MOST).await.map_err(HttpError::Store)?;
    Ok(HttpResponse::Ok().json(Listed { data: found.into_iter().map(|(rollout, _)| Shown::from(rollout)).collect() }))
}

/// Begins a rollout; nodes do its steps from now on.
#[utoipa::path(post, path = "/api/v1/admin/rollouts", tag = "rollouts", operation_id = "startRollout",
    request_body = Order, responses((status = 201, description = "begun", body = Shown)))]
async fn start(
    caller: Caller,
    desk: Data<Desk>,
    req: HttpRequest,
    body: JsonBody<Order>,
) -> Result<HttpResponse, Problem> {
    caller.require_operator()?;
    Parameters::read(req.query_string(), &[])?;
    let Order { plan, digest } = body.0;
    let plan = read(&plan)?;
    let now = digests::digest(&plan);
    digests::must_be_the_one(digest.as_deref(), &now).map_err(|why| problem(RolloutError::Refused(why)))?;
    desk.start(&plan, &now, &caller.credential.audit_name()).await.map_err(problem)?;
    let (rollout, _) = newest(&desk, &plan.name).await?;
    let place = format!("/api/v1/admin/rollouts/{}", rollout.name);
    Ok(HttpResponse::Created().insert_header(("Location", place)).json(Shown::from(rollout)))
}

/// Reads a plan and says what it does in which order, and what is wrong with it. Nothing is done.
#[utoipa::path(post, path = "/api/v1/admin/rollout-plans", tag = "rollouts", operation_id = "checkRolloutPlan",
    request_body = Given, responses((status = 200, description = "the plan", body = Planned)))]
async fn check(
    caller: Caller,
    desk: Data<Desk>,
    req: HttpRequest,
    body: JsonBody<Given>,
) -> Result<HttpResponse, Problem> {
    caller.require_operator()?;
    Parameters::read(req.query_string(), &[])?;
    let plan = read(&body.0.plan)?;
    let faults = desk.faults(&plan).await.map_err(HttpError::Store)?;
    let order = plan.order().unwrap_or_default().into_iter().map(|step| step.name.clone()).collect();
    Ok(HttpResponse::Ok().json(Planned { name: plan.name.clone(), digest: digests::digest(&plan), order, faults }))
}

/// The newest rollout of a name: where it is, its plan, everything that it did, and whom it told of that.
#[utoipa::path(get, path = "/api/v1/admin/rollouts/{name}", tag = "rollouts", operation_id = "getRollout",
    params(("name" = String, Path, description = "the rollout's name")),
    responses((status = 200, description = "the rollout", body = Told)))]
async fn show(caller: Caller, desk: Data<Desk>, name: Path<String>, req: HttpRequest) -> Result<HttpResponse, Problem> {
    caller.require_operator()?;
    Parameters::read(req.query_string(), &[])?;
    let (rollout, events) = newest(&desk, &name).await?;
    let (plan, timed) = (rollout.plan.clone(), timed::timed(&plan_of(&rollout).map_err(HttpError::Store)?, &events));
    let steps = timed.into_iter().map(Timed::from).collect();
    let events = events.into_iter().map(Did::from).collect();
    let receivers = desk.receivers(rollout.id).await.map_err(HttpError::Store)?;
    let receivers = receivers.into_iter().map(receivers::Shown::from).collect();
    Ok(HttpResponse::Ok().json(Told { rollout: Shown::from(rollout), plan, steps, events, receivers }))
}

/// Lets one that holds go on, past what is not known.
#[utoipa::path(post, path = "/api/v1/admin/rollouts/{name}/advance", tag = "rollouts", operation_id = "advanceRollout",
    params(("name" = String, Path, description = "the rollout's name")),
    responses((status = 200, description = "the rollout", body = Shown),
              (status = 409, description = "it does not hold, or wants an approval", body = ProblemDocument,
               content_type = "application/problem+json")))]
async fn advance(
    caller: Caller,
    desk: Data<Desk>,
    name: Path<String>,
    req: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let by = &allowed(&caller, &req)?;
    answered(desk.advance(underway(&name)?, by).await)
}

/// Approves the contract, from which on nothing is taken back: by somebody else than who began.
#[utoipa::path(post, path = "/api/v1/admin/rollouts/{name}/approve", tag = "rollouts", operation_id = "approveRollout",
    params(("name" = String, Path, description = "the rollout's name")),
    responses((status = 200, description = "the rollout", body = Shown),
              (status = 409, description = "nothing waits for an approval, or not for this one", body = ProblemDocument,
               content_type = "application/problem+json")))]
async fn approve(
    caller: Caller,
    desk: Data<Desk>,
    name: Path<String>,
    req: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let by = &allowed(&caller, &req)?;
    answered(desk.approve(underway(&name)?, by).await)
}

/// Lets one wait: nothing is done, what is set stays set.
#[utoipa::path(post, path = "/api/v1/admin/rollouts/{name}/pause", tag = "rollouts", operation_id = "pauseRollout",
    params(("name" = String, Path, description = "the rollout's name")),
    responses((status = 200, description = "the rollout", body = Shown)))]
async fn pause(
    caller: Caller,
    desk: Data<Desk>,
    name: Path<String>,
    req: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let by = &allowed(&caller, &req)?;
    answered(desk.pause(underway(&name)?, by).await)
}

/// Lets a paused one go on.
#[utoipa::path(post, path = "/api/v1/admin/rollouts/{name}/resume", tag = "rollouts", operation_id = "resumeRollout",
    params(("name" = String, Path, description = "the rollout's name")),
    responses((status = 200, description = "the rollout", body = Shown),
              (status = 409, description = "it is not paused", body = ProblemDocument,
               content_type = "application/problem+json")))]
async fn resume(
    caller: Caller,
    desk: Data<Desk>,
    name: Path<String>,
    req: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let by = &allowed(&caller, &req)?;
    answered(desk.resume(underway(&name)?, by).await)
}

/// Takes it back: flags become what they were, what was written stays. Not once its contract was approved.
#[utoipa::path(post, path = "/api/v1/admin/rollouts/{name}/abort", tag = "rollouts", operation_id = "abortRollout",
    params(("name" = String, Path, description = "the rollout's name")),
    request_body = End, responses((status = 200, description = "the rollout", body = Shown)))]
async fn abort(
    caller: Caller,
    desk: Data<Desk>,
    name: Path<String>,
    req: HttpRequest,
    body: JsonBody<End>,
) -> Result<HttpResponse, Problem> {
    let by = &allowed(&caller, &req)?;
    let why = body.0.reason;
    if why.trim().is_empty() || why.chars().count() > LONGEST {
        return Err(refuse("reason", "expected 1 to 2000 characters").into());
    }
    answered(desk.abort(underway(&name)?, &why, by).await)
}

/// Tells those again, at once, whom the newest rollout of a name could not reach, also when it is over.
#[utoipa::path(post, path = "/api/v1/admin/rollouts/{name}/tell-again", tag = "rollouts", operation_id = "tellRolloutAgain",
    params(("name" = String, Path, description = "the rollout's name")),
    responses((status = 200, description = "whom it tells", body = receivers::Listed),
              (status = 409, description = "it could reach everybody", body = ProblemDocument,
               content_type = "application/problem+json")))]
async fn tell_again(
    caller: Caller,
    desk: Data<Desk>,
    name: Path<String>,
    req: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let by = &allowed(&caller, &req)?;
    let told = desk.tell_again(underway(&name)?, by).await.map_err(problem)?;
    Ok(HttpResponse::Ok().json(receivers::Listed { data: told.into_iter().map(receivers::Shown::from).collect() }))
}

fn allowed(caller: &Caller, req: &HttpRequest) -> Result<String, HttpError> {
    caller.require_operator()?;
    Parameters::read(req.query_string(), &[])?;
    Ok(caller.credential.audit_name())
}

/// A name that a rollout could have; no other is looked for.
fn underway(name: &str) -> Result<&str, Problem> {
    if is_name(name) { Ok(name) } else { Err(problem(RolloutError::NotUnderway(format!("{name:.63}")))) }
}

fn answered(done: Result<Rollout, RolloutError>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(Shown::from(done.map_err(problem)?)))
}

fn read(text: &str) -> Result<Plan, HttpError> {
    plan::read(text).map_err(|why| refuse("plan", &why))
}

async fn newest(desk: &Desk, name: &str) -> Result<(Rollout, Vec<Event>), Problem> {
    let unknown = || HttpError::NotFound(format!("there is no rollout {name:.63?}"));
    if !is_name(name) {
        return Err(unknown().into());
    }
    let found = desk.look(Some(name), 1).await.map_err(HttpError::Store)?;
    Ok(found.into_iter().next().ok_or_else(unknown)?)
}

fn problem(error: RolloutError) -> Problem {
    let text = error.to_string();
    match error {
        RolloutError::Faults(_) => refuse("plan", &text).into(),
        RolloutError::Underway | RolloutError::Refused(_) | RolloutError::Flag(_) => HttpError::Conflict(text).into(),
        RolloutError::NotUnderway(_) | RolloutError::Unknown(_) => HttpError::NotFound(text).into(),
        RolloutError::Store(error) => HttpError::Store(error).into(),
    }
}

impl From<Rollout> for Shown {
    fn from(rollout: Rollout) -> Self {
        let Rollout { id, name, state, step, why, asked_by, approved_by, digest, started_at, finished_at, .. } =
            rollout;
        Self { id, name, state, step, why, asked_by, approved_by, digest, started_at, finished_at }
    }
}

impl From<Event> for Did {
    fn from(Event { at, step, what, detail, by }: Event) -> Self {
        Self { at, step, what, detail, by }
    }
}
