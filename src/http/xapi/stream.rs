//! Statements with attachments on their way out: the JSON, then each content piece by piece as the client takes it.

use std::collections::{HashSet, VecDeque};

use actix_web::{HttpResponse, HttpResponseBuilder, http::header, web::Bytes};
use futures_util::{Stream, stream};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    http::HttpError,
    model::TenantId,
    query::{Reader, Sight},
    xapi::{Version, multipart::Frame, prepare::Author, syntax::media_type::is_media_type},
};

/// An attachment that the answer may hold.
struct Wanted {
    sha2: String,
    content_type: String,
    /// Where the statement does not prove that it came with the bytes: under whose authority it was stored.
    unproved_of: Option<Uuid>,
}

/// The contents that there are for a reader.
pub(super) struct Contents {
    pub tenant: TenantId,
    pub reader: Reader,
    pub sight: Sight,
}

/// Answers `json` as the first part and the content of its attachments, each once, as the others.
pub(super) async fn respond(
    response: &mut HttpResponseBuilder,
    json: String,
    contents: Contents,
    boundary: Uuid,
) -> Result<HttpResponse, HttpError> {
    let frame = Frame::new(boundary);
    response.insert_header((header::CONTENT_TYPE, frame.content_type()));
    let wanted = once(contents.allowed(wanted(&json, contents.tenant)?).await?);
    let first = Bytes::from(format!("{}{json}", frame.statements()));
    let Contents { tenant, reader, .. } = contents;
    let source = Source { frame, wanted, tenant, reader, first: Some(first), open: None, ended: false };
    Ok(response.streaming(pieces(source)))
}

impl Contents {
    /// A content is known by its hash alone, which anybody may name. Who does not see everything gets it through a
    /// statement whose own authority brought the bytes, and no other.
    async fn allowed(&self, mut wanted: Vec<Wanted>) -> Result<Vec<Wanted>, HttpError> {
        if self.sight == Sight::Everything {
            return Ok(wanted);
        }
        let pair = |wanted: &Wanted| Some((hex::decode(&wanted.sha2).ok()?, wanted.unproved_of?));
        let pairs: Vec<_> = wanted.iter().filter_map(pair).collect();
        let brought = self.reader.brought(self.tenant, &pairs).await?;
        wanted.retain(|one| one.unproved_of.is_none() || pair(one).is_some_and(|pair| brought.contains(&pair)));
        Ok(wanted)
    }
}

/// The attachments of the statements in `json`, in their order.
fn wanted(json: &str, tenant: TenantId) -> Result<Vec<Wanted>, HttpError> {
    let answer: Value = serde_json::from_str(json).map_err(HttpError::internal)?;
    let statements = match answer.get("statements") {
        Some(Value::Array(statements)) => statements.as_slice(),
        _ => std::slice::from_ref(&answer),
    };
    let mut wanted = Vec::new();
    let text = |attachment: &Value, name: &str| attachment.get(name).and_then(Value::as_str).map(str::to_owned);
    for statement in statements {
        let authority = statement.get("authority").and_then(Value::as_object);
        let authority = authority.map(|authority| Author::new(tenant.0, authority, Version::V1_0_3).key());
        let parts = [Some(statement), statement.get("object")].into_iter().flatten();
        for attachment in parts.filter_map(|part| part.get("attachments")?.as_array()).flatten() {
            let (Some(sha2), Some(content_type)) = (text(attachment, "sha2"), text(attachment, "contentType")) else {
                continue;
            };
            // Without a fileUrl the statement was taken only together with the bytes.
            let unproved_of = attachment.get("fileUrl").and(Some(authority.unwrap_or_default()));
            // What was taken before there was a bound is no header for everybody.
            let content_type = Some(content_type).filter(|text| is_media_type(text));
            let content_type = content_type.unwrap_or_else(|| "application/octet-stream".to_owned());
            wanted.push(Wanted { sha2, content_type, unproved_of });
        }
    }
    Ok(wanted)
}

/// Each hash once.
fn once(wanted: Vec<Wanted>) -> VecDeque<Wanted> {
    let mut seen = HashSet::new();
    wanted.into_iter().filter(|one| seen.insert(one.sha2.to_ascii_lowercase())).collect()
}

/// Where the answer stands.
struct Source {
    frame: Frame,
    wanted: VecDeque<Wanted>,
    tenant: TenantId,
    reader: Reader,
    first: Option<Bytes>,
    /// The content being sent, and its next piece.
    open: Option<(Vec<u8>, i32)>,
    ended: bool,
}

fn pieces(source: Source) -> impl Stream<Item = Result<Bytes, HttpError>> {
    stream::try_unfold(source, |mut source| async move { Ok(source.next().await?.map(|bytes| (bytes, source))) })
}

impl Source {
    async fn next(&mut self) -> Result<Option<Bytes>, HttpError> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        loop {
            if let Some((sha2, piece)) = &mut self.open {
                if let Some(content) = self.reader.attachment_piece(self.tenant, sha2, *piece).await? {
                    *piece += 1;
                    return Ok(Some(content.into()));
                }
                self.open = None;
            }
            let Some(wanted) = self.wanted.pop_front() else {
                let is_first_end = !std::mem::replace(&mut self.ended, true);
                return Ok(is_first_end.then(|| self.frame.end().into()));
            };
            let Ok(sha2) = hex::decode(&wanted.sha2) else { continue };
            // An attachment that came only as a fileUrl has no content here.
            let Some(length) = self.reader.attachment_length(self.tenant, &sha2).await? else { continue };
            self.open = Some((sha2, 0));
            let head = self.frame.attachment(&wanted.sha2, &wanted.content_type, u64::try_from(length).ok());
            return Ok(Some(head.into()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_hash_is_wanted_once_wherever_it_stands() {
        let attachment = |sha2: &str| format!(r#"{{"sha2": "{sha2}", "contentType": "text/plain"}}"#);
        let json = format!(
            r#"{{"statements": [{{"attachments": [{a}, {b}]}}, {{"object": {{"attachments": [{c}, {a}]}}}}]}}"#,
            a = attachment("aa"),
            b = attachment("AA"),
            c = attachment("cc"),
        );
        let hashes: Vec<String> =
            once(wanted(&json, TenantId::DEFAULT).unwrap()).into_iter().map(|wanted| wanted.sha2).collect();
        assert_eq!(hashes, ["aa", "cc"]);
        assert!(wanted(r#"{"statements": [], "more": ""}"#, TenantId::DEFAULT).unwrap().is_empty());
    }

    #[test]
    fn a_file_elsewhere_proves_no_bytes_here() {
        let statement = r#"{"authority": {"mbox": "mailto:a@x.example"}, "attachments": [
            {"sha2": "aa", "contentType": "text/plain"}, {"sha2": "bb", "contentType": "text/plain", "fileUrl": "http://x"}]}"#;
        let proved: Vec<bool> =
            wanted(statement, TenantId::DEFAULT).unwrap().iter().map(|wanted| wanted.unproved_of.is_none()).collect();
        assert_eq!(proved, [true, false]);
    }
}
