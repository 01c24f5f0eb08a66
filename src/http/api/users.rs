//! `/api/v1/users`: one person's transcripts and statements.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header,
    web::{Data, Path},
};
use chrono::DateTime;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use utoipa::ToSchema;

use super::{
    Api,
    access::{Reach, usual_id},
    cursor::Pages,
    endpoint::endpoints,
    enrollments::{READ_TRANSCRIPT, compose},
    query::{PAGE_CURSOR, PAGE_SIZE, PageParameters, Parameters, refuse},
    shown::{Links, Page, one_more},
    zipped::zipped,
};
use crate::{
    http::{HttpError, Problem, xapi::ARCHIVED},
    identity::Caller,
    model::Scope,
    query::{
        Found,
        export::{AHEAD, ExportError, Wish},
    },
    store::{platform::audit::Reading, progress::reads::EnrollmentPage},
    transcript::Transcript,
    xapi::{format::Stored, language::Languages},
};

endpoints! {
    /// People.
    Users: list_transcripts as __path_list_transcripts, list_statements as __path_list_statements,
        export as __path_export,
}

const READ_STATEMENTS: &str = "read.statements";

/// One page of statements.
#[derive(Serialize, ToSchema)]
struct Statements {
    /// xAPI statements as they were received, each in the version that it names.
    #[schema(value_type = Vec<Object>)]
    data: Vec<Box<RawValue>>,
    links: Links,
}

/// A person's transcripts, one for each enrollment, in the order of the enrollments' ids.
#[utoipa::path(get, path = "/api/v1/users/{uid}/transcripts", tag = "transcripts", operation_id = "listTranscripts",
    params(
        ("uid" = String, Path, description = "the user's id, as in attempts"),
        PageParameters,
        ("Accept-Language" = Option<String>, Header, description = "for the courses' titles"),
    ),
    responses((status = 200, description = "a page of transcripts", body = Page<Transcript>)))]
async fn list_transcripts(
    caller: Caller,
    api: Data<Api>,
    uid: Path<String>,
    req: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let reach = Reach::of(&caller, &[Scope::ApiTranscriptRead], api.trail.pseudonyms().await?)?;
    let user = usual_id(&uid);
    reach.require(&user)?;
    let parameters = Parameters::read(req.query_string(), &[PAGE_SIZE, PAGE_CURSOR])?;
    let size = parameters.page_size()?;
    let key = api.reader.more_key().await?;
    let pages = Pages { key, tenant: caller.tenant, path: req.path(), parameters: &parameters };
    let page = EnrollmentPage { user, after: pages.place()?, limit: one_more(size) };
    let reading = reading(&caller, &api, &reach, READ_TRANSCRIPT).await?;
    let found = api.store.enrollments(caller.tenant, &page, reading.as_ref()).await?;
    let found = Page::cut(found, size, |last| pages.link(&last.id));
    let languages = req.headers().get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    let languages = Languages::parse(languages.unwrap_or_default());
    let mut data = Vec::with_capacity(found.data.len());
    for enrollment in found.data {
        data.push(compose(&api, caller.tenant, enrollment, &languages).await?);
    }
    Ok(Page { data, links: found.links }.answer())
}

/// What a person did, newest first. Voided statements are not among it.
#[utoipa::path(get, path = "/api/v1/users/{uid}/statements", tag = "statements", operation_id = "listStatements",
    params(
        ("uid" = String, Path, description = "the user's id, as in attempts"),
        PageParameters,
    ),
    responses((status = 200, description = "a page of statements", body = Statements,
        headers(("X-Progress-Archived" = u32, description = "how many of them came out of archived months")))))]
async fn list_statements(
    caller: Caller,
    api: Data<Api>,
    uid: Path<String>,
    req: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let reach = Reach::of(&caller, &[Scope::ApiStatementRead], api.trail.pseudonyms().await?)?;
    let user = usual_id(&uid);
    reach.require(&user)?;
    let parameters = Parameters::read(req.query_string(), &[PAGE_SIZE, PAGE_CURSOR])?;
    let size = parameters.page_size()?;
    let key = api.reader.more_key().await?;
    let pages = Pages { key, tenant: caller.tenant, path: req.path(), parameters: &parameters };
    let moment = |place: String| {
        let moment = place.parse().ok().and_then(DateTime::from_timestamp_micros);
        moment.ok_or_else(|| refuse(PAGE_CURSOR, "it leads nowhere"))
    };
    let before = pages.place()?.map(moment).transpose()?;
    let reading = reading(&caller, &api, &reach, READ_STATEMENTS).await?;
    let page = api.reader.page_of_person(caller.tenant, &user, before, size, reading.as_ref()).await?;
    let next = page.next.map(|last| pages.link(&last.timestamp_micros().to_string()));
    let data = page.found.iter().map(shown).collect::<Result<_, _>>()?;
    let archived = page.found.iter().filter(|found| found.is_archived).count();
    Ok(HttpResponse::Ok().insert_header((ARCHIVED, archived)).json(Statements { data, links: Links { next } }))
}

const EXPORT: &str = "read.export";

/// Everything about a person as a zip: statements, attempts, completions, scores, documents, attachments, and a page that says what
/// is there. With `mentions=true`, for administrators alone, also what others said that names them.
#[utoipa::path(get, path = "/api/v1/users/{uid}/export", tag = "statements", operation_id = "exportUser",
    params(
        ("uid" = String, Path, description = "the user's id, as in attempts"),
        ("mentions" = Option<bool>, Query, description = "also what others said that names them"),
    ),
    responses((status = 200, description = "the archive", content_type = "application/zip", body = Vec<u8>)))]
async fn export(caller: Caller, api: Data<Api>, uid: Path<String>, req: HttpRequest) -> Result<HttpResponse, Problem> {
    let parameters = Parameters::read(req.query_string(), &["mentions"])?;
    let mentions = parameters.one_of("mentions", &["true", "false"])?.is_some_and(|text| text == "true");
    let user = usual_id(&uid);
    Ok(everything_about(&caller, &api, user, mentions).await?)
}

/// The archive as an answer; that it was made stands in the trail before its first byte.
pub async fn everything_about(
    caller: &Caller,
    api: &Api,
    user: String,
    mentions: bool,
) -> Result<HttpResponse, HttpError> {
    caller.require(Scope::ApiTranscriptRead)?;
    let reach = Reach::of(caller, &[Scope::ApiStatementRead], api.trail.pseudonyms().await?)?;
    reach.require(&user)?;
    if mentions {
        caller.require(Scope::Admin)?;
    }
    let reading = reading(caller, api, &reach, EXPORT).await?;
    let wish = Wish { tenant: caller.tenant, user, mentions };
    let people = api.reader.known_keys(&wish).await?;
    let (to, from) = mpsc::channel(AHEAD);
    let reader = api.reader.clone();
    let work = tokio::spawn(async move { reader.export(&wish, &people, reading.as_ref(), to).await.map(drop) });
    zipped(from, work, "export").await
}

impl From<ExportError> for HttpError {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::Nobody(_) => Self::NotFound(error.to_string()),
            ExportError::Cold(error) => error.into(),
            ExportError::Store(error) => error.into(),
            ExportError::Left => Self::internal(error),
        }
    }
}

/// What the read leaves behind, if it is of others.
async fn reading(
    caller: &Caller,
    api: &Api,
    reach: &Reach,
    action: &'static str,
) -> Result<Option<Reading>, HttpError> {
    if !reach.is_of_others() {
        return Ok(None);
    }
    Ok(Some(api.trail.reading(caller.credential.audit_name(), action).await?))
}

fn shown(found: &Found) -> Result<Box<RawValue>, HttpError> {
    let mut text = String::with_capacity(found.payload.len() + 96);
    Stored { payload: &found.payload, stored: found.stored, has_timestamp: found.has_timestamp }.exact(&mut text);
    RawValue::from_string(text).map_err(HttpError::internal)
}
