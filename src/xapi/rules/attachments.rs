//! What a statement says of its attachments. Whether their bytes came along is checked where the parts of a request meet.

use serde_json::Value;

use crate::syntax::{hash, media_type};

use super::report::{Path, Report, excerpt};
use super::{language_map, table as rule, value};

/// The usage type of a signature (JWS) of the statement itself.
const SIGNATURE: &str = "http://adlnet.gov/expapi/attachments/signature";

const PROPERTIES: &str = "`usageType`, `display`, `description`, `contentType`, `length`, `sha2`, `fileUrl`";

pub(super) fn check(attachments: &Value, at: &Path, report: &mut Report) {
    value::each(attachments, at, report, attachment);
}

fn attachment(attachment: &Value, at: &Path, report: &mut Report) {
    let Some(map) = value::object(attachment, at, report) else { return };
    for (key, value) in map {
        let at = at.key(key);
        match key.as_str() {
            "usageType" => value::iri(value, &at, report, rule::ATTACHMENT_USAGE_TYPE),
            "display" | "description" => language_map::check(value, &at, report),
            "contentType" => {
                let expected = (
                    rule::ATTACHMENT_CONTENT_TYPE,
                    "a media type such as `text/plain; charset=utf-8`, of at most 256 bytes",
                );
                value::formatted(value, &at, report, media_type::is_media_type, expected);
            }
            "length" => length(value, &at, report),
            "sha2" => {
                let expected = (rule::ATTACHMENT_SHA2, "a SHA-2 in hexadecimal digits (56, 64, 96 or 128)");
                value::formatted(value, &at, report, hash::is_sha2, expected);
            }
            "fileUrl" => value::iri(value, &at, report, rule::ATTACHMENT_FILE_URL),
            _ => report.unknown(&at, "an attachment", PROPERTIES),
        }
    }
    for key in ["usageType", "display", "contentType", "length", "sha2"] {
        report.required(map.contains_key(key), at, "an attachment", key);
    }
    let text = |key: &str| map.get(key).and_then(Value::as_str);
    if text("usageType") == Some(SIGNATURE)
        && let Some(found) = text("contentType").filter(|found| *found != "application/octet-stream")
    {
        report.add(&at.key("contentType"), rule::ATTACHMENT_SIGNATURE, || {
            format!("a signature has the content type `application/octet-stream`, not {}", excerpt(found))
        });
    }
}

fn length(length: &Value, at: &Path, report: &mut Report) {
    if value::number(length, at, report).is_some() && length.as_u64().is_none() {
        report.add(at, rule::ATTACHMENT_LENGTH, || "`length` must be a whole number of bytes, 0 or more".to_owned());
    }
}
