//! The write of one document, decided under its lock. A merge of large ones is made beforehand, while nobody waits for
//! the lock, and holds if what it was made from is still there.

use std::time::Duration;

use super::{Incoming, Xapi, content_type, get, whole};
use crate::{
    cmi5,
    http::{HttpError, budget::Hold, work},
    model::TenantId,
    store::{
        As, StoreError, Tx,
        door::error::AsStoreError,
        ledger::documents::{self, Document, DocumentPlace},
    },
    xapi::{
        Limits, Version, Violations,
        document::{self, Preconditions, Verdict},
        json,
        query::{DocumentMethod, Resource},
    },
};

/// How often a merge is made anew because somebody else was quicker.
const TRIES: usize = 10;

pub(super) struct Write {
    resource: Resource,
    method: DocumentMethod,
    version: Version,
    body: Vec<u8>,
    /// Of the body.
    etag: String,
    content_type: String,
    if_match: Option<String>,
    if_none_match: Option<String>,
    limits: Limits,
}

/// What a posted document and the stored one make together.
struct Merged {
    /// The version that was merged with.
    onto: String,
    content: Vec<u8>,
    etag: String,
    _room: Hold,
}

impl Write {
    /// Takes the body, and looks whether it is what it says.
    pub async fn of(
        resource: Resource,
        method: DocumentMethod,
        incoming: &mut Incoming,
        tenant: TenantId,
        xapi: &Xapi,
    ) -> Result<Self, HttpError> {
        let body = Vec::from(incoming.take_body(xapi.limits.document_bytes).await?);
        let content_type = content_type(incoming, method)?;
        let size = body.len();
        let job = move || {
            if method != DocumentMethod::Delete {
                document::check_json(&content_type, &body)?;
            }
            Ok::<_, Violations>((document::etag(&body), body, content_type))
        };
        let (etag, body, content_type) = xapi.work.sized(tenant, size, job).await??;
        Ok(Self {
            resource,
            method,
            version: incoming.version,
            body,
            etag,
            content_type,
            if_match: incoming.header("if-match").map(str::to_owned),
            if_none_match: incoming.header("if-none-match").map(str::to_owned),
            limits: xapi.limits.clone(),
        })
    }

    /// Where units are held to cmi5's rules, one puts preferences that are whole.
    pub async fn keep_to_preferences(&self, tenant: TenantId, xapi: &Xapi) -> Result<(), HttpError> {
        match cmi5::check_preferences(&self.content_type, &self.body) {
            Err(violations) if self.method == DocumentMethod::Put => {
                let is_strict = xapi.store.tenant(tenant).await?.is_some_and(|tenant| tenant.cmi5.strict);
                if is_strict { Err(HttpError::Refused(violations)) } else { Ok(()) }
            }
            _ => Ok(()),
        }
    }

    /// Makes the write; where it merges large documents, as often as somebody else is quicker.
    pub async fn make(
        self,
        tenant: TenantId,
        place: &DocumentPlace,
        incoming: &Incoming,
        xapi: &Xapi,
    ) -> Result<(), HttpError> {
        let mut merged = None;
        for _ in 0..TRIES {
            let (write, made) = (&self, merged.as_ref());
            let written = xapi
                .store
                .run_once("write_document", As::Tenant(tenant), |tx| Box::pin(write.run(tx, tenant, place, made)))
                .await;
            match written {
                Err(WriteError::Apart) => merged = self.merge(tenant, place, incoming, xapi).await?,
                other => return Ok(other?),
            }
        }
        let why =
            format!("the document was changed by others {TRIES} times while this was merged into it; send it again");
        Err(HttpError::Unavailable { why, retry_after: Duration::from_secs(1) })
    }

    /// Merges with what is stored now, outside of any transaction; nothing, if nothing is stored.
    async fn merge(
        &self,
        tenant: TenantId,
        place: &DocumentPlace,
        incoming: &Incoming,
        xapi: &Xapi,
    ) -> Result<Option<Merged>, HttpError> {
        let Some(current) = get(tenant, place, work::SMALL, xapi).await? else { return Ok(None) };
        let mut room = incoming.hold.beside();
        let Some(current) = whole(current, tenant, place, &mut room, xapi).await? else { return Ok(None) };
        // The posted document is copied, and the merged one is as long as both.
        room.grow(current.length + 2 * self.body.len())?;
        let (limits, content_type, body) = (self.limits.clone(), self.content_type.clone(), self.body.clone());
        let job = move || -> Result<Merged, HttpError> {
            let stored = current.content.unwrap_or_default();
            room.grow(json::weigh(&stored, &limits)? + json::weigh(&body, &limits)?)?;
            let content = document::merge((&current.content_type, &stored), (&content_type, &body), &limits)?;
            if content.len() > limits.document_bytes {
                return Err(too_large(limits.document_bytes));
            }
            room.shrink_to(content.len());
            Ok(Merged { onto: current.etag, etag: document::etag(&content), content, _room: room })
        };
        xapi.work.run(tenant, job).await?.map(Some)
    }

    async fn run(
        &self,
        tx: &Tx<'_>,
        tenant: TenantId,
        place: &DocumentPlace,
        made: Option<&Merged>,
    ) -> Result<(), WriteError> {
        documents::lock(tx, place.key).await?;
        let current = documents::get(tx, tenant, place, work::SMALL).await?;
        self.judge(current.as_ref())?;
        let (content, etag) = match (self.method, current) {
            (DocumentMethod::Delete, _) => {
                documents::delete(tx, tenant, place.key).await?;
                return Ok(());
            }
            (DocumentMethod::Post, Some(current)) => match made {
                Some(made) if made.onto == current.etag => (&*made.content, &*made.etag),
                _ => {
                    let merged = self.merge_small(&current)?;
                    return self.put(tx, tenant, place, &merged, &document::etag(&merged)).await;
                }
            },
            _ => (&*self.body, &*self.etag),
        };
        self.put(tx, tenant, place, content, etag).await
    }

    /// Merges here, under the lock, what takes no time worth mentioning.
    fn merge_small(&self, current: &Document) -> Result<Vec<u8>, WriteError> {
        match &current.content {
            Some(stored) if self.body.len() <= work::SMALL => {
                let (stored, posted) = ((&*current.content_type, &**stored), (&*self.content_type, &*self.body));
                let merged = document::merge(stored, posted, &self.limits)?;
                let limit = self.limits.document_bytes;
                if merged.len() > limit { Err(WriteError::TooLarge(limit)) } else { Ok(merged) }
            }
            _ => Err(WriteError::Apart),
        }
    }

    fn judge(&self, current: Option<&Document>) -> Result<(), WriteError> {
        let asked = Preconditions { if_match: self.if_match.as_deref(), if_none_match: self.if_none_match.as_deref() };
        let etag = current.map(|document| document.etag.as_str());
        match document::judge(self.version, self.resource, self.method, asked, etag) {
            Verdict::Proceed => Ok(()),
            verdict => Err(WriteError::Refused(verdict)),
        }
    }

    async fn put(
        &self,
        tx: &Tx<'_>,
        tenant: TenantId,
        place: &DocumentPlace,
        content: &[u8],
        etag: &str,
    ) -> Result<(), WriteError> {
        documents::put(tx, tenant, place, &self.content_type, content, etag).await?;
        Ok(())
    }
}

#[derive(Debug)]
enum WriteError {
    Store(StoreError),
    Invalid(Violations),
    Refused(Verdict),
    /// Nothing was written: the merge has to be made outside of the transaction, or again.
    Apart,
    /// The merged document.
    TooLarge(usize),
}

fn too_large(limit: usize) -> HttpError {
    HttpError::TooLarge { what: "the document that both make together", limit }
}

impl From<StoreError> for WriteError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Violations> for WriteError {
    fn from(violations: Violations) -> Self {
        Self::Invalid(violations)
    }
}

impl AsStoreError for WriteError {
    fn as_store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) => Some(error),
            _ => None,
        }
    }
}

impl From<WriteError> for HttpError {
    fn from(error: WriteError) -> Self {
        let conflict = "the document exists: fetch it and say with If-Match which version you have seen, \
                        or with If-None-Match: * that you expect none";
        match error {
            WriteError::Store(error) => error.into(),
            WriteError::Invalid(violations) => violations.into(),
            WriteError::TooLarge(limit) => too_large(limit),
            WriteError::Refused(Verdict::PreconditionFailed) => Self::Precondition(
                "the document is not in the state that If-Match or If-None-Match asks for".to_owned(),
            ),
            WriteError::Refused(Verdict::MissingHeaders) => {
                Violations::whole("header.precondition", "PUT of a profile needs If-Match or If-None-Match").into()
            }
            WriteError::Refused(_) | WriteError::Apart => Self::Conflict(conflict.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conflict_says_what_to_do_next() {
        let HttpError::Conflict(text) = WriteError::Refused(Verdict::Conflict).into() else { panic!("not a conflict") };
        assert!(text.contains("If-Match") && text.contains("If-None-Match"));
    }
}
