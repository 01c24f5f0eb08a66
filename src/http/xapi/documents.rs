//! State, activity profile and agent profile: GET, PUT, POST and DELETE of one document, GET and DELETE of many.

mod write;

use actix_web::{
    HttpResponse,
    http::{Method, header},
};

use self::write::Write;
use super::{Incoming, Xapi, http_date};
use crate::{
    cmi5,
    http::{HttpError, budget::Hold, work},
    identity::{Caller, reach},
    model::TenantId,
    store::{
        As, StoreError,
        ledger::documents::{self, Document, DocumentPlace},
    },
    xapi::{
        Violations, document,
        query::{self, DocumentMethod, DocumentQuery, DocumentScope, Resource},
        syntax::media_type::{LONGEST, is_media_type},
    },
};

pub(super) async fn handle(
    resource: Resource,
    mut incoming: Incoming,
    caller: &Caller,
    xapi: &Xapi,
) -> Result<HttpResponse, HttpError> {
    let method = match incoming.method {
        Method::GET => DocumentMethod::Get,
        Method::PUT => DocumentMethod::Put,
        Method::POST => DocumentMethod::Post,
        Method::DELETE => DocumentMethod::Delete,
        _ => return Err(HttpError::Method),
    };
    reach::documents(caller, resource, method)?;
    let query = query::documents(resource, method, &incoming.given, &xapi.limits)?;
    reach::document(caller, method, &query)?;
    let tenant = caller.tenant;
    match (query, method) {
        (DocumentQuery::Many { scope, since }, DocumentMethod::Get) => list(tenant, &scope, since, xapi).await,
        (DocumentQuery::Many { scope, .. }, _) => delete_all(tenant, &scope, xapi).await,
        (DocumentQuery::One { scope, id }, DocumentMethod::Get) => {
            read(tenant, &DocumentPlace::of(tenant, &scope, id), &incoming, xapi).await
        }
        (DocumentQuery::One { scope, id }, _) => {
            let write = Write::of(resource, method, &mut incoming, tenant, xapi).await?;
            if resource == Resource::AgentProfile && id == cmi5::PREFERENCES && caller.launch.is_some() {
                write.keep_to_preferences(tenant, xapi).await?;
            }
            write.make(tenant, &DocumentPlace::of(tenant, &scope, id), &incoming, xapi).await?;
            Ok(HttpResponse::NoContent().finish())
        }
    }
}

/// What a document is when nobody says, or nothing that could be said again.
const UNKNOWN_TYPE: &str = "application/octet-stream";

/// The type under which a document is kept: it is a header of every answer to come.
fn content_type(incoming: &Incoming, method: DocumentMethod) -> Result<String, HttpError> {
    match incoming.header("content-type").map(str::trim) {
        Some(text) if is_header(text) => Ok(text.to_owned()),
        Some(text) if method != DocumentMethod::Delete => {
            let excerpt: String = text.chars().take(60).collect();
            let message = format!("the content type {excerpt:?} is no media type in ASCII of at most {LONGEST} bytes");
            Err(Violations::whole("header.content-type", message).into())
        }
        _ => Ok(UNKNOWN_TYPE.to_owned()),
    }
}

/// Whether the text is a media type that a header can carry.
fn is_header(text: &str) -> bool {
    text.is_ascii() && is_media_type(text)
}

async fn list(
    tenant: TenantId,
    scope: &DocumentScope,
    since: Option<chrono::DateTime<chrono::Utc>>,
    xapi: &Xapi,
) -> Result<HttpResponse, HttpError> {
    let place = DocumentPlace::of(tenant, scope, String::new());
    let place = &place;
    let (ids, newest) = xapi
        .store
        .run_tx("list_documents", As::Tenant(tenant), |tx| Box::pin(documents::list(tx, tenant, place, since)))
        .await?;
    let mut response = HttpResponse::Ok();
    if let Some(newest) = newest {
        response.insert_header((header::LAST_MODIFIED, http_date(newest)));
    }
    Ok(response.json(ids))
}

async fn delete_all(tenant: TenantId, scope: &DocumentScope, xapi: &Xapi) -> Result<HttpResponse, HttpError> {
    let place = DocumentPlace::of(tenant, scope, String::new());
    xapi.store
        .run_once("delete_documents", As::Tenant(tenant), |tx| {
            Box::pin(documents::delete_all(tx, tenant, place.scope_key, place.registration))
        })
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn read(
    tenant: TenantId,
    place: &DocumentPlace,
    incoming: &Incoming,
    xapi: &Xapi,
) -> Result<HttpResponse, HttpError> {
    let absent = || HttpError::NotFound("there is no such document".to_owned());
    let document = get(tenant, place, work::SMALL, xapi).await?.ok_or_else(absent)?;
    if document::is_not_modified(incoming.header("if-none-match"), &document.etag)
        || incoming.has_since(document.updated_at)
    {
        return Ok(HttpResponse::NotModified().insert_header((header::ETAG, document.etag)).finish());
    }
    let mut room = incoming.hold.beside();
    let document = match document.content {
        Some(_) => document,
        None => whole(document, tenant, place, &mut room, xapi).await?.ok_or_else(absent)?,
    };
    let content_type = if is_header(&document.content_type) { &document.content_type } else { UNKNOWN_TYPE };
    Ok(HttpResponse::Ok()
        .insert_header((header::ETAG, document.etag))
        .insert_header((header::LAST_MODIFIED, http_date(document.updated_at)))
        .insert_header((header::CONTENT_TYPE, content_type))
        .body(document.content.unwrap_or_default()))
}

async fn get(
    tenant: TenantId,
    place: &DocumentPlace,
    most: usize,
    xapi: &Xapi,
) -> Result<Option<Document>, StoreError> {
    xapi.store.run_tx("get_document", As::Tenant(tenant), |tx| Box::pin(documents::get(tx, tenant, place, most))).await
}

/// A large document with its content, once there is room for it as it arrives and as it is kept. It may have changed by
/// now, but not grown.
async fn whole(
    mut document: Document,
    tenant: TenantId,
    place: &DocumentPlace,
    room: &mut Hold,
    xapi: &Xapi,
) -> Result<Option<Document>, HttpError> {
    while document.content.is_none() {
        room.shrink_to(0);
        room.grow(2 * document.length)?;
        match get(tenant, place, document.length, xapi).await? {
            Some(now) => document = now,
            None => return Ok(None),
        }
    }
    Ok(Some(document))
}
