//! State, activity profile and agent profile: GET, PUT, POST and DELETE of one document, GET and DELETE of many.

use actix_web::{
    HttpResponse,
    http::{Method, header},
};

use super::{Incoming, Xapi, http_date};
use crate::{
    http::HttpError,
    identity::{Caller, reach},
    model::TenantId,
    store::{
        As, StoreError, Tx,
        documents::{self, Document, Kind, Place},
        run_tx::AsStoreError,
    },
    xapi::{
        Limits, Version, Violations,
        document::{self, Preconditions, Verdict},
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
    let (DocumentQuery::One { scope, .. } | DocumentQuery::Many { scope, .. }) = &query;
    reach::document(caller, method, scope)?;
    let tenant = caller.tenant;
    match (query, method) {
        (DocumentQuery::Many { scope, since }, DocumentMethod::Get) => list(tenant, &scope, since, xapi).await,
        (DocumentQuery::Many { scope, .. }, _) => delete_all(tenant, &scope, xapi).await,
        (DocumentQuery::One { scope, id }, DocumentMethod::Get) => {
            read(tenant, &place(tenant, &scope, id), &incoming, xapi).await
        }
        (DocumentQuery::One { scope, id }, _) => {
            let place = place(tenant, &scope, id);
            let write = Write {
                resource,
                method,
                version: incoming.version,
                body: incoming.take_body(xapi.limits.document_bytes).await?.to_vec(),
                content_type: content_type(&incoming, method)?,
                if_match: incoming.header("if-match").map(str::to_owned),
                if_none_match: incoming.header("if-none-match").map(str::to_owned),
                limits: xapi.limits.clone(),
            };
            if method != DocumentMethod::Delete {
                document::check_json(&write.content_type, &write.body)?;
            }
            xapi.store
                .run_once("write_document", As::Tenant(tenant), |tx| Box::pin(write.run(tx, tenant, &place)))
                .await?;
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

fn place(tenant: TenantId, scope: &DocumentScope, id: String) -> Place {
    let registration = match scope {
        DocumentScope::State { registration, .. } => *registration,
        _ => None,
    };
    let kind = match scope.resource() {
        Resource::State => Kind::State,
        Resource::ActivityProfile => Kind::ActivityProfile,
        Resource::AgentProfile => Kind::AgentProfile,
    };
    Place { key: scope.key(tenant.0, &id), kind, scope_key: scope.scope_key(tenant.0), registration, document_id: id }
}

async fn list(
    tenant: TenantId,
    scope: &DocumentScope,
    since: Option<chrono::DateTime<chrono::Utc>>,
    xapi: &Xapi,
) -> Result<HttpResponse, HttpError> {
    let place = place(tenant, scope, String::new());
    let (ids, newest) = xapi
        .store
        .run_tx("list_documents", As::Tenant(tenant), |tx| {
            Box::pin(documents::list(tx, tenant, place.scope_key, place.registration, since))
        })
        .await?;
    let mut response = HttpResponse::Ok();
    if let Some(newest) = newest {
        response.insert_header((header::LAST_MODIFIED, http_date(newest)));
    }
    Ok(response.json(ids))
}

async fn delete_all(tenant: TenantId, scope: &DocumentScope, xapi: &Xapi) -> Result<HttpResponse, HttpError> {
    let place = place(tenant, scope, String::new());
    xapi.store
        .run_once("delete_documents", As::Tenant(tenant), |tx| {
            Box::pin(documents::delete_all(tx, tenant, place.scope_key, place.registration))
        })
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn read(tenant: TenantId, place: &Place, incoming: &Incoming, xapi: &Xapi) -> Result<HttpResponse, HttpError> {
    let document = xapi
        .store
        .run_tx("get_document", As::Tenant(tenant), |tx| Box::pin(documents::get(tx, tenant, place.key)))
        .await?
        .ok_or_else(|| HttpError::NotFound("there is no such document".to_owned()))?;
    if document::is_not_modified(incoming.header("if-none-match"), &document.etag)
        || incoming.has_since(document.updated_at)
    {
        return Ok(HttpResponse::NotModified().insert_header((header::ETAG, document.etag)).finish());
    }
    let content_type = if is_header(&document.content_type) { &document.content_type } else { UNKNOWN_TYPE };
    Ok(HttpResponse::Ok()
        .insert_header((header::ETAG, document.etag))
        .insert_header((header::LAST_MODIFIED, http_date(document.updated_at)))
        .insert_header((header::CONTENT_TYPE, content_type))
        .body(document.content))
}

/// A write of one document, decided under its lock.
struct Write {
    resource: Resource,
    method: DocumentMethod,
    version: Version,
    body: Vec<u8>,
    content_type: String,
    if_match: Option<String>,
    if_none_match: Option<String>,
    limits: Limits,
}

impl Write {
    async fn run(&self, tx: &Tx<'_>, tenant: TenantId, place: &Place) -> Result<(), WriteError> {
        documents::lock(tx, place.key).await?;
        let current = documents::get(tx, tenant, place.key).await?;
        self.judge(current.as_ref())?;
        match (self.method, current) {
            (DocumentMethod::Delete, _) => {
                documents::delete(tx, tenant, place.key).await?;
                Ok(())
            }
            (DocumentMethod::Post, Some(current)) => {
                let (stored, posted) =
                    ((&*current.content_type, &*current.content), (&*self.content_type, &*self.body));
                let merged = document::merge(stored, posted, &self.limits)?;
                put(tx, tenant, place, &self.content_type, &merged).await
            }
            _ => put(tx, tenant, place, &self.content_type, &self.body).await,
        }
    }

    fn judge(&self, current: Option<&Document>) -> Result<(), WriteError> {
        let asked = Preconditions { if_match: self.if_match.as_deref(), if_none_match: self.if_none_match.as_deref() };
        let etag = current.map(|document| document.etag.as_str());
        match document::judge(self.version, self.resource, self.method, asked, etag) {
            Verdict::Proceed => Ok(()),
            verdict => Err(WriteError::Refused(verdict)),
        }
    }
}

async fn put(
    tx: &Tx<'_>,
    tenant: TenantId,
    place: &Place,
    content_type: &str,
    content: &[u8],
) -> Result<(), WriteError> {
    documents::put(tx, tenant, place, content_type, content, &document::etag(content)).await?;
    Ok(())
}

#[derive(Debug)]
enum WriteError {
    Store(StoreError),
    Invalid(Violations),
    Refused(Verdict),
}

impl From<StoreError> for WriteError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Violations> for WriteError {
    fn from(violations: Violations) -> Self {
        Self::Invalid(violations)
    }
}

impl AsStoreError for WriteError {
    fn as_store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) => Some(error),
            _ => None,
        }
    }
}

impl From<WriteError> for HttpError {
    fn from(error: WriteError) -> Self {
        let conflict = "the document exists: fetch it and say with If-Match which version you have seen, \
                        or with If-None-Match: * that you expect none";
        match error {
            WriteError::Store(error) => error.into(),
            WriteError::Invalid(violations) => violations.into(),
            WriteError::Refused(Verdict::PreconditionFailed) => Self::Precondition(
                "the document is not in the state that If-Match or If-None-Match asks for".to_owned(),
            ),
            WriteError::Refused(Verdict::MissingHeaders) => {
                Violations::whole("header.precondition", "PUT of a profile needs If-Match or If-None-Match").into()
            }
            WriteError::Refused(_) => Self::Conflict(conflict.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conflict_says_what_to_do_next() {
        let HttpError::Conflict(text) = WriteError::Refused(Verdict::Conflict).into() else { panic!("not a conflict") };
        assert!(text.contains("If-Match") && text.contains("If-None-Match"));
    }
}
