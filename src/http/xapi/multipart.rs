//! Statements with attachments on their way in: parts are spooled as they arrive, never held whole.

use std::time::Duration;

use futures_util::StreamExt;

use super::{
    Incoming, Xapi,
    incoming::Body,
    received::{self, Received},
};
use crate::{
    http::{HttpError, budget::Hold},
    ingest::{Attachment, Spool},
    model::TenantId,
    xapi::{
        Limits, Statement, Violations,
        multipart::{self, Event, Expected, Hasher, Parser, PartHeaders, check_statements_part},
        read::Batch,
        signature,
    },
};

/// Bytes of a signature at most: a JWS of a statement cannot be much longer than the statement.
const SIGNATURE_BYTES: usize = 4 << 20;

/// A plain JSON request has no parts, so every attachment must have a fileUrl.
pub(super) fn require_no_parts(statements: &[Statement], limits: &Limits) -> Result<(), Violations> {
    Expected::of(statements, limits).finish()
}

/// Reads a `multipart/mixed` request to its end.
pub(super) async fn receive(incoming: &mut Incoming, tenant: TenantId, xapi: &Xapi) -> Result<Received, HttpError> {
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
    let mut parts = Parts::new(incoming, tenant, xapi);
    loop {
        while let Some(event) = parser.next_event()? {
            if parts.take(event).await? {
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
    incoming: &'a mut Incoming,
    tenant: TenantId,
    xapi: &'a Xapi,
    json: Vec<u8>,
    /// Bytes of the first part.
    size: usize,
    /// Present once the first part has ended, with the room for its statements.
    read: Option<(Batch, Hold, Expected)>,
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
    fn new(incoming: &'a mut Incoming, tenant: TenantId, xapi: &'a Xapi) -> Self {
        Self {
            incoming,
            tenant,
            xapi,
            json: Vec::new(),
            size: 0,
            read: None,
            current: None,
            spool: Spool::default(),
            attachments: Vec::new(),
        }
    }

    /// Takes an event; answers whether it was the last.
    async fn take(&mut self, event: Event) -> Result<bool, HttpError> {
        match event {
            Event::Part(headers) => self.begin(&headers)?,
            Event::Data(bytes) => self.data(&bytes)?,
            Event::PartEnd => self.end().await?,
            Event::End => return Ok(true),
        }
        Ok(false)
    }

    fn begin(&mut self, headers: &PartHeaders) -> Result<(), HttpError> {
        let Some((.., expected)) = &mut self.read else { return Ok(check_statements_part(headers)?) };
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
                let held = self.spool.held();
                self.incoming.hold.grow((held + bytes.len()).min(Spool::IN_MEMORY).saturating_sub(held))?;
                // A short write to memory or a page of a temporary file; not worth a thread of its own.
                self.spool.write(bytes).map_err(|error| no_place(&error, self.xapi))
            }
            None => {
                let limit = self.xapi.limits.body_bytes;
                if self.json.len() + bytes.len() > limit {
                    return Err(HttpError::TooLarge { what: "the statements part", limit });
                }
                self.incoming.hold.grow(bytes.len())?;
                self.json.extend_from_slice(bytes);
                Ok(())
            }
        }
    }

    async fn end(&mut self) -> Result<(), HttpError> {
        let Some(part) = self.current.take() else {
            let json = std::mem::take(&mut self.json);
            self.size = json.len();
            let (batch, room) = received::read(json.into(), self.incoming, self.tenant, self.xapi).await?;
            let expected = Expected::of(&batch.statements, &self.xapi.limits);
            self.read = Some((batch, room, expected));
            return Ok(());
        };
        part.hasher.check(&part.sha2)?;
        let sha2 = hex::decode(&part.sha2).map_err(HttpError::internal)?;
        let attachment = self.spool.finish(sha2);
        if !part.signs.is_empty() {
            self.check_signatures(attachment.clone(), part.signs).await?;
        }
        if !part.repeated {
            self.attachments.push(attachment);
        }
        Ok(())
    }

    fn finish(self) -> Result<Received, HttpError> {
        let Some((batch, room, expected)) = self.read else {
            return Err(Violations::whole("multipart.statements", "the request has no part with statements").into());
        };
        expected.finish()?;
        let (attachments, size) = (self.attachments, self.size);
        Ok(Received { statements: batch.statements, single: batch.single, attachments, size, room })
    }

    /// One signature may stand for thousands of statements, so the statements go to where the work is done, and back.
    async fn check_signatures(&mut self, attachment: Attachment, signs: Vec<usize>) -> Result<(), HttpError> {
        let Some((batch, room, expected)) = self.read.take() else { return Ok(()) };
        let length = usize::try_from(attachment.length).unwrap_or(usize::MAX).min(SIGNATURE_BYTES);
        // The text, what it encodes, and what is read out of that, which may be many times as much.
        let mut more = room.beside();
        more.grow(length.saturating_mul(16))?;
        let (limits, work) = (self.xapi.limits.clone(), length.saturating_mul(signs.len()));
        let job = move || {
            let _more = more;
            check_signatures(&attachment, &signs, &batch.statements, &limits).map(|()| batch)
        };
        let batch = self.xapi.work.sized(self.tenant, work, job).await??;
        self.read = Some((batch, room, expected));
        Ok(())
    }
}

/// The temporary folder is full or broken: that passes, and nothing of the request is kept.
fn no_place(error: &std::io::Error, xapi: &Xapi) -> HttpError {
    xapi.ingest.cannot_spool();
    tracing::warn!(%error, "attachments cannot be put into the temporary folder");
    let why =
        "there is no room for attachments right now, and nothing of this request is kept; send it again in a while";
    HttpError::Unavailable { why: why.to_owned(), retry_after: Duration::from_secs(5) }
}

fn check_signatures(
    attachment: &Attachment,
    signs: &[usize],
    statements: &[Statement],
    limits: &Limits,
) -> Result<(), HttpError> {
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
