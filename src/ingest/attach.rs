//! Writes attachments that the tenant does not have yet, a piece at a time, and notes who brought them.

use uuid::Uuid;

use super::Attachment;
use crate::{
    model::TenantId,
    store::{
        StoreError, Tx,
        ledger::attachments::{self, PIECE_BYTES},
    },
};

/// Stores each distinct content once, as brought under this authority, in the order of the hashes, so that two requests
/// cannot deadlock.
pub(super) async fn store(
    tx: &Tx<'_>,
    tenant: TenantId,
    attachments: &[Attachment],
    authority: Option<Uuid>,
) -> Result<(), StoreError> {
    if attachments.is_empty() {
        return Ok(());
    }
    let mut wanted: Vec<&Attachment> = attachments.iter().collect();
    wanted.sort_by(|a, b| a.sha2.cmp(&b.sha2));
    wanted.dedup_by(|a, b| a.sha2 == b.sha2);
    for attachment in &wanted {
        let length = i64::try_from(attachment.length).unwrap_or(i64::MAX);
        if attachments::claim(tx, tenant, &attachment.sha2, length).await? {
            write_pieces(tx, tenant, attachment).await?;
        }
    }
    let Some(authority) = authority else { return Ok(()) };
    let hashes: Vec<&[u8]> = wanted.iter().map(|attachment| attachment.sha2.as_slice()).collect();
    attachments::bring(tx, tenant, &hashes, authority).await
}

async fn write_pieces(tx: &Tx<'_>, tenant: TenantId, attachment: &Attachment) -> Result<(), StoreError> {
    let mut offset = 0;
    let mut piece = 0;
    while offset < attachment.length {
        let source = attachment.clone();
        let content = tokio::task::spawn_blocking(move || source.read(offset, PIECE_BYTES))
            .await
            .map_err(|e| unreadable(&e))?
            .map_err(|e| unreadable(&e))?;
        attachments::write_piece(tx, tenant, &attachment.sha2, piece, &content).await?;
        offset += content.len() as u64;
        piece += 1;
    }
    Ok(())
}

fn unreadable(error: &dyn std::fmt::Display) -> StoreError {
    StoreError::Shape { name: "attachment", detail: format!("the spooled content cannot be read: {error}") }
}
