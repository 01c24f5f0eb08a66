//! State and profile documents: their ETag, what a POST merges, and whether the request's preconditions let a write proceed.

use serde_json::{Map, Value};
use sha1::{Digest, Sha1};

use super::{
    Limits, Version, Violations,
    query::{DocumentMethod, Resource},
    read,
    rules::table as rule,
    write,
};

/// The strong ETag of a document: the SHA-1 of its bytes in lower-case hexadecimal and quotes (1.0.3 part three, 3.1).
pub fn etag(contents: &[u8]) -> String {
    format!("\"{}\"", hex::encode(Sha1::digest(contents)))
}

/// Merges a posted document into the stored one: top-level properties are replaced whole. Both must be JSON objects by type
/// and by content; the answer is the new document, of type `application/json`.
pub fn merge(
    (stored_type, stored): (&str, &[u8]),
    (posted_type, posted): (&str, &[u8]),
    limits: &Limits,
) -> Result<Vec<u8>, Violations> {
    let mut merged = json_object("the stored document", stored_type, stored, limits)?;
    merged.extend(json_object("the posted document", posted_type, posted, limits)?);
    let mut text = String::with_capacity(stored.len() + posted.len());
    write::object(&mut text, &merged);
    Ok(text.into_bytes())
}

/// Whether a document that calls itself JSON is JSON; other types may hold anything.
pub fn check_json(content_type: &str, contents: &[u8]) -> Result<(), Violations> {
    if !is_json(content_type) {
        return Ok(());
    }
    serde_json::from_slice::<&serde_json::value::RawValue>(contents)
        .map(drop)
        .map_err(|e| Violations::whole(rule::DOCUMENT_JSON, format!("the document is not JSON: {e}")))
}

/// Whether a content type is `application/json`, parameters aside.
pub fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

fn json_object(
    which: &str,
    content_type: &str,
    contents: &[u8],
    limits: &Limits,
) -> Result<Map<String, Value>, Violations> {
    if !is_json(content_type) {
        return Err(Violations::whole(rule::DOCUMENT_MERGE, format!("{which} is not of type application/json")));
    }
    read::document_object(contents, limits).map_err(|violations| {
        Violations::whole(
            rule::DOCUMENT_MERGE,
            format!("{which} is not a JSON object that can be merged: {violations}"),
        )
    })
}

/// What the preconditions of a request decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Proceed,
    /// 409: the document exists and the request does not say which version of it was seen.
    Conflict,
    /// 412: the document is not in the state the request asks for.
    PreconditionFailed,
    /// 400: a profile is put without saying what is expected to be there.
    MissingHeaders,
}

/// The two headers as sent; repeated ones joined by a comma.
#[derive(Clone, Copy, Debug, Default)]
pub struct Preconditions<'a> {
    pub if_match: Option<&'a str>,
    pub if_none_match: Option<&'a str>,
}

/// Judges a write of a document. `current` is the ETag of what is stored.
pub fn judge(
    version: Version,
    resource: Resource,
    method: DocumentMethod,
    asked: Preconditions<'_>,
    current: Option<&str>,
) -> Verdict {
    if asked.if_match.is_some_and(|tags| !strongly_matches(tags, current))
        || asked.if_none_match.is_some_and(|tags| weakly_matches(tags, current))
    {
        return Verdict::PreconditionFailed;
    }
    let unconditional = asked.if_match.is_none() && asked.if_none_match.is_none();
    if method != DocumentMethod::Put || !unconditional {
        return Verdict::Proceed;
    }
    match (version, resource, current) {
        // 1.0.3 lets state be overwritten: conflicts are unlikely there. 2.0 does not.
        (Version::V1_0_3, Resource::State, _) | (_, Resource::State, None) => Verdict::Proceed,
        (_, _, Some(_)) => Verdict::Conflict,
        (Version::V1_0_3, _, None) => Verdict::MissingHeaders,
        (Version::V2_0_0, _, None) => Verdict::Proceed,
    }
}

/// Whether a GET may be answered with 304: what is stored is what the client has.
pub fn is_not_modified(if_none_match: Option<&str>, current: &str) -> bool {
    if_none_match.is_some_and(|tags| weakly_matches(tags, Some(current)))
}

/// `If-Match`: a weak tag never matches.
fn strongly_matches(tags: &str, current: Option<&str>) -> bool {
    current.is_some_and(|current| list(tags).any(|tag| tag == "*" || tag == current))
}

/// `If-None-Match`: weak and strong tags of one text match.
fn weakly_matches(tags: &str, current: Option<&str>) -> bool {
    let opaque = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"').to_owned();
    current.is_some_and(|current| list(tags).any(|tag| tag == "*" || opaque(tag) == opaque(current)))
}

/// The entries of a list of tags. A comma inside quotes belongs to its tag.
fn list(tags: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let entries = tags.split(move |c: char| {
        quoted ^= c == '"';
        c == ',' && !quoted
    });
    entries.map(str::trim).filter(|tag| !tag.is_empty())
}

#[cfg(test)]
mod tests {
    use super::{DocumentMethod::*, Resource::*, Version::*, *};

    const JSON: &str = "application/json; charset=utf-8";

    #[test]
    fn an_etag_is_the_quoted_sha1() {
        assert_eq!(etag(b"abc"), "\"a9993e364706816aba3e25717850c26c9cd0d89d\"");
    }

    #[test]
    fn a_document_may_be_nested_deeper_than_any_stack() {
        let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert!(check_json(JSON, deep(4_000_000).as_bytes()).is_ok());
        assert!(check_json(JSON, "[".repeat(4_000_000).as_bytes()).is_err());
    }

    #[test]
    fn a_merge_replaces_top_level_properties_whole() {
        let merged = merge(
            (JSON, br#"{"x":{"a":1},"y":1.0}"#),
            ("application/json", br#"{"x":{"b":2},"z":null}"#),
            &Limits::default(),
        )
        .unwrap();
        assert_eq!(String::from_utf8(merged).unwrap(), r#"{"x":{"b":2},"y":1.0,"z":null}"#);
    }

    #[test]
    fn only_json_objects_merge() {
        for (stored, posted) in [
            (("text/plain", "{}"), (JSON, "{}")),
            ((JSON, "{}"), ("application/x-www-form-urlencoded", "{}")),
            ((JSON, "[]"), (JSON, "{}")),
            ((JSON, "{}"), (JSON, "\"x\"")),
            ((JSON, "{}"), (JSON, "{")),
            (("application/jsonp", "{}"), (JSON, "{}")),
        ] {
            let answer = merge((stored.0, stored.1.as_bytes()), (posted.0, posted.1.as_bytes()), &Limits::default());
            assert_eq!(answer.unwrap_err().0[0].rule, "document.merge", "{stored:?} {posted:?}");
        }
        assert!(check_json(JSON, b"[1]").is_ok() && check_json("text/plain", b"{").is_ok());
        assert!(check_json(JSON, b"{").is_err() && check_json(JSON, b"{} {}").is_err());
    }

    fn put(version: Version, resource: Resource, current: Option<&str>) -> Verdict {
        judge(version, resource, Put, Preconditions::default(), current)
    }

    #[test]
    fn a_put_without_headers_is_judged_by_version_and_resource() {
        let tag = Some("\"t\"");
        for resource in [ActivityProfile, AgentProfile] {
            assert_eq!(put(V1_0_3, resource, None), Verdict::MissingHeaders);
            assert_eq!(put(V1_0_3, resource, tag), Verdict::Conflict);
            assert_eq!(put(V2_0_0, resource, None), Verdict::Proceed);
            assert_eq!(put(V2_0_0, resource, tag), Verdict::Conflict);
        }
        assert_eq!(put(V1_0_3, State, None), Verdict::Proceed);
        assert_eq!(put(V1_0_3, State, tag), Verdict::Proceed);
        assert_eq!(put(V2_0_0, State, None), Verdict::Proceed);
        assert_eq!(put(V2_0_0, State, tag), Verdict::Conflict);
        for method in [Post, Delete] {
            assert_eq!(judge(V2_0_0, State, method, Preconditions::default(), tag), Verdict::Proceed);
            assert_eq!(judge(V1_0_3, AgentProfile, method, Preconditions::default(), tag), Verdict::Proceed);
        }
    }

    #[test]
    fn headers_hold_for_every_method_version_and_resource() {
        let current = Some("\"one\"");
        for version in [V1_0_3, V2_0_0] {
            for resource in [State, ActivityProfile, AgentProfile] {
                for method in [Put, Post, Delete] {
                    let judged = |if_match, if_none_match, current| {
                        judge(version, resource, method, Preconditions { if_match, if_none_match }, current)
                    };
                    for good in ["\"one\"", "\"two\", \"one\"", "*", "\"a,b\",\"one\""] {
                        assert_eq!(judged(Some(good), None, current), Verdict::Proceed, "{good}");
                        assert_eq!(judged(None, Some(good), current), Verdict::PreconditionFailed, "{good}");
                        assert_eq!(judged(Some(good), None, None), Verdict::PreconditionFailed, "{good}");
                        assert_eq!(judged(None, Some(good), None), Verdict::Proceed, "{good}");
                    }
                    for bad in ["\"1234\"", "one", "", "\"a,\"one\"\""] {
                        assert_eq!(judged(Some(bad), None, current), Verdict::PreconditionFailed, "{bad}");
                    }
                    assert_eq!(judged(Some("W/\"one\""), None, current), Verdict::PreconditionFailed);
                    assert_eq!(judged(None, Some("W/\"one\""), current), Verdict::PreconditionFailed);
                    assert_eq!(judged(None, Some("\"two\""), current), Verdict::Proceed);
                }
            }
        }
    }

    #[test]
    fn a_get_of_what_the_client_has_is_not_modified() {
        assert!(is_not_modified(Some("\"x\", W/\"one\""), "\"one\"") && is_not_modified(Some("*"), "\"one\""));
        assert!(!is_not_modified(Some("\"x\""), "\"one\"") && !is_not_modified(None, "\"one\""));
    }
}
