//! Statements with attachments on their way in: parts are spooled as they arrive, never held whole.

use futures_util::StreamExt;

use super::{Incoming, Xapi, incoming::Body, statements_write::Received};
use crate::{
    http::HttpError,
    ingest::{Attachment, Spool},
    xapi::{
        Limits, Statement, Version, Violations,
        multipart::{self, Event, Expected, Hasher, Parser, PartHeaders, check_statements_part},
        read, signature,
    },
};

/// Bytes of a signature at most: a JWS of a statement cannot be much longer than the statement.
const SIGNATURE_BYTES: usize = 4 << 20;

/// A plain JSON request has no parts, so every attachment must have a fileUrl.
pub(super) fn require_no_parts(statements: &[Statement], limits: &Limits) -> Result<(), Violations> {
    Expected::of(statements, limits).finish()
}

/// Reads a `multipart/mixed` request to its end.
pub(super) async fn receive(incoming: &mut Incoming, xapi: &Xapi) -> Result<Received, HttpError> {
    let boundary = multipart::boundary(incoming.header("content-type").unwrap_or_default())?;
    let Body::Stream(mut stream) = std::mem::replace(&mut incoming.body, Body::Form(None)) else {
        let message = "the alternate request syntax carries no attachments";
        return Err(Violations::whole("alternate.syntax", message).into());
    };
    let limit = xapi.limits.multipart_bytes;
    if incoming.announced().is_some_and(|length| length > limit) {
        return Err(HttpError::TooLarge { what: "the body", limit });
    }
    let mut parser = Parser::new(&boundary, &xapi.limits);
    let mut parts = Parts::new(incoming.version, &xapi.limits);
    loop {
        while let Some(event) = parser.next_event()? {
            if parts.take(event)? {
                return parts.finish();
            }
        }
        match stream.next().await {
            Some(chunk) => parser.push(&chunk.map_err(|error| HttpError::payload(&error, limit))?)?,
            None => parser.finish(),
        }
    }
}

/// What has been read of a request.
struct Parts<'a> {
    version: Version,
    limits: &'a Limits,
    json: Vec<u8>,
    /// Present once the first part has ended.
    read: Option<(read::Batch, Expected)>,
    current: Option<Part>,
    spool: Spool,
    attachments: Vec<Attachment>,
}

/// The part that is arriving; none while it is the first one.
struct Part {
    sha2: String,
    signs: Vec<usize>,
    hasher: Hasher,
    repeated: bool,
}

impl<'a> Parts<'a> {
    fn new(version: Version, limits: &'a Limits) -> Self {
        Self {
            version,
            limits,
            json: Vec::new(),
            read: None,
            current: None,
            spool: Spool::default(),
            attachments: Vec::new(),
        }
    }

    /// Takes an event; answers whether it was the last.
    fn take(&mut self, event: Event) -> Result<bool, HttpError> {
        match event {
            Event::Part(headers) => self.begin(&headers)?,
            Event::Data(bytes) => self.data(&bytes)?,
            Event::PartEnd => self.end()?,
            Event::End => return Ok(true),
        }
        Ok(false)
    }

    fn begin(&mut self, headers: &PartHeaders) -> Result<(), HttpError> {
        let Some((_, expected)) = &mut self.read else { return Ok(check_statements_part(headers)?) };
        let part = expected.receive(headers)?;
        let hasher = Hasher::for_hash(&part.sha2).ok_or_else(|| {
            Violations::whole("multipart.hash", "X-Experience-API-Hash is not a SHA-2 in hexadecimal")
        })?;
        self.current = Some(Part { sha2: part.sha2, signs: part.signs, hasher, repeated: part.repeated });
        Ok(())
    }

    fn data(&mut self, bytes: &[u8]) -> Result<(), HttpError> {
        match &mut self.current {
            Some(part) => {
                part.hasher.update(bytes);
                // A short write to memory or a page of a temporary file; not worth a thread of its own.
                self.spool
                    .write(bytes)
                    .map_err(|e| HttpError::internal(format!("an attachment cannot be spooled: {e}")))
            }
            None if self.json.len() + bytes.len() > self.limits.body_bytes => {
                Err(HttpError::TooLarge { what: "the statements part", limit: self.limits.body_bytes })
            }
            None => {
                self.json.extend_from_slice(bytes);
                Ok(())
            }
        }
    }

    fn end(&mut self) -> Result<(), HttpError> {
        let Some(part) = self.current.take() else {
            let batch = read::statements(&std::mem::take(&mut self.json), self.version, self.limits)?;
            let expected = Expected::of(&batch.statements, self.limits);
            self.read = Some((batch, expected));
            return Ok(());
        };
        part.hasher.check(&part.sha2)?;
        let sha2 = hex::decode(&part.sha2).map_err(HttpError::internal)?;
        let attachment = self.spool.finish(sha2);
        if let Some((batch, _)) = &self.read {
            check_signatures(&attachment, &part.signs, &batch.statements, self.limits)?;
        }
        if !part.repeated {
            self.attachments.push(attachment);
        }
        Ok(())
    }

    fn finish(self) -> Result<Received, HttpError> {
        let Some((batch, expected)) = self.read else {
            return Err(Violations::whole("multipart.statements", "the request has no part with statements").into());
        };
        expected.finish()?;
        Ok(Received { statements: batch.statements, single: batch.single, attachments: self.attachments })
    }
}

fn check_signatures(
    attachment: &Attachment,
    signs: &[usize],
    statements: &[Statement],
    limits: &Limits,
) -> Result<(), HttpError> {
    if signs.is_empty() {
        return Ok(());
    }
    let jws = attachment
        .small(SIGNATURE_BYTES)
        .map_err(|e| HttpError::internal(format!("a signature cannot be read back: {e}")))?
        .ok_or(HttpError::TooLarge { what: "a signature", limit: SIGNATURE_BYTES })?;
    for index in signs {
        if let Some(statement) = statements.get(*index) {
            signature::check(*index, statement, &jws, limits)?;
        }
    }
    Ok(())
}
