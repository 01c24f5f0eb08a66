//! In which form an answer is wanted: `?format=` goes before `Accept`, and JSON is for whoever says neither.

use actix_web::{HttpRequest, http::header};

use super::query::Parameters;
use crate::http::{HttpError, accept::prefers};

pub const FORMAT: &str = "format";

/// Whether the other form is wanted instead of JSON: by its name, or as this media type.
pub fn wants(req: &HttpRequest, parameters: &Parameters, (name, media): (&str, &str)) -> Result<bool, HttpError> {
    let accept = req.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    Ok(match parameters.one_of(FORMAT, &["json", name])? {
        Some(format) => format == name,
        None => prefers(accept, media, "application/json"),
    })
}
