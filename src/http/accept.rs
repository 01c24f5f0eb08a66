//! What a client would rather have, by its header `Accept`. Pure.

/// Whether it would rather have `media` than `other`.
pub fn prefers(accept: &str, media: &str, other: &str) -> bool {
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
    weight(media) > weight(other)
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
            assert_eq!(prefers(accept, "application/pdf", "application/json"), expected, "{accept}");
        }
    }

    #[test]
    fn csv_is_for_whoever_asks_for_it() {
        for (accept, csv) in
            [("text/csv", true), ("text/*", true), ("*/*", false), ("application/json, text/csv;q=0.9", false)]
        {
            assert_eq!(prefers(accept, "text/csv", "application/json"), csv, "{accept}");
        }
    }

    #[test]
    fn prometheus_asks_for_the_format_with_exemplars() {
        let of_version_2 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let of_version_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for (accept, open) in [
            (of_version_2, true),
            (of_version_3, true),
            ("text/plain;version=0.0.4", false),
            ("*/*", false),
            ("text/html,application/xhtml+xml,*/*;q=0.8", false),
        ] {
            assert_eq!(prefers(accept, "application/openmetrics-text", "text/plain"), open, "{accept}");
        }
    }
}
