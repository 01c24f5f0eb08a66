//! `/api/v1/enrollments`: how far a learner is in a course, and the transcript that says so.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header,
    web::{Data, Path},
};
use serde_json::{Map, Value};

use super::{
    Api,
    access::{Reach, actor_name},
    attempts::SCOPES,
    endpoint::endpoints,
    query::Parameters,
};
use crate::{
    http::{HttpError, Problem},
    identity::Caller,
    model::{Scope, TenantId},
    projections::facts,
    store::progress_reads::EnrollmentRow,
    transcript::{Progress, Transcript, model::Names},
    xapi::language::Languages,
};

endpoints! {
    /// Enrollments.
    Enrollments: get_progress as __path_get_progress, get_transcript as __path_get_transcript,
}

pub(super) const READ_TRANSCRIPT: &str = "read.transcript";
const FORMAT: &str = "format";

/// How far a learner is in a course.
#[utoipa::path(get, path = "/api/v1/enrollments/{eid}/progress", tag = "progress", operation_id = "getProgress",
    params(("eid" = String, Path, description = "the enrollment's id")),
    responses((status = 200, description = "the progress", body = Progress)))]
async fn get_progress(
    caller: Caller,
    api: Data<Api>,
    eid: Path<String>,
    req: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let reach = Reach::of(&caller, &SCOPES)?;
    Parameters::read(req.query_string(), &[])?;
    let found = api.store.enrollment(caller.tenant, &eid, None).await?;
    Ok(HttpResponse::Ok().json(Progress::from(within(found, &reach)?)))
}

/// The transcript of an enrollment, as JSON.
#[utoipa::path(get, path = "/api/v1/enrollments/{eid}/transcript", tag = "transcripts", operation_id = "getTranscript",
    params(
        ("eid" = String, Path, description = "the enrollment's id"),
        ("format" = Option<String>, Query, description = "json"),
        ("Accept-Language" = Option<String>, Header, description = "for the course's title"),
    ),
    responses((status = 200, description = "the transcript", body = Transcript)))]
async fn get_transcript(
    caller: Caller,
    api: Data<Api>,
    eid: Path<String>,
    req: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let reach = Reach::of(&caller, &[Scope::ApiTranscriptRead])?;
    let parameters = Parameters::read(req.query_string(), &[FORMAT])?;
    parameters.one_of(FORMAT, &["json"])?;
    let reading = match reach.is_of_others() {
        true => Some(api.trail.reading(caller.credential.audit_name(), READ_TRANSCRIPT).await?),
        false => None,
    };
    let found = within(api.store.enrollment(caller.tenant, &eid, reading.as_ref()).await?, &reach)?;
    let languages = Languages::parse(text(&req, &header::ACCEPT_LANGUAGE));
    let transcript = compose(&api, caller.tenant, found, &languages).await?;
    Ok(HttpResponse::Ok().json(transcript))
}

/// The enrollment, if it is there for this caller.
fn within(found: Option<EnrollmentRow>, reach: &Reach) -> Result<EnrollmentRow, HttpError> {
    let found = found.filter(|enrollment| reach.covers(&enrollment.user));
    found.ok_or_else(|| HttpError::NotFound("no statement has named such an enrollment".to_owned()))
}

/// Adds what the ledger's statements call learner and course.
pub(super) async fn compose(
    api: &Api,
    tenant: TenantId,
    enrollment: EnrollmentRow,
    languages: &Languages,
) -> Result<Transcript, HttpError> {
    let statement: Option<Map<String, Value>> =
        enrollment.latest_statement.as_deref().and_then(|payload| serde_json::from_str(payload).ok());
    let mut names = Names::default();
    if let Some(statement) = &statement {
        names.learner = actor_name(statement);
        let context = statement.get("context").and_then(Value::as_object);
        names.activity = context.and_then(|context| facts::course(statement, context)).map(str::to_owned);
    }
    if let Some(activity) = &names.activity {
        let definitions = api.reader.definitions(tenant, &[activity]).await?;
        let map = definitions.first().and_then(|(_, definition)| definition.get("name")).and_then(Value::as_object);
        names.title = map.and_then(|map| chosen(map.clone(), languages));
    }
    Ok(Transcript::new(enrollment, names, api.clock.now()))
}

fn chosen(mut map: Map<String, Value>, languages: &Languages) -> Option<String> {
    languages.choose(&mut map);
    map.values().next().and_then(Value::as_str).map(str::to_owned)
}

fn text<'r>(req: &'r HttpRequest, name: &header::HeaderName) -> &'r str {
    req.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
