//! `/api/v1/enrollments`: how far a learner is in a course, and the transcript that says so.

use std::time::Duration;

use actix_web::{
    HttpRequest, HttpResponse,
    http::header,
    web::{Data, Path},
};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{
    Api,
    access::{Reach, actor_name, usual_id},
    attempts::SCOPES,
    endpoint::endpoints,
    format::{FORMAT, wants},
    query::Parameters,
};
use crate::{
    http::{HttpError, Problem},
    identity::Caller,
    model::{Scope, TenantId},
    projections::{facts, fold::cmi5::Unit, units},
    store::progress::reads::EnrollmentRow,
    transcript::{EnrollmentProgress, PrintError, Transcript, UnitProgress, model::Names},
    xapi::language::Languages,
};

endpoints! {
    /// Enrollments.
    Enrollments: get_progress as __path_get_progress, get_transcript as __path_get_transcript,
}

pub(super) const READ_TRANSCRIPT: &str = "read.transcript";

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "it describes what `one_of` takes")]
enum Format {
    Json,
    Pdf,
}

/// How far a learner is in a course.
#[utoipa::path(get, path = "/api/v1/enrollments/{eid}/progress", tag = "progress", operation_id = "getProgress",
    params(("eid" = String, Path, description = "the enrollment's id")),
    responses((status = 200, description = "the progress", body = EnrollmentProgress)))]
async fn get_progress(
    caller: Caller,
    api: Data<Api>,
    eid: Path<String>,
    req: HttpRequest,
) -> Result<HttpResponse, Problem> {
    Parameters::read(req.query_string(), &[])?;
    Ok(HttpResponse::Ok().json(progress(&caller, &api, &eid).await?))
}

fn shown((activity_id, unit): (String, Unit)) -> UnitProgress {
    UnitProgress {
        activity_id,
        state: unit.state().as_str().to_owned(),
        satisfied: unit.is_satisfied(),
        move_on: unit.move_on.map(|move_on| move_on.as_str().to_owned()),
        score: unit.score,
        sessions: u32::try_from(unit.sessions).unwrap_or(u32::MAX),
    }
}

/// The transcript of an enrollment, as JSON or as a PDF to keep.
#[utoipa::path(get, path = "/api/v1/enrollments/{eid}/transcript", tag = "transcripts", operation_id = "getTranscript",
    params(
        ("eid" = String, Path, description = "the enrollment's id"),
        ("format" = inline(Option<Format>), Query, description = "goes before the header Accept"),
        ("Accept-Language" = Option<String>, Header, description = "for the course's title"),
    ),
    responses((status = 200, description = "the transcript", content(
        (Transcript = "application/json"),
        (Vec<u8> = "application/pdf"),
    ))))]
async fn get_transcript(
    caller: Caller,
    api: Data<Api>,
    eid: Path<String>,
    req: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let parameters = Parameters::read(req.query_string(), &[FORMAT])?;
    let is_pdf = wants(&req, &parameters, ("pdf", "application/pdf"))?;
    let languages = Languages::parse(text(&req, &header::ACCEPT_LANGUAGE));
    let transcript = transcript(&caller, &api, &eid, &languages).await?;
    if !is_pdf {
        return Ok(HttpResponse::Ok().json(transcript));
    }
    Ok(on_paper(&api, caller.tenant, transcript).await?)
}

/// A transcript as a PDF.
pub async fn on_paper(api: &Api, tenant: TenantId, transcript: Transcript) -> Result<HttpResponse, HttpError> {
    let press = api.press.clone();
    let printed = api.work.run(tenant, move || press.print(transcript)).await?;
    let pdf = printed.map_err(|error| match error {
        PrintError::Late(_) => HttpError::Unavailable { why: error.to_string(), retry_after: Duration::from_secs(5) },
        PrintError::Document(_) => HttpError::internal(error),
    })?;
    Ok(HttpResponse::Ok()
        .content_type("application/pdf")
        .insert_header((header::CONTENT_DISPOSITION, "inline; filename=\"transcript.pdf\""))
        .body(pdf))
}

/// The transcript of an enrollment, for who may read it; that it was read stands in the trail.
pub async fn transcript(
    caller: &Caller,
    api: &Api,
    enrollment: &str,
    languages: &Languages,
) -> Result<Transcript, HttpError> {
    let reach = Reach::of(caller, &[Scope::ApiTranscriptRead], api.trail.pseudonyms().await?)?;
    let reading = match reach.is_of_others() {
        true => Some(api.trail.reading(caller.credential.audit_name(), READ_TRANSCRIPT).await?),
        false => None,
    };
    let found = within(api.store.enrollment(caller.tenant, &usual_id(enrollment), reading.as_ref()).await?, &reach)?;
    compose(api, caller.tenant, found, languages).await
}

/// How far a learner is in a course, for who may read it.
pub async fn progress(caller: &Caller, api: &Api, enrollment: &str) -> Result<EnrollmentProgress, HttpError> {
    let reach = Reach::of(caller, &SCOPES, api.trail.pseudonyms().await?)?;
    let found = api.store.enrollment(caller.tenant, &usual_id(enrollment), None).await?;
    let mut progress = EnrollmentProgress::from(within(found, &reach)?);
    if let Some(latest) = &progress.latest_attempt {
        let units = units::of_attempt(&api.store, caller.tenant, &latest.id).await?;
        progress.units = units.into_iter().map(shown).collect();
    }
    Ok(progress)
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
    let away = match enrollment.latest_away {
        Some(moment) => api.reader.text_at(tenant, moment).await?,
        None => None,
    };
    let text = enrollment.latest_statement.as_deref().or(away.as_deref());
    let statement: Option<Map<String, Value>> = text.and_then(|payload| serde_json::from_str(payload).ok());
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
