//! In which form an answer is wanted: `?format=` goes before `Accept`, and JSON is for whoever says neither.

use actix_web::{HttpRequest, http::header};

use super::query::Parameters;
use crate::http::HttpError;

pub const FORMAT: &str = "format";

/// Whether the other form is wanted instead of JSON: by its name, or as this media type.
pub fn wants(req: &HttpRequest, parameters: &Parameters, (name, media): (&str, &str)) -> Result<bool, HttpError> {
    let accept = req.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    Ok(match parameters.one_of(FORMAT, &["json", name])? {
        Some(format) => format == name,
        None => prefers(accept, media),
    })
}

/// Whether `Accept` would rather have this than JSON.
fn prefers(accept: &str, media: &str) -> bool {
    let weight = |media: &str| {
        let family = media.split_once('/').map_or_else(|| "*/*".to_owned(), |(family, _)| format!("{family}/*"));
        let wanted = [media, &family, "*/*"];
        let ranges = accept.split(',').filter_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next()?;
            let specificity = wanted.iter().position(|name| *name == media)?;
            let quality = parts.find_map(|part| part.strip_prefix("q=")).map_or(Some(1.0), |q| q.parse::<f32>().ok());
            Some((specificity, quality.unwrap_or(0.0)))
        });
        // The most specific range decides.
        ranges.min_by_key(|(specificity, _)| *specificity).map_or(0.0, |(_, quality)| quality)
    };
    weight(media) > weight("application/json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pdf_is_for_those_who_ask_for_one() {
        for (accept, expected) in [
            ("", false),
            ("*/*", false),
            ("application/json", false),
            ("application/pdf", true),
            ("application/json, application/pdf", false),
            ("application/json;q=0.5, application/pdf", true),
            ("application/pdf;q=0.4, */*;q=0.8", false),
            ("text/html, application/pdf;q=0.9, */*;q=0.1", true),
            ("application/pdf;q=x", false),
        ] {
            assert_eq!(prefers(accept, "application/pdf"), expected, "{accept}");
        }
    }
    #[test]
    fn csv_is_for_whoever_asks_for_it() {
        for (accept, csv) in
            [("text/csv", true), ("text/*", true), ("*/*", false), ("application/json, text/csv;q=0.9", false)]
        {
            assert_eq!(prefers(accept, "text/csv"), csv, "{accept}");
        }
    }
}
