//! The About document: the versions spoken here, and the server's own facts as extensions.

use serde_json::{Value, json};

use super::{Limits, Version};

/// The answer to GET /about. `build` is the product's version as its binary reports it.
pub fn about(limits: &Limits, page_default: usize, build: &str) -> Value {
    json!({
        "version": [Version::V1_0_3.header(), Version::V2_0_0.header()],
        "extensions": {
            "http://ghasi.io/xapi/extensions/build": { "name": "progress-service", "version": build },
            "http://ghasi.io/xapi/extensions/limits": {
                "bodyBytes": limits.body_bytes,
                "multipartBytes": limits.multipart_bytes,
                "multipartParts": limits.multipart_parts,
                "statements": limits.statements,
                "statementBytes": limits.statement_bytes,
                "depth": limits.depth,
                "values": limits.values,
                "iriBytes": limits.iri_bytes,
                "documentBytes": limits.document_bytes,
                "page": limits.page,
                "pageDefault": page_default,
                "pageBytes": limits.page_bytes,
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_limits_and_build_are_told_under_iris() {
        let about = about(&Limits { page: 7, ..Limits::default() }, 3, "1.2.3");
        assert_eq!(about["version"], json!(["1.0.3", "2.0.0"]));
        let extensions = about["extensions"].as_object().unwrap();
        assert!(extensions.keys().all(|iri| super::super::syntax::iri::is_iri(iri)));
        assert_eq!(extensions["http://ghasi.io/xapi/extensions/limits"]["page"], 7);
        assert_eq!(extensions["http://ghasi.io/xapi/extensions/build"]["version"], "1.2.3");
    }
}
