//! What went wrong, as a page; and the headers that every page has, this one too. Knows no other file of the pages, since the
//! edge shows it as well.

use actix_web::{
    HttpResponse,
    http::header::{self, HeaderMap, HeaderName, HeaderValue},
};
use askama::Template;

use crate::http::HttpError;

/// Below it everything is a page.
pub const ROOT: &str = "/admin";

/// Nothing that is not ours runs, is shown or is sent to, and nobody frames it. Styles and scripts are files of this service;
/// no page has one within itself.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const HEADERS: [(&str, &str); 6] = [
    ("content-security-policy", POLICY),
    ("x-frame-options", "DENY"),
    // Not `no-referrer`: with that a browser hides where a form comes from, also from us.
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
];

/// Puts them on an answer.
pub fn shield(headers: &mut HeaderMap) {
    for (name, value) in HEADERS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
}

#[derive(Template)]
#[template(path = "refusal.html", config = "src/http/pages/askama.toml")]
struct Refusal {
    status: u16,
    title: &'static str,
    detail: String,
    /// What somebody can do.
    way_out: &'static str,
}

/// The error as a page of its own.
pub fn page(error: &HttpError) -> HttpResponse {
    let (status, title, detail) = error.said();
    let way_out = match status.as_u16() {
        401 => "Sign in again.",
        403 => "Ask an operator for a credential that may do this, or sign in with another one.",
        404 => "Go back to the overview; what was here may have been removed.",
        409 => "Look at it again: somebody was quicker, or it changed meanwhile.",
        429 => "Wait a minute, then try again.",
        503 => "The service comes back by itself once its database answers; docs/operations.md says what to look at.",
        500.. => "The log of the service has the reason.",
        _ => "Go back and change what was sent.",
    };
    let page = Refusal { status: status.as_u16(), title, detail, way_out };
    let mut response = HttpResponse::build(status);
    if let Some(wait) = error.retry_after() {
        response.insert_header((header::RETRY_AFTER, wait.as_secs().max(1).to_string()));
    }
    let text = page.render().unwrap_or_else(|_| title.to_owned());
    let mut response = response.content_type("text/html; charset=utf-8").body(text);
    shield(response.headers_mut());
    response
}
