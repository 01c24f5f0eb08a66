//! From what went wrong to what the client is told: the one place where an error becomes a status.

use std::{fmt::Display, time::Duration};

use actix_web::{
    HttpResponse, ResponseError,
    body::BoxBody,
    error::PayloadError,
    http::{StatusCode, header},
};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    cold::ColdError,
    objects::shelf::ShelfError,
    store::StoreError,
    trail::TrailError,
    xapi::{Violation, Violations},
};

/// Which cell serves a tenant, and where it answers.
pub const CELL: &str = "X-Progress-Cell";
pub const CELL_ENDPOINT: &str = "X-Progress-Cell-Endpoint";

/// Everything a handler may fail with.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The request breaks rules, each of them listed.
    #[error("the request is not valid")]
    Invalid(#[from] Violations),
    #[error("{0}")]
    Unauthorized(String),
    /// A bearer token that is not accepted.
    #[error("{0}")]
    Token(String),
    #[error("{0}")]
    Forbidden(String),
    /// What was sent breaks rules that hold for this caller, each of them listed.
    #[error("{0}")]
    Refused(Violations),
    #[error("{0}")]
    NotFound(String),
    #[error("this resource does not answer that method")]
    Method,
    /// The client did not send its body in time.
    #[error("the body was not sent in time")]
    Slow,
    #[error("{0}")]
    Conflict(String),
    #[error("{0}")]
    Precondition(String),
    #[error("{what} is larger than the limit of {limit}")]
    TooLarge { what: &'static str, limit: usize },
    #[error("{0}")]
    MediaType(String),
    #[error("the headers are larger than the limit of {limit} bytes")]
    Headers { limit: usize },
    #[error("this credential may make {limit} requests a second")]
    TooMany { limit: u32, retry_after: Duration },
    /// Nothing is wrong with the request; it should come again.
    #[error("{why}")]
    Unavailable { why: String, retry_after: Duration },
    /// Another cell serves the tenant; there the request will be answered.
    #[error("the tenant is served by the cell {cell}: send this to {endpoint}")]
    Moved { cell: String, endpoint: String },
    /// The database went away while it stored these. Under the same ids they can be sent again, and are there once.
    #[error("whether these statements were stored is not known; send them again under the ids listed here")]
    InDoubt { ids: Vec<Uuid>, retry_after: Duration },
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An archived month cannot be read as it is. What is wrong with which object is for the log only.
    #[error("{0}")]
    Archive(String),
    /// A fault of ours. The detail is for the log only.
    #[error("{0}")]
    Internal(String),
}

/// How an error looks from outside.
struct Face {
    status: StatusCode,
    /// Last part of the stable `type` of the problem.
    kind: &'static str,
    title: &'static str,
    retry_after: Option<Duration>,
}

/// How the body of an error is described to clients: the members of RFC 9457, and the list of violations.
#[derive(ToSchema)]
#[schema(as = Problem)]
#[expect(dead_code, reason = "it describes what the borrowed body writes")]
pub struct ProblemDocument {
    /// Stable; each has its place in `docs/problems.md`.
    #[schema(examples("urn:progress:problem:not-found"))]
    r#type: String,
    title: String,
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    detail: String,
    #[schema(nullable = false)]
    violations: Option<Vec<ViolationDocument>>,
}

/// One broken rule at one place.
#[derive(ToSchema)]
#[schema(as = Violation)]
#[expect(dead_code, reason = "it describes what the borrowed body writes")]
pub struct ViolationDocument {
    #[schema(nullable = false, minimum = 0)]
    statement: Option<u64>,
    pointer: String,
    rule: String,
    message: String,
}

/// The members of RFC 9457, and the list of violations.
#[derive(Serialize)]
struct Body<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: String,
    #[serde(skip_serializing_if = "<[Violation]>::is_empty")]
    violations: &'a [Violation],
    /// Of statements in doubt, in the order of the request.
    #[serde(skip_serializing_if = "<[Uuid]>::is_empty")]
    ids: &'a [Uuid],
}

impl HttpError {
    /// A fault of ours, from any error.
    pub fn internal(error: impl Display) -> Self {
        Self::Internal(error.to_string())
    }

    /// What reading a body may fail with; `limit` is the one that was set for this body.
    pub fn payload(error: &PayloadError, limit: usize) -> Self {
        match error {
            PayloadError::Overflow => Self::TooLarge { what: "the body", limit },
            PayloadError::Io(e) if e.kind() == std::io::ErrorKind::TimedOut => Self::Slow,
            other => Self::Invalid(Violations::whole("body.unreadable", format!("the body cannot be read: {other}"))),
        }
    }

    fn face(&self) -> Face {
        let (status, kind, title) = match self {
            Self::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The request is too large"),
            Self::Invalid(violations) if violations.are_of_size() => {
                (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The request is too large")
            }
            Self::Invalid(_) => (StatusCode::BAD_REQUEST, "invalid", "The request is not valid"),
            Self::Unauthorized(_) => (StatusCode::UNAUTHORIZED, "unauthorized", "Credentials are missing or wrong"),
            Self::Token(_) => (StatusCode::UNAUTHORIZED, "invalid-token", "The token is not accepted"),
            Self::Forbidden(_) | Self::Refused(_) => {
                (StatusCode::FORBIDDEN, "forbidden", "The credential may not do this")
            }
            Self::NotFound(_) => (StatusCode::NOT_FOUND, "not-found", "There is nothing here"),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "method", "The method is not allowed here"),
            Self::Slow => (StatusCode::REQUEST_TIMEOUT, "slow-body", "The request took too long to arrive"),
            Self::Conflict(_) => (StatusCode::CONFLICT, "conflict", "The request conflicts with what is stored"),
            Self::Precondition(_) => (StatusCode::PRECONDITION_FAILED, "precondition", "A precondition does not hold"),
            Self::MediaType(_) => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", "The media type is not understood")
            }
            Self::Headers { .. } => {
                (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "headers", "The headers are too large")
            }
            Self::TooMany { .. } => (StatusCode::TOO_MANY_REQUESTS, "too-many", "Too many requests"),
            Self::Unavailable { .. } => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Not available right now"),
            Self::Moved { .. } => (StatusCode::MISDIRECTED_REQUEST, "tenant-moved", "Another cell serves this tenant"),
            Self::InDoubt { .. } | Self::Store(StoreError::InDoubt { .. }) => {
                (StatusCode::SERVICE_UNAVAILABLE, "in-doubt", "It is not known what was stored")
            }
            Self::Store(error) if error.is_temporary() => {
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Not available right now")
            }
            Self::Archive(_) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "archive", "An archived month cannot be read; the fault is logged")
            }
            Self::Store(_) | Self::Internal(_) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "internal", "The service failed; the fault is logged")
            }
        };
        Face { status, kind, title, retry_after: self.retry_after() }
    }

    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::TooMany { retry_after, .. }
            | Self::Unavailable { retry_after, .. }
            | Self::InDoubt { retry_after, .. } => Some(*retry_after),
            Self::Store(error) if error.is_temporary() => Some(Duration::from_secs(1)),
            _ => None,
        }
    }

    /// The detail a stranger may read: what happened inside the store stays in the log.
    fn detail(&self, face: &Face) -> String {
        match self {
            Self::Store(_) | Self::Archive(_) | Self::Internal(_) => face.title.to_owned(),
            other => other.to_string(),
        }
    }

    /// Status, title, and the detail for a person who looks at a page. Faults of ours are logged here, once.
    pub(super) fn said(&self) -> (StatusCode, &'static str, String) {
        let face = self.face();
        self.log(&face);
        let detail = match self {
            Self::Invalid(violations) | Self::Refused(violations) => violations.to_string(),
            other => other.detail(&face),
        };
        (face.status, face.title, detail)
    }

    fn log(&self, face: &Face) {
        if let Self::Store(_) | Self::Archive(_) | Self::Internal(_) = self {
            tracing::error!(status = face.status.as_u16(), error = %self, "request failed");
        }
    }

    /// The answer, under the media type of the surface that gives it. Faults of ours are logged here, once.
    pub(super) fn answer(&self, media_type: &'static str) -> HttpResponse {
        let face = self.face();
        self.log(&face);
        let mut response = HttpResponse::build(face.status);
        if let Some(wait) = face.retry_after {
            response.insert_header((header::RETRY_AFTER, wait.as_secs().max(1).to_string()));
        }
        match self {
            Self::Unauthorized(_) => {
                response.append_header((header::WWW_AUTHENTICATE, "Basic realm=\"xAPI\", charset=\"UTF-8\""));
                response.append_header((header::WWW_AUTHENTICATE, "Bearer realm=\"xAPI\""));
            }
            Self::Token(_) => {
                response.append_header((header::WWW_AUTHENTICATE, "Bearer realm=\"xAPI\", error=\"invalid_token\""));
            }
            // For clients and gateways that need not read what people read.
            Self::Moved { cell, endpoint } => {
                response.insert_header((CELL, cell.as_str())).insert_header((CELL_ENDPOINT, endpoint.as_str()));
            }
            _ => {}
        }
        let unread =
            [StatusCode::REQUEST_TIMEOUT, StatusCode::PAYLOAD_TOO_LARGE, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE];
        // The rest of such a request is not worth reading.
        if unread.contains(&face.status) {
            response.force_close();
        }
        let violations = if let Self::Invalid(list) | Self::Refused(list) = self { list.0.as_slice() } else { &[] };
        let ids = if let Self::InDoubt { ids, .. } = self { ids.as_slice() } else { &[] };
        let body = Body {
            r#type: format!("urn:progress:problem:{}", face.kind),
            title: face.title,
            status: face.status.as_u16(),
            detail: self.detail(&face),
            violations,
            ids,
        };
        response.content_type(media_type).body(serde_json::to_vec(&body).unwrap_or_default())
    }
}

impl From<ColdError> for HttpError {
    fn from(error: ColdError) -> Self {
        match error {
            ColdError::Store(error) => Self::Store(error),
            ColdError::Shelf(ShelfError::Busy { .. }) => {
                Self::Unavailable { why: error.to_string(), retry_after: Duration::from_secs(1) }
            }
            error if error.is_temporary() => {
                tracing::warn!(%error, "an archived month cannot be read now");
                let why = "an archived month cannot be read right now; ask again".to_owned();
                Self::Unavailable { why, retry_after: Duration::from_secs(5) }
            }
            error => Self::Archive(error.to_string()),
        }
    }
}

impl From<TrailError> for HttpError {
    fn from(error: TrailError) -> Self {
        match error {
            TrailError::Full => Self::Unavailable { why: error.to_string(), retry_after: Duration::from_secs(1) },
            TrailError::Store(error) => Self::Store(error),
        }
    }
}

/// The face of the xAPI surface: plain JSON. `/api/v1` wraps the same error in [`super::Problem`].
impl ResponseError for HttpError {
    fn status_code(&self) -> StatusCode {
        self.face().status
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        self.answer("application/json")
    }
}

#[cfg(test)]
mod tests {
    use actix_web::body::to_bytes;
    use serde_json::Value;

    use super::*;
    use crate::xapi::rules::table as rule;

    async fn body(error: HttpError) -> (StatusCode, Value, HttpResponse<()>) {
        let response = error.error_response();
        let status = response.status();
        let (head, body) = response.into_parts();
        (
            status,
            serde_json::from_slice(&to_bytes(body).await.unwrap()).unwrap(),
            head.map_into_right_body::<()>().drop_body(),
        )
    }

    /// One error of each kind.
    fn every() -> Vec<HttpError> {
        let text = String::new;
        let retry_after = Duration::from_secs(1);
        vec![
            Violations::whole("a", "b").into(),
            HttpError::InDoubt { ids: Vec::new(), retry_after },
            HttpError::Unauthorized(text()),
            HttpError::Token(text()),
            HttpError::Forbidden(text()),
            HttpError::Refused(Violations::whole("a", "b")),
            HttpError::NotFound(text()),
            HttpError::Method,
            HttpError::Slow,
            HttpError::Conflict(text()),
            HttpError::Precondition(text()),
            HttpError::TooLarge { what: "it", limit: 1 },
            HttpError::MediaType(text()),
            HttpError::Headers { limit: 1 },
            HttpError::TooMany { limit: 1, retry_after },
            HttpError::Unavailable { why: text(), retry_after },
            HttpError::Moved { cell: text(), endpoint: text() },
            StoreError::Busy.into(),
            HttpError::Archive(text()),
            HttpError::Internal(text()),
        ]
    }

    #[test]
    fn every_type_has_its_place_in_the_documentation() {
        let page = include_str!("../../docs/problems.md");
        for error in every() {
            let Face { status, kind, .. } = error.face();
            let place = format!("## {kind}\n`urn:progress:problem:{kind}`, {}.", status.as_u16());
            assert!(page.contains(&place), "{place}");
        }
        let mut kinds: Vec<&str> = every().iter().map(|error| error.face().kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        assert_eq!(page.matches("\n## ").count(), kinds.len(), "nothing else is described");
    }

    /// The ids of violations that the sources of this room make, beside those of `rules/table.rs`.
    fn rules_of_the_surface(folder: &std::path::Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                rules_of_the_surface(&path, found);
                continue;
            }
            let text = std::fs::read_to_string(path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            let after = code.split("Violations::whole(").skip(1).filter_map(|rest| rest.trim_start().strip_prefix('"'));
            let at = code.split("at(\"/id\", ").skip(1).filter_map(|rest| rest.strip_prefix('"'));
            found.extend(after.chain(at).filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
        }
    }

    #[test]
    fn every_rule_of_the_surface_is_documented() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut found = Vec::new();
        rules_of_the_surface(&root.join("src/http"), &mut found);
        found.retain(|id| rule::ALL.iter().all(|(known, _)| known != id));
        found.sort_unstable();
        found.dedup();
        let page = include_str!("../../docs/validation.md");
        let (_, section) = page.split_once("\n## Rules of requests\n").unwrap();
        let (section, _) = section.split_once("\n## Rules\n").unwrap();
        let mut documented: Vec<&str> =
            section.lines().filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0)).collect();
        documented.sort_unstable();
        assert_eq!(documented, found);
    }

    #[actix_web::test]
    async fn a_400_lists_every_violation() {
        let mut violations = Violations::whole("a", "first");
        violations.0.extend(Violations::whole("b", "second").0);
        let (status, body, _) = body(violations.into()).await;
        assert_eq!(status, 400);
        assert_eq!(body["violations"][1]["message"], "second");
    }

    #[actix_web::test]
    async fn what_is_only_too_large_is_413_with_its_place() {
        let large = || Violation {
            statement: Some(3),
            pointer: String::new(),
            rule: rule::STATEMENT_BYTES,
            message: "the limit is 7".to_owned(),
        };
        let (status, answer, _) = body(Violations(vec![large()]).into()).await;
        assert_eq!((status.as_u16(), &answer["type"]), (413, &Value::from("urn:progress:problem:too-large")));
        assert_eq!(answer["violations"][0]["statement"], 3);
        let mut also_wrong = Violations(vec![large()]);
        also_wrong.0.extend(Violations::whole("type.object", "no object").0);
        assert_eq!(body(also_wrong.into()).await.0, 400, "a smaller one would still be refused");
    }

    #[actix_web::test]
    async fn a_busy_store_is_503_and_a_broken_one_500_without_its_words() {
        let (status, _, head) = body(StoreError::Busy.into()).await;
        assert_eq!(status, 503);
        assert_eq!(head.headers().get("retry-after").unwrap(), "1");
        let broken = StoreError::Database { name: "t", code: "42P01".into(), message: "table of secrets".into() };
        let (status, body, _) = body(broken.into()).await;
        assert_eq!(status, 500);
        assert!(!body.to_string().contains("secrets"), "{body}");
    }
}
