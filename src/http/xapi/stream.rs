//! Statements with attachments on their way out: the JSON, then each content piece by piece as the client takes it.

use std::collections::{HashSet, VecDeque};

use actix_web::{HttpResponse, HttpResponseBuilder, http::header, web::Bytes};
use futures_util::{Stream, stream};
use serde_json::Value;

use crate::{http::HttpError, model::TenantId, query::Reader, xapi::multipart::Frame};

/// An attachment that the answer may hold.
struct Wanted {
    sha2: String,
    content_type: String,
}

/// Answers `json` as the first part and the content of its attachments, each once, as the others.
pub(super) fn respond(
    response: &mut HttpResponseBuilder,
    json: String,
    tenant: TenantId,
    reader: Reader,
    boundary: uuid::Uuid,
) -> Result<HttpResponse, HttpError> {
    let frame = Frame::new(boundary);
    response.insert_header((header::CONTENT_TYPE, frame.content_type()));
    let wanted = wanted(&json)?;
    let first = Bytes::from(format!("{}{json}", frame.statements()));
    let source = Source { frame, wanted, tenant, reader, first: Some(first), open: None, ended: false };
    Ok(response.streaming(pieces(source)))
}

/// The attachments of the statements in `json`, each hash once, in their order.
fn wanted(json: &str) -> Result<VecDeque<Wanted>, HttpError> {
    let answer: Value = serde_json::from_str(json).map_err(HttpError::internal)?;
    let statements = match answer.get("statements") {
        Some(Value::Array(statements)) => statements.as_slice(),
        _ => std::slice::from_ref(&answer),
    };
    let (mut seen, mut wanted) = (HashSet::new(), VecDeque::new());
    let texts = |attachment: &Value, name: &str| attachment.get(name).and_then(Value::as_str).map(str::to_owned);
    let parts = statements.iter().flat_map(|statement| [Some(statement), statement.get("object")]).flatten();
    for attachment in parts.filter_map(|part| part.get("attachments")?.as_array()).flatten() {
        let (Some(sha2), Some(content_type)) = (texts(attachment, "sha2"), texts(attachment, "contentType")) else {
            continue;
        };
        if seen.insert(sha2.to_ascii_lowercase()) {
            wanted.push_back(Wanted { sha2, content_type });
        }
    }
    Ok(wanted)
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
        let hashes: Vec<String> = wanted(&json).unwrap().into_iter().map(|wanted| wanted.sha2).collect();
        assert_eq!(hashes, ["aa", "cc"]);
        assert!(wanted(r#"{"statements": [], "more": ""}"#).unwrap().is_empty());
    }
}
