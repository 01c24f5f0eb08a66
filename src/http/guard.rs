//! Checks before any handler, and headers of every answer: cross-site request forgery (forms that a page of another origin
//! makes a browser send), paths that are no UTF-8; `Cache-Control` and `nosniff`.

use std::sync::Arc;

use actix_web::{
    Error, HttpMessage, HttpRequest, ResponseError,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        Method,
        header::{self, HeaderMap, HeaderName, HeaderValue},
    },
    middleware::Next,
};
use url::form_urlencoded;

use super::{HttpError, Problem, cors, edge::is_below, fetch, xapi::stamp::Bases};
use crate::xapi::Violations;

/// Of the headers that only a script sends, and only after this service was asked whether it may.
const OF_SCRIPTS: [&str; 2] = ["x-experience-api-version", "x-requested-with"];
/// The types a form can have; without one there is no body.
const OF_FORMS: [&str; 3] = ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain"];
const NOSNIFF: HeaderName = HeaderName::from_static("x-content-type-options");

/// Put to a request of a browser whose credentials prove nothing: the browser may have added them by itself.
struct Unproved;

pub fn is_unproved(req: &HttpRequest) -> bool {
    req.extensions().contains::<Unproved>()
}

pub fn refusal() -> HttpError {
    HttpError::Forbidden(
        "this was sent by a page of another site, and a browser sends such a request, with the credentials it remembers, \
         without being told: list the origin in limits.cors_origins, or send X-Requested-With, a JSON content type, or \
         in a form of the alternate request syntax the field Authorization"
            .to_owned(),
    )
}

/// Refuses what no handler should see.
#[derive(Clone)]
pub struct Guard {
    /// Whose pages may do what this service's own could. `*` lists nobody: it lets pages in that hold a key.
    origins: Arc<[String]>,
    bases: Bases,
}

impl Guard {
    pub fn new(origins: &[String], bases: &Bases) -> Self {
        Self { origins: origins.into(), bases: bases.clone() }
    }

    /// The middleware before the handlers.
    pub async fn pass(
        self,
        req: ServiceRequest,
        next: Next<impl MessageBody + 'static>,
    ) -> Result<ServiceResponse<BoxBody>, Error> {
        if let Err(error) = readable(req.uri().path()) {
            return Ok(refuse(req, error));
        }
        if req.method() == Method::POST && self.is_foreign(req.headers()) && could_be_a_form(req.headers()) {
            // A fetch URL is its own proof, and units of every origin have one.
            if !self.bases.cover(req.path()) && !is_below(req.path(), fetch::BASE) {
                return Ok(refuse(req, refusal()));
            }
            // A form of xAPI may bring its credentials in a field, which no browser fills in.
            req.extensions_mut().insert(Unproved);
        }
        Ok(next.call(req).await?.map_into_boxed_body())
    }

    /// Whether a browser says that a page of an origin that is not listed made it send this. Other clients say nothing.
    fn is_foreign(&self, headers: &HeaderMap) -> bool {
        let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
        let origin = text("origin");
        if origin.is_some_and(|origin| cors::is_listed(&self.origins, origin)) {
            return false;
        }
        match (text("sec-fetch-site"), origin) {
            (Some(site), _) => !["same-origin", "none"].contains(&site),
            (None, Some(origin)) => {
                let host = text("host").unwrap_or_default();
                origin.split_once("://").is_none_or(|(_, authority)| !authority.eq_ignore_ascii_case(host))
            }
            (None, None) => false,
        }
    }
}

/// Whether a browser would send this without a preflight: it has only what a form can send.
fn could_be_a_form(headers: &HeaderMap) -> bool {
    let of_script = OF_SCRIPTS.iter().any(|name| headers.contains_key(*name));
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    !of_script && (essence.is_empty() || OF_FORMS.contains(&essence.as_str()))
}

/// Segments of an address become texts, which have no NUL and are UTF-8.
fn readable(path: &str) -> Result<(), HttpError> {
    let decoded: Vec<_> = form_urlencoded::parse(path.as_bytes()).flat_map(|(name, value)| [name, value]).collect();
    let holds = |character: char| decoded.iter().any(|text| text.contains(character));
    // The decoder puts U+FFFD where bytes were no UTF-8; whoever means that character may escape it properly.
    let is_broken = holds('\u{FFFD}') && !path.to_ascii_uppercase().contains("%EF%BF%BD");
    if !is_broken && !holds('\0') {
        return Ok(());
    }
    Err(Violations::whole("request.path", "the path of the address must be UTF-8 without the character U+0000").into())
}

fn refuse(req: ServiceRequest, error: HttpError) -> ServiceResponse<BoxBody> {
    let response = if is_below(req.path(), "/api") { Problem(error).error_response() } else { error.error_response() };
    req.into_response(response)
}

/// The middleware around everything: what is said here is said to one caller, refusals too, and is what it says it is.
pub async fn keep_private(
    req: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let mut response = next.call(req).await?;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    headers.insert(NOSNIFF, HeaderValue::from_static("nosniff"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(given: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        given.iter().map(pair).collect()
    }

    #[test]
    fn only_browsers_say_where_a_request_comes_from() {
        let guard = Guard::new(&["*".to_owned(), "https://lms.example".to_owned()], &Bases::new(&[]));
        for (given, is_foreign) in [
            (&[("host", "lrs.example")][..], false),
            (&[("host", "lrs.example"), ("origin", "https://evil.example")], true),
            (&[("host", "lrs.example"), ("origin", "null")], true),
            (&[("host", "lrs.example"), ("origin", "https://LRS.example")], false),
            (&[("host", "lrs.example"), ("origin", "https://lms.example")], false),
            (&[("host", "lrs.example"), ("origin", "https://lms.example"), ("sec-fetch-site", "cross-site")], false),
            (&[("sec-fetch-site", "cross-site")], true),
            (&[("sec-fetch-site", "same-site"), ("host", "a.example"), ("origin", "https://b.example")], true),
            (&[("sec-fetch-site", "same-origin"), ("host", "inside:8080"), ("origin", "https://lrs.example")], false),
            (&[("sec-fetch-site", "none")], false),
        ] {
            assert_eq!(guard.is_foreign(&headers(given)), is_foreign, "{given:?}");
        }
    }

    #[test]
    fn a_form_says_no_more_than_a_form_can() {
        for (given, is_form) in [
            (&[][..], true),
            (&[("content-type", "text/plain")], true),
            (&[("content-type", "Multipart/Form-Data; boundary=x")], true),
            (&[("content-type", "application/x-www-form-urlencoded")], true),
            (&[("content-type", "application/json")], false),
            (&[("content-type", "text/plain"), ("x-experience-api-version", "1.0.3")], false),
            (&[("x-requested-with", "XMLHttpRequest")], false),
        ] {
            assert_eq!(could_be_a_form(&headers(given)), is_form, "{given:?}");
        }
    }

    #[test]
    fn an_address_is_text() {
        for (path, is_text) in [
            ("/api/v1/attempts/a%20b", true),
            ("/api/v1/attempts/%2500", true),
            ("/api/v1/attempts/%EF%BF%BD", true),
            ("/api/v1/attempts/%00", false),
            ("/api/v1/attempts/a=b&c%00", false),
            ("/api/v1/attempts/%FF", false),
        ] {
            assert_eq!(readable(path).is_ok(), is_text, "{path}");
        }
    }
}
