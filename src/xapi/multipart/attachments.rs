//! Which parts a request must have, and whether each holds what it says. Parts and attachments are matched by hash and by
//! nothing else (1.0.3 part three, 1.5.2); a declared `length` is not held against them.

use std::collections::HashMap;

use serde_json::{Map, Value};
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};

use super::PartHeaders;
use crate::{Limits, Statement, Violation, Violations, document::is_json, rules::table as rule};

/// Attachments with this usage type hold a signature of their statement.
pub const SIGNATURE: &str = "http://adlnet.gov/expapi/attachments/signature";

/// The attachments of a request's statements, ticked off as their parts arrive.
#[derive(Debug)]
pub struct Expected {
    by_hash: HashMap<String, Wanted>,
    violations_listed: usize,
}

#[derive(Debug, Default)]
struct Wanted {
    /// Statement and pointer of each attachment that can come only as a part.
    needed_by: Vec<(usize, String)>,
    /// Statements this attachment signs.
    signs: Vec<usize>,
    received: bool,
}

/// A part that belongs to an attachment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Hexadecimal, in lower case.
    pub sha2: String,
    /// Positions of the statements that this part is the signature of: their check needs its bytes.
    pub signs: Vec<usize>,
    /// The same bytes came before; they need not be stored again.
    pub repeated: bool,
}

/// The first part holds the statements and is JSON.
pub fn check_statements_part(headers: &PartHeaders) -> Result<(), Violations> {
    match headers.get("content-type") {
        Some(content_type) if is_json(content_type) => Ok(()),
        _ => refuse(
            rule::MULTIPART_STATEMENTS,
            "the first part must hold the statements and be of type application/json",
        ),
    }
}

impl Expected {
    pub fn of(statements: &[Statement], limits: &Limits) -> Self {
        let mut by_hash: HashMap<String, Wanted> = HashMap::new();
        for (index, statement) in statements.iter().enumerate() {
            each_attachment(statement.doc(), "", &mut |attachment, pointer| {
                let Some(sha2) = attachment.get("sha2").and_then(Value::as_str) else { return };
                let wanted = by_hash.entry(sha2.to_ascii_lowercase()).or_default();
                if attachment.get("fileUrl").is_none() {
                    wanted.needed_by.push((index, pointer.clone()));
                }
                // A SubStatement's attachment is not a signature of the statement around it.
                if attachment.get("usageType").is_some_and(|usage| usage == SIGNATURE)
                    && !pointer.starts_with("/object")
                {
                    wanted.signs.push(index);
                }
            });
        }
        Self { by_hash, violations_listed: limits.violations }
    }

    /// Takes the headers of a part that is not the first.
    pub fn receive(&mut self, headers: &PartHeaders) -> Result<Received, Violations> {
        let Some(sha2) = headers.get("x-experience-api-hash") else {
            return refuse(rule::MULTIPART_HASH, "every part but the first must have the header X-Experience-API-Hash");
        };
        match headers.get("content-transfer-encoding") {
            Some(encoding) if encoding.eq_ignore_ascii_case("binary") => {}
            _ => {
                let message = "every part but the first must have the header Content-Transfer-Encoding: binary";
                return refuse(rule::MULTIPART_ENCODING, message);
            }
        }
        let sha2 = sha2.to_ascii_lowercase();
        let Some(wanted) = self.by_hash.get_mut(&sha2) else {
            let message = "a part's X-Experience-API-Hash is the sha2 of no attachment of the statements";
            return refuse(rule::MULTIPART_HASH, message);
        };
        let repeated = std::mem::replace(&mut wanted.received, true);
        Ok(Received { signs: wanted.signs.clone(), sha2, repeated })
    }

    /// Every attachment without a fileUrl must have come as a part. For a request that is plain JSON, ask at once.
    pub fn finish(&self) -> Result<(), Violations> {
        let missing = self.by_hash.values().filter(|wanted| !wanted.received).flat_map(|wanted| &wanted.needed_by);
        let mut violations: Vec<_> = missing
            .map(|(index, pointer)| Violation {
                statement: Some(*index),
                pointer: pointer.clone(),
                rule: rule::ATTACHMENT_MISSING,
                message: "the attachment has no fileUrl and no part of the request has its sha2".to_owned(),
            })
            .collect();
        violations.sort_by(|a, b| (a.statement, &a.pointer).cmp(&(b.statement, &b.pointer)));
        violations.truncate(self.violations_listed.max(1));
        if violations.is_empty() { Ok(()) } else { Err(Violations(violations)) }
    }
}

/// Hashes a part as it streams by, with the member of the SHA-2 family that the length of the declared hash tells.
#[derive(Clone)]
pub struct Hasher(Family);

#[derive(Clone)]
enum Family {
    Sha224(Sha224),
    Sha256(Sha256),
    Sha384(Sha384),
    Sha512(Sha512),
}

impl Hasher {
    /// None for a text that is as long as no SHA-2.
    pub fn for_hash(sha2: &str) -> Option<Self> {
        Some(Self(match sha2.len() {
            56 => Family::Sha224(Sha224::new()),
            64 => Family::Sha256(Sha256::new()),
            96 => Family::Sha384(Sha384::new()),
            128 => Family::Sha512(Sha512::new()),
            _ => return None,
        }))
    }

    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            Family::Sha224(hash) => hash.update(bytes),
            Family::Sha256(hash) => hash.update(bytes),
            Family::Sha384(hash) => hash.update(bytes),
            Family::Sha512(hash) => hash.update(bytes),
        }
    }

    /// Whether what streamed by has the declared hash.
    pub fn check(self, sha2: &str) -> Result<(), Violations> {
        let actual = match self.0 {
            Family::Sha224(hash) => hex::encode(hash.finalize()),
            Family::Sha256(hash) => hex::encode(hash.finalize()),
            Family::Sha384(hash) => hex::encode(hash.finalize()),
            Family::Sha512(hash) => hex::encode(hash.finalize()),
        };
        if actual.eq_ignore_ascii_case(sha2) {
            return Ok(());
        }
        refuse(
            rule::ATTACHMENT_HASH,
            format!("a part's bytes have the hash {actual}, but X-Experience-API-Hash says {sha2}"),
        )
    }
}

fn each_attachment<'a>(
    doc: &'a Map<String, Value>,
    prefix: &str,
    each: &mut impl FnMut(&'a Map<String, Value>, String),
) {
    let attachments = doc.get("attachments").and_then(Value::as_array);
    for (i, attachment) in attachments.into_iter().flatten().enumerate() {
        if let Value::Object(attachment) = attachment {
            each(attachment, format!("{prefix}/attachments/{i}"));
        }
    }
    if let Some(Value::Object(object)) = doc.get("object")
        && object.get("objectType").is_some_and(|t| t == "SubStatement")
    {
        each_attachment(object, "/object", each);
    }
}

fn refuse<T>(rule: &'static str, message: impl Into<String>) -> Result<T, Violations> {
    Err(Violations::whole(rule, message))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Event, Parser};
    use super::*;

    const HASH: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn headers(lines: &str) -> PartHeaders {
        let mut parser = Parser::new("X", &Limits::default());
        parser.push(format!("--X\r\n{lines}\r\n\r\n").as_bytes()).unwrap();
        match parser.next_event().unwrap() {
            Some(Event::Part(headers)) => headers,
            other => panic!("{other:?}"),
        }
    }

    fn statement(attachments: &Value) -> Statement {
        let inner = json!({"objectType": "SubStatement", "attachments": [{"sha2": "ff", "usageType": SIGNATURE}]});
        let doc = json!({"attachments": attachments, "object": inner});
        Statement::trusted(doc.as_object().cloned().unwrap())
    }

    fn rule<T: std::fmt::Debug>(result: Result<T, Violations>) -> &'static str {
        result.unwrap_err().0[0].rule
    }

    #[test]
    fn parts_are_matched_by_hash() {
        let statements = [
            statement(&json!([{"sha2": HASH.to_uppercase(), "usageType": SIGNATURE}])),
            statement(
                &json!([{"sha2": HASH, "usageType": "u:u"}, {"sha2": "aa", "fileUrl": "http://f.example", "usageType": "u:u"}]),
            ),
        ];
        let mut expected = Expected::of(&statements, &Limits::default());
        let missing = expected.finish().unwrap_err();
        let places: Vec<_> = missing.0.iter().map(|v| (v.statement, v.pointer.as_str())).collect();
        let inner = "/object/attachments/0";
        assert_eq!(
            places,
            [(Some(0), "/attachments/0"), (Some(0), inner), (Some(1), "/attachments/0"), (Some(1), inner)]
        );
        let part = headers(&format!("X-Experience-API-Hash:{HASH}\r\nContent-Transfer-Encoding: Binary"));
        let received = expected.receive(&part).unwrap();
        assert_eq!(received, Received { sha2: HASH.into(), signs: vec![0], repeated: false });
        assert!(expected.receive(&part).unwrap().repeated);
        let inner =
            expected.receive(&headers("X-Experience-API-Hash: FF\r\nContent-Transfer-Encoding: binary")).unwrap();
        assert!(inner.signs.is_empty());
        assert_eq!(expected.finish(), Ok(()));
        assert!(expected.receive(&headers("X-Experience-API-Hash: aa\r\nContent-Transfer-Encoding: binary")).is_ok());
    }

    #[test]
    fn parts_without_their_headers_are_refused() {
        let mut expected = Expected::of(&[statement(&json!([]))], &Limits::default());
        assert_eq!(rule(expected.receive(&headers("Content-Type: application/json"))), "multipart.hash");
        let unknown = headers("X-Experience-API-Hash: abcd\r\nContent-Transfer-Encoding: binary");
        assert_eq!(rule(expected.receive(&unknown)), "multipart.hash");
        for encoding in ["", "\r\nContent-Transfer-Encoding: base64"] {
            let part = headers(&format!("X-Experience-API-Hash: ff{encoding}"));
            assert_eq!(rule(expected.receive(&part)), "multipart.encoding");
        }
        assert_eq!(check_statements_part(&headers("Content-Type:application/json; charset=utf-8")), Ok(()));
        assert_eq!(rule(check_statements_part(&headers("Content-Type: text/plain"))), "multipart.statements");
        assert_eq!(rule(check_statements_part(&headers("A: b"))), "multipart.statements");
    }

    #[test]
    fn the_bytes_must_have_the_hash() {
        let hashed = |sha2: &str| {
            let mut hasher = Hasher::for_hash(sha2).unwrap();
            hasher.update(b"a");
            hasher.update(b"bc");
            hasher.check(sha2)
        };
        assert_eq!(hashed(HASH), Ok(()));
        assert_eq!(hashed(&HASH.to_uppercase()), Ok(()));
        assert_eq!(hashed("23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7"), Ok(()));
        assert_eq!(rule(hashed(&"0".repeat(64))), "attachment.hash");
        assert_eq!(rule(hashed(&"0".repeat(96))), "attachment.hash");
        assert_eq!(rule(hashed(&"0".repeat(128))), "attachment.hash");
        assert!(Hasher::for_hash("abc").is_none());
    }
}
