//! What is sent along to a collector of traces, as the configuration names it. Pure.

use crate::model::Secret;

/// Reads `NAME=VALUE`, one header after the other, with a semicolon or a new line between them.
pub fn headers(text: &str) -> Result<Vec<(String, Secret)>, String> {
    let mut headers = Vec::new();
    for entry in text.split([';', '\n']).map(str::trim).filter(|entry| !entry.is_empty()) {
        let number = headers.len() + 1;
        let Some((name, value)) = entry.split_once('=') else {
            return Err(format!("header {number}: expected NAME=VALUE"));
        };
        let (name, value) = (name.trim(), value.trim());
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
            return Err(format!("header {number}: a name has letters, digits, '-', '_' and '.'"));
        }
        if !value.bytes().all(|b| (b' '..=b'~').contains(&b)) {
            return Err(format!("header {name}: its value has characters that a header has not"));
        }
        headers.push((name.to_ascii_lowercase(), Secret::new(value)));
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Environment, read};

    #[test]
    fn headers_are_read_by_line_and_by_semicolon() {
        let read = headers("Authorization=Basic aHVudGVyMg==; x-scope = a=b\n;").unwrap();
        let seen: Vec<_> = read.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
        assert_eq!(seen, [("authorization", "Basic aHVudGVyMg=="), ("x-scope", "a=b")]);
        assert!(!format!("{read:?}").contains("aHVudGVyMg"));
    }

    #[test]
    fn what_is_no_header_is_refused_without_its_value() {
        for wrong in ["hunter2", "=hunter2", "a b=hunter2", "a=b; c=hunter2\u{7f}"] {
            let why = headers(wrong).unwrap_err();
            assert!(why.starts_with("header ") && !why.contains("hunter2"), "{why}");
        }
    }

    #[test]
    fn a_login_goes_over_tls_or_stays_near() {
        let refusal = |endpoint: &str, headers: &str| {
            let names = ["PROGRESS_TELEMETRY_OTLP_ENDPOINT", "PROGRESS_TELEMETRY_OTLP_HEADERS"];
            let variables = names.into_iter().zip([endpoint, headers]).filter(|(_, value)| !value.is_empty());
            read(&Environment::of(variables), Path::new("/nowhere")).err().map(|error| error.to_string())
        };
        let login = "authorization=hunter2";
        assert_eq!(refusal("http://collector.example:4318", ""), None);
        assert_eq!(refusal("https://collector.example", login), None);
        assert_eq!(refusal("http://collector:4318", login), None);
        let said = refusal("http://collector.example:4318", login).unwrap();
        assert!(said.contains("telemetry.otlp_endpoint") && !said.contains("hunter2"), "{said}");
        let said = refusal("collector:4318", "").unwrap();
        assert!(said.contains("telemetry.otlp_endpoint: expected"), "{said}");
    }
}
