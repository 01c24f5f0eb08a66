//! `/api/v1/admin/backfills`: what walks through tables beside the running work. They are paused and resumed as jobs.

use actix_web::{HttpRequest, HttpResponse, web::Data};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

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
    migrate::{
        backfill::{DeskError, Standing},
        jobs::Jobs,
    },
    rollout::RolloutError,
};

endpoints! {
    /// Backfills.
    BackfillsOfFiles: list as __path_list, start as __path_start, set_speed as __path_set_speed,
}

/// A backfill as it stands.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Backfill)]
struct Shown {
    /// `module/file`.
    name: String,
    /// `backfill`, or `comparison`: it only looks.
    kind: &'static str,
    about: String,
    /// `waiting`, the state of its job, `verified`, or `changed`: the file is not the one that was walked with.
    state: &'static str,
    /// Parts of a hundred of the time that it may work.
    speed: i32,
    /// The last that was asked for; it is steered as every job is.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    job_id: Option<Uuid>,
    #[schema(nullable = false, value_type = Object)]
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<serde_json::Value>,
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    verified_at: Option<DateTime<Utc>>,
    /// Rows that were looked at when it was verified.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<i64>,
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    changed: Option<i64>,
    /// Over what stood in the table then.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
}

/// All of them.
#[derive(Serialize, ToSchema)]
#[schema(as = Backfills)]
struct Listed {
    data: Vec<Shown>,
}

/// Every backfill of this node's files.
#[utoipa::path(get, path = "/api/v1/admin/backfills", tag = "backfills", operation_id = "listBackfills",
    responses((status = 200, description = "the backfills", body = Listed)))]
async fn list(caller: Caller, jobs: Data<Jobs>, req: HttpRequest) -> Result<HttpResponse, Problem> {
    caller.require_operator()?;
    Parameters::read(req.query_string(), &[])?;
    let all = jobs.backfills().list().await.map_err(HttpError::Store)?;
    Ok(HttpResponse::Ok().json(Listed { data: all.into_iter().map(Shown::from).collect() }))
}

/// Which to begin.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = BackfillOrder)]
struct Order {
    /// `module/file`.
    name: String,
    /// Also when it was verified already.
    again: Option<bool>,
}

/// A job that was asked for.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = BackfillJob)]
struct Begun {
    job_id: Uuid,
}

/// Begins a backfill: a job does it.
#[utoipa::path(post, path = "/api/v1/admin/backfills/run", tag = "backfills", operation_id = "startBackfill",
    request_body = Order, responses((status = 202, description = "begun", body = Begun),
              (status = 404, description = "there is no such backfill", body = ProblemDocument,
               content_type = "application/problem+json")))]
async fn start(
    caller: Caller,
    jobs: Data<Jobs>,
    req: HttpRequest,
    body: JsonBody<Order>,
) -> Result<HttpResponse, Problem> {
    caller.require_operator()?;
    Parameters::read(req.query_string(), &[])?;
    let Order { name, again } = body.0;
    let by = caller.credential.audit_name();
    let job_id = jobs.backfills().start(&name, again.unwrap_or(false), &by).await?;
    Ok(HttpResponse::Accepted()
        .insert_header(("Location", format!("/api/v1/admin/jobs/{job_id}")))
        .json(Begun { job_id }))
}

/// How fast.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = BackfillSpeed)]
struct Speed {
    /// `module/file`.
    name: String,
    /// Parts of a hundred of the time that it may work.
    #[schema(minimum = 1, maximum = 100)]
    speed: i32,
}

/// Sets how fast a backfill goes, from its next batch on.
#[utoipa::path(put, path = "/api/v1/admin/backfills/speed", tag = "backfills", operation_id = "setBackfillSpeed",
    request_body = Speed, responses((status = 204, description = "set"),
              (status = 404, description = "there is no such backfill", body = ProblemDocument,
               content_type = "application/problem+json")))]
async fn set_speed(
    caller: Caller,
    jobs: Data<Jobs>,
    req: HttpRequest,
    body: JsonBody<Speed>,
) -> Result<HttpResponse, Problem> {
    caller.require_operator()?;
    Parameters::read(req.query_string(), &[])?;
    let Speed { name, speed } = body.0;
    if !(1..=100).contains(&speed) {
        return Err(refuse("speed", &DeskError::Speed.to_string()).into());
    }
    jobs.backfills().set_speed(&name, speed, &caller.credential.audit_name()).await?;
    Ok(HttpResponse::NoContent().finish())
}

impl From<DeskError> for HttpError {
    fn from(error: DeskError) -> Self {
        let text = error.to_string();
        match error {
            DeskError::Unknown(_) | DeskError::NoJob(_) => Self::NotFound(text),
            DeskError::Busy(_) | DeskError::Verified { .. } | DeskError::Unfit { .. } => Self::Conflict(text),
            DeskError::Speed => refuse("speed", &text),
            DeskError::Store(error) => Self::Store(error),
        }
    }
}

impl From<RolloutError> for HttpError {
    fn from(error: RolloutError) -> Self {
        match error {
            RolloutError::Store(error) => Self::Store(error),
            RolloutError::Flag(error) => error.into(),
            other => Self::Conflict(other.to_string()),
        }
    }
}

impl From<Standing> for Shown {
    fn from(standing: Standing) -> Self {
        let state = standing.word();
        let Standing { backfill, kept, job } = standing;
        let seen = kept.as_ref();
        Self {
            name: backfill.name(),
            kind: backfill.task.name(),
            about: backfill.about,
            state,
            speed: seen.map_or(100, |kept| kept.speed),
            job_id: seen.and_then(|kept| kept.job),
            progress: job.map(|job| job.progress),
            verified_at: seen.and_then(|kept| kept.verified_at),
            rows: seen.and_then(|kept| kept.rows),
            changed: seen.and_then(|kept| kept.changed),
            digest: seen.and_then(|kept| kept.digest.clone()),
        }
    }
}
