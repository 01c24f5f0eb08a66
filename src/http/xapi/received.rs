//! What a request for statements brought, however it was packed.

use bytes::Bytes;

use super::{Incoming, Xapi};
use crate::{
    http::{HttpError, budget::Hold, work},
    ingest::Attachment,
    model::TenantId,
    xapi::{
        Statement, json,
        read::{self, Batch},
    },
};

/// What a request brought.
pub(super) struct Received {
    pub statements: Vec<Statement>,
    pub single: bool,
    pub attachments: Vec<Attachment>,
    /// Bytes of JSON that they were, and the room for what was read out of it.
    pub size: usize,
    pub room: Hold,
}

/// Reads the statements of a body: a large one in its tenant's turn, and once there is room for what is read out of it.
pub(super) async fn read(
    body: Bytes,
    incoming: &Incoming,
    tenant: TenantId,
    xapi: &Xapi,
) -> Result<(Batch, Hold), HttpError> {
    let (version, limits, mut room) = (incoming.version, xapi.limits.clone(), incoming.hold.beside());
    let size = body.len();
    let job = move || -> Result<(Batch, Hold), HttpError> {
        if size > work::SMALL {
            room.grow(json::weigh(&body, &limits)?)?;
        }
        Ok((read::statements(&body, version, &limits)?, room))
    };
    xapi.work.sized(tenant, size, job).await?
}
