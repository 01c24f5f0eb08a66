//! `/api/v1/admin/archive`: months as segments, for operators. Each act answers first what it would do, and is done as a job once
//! the digest of that was sent back.

use actix_web::{HttpRequest, HttpResponse, web::Data};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::planned::Planned;
use crate::http::{
    HttpError, Problem,
    api::{
        Months,
        body::{JsonBody, OptionalBody},
        endpoint::endpoints,
        query::{Parameters, refuse},
    },
    caller::Caller,
    error::ProblemDocument,
};
use crate::{
    archive::{ArchiveError, jobs},
    identity::reach,
    model::partition::Month,
    store::ledger::segments::{Segment, State},
    xapi::Violations,
};

endpoints! {
    /// The archive.
    Archive: segments as __path_segments, run as __path_run, drop as __path_drop, restore as __path_restore,
        verify as __path_verify, gc as __path_gc, adopt as __path_adopt,
}

/// Which month, and whether it shall be done.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ArchiveMonthOrder)]
struct OfMonth {
    /// Such as `2026-03`.
    #[schema(value_type = String, pattern = r"^[0-9]{4}-(0[1-9]|1[0-2])$")]
    month: Month,
    /// The digest of the plan that was seen; absent means that it is only planned.
    #[schema(pattern = r"^[0-9a-f]{64}$")]
    plan: Option<String>,
}

/// Which months, and whether it shall be done.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ArchiveVerifyOrder)]
struct OfSome {
    /// Only this one, such as `2026-03`.
    #[schema(value_type = Option<String>, pattern = r"^[0-9]{4}-(0[1-9]|1[0-2])$")]
    month: Option<Month>,
    /// The digest of the plan that was seen; absent means that it is only planned.
    #[schema(pattern = r"^[0-9a-f]{64}$")]
    plan: Option<String>,
}

/// Whether it shall be done.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ArchiveOrder)]
struct OfAll {
    /// The digest of the plan that was seen; absent means that it is only planned.
    #[schema(pattern = r"^[0-9a-f]{64}$")]
    plan: Option<String>,
}

/// Which segments are listed.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes what `Parameters` reads")]
struct Which {
    /// Only of this month, such as `2026-03`.
    #[param(required = false, pattern = r"^[0-9]{4}-(0[1-9]|1[0-2])$")]
    month: String,
    /// `published`, `staged`, `marked` or `removed`; absent means those that are published.
    #[param(required = false, inline)]
    state: SegmentStateName,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "it describes what `Parameters` reads")]
enum SegmentStateName {
    Staged,
    Published,
    Marked,
    Removed,
}

/// A tenant's month in the archive.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Segment)]
struct Shown {
    tenant_id: Uuid,
    #[schema(value_type = String)]
    month: Month,
    revision: u32,
    /// `staged`, `published`, `marked` (nobody needs it any more) or `removed`.
    state: &'static str,
    /// The epoch of this installation that owns it.
    epoch: i64,
    #[schema(required)]
    rows: Option<i64>,
    #[schema(required)]
    bytes: Option<i64>,
    #[schema(required)]
    first_stored: Option<DateTime<Utc>>,
    #[schema(required)]
    last_stored: Option<DateTime<Utc>>,
    /// Of its content, whatever the order of its rows.
    #[schema(required)]
    digest: Option<String>,
    #[schema(required)]
    published_at: Option<DateTime<Utc>>,
}

impl From<Segment> for Shown {
    fn from(segment: Segment) -> Self {
        let of = segment.contents.as_ref();
        Self {
            tenant_id: segment.name.tenant.0,
            month: segment.name.month,
            revision: segment.name.revision,
            state: segment.state.name(),
            epoch: segment.epoch,
            rows: of.map(|of| of.rows),
            bytes: of.map(|of| of.bytes),
            first_stored: of.map(|of| of.first_stored),
            last_stored: of.map(|of| of.last_stored),
            digest: of.map(|of| of.digest.clone()),
            published_at: segment.published_at,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = Segments)]
struct Listed {
    segments: Vec<Shown>,
}

/// The segments there are.
#[utoipa::path(get, path = "/api/v1/admin/archive/segments", tag = "archive", operation_id = "listSegments", params(Which),
    responses((status = 200, description = "the segments, by tenant and month", body = Listed)))]
async fn segments(caller: Caller, months: Data<Months>, req: HttpRequest) -> Result<HttpResponse, Problem> {
    reach::months(&caller)?;
    let given = Parameters::read(req.query_string(), &["month", "state"])?;
    let month = match given.text("month") {
        Some(text) => Some(text.parse::<Month>().map_err(|error| refuse("month", &error))?),
        None => None,
    };
    let state = match given.text("state") {
        Some(text) => State::ALL
            .into_iter()
            .find(|state| state.name() == text)
            .ok_or_else(|| refuse("state", "it is one of staged, published, marked and removed"))?,
        None => State::Published,
    };
    let found = months.archive.segments(month).await.map_err(HttpError::from)?;
    let segments = found.into_iter().filter(|one| one.state == state).map(Shown::from).collect();
    Ok(HttpResponse::Ok().json(Listed { segments }))
}

/// Writes a sealed or detached month into the archive.
#[utoipa::path(post, path = "/api/v1/admin/archive/run", tag = "archive", operation_id = "runArchive",
    request_body = OfMonth,
    responses((status = 200, description = "what it would do", body = Planned),
              (status = 202, description = "a job does it", body = Planned),
              (status = 404, description = "there is no such month", body = ProblemDocument, content_type = "application/problem+json"),
              (status = 409, description = "it cannot be done now, the plan is another one by now, or another such job is not over",
               body = ProblemDocument, content_type = "application/problem+json")))]
async fn run(
    caller: Caller,
    months: Data<Months>,
    req: HttpRequest,
    JsonBody(OfMonth { month, plan }): JsonBody<OfMonth>,
) -> Result<HttpResponse, Problem> {
    ask(&caller, &months, &req, (jobs::RUN, Some(month)), plan).await
}

/// Drops the table of an archived month, after all of it was compared with its segments.
#[utoipa::path(post, path = "/api/v1/admin/archive/drop", tag = "archive", operation_id = "dropArchived",
    request_body = OfMonth,
    responses((status = 200, description = "what it would do", body = Planned),
              (status = 202, description = "a job does it", body = Planned),
              (status = 404, description = "there is no such month", body = ProblemDocument, content_type = "application/problem+json"),
              (status = 409, description = "it cannot be done now, the plan is another one by now, or another such job is not over",
               body = ProblemDocument, content_type = "application/problem+json")))]
async fn drop(
    caller: Caller,
    months: Data<Months>,
    req: HttpRequest,
    JsonBody(OfMonth { month, plan }): JsonBody<OfMonth>,
) -> Result<HttpResponse, Problem> {
    ask(&caller, &months, &req, (jobs::DROP, Some(month)), plan).await
}

/// Makes the table of a month again from its segments.
#[utoipa::path(post, path = "/api/v1/admin/archive/restore", tag = "archive", operation_id = "restoreArchived",
    request_body = OfMonth,
    responses((status = 200, description = "what it would do", body = Planned),
              (status = 202, description = "a job does it", body = Planned),
              (status = 404, description = "there is no such month", body = ProblemDocument, content_type = "application/problem+json"),
              (status = 409, description = "it cannot be done now, the plan is another one by now, or another such job is not over",
               body = ProblemDocument, content_type = "application/problem+json")))]
async fn restore(
    caller: Caller,
    months: Data<Months>,
    req: HttpRequest,
    JsonBody(OfMonth { month, plan }): JsonBody<OfMonth>,
) -> Result<HttpResponse, Problem> {
    ask(&caller, &months, &req, (jobs::RESTORE, Some(month)), plan).await
}

/// Reads published segments again, every byte and every row: of one month, or of all.
#[utoipa::path(post, path = "/api/v1/admin/archive/verify", tag = "archive", operation_id = "verifyArchive",
    request_body = Option<OfSome>,
    responses((status = 200, description = "what it would do", body = Planned),
              (status = 202, description = "a job does it", body = Planned),
              (status = 409, description = "it cannot be done now, the plan is another one by now, or another such job is not over",
               body = ProblemDocument, content_type = "application/problem+json")))]
async fn verify(
    caller: Caller,
    months: Data<Months>,
    req: HttpRequest,
    body: OptionalBody<OfSome>,
) -> Result<HttpResponse, Problem> {
    let OfSome { month, plan } = body.0.unwrap_or_default();
    ask(&caller, &months, &req, (jobs::VERIFY, month), plan).await
}

/// Removes what nobody needs any more, by the names that rows and manifests give it.
#[utoipa::path(post, path = "/api/v1/admin/archive/gc", tag = "archive", operation_id = "collectArchive",
    request_body = Option<OfAll>,
    responses((status = 200, description = "what it would do", body = Planned),
              (status = 202, description = "a job does it", body = Planned),
              (status = 409, description = "it cannot be done now, the plan is another one by now, or another such job is not over",
               body = ProblemDocument, content_type = "application/problem+json")))]
async fn gc(
    caller: Caller,
    months: Data<Months>,
    req: HttpRequest,
    body: OptionalBody<OfAll>,
) -> Result<HttpResponse, Problem> {
    ask(&caller, &months, &req, (jobs::GC, None), body.0.unwrap_or_default().plan).await
}

/// Makes the archive this database's own, after it was restored, moved or copied.
#[utoipa::path(post, path = "/api/v1/admin/archive/adopt", tag = "archive", operation_id = "adoptArchive",
    request_body = Option<OfAll>,
    responses((status = 200, description = "what it would do", body = Planned),
              (status = 202, description = "a job does it", body = Planned),
              (status = 409, description = "it cannot be done now, the plan is another one by now, or another such job is not over",
               body = ProblemDocument, content_type = "application/problem+json")))]
async fn adopt(
    caller: Caller,
    months: Data<Months>,
    req: HttpRequest,
    body: OptionalBody<OfAll>,
) -> Result<HttpResponse, Problem> {
    ask(&caller, &months, &req, (jobs::ADOPT, None), body.0.unwrap_or_default().plan).await
}

async fn ask(
    caller: &Caller,
    months: &Months,
    req: &HttpRequest,
    (kind, month): (&'static str, Option<Month>),
    seen: Option<String>,
) -> Result<HttpResponse, Problem> {
    reach::months(caller)?;
    Parameters::read(req.query_string(), &[])?;
    let planned = Planned::from(months.archive.plan(kind, month).await.map_err(HttpError::from)?);
    if !planned.is_wanted(seen.as_deref())? {
        return Ok(planned.shown());
    }
    let by = caller.credential.audit_name();
    let job = months.archive.ask_for(kind, month, &planned.digest, &by).await.map_err(HttpError::from)?;
    Ok(planned.begun(job))
}

impl From<ArchiveError> for HttpError {
    fn from(error: ArchiveError) -> Self {
        let text = error.to_string();
        match error {
            ArchiveError::NoMonth(_) => Violations::whole("api.archive", text).into(),
            ArchiveError::Unknown(_) => Self::NotFound(text),
            ArchiveError::Store(error) => error.into(),
            error if error.is_passing() => {
                Self::Unavailable { why: text, retry_after: std::time::Duration::from_secs(5) }
            }
            _ => Self::Conflict(text),
        }
    }
}
