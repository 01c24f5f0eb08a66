//! `/api/v1/admin/jobs`: long work for operators to watch and to steer. Answers in every phase of the service.

mod stream;
mod watched;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{Method, header},
    web::{Data, Path},
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

pub use self::stream::Streams;
use crate::http::{
    HttpError, Problem,
    api::{
        Api,
        cursor::Pages,
        endpoint::endpoints,
        path::path_id,
        query::{PAGE_CURSOR, PAGE_SIZE, PageParameters, Parameters, refuse},
        shown::{Page, one_more},
    },
    caller::Caller,
    error::ProblemDocument,
};
use crate::{
    identity::reach,
    model::job::{Act, State},
    store::{
        As, Store,
        platform::jobs::{self, AskError, Filter, Job},
    },
};

endpoints! {
    /// Jobs.
    Jobs: list as __path_list, show as __path_show, pause as __path_pause, resume as __path_resume,
        cancel as __path_cancel, retry as __path_retry,
}

const KIND: &str = "filter[kind]";
const STATE: &str = "filter[state]";

/// Which jobs are listed.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes what `Parameters` reads")]
struct Filters {
    #[param(rename = "filter[kind]", required = false)]
    kind: String,
    #[param(rename = "filter[state]", required = false, inline)]
    state: JobStateName,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "it describes what `Parameters` reads")]
enum JobStateName {
    Queued,
    Running,
    Pausing,
    Paused,
    Cancelling,
    Cancelled,
    Succeeded,
    Failed,
}

/// A job as it is shown.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Job)]
pub struct Shown {
    id: Uuid,
    kind: String,
    /// `queued`, `running`, `pausing`, `paused`, `cancelling`, `cancelled`, `succeeded` or `failed`.
    state: &'static str,
    /// Whether a node should be at work and none gave a sign of life for half a minute.
    stalled: bool,
    /// Whose data it is about, where it is one tenant's.
    #[schema(required)]
    tenant_id: Option<Uuid>,
    requested_by: String,
    #[schema(required)]
    approved_by: Option<String>,
    #[schema(value_type = Object)]
    parameters: Value,
    /// Of the plan that was shown to whoever asked.
    #[schema(required)]
    plan_digest: Option<String>,
    /// `done` of `total` in `unit`, with a `note`, and what else its kind tells.
    #[schema(value_type = Object)]
    progress: Value,
    /// The format of its last checkpoint.
    #[schema(required)]
    checkpoint_format: Option<i32>,
    /// What came of it.
    #[schema(required, value_type = Option<Object>)]
    outcome: Option<Value>,
    /// Why it failed.
    #[schema(required)]
    error: Option<String>,
    /// How often a node took it.
    attempts: i32,
    created_at: DateTime<Utc>,
    #[schema(required)]
    started_at: Option<DateTime<Utc>>,
    #[schema(required)]
    finished_at: Option<DateTime<Utc>>,
    /// The last sign of life.
    heartbeat_at: DateTime<Utc>,
}

impl From<Job> for Shown {
    fn from(job: Job) -> Self {
        Self {
            stalled: job.is_stalled(),
            id: job.id,
            kind: job.kind,
            state: job.state.name(),
            tenant_id: job.tenant.map(|tenant| tenant.0),
            requested_by: job.requested_by,
            approved_by: job.approved_by,
            parameters: job.parameters,
            plan_digest: job.plan_digest,
            progress: job.progress,
            checkpoint_format: job.checkpoint.map(|checkpoint| checkpoint.format),
            outcome: job.outcome,
            error: job.error,
            attempts: job.attempts,
            created_at: job.created_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
            heartbeat_at: job.updated_at,
        }
    }
}

/// All jobs, the newest first.
#[utoipa::path(get, path = "/api/v1/admin/jobs", tag = "jobs", operation_id = "listJobs",
    params(Filters, PageParameters),
    responses((status = 200, description = "a page of jobs", body = Page<Shown>)))]
async fn list(caller: Caller, api: Data<Api>, req: HttpRequest) -> Result<HttpResponse, Problem> {
    reach::jobs(&caller)?;
    let parameters = Parameters::read(req.query_string(), &[KIND, STATE, PAGE_SIZE, PAGE_CURSOR])?;
    let size = parameters.page_size()?;
    let names = State::ALL.map(State::name);
    let state = parameters.one_of(STATE, &names)?.as_deref().and_then(State::parse);
    let key = api.reader.more_key().await?;
    let pages = Pages { key, tenant: caller.tenant, path: req.path(), parameters: &parameters };
    let before = pages.place()?.map(|place| read_place(&place)).transpose()?;
    let filter = &Filter { kind: parameters.text(KIND).map(str::to_owned), state, before };
    let list = api.store.run_tx("list_jobs", As::Worker, |tx| Box::pin(jobs::list(tx, filter, one_more(size))));
    let found: Vec<Shown> = list.await.map_err(HttpError::from)?.into_iter().map(Shown::from).collect();
    Ok(Page::cut(found, size, |last| pages.link(&place(last))).answer())
}

/// Where the next page begins: the time in microseconds, as it is stored, and the id.
fn place(job: &Shown) -> String {
    format!("{} {}", job.created_at.timestamp_micros(), job.id)
}

fn read_place(place: &str) -> Result<(DateTime<Utc>, Uuid), HttpError> {
    let read = || {
        let (micros, id) = place.split_once(' ')?;
        Some((DateTime::from_timestamp_micros(micros.parse().ok()?)?, id.parse().ok()?))
    };
    read().ok_or_else(|| refuse(PAGE_CURSOR, "it is no place in this list"))
}

/// A job and how far it has come. With `Accept: text/event-stream` an event `job` each time that something of it changes,
/// until it is over.
#[utoipa::path(get, path = "/api/v1/admin/jobs/{id}", tag = "jobs", operation_id = "getJob",
    params(("id" = Uuid, Path, description = "the job's id")),
    responses((status = 200, description = "the job, or a stream of it", content(
        (Shown = "application/json"), (String = "text/event-stream")))))]
async fn show(
    caller: Caller,
    api: Data<Api>,
    streams: Data<Streams>,
    id: Path<String>,
    req: HttpRequest,
) -> Result<HttpResponse, Problem> {
    reach::jobs(&caller)?;
    Parameters::read(req.query_string(), &[])?;
    let id = path_id(&id, "job")?;
    let job = find(&api.store, id).await?;
    if req.method() == Method::GET && wants_stream(&req) {
        return Ok(streams.follow(api.store.clone(), job)?);
    }
    Ok(HttpResponse::Ok().json(Shown::from(job)))
}

async fn find(store: &Store, id: Uuid) -> Result<Job, HttpError> {
    let found = store.run_tx("get_job", As::Worker, |tx| Box::pin(jobs::get(tx, id))).await?;
    found.ok_or_else(|| AskError::Unknown(id).into())
}

/// Whoever names the type means it: a browser's `EventSource` does.
fn wants_stream(req: &HttpRequest) -> bool {
    let accept = req.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accept.split(',').any(|range| range.split(';').next().unwrap_or_default().trim() == "text/event-stream")
}

/// Lets the job wait once its step has ended.
#[utoipa::path(post, path = "/api/v1/admin/jobs/{id}/pause", tag = "jobs", operation_id = "pauseJob",
    params(("id" = Uuid, Path, description = "the job's id")),
    responses((status = 200, description = "it is paused, or will be", body = Shown),
              (status = 409, description = "it is over", body = ProblemDocument,
               content_type = "application/problem+json")))]
async fn pause(caller: Caller, api: Data<Api>, id: Path<String>, req: HttpRequest) -> Result<HttpResponse, Problem> {
    ask(&caller, &api, &id, &req, Act::Pause).await
}

/// Lets a paused job go on.
#[utoipa::path(post, path = "/api/v1/admin/jobs/{id}/resume", tag = "jobs", operation_id = "resumeJob",
    params(("id" = Uuid, Path, description = "the job's id")),
    responses((status = 200, description = "it goes on, or waits for a node", body = Shown),
              (status = 409, description = "it is over, or being cancelled", body = ProblemDocument,
               content_type = "application/problem+json")))]
async fn resume(caller: Caller, api: Data<Api>, id: Path<String>, req: HttpRequest) -> Result<HttpResponse, Problem> {
    ask(&caller, &api, &id, &req, Act::Resume).await
}

/// Ends the job once its step has ended. What it did stays.
#[utoipa::path(post, path = "/api/v1/admin/jobs/{id}/cancel", tag = "jobs", operation_id = "cancelJob",
    params(("id" = Uuid, Path, description = "the job's id")),
    responses((status = 200, description = "it is cancelled, or will be", body = Shown),
              (status = 409, description = "it has ended otherwise", body = ProblemDocument,
               content_type = "application/problem+json")))]
async fn cancel(caller: Caller, api: Data<Api>, id: Path<String>, req: HttpRequest) -> Result<HttpResponse, Problem> {
    ask(&caller, &api, &id, &req, Act::Cancel).await
}

/// Does a job that failed or was cancelled again, from its last checkpoint.
#[utoipa::path(post, path = "/api/v1/admin/jobs/{id}/retry", tag = "jobs", operation_id = "retryJob",
    params(("id" = Uuid, Path, description = "the job's id")),
    responses((status = 200, description = "it waits for a node", body = Shown),
              (status = 409, description = "it has not failed", body = ProblemDocument,
               content_type = "application/problem+json")))]
async fn retry(caller: Caller, api: Data<Api>, id: Path<String>, req: HttpRequest) -> Result<HttpResponse, Problem> {
    ask(&caller, &api, &id, &req, Act::Retry).await
}

async fn ask(caller: &Caller, api: &Api, id: &str, req: &HttpRequest, act: Act) -> Result<HttpResponse, Problem> {
    reach::jobs(caller)?;
    Parameters::read(req.query_string(), &[])?;
    let (id, by) = (path_id(id, "job")?, &caller.credential.audit_name());
    let asked = api.store.run_once("ask_job", As::Worker, |tx| Box::pin(jobs::ask(tx, id, act, by))).await;
    Ok(HttpResponse::Ok().json(Shown::from(asked.map_err(HttpError::from)?)))
}

impl From<AskError> for HttpError {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Unknown(_) => Self::NotFound(error.to_string()),
            AskError::Refused { .. } => Self::Conflict(error.to_string()),
            AskError::Store(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_for_who_asks_for_one() {
        for (accept, expected) in [
            ("text/event-stream", true),
            ("application/json, text/event-stream;q=0.9", true),
            ("*/*", false),
            ("application/json", false),
        ] {
            let req = actix_web::test::TestRequest::get().insert_header(("Accept", accept)).to_http_request();
            assert_eq!(wants_stream(&req), expected, "{accept}");
        }
    }

    #[test]
    fn a_place_is_read_back_and_nothing_else_is() {
        let at = DateTime::from_timestamp_micros(1_795_249_444_225_209).unwrap();
        assert_eq!(read_place(&format!("1795249444225209 {}", Uuid::nil())).unwrap(), (at, Uuid::nil()));
        assert!(read_place("yesterday").is_err());
    }
}
