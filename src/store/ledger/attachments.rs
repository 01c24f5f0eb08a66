//! Attachments by content: each distinct content of a tenant once, in pieces that are read and written one at a time.

use std::collections::HashSet;

use uuid::Uuid;

use crate::model::TenantId;
use crate::store::{StoreError, Tx, door::tx::column};

/// Bytes of one piece: what a request holds in memory at a time.
pub const PIECE_BYTES: usize = 256 << 10;

/// Which of these contents the tenant already has.
pub async fn present(tx: &Tx<'_>, tenant: TenantId, hashes: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, StoreError> {
    let rows = tx
        .query(
            "/* attachments::attachments_present */ SELECT sha2 FROM ledger.attachments WHERE tenant_id = $1 AND sha2 = ANY($2)",
            &[&tenant.0, &hashes],
        )
        .await?;
    rows.iter().map(|row| column(row, "sha2")).collect()
}

/// Claims the content; answers false when another transaction has just stored the same one.
pub async fn claim(tx: &Tx<'_>, tenant: TenantId, sha2: &[u8], length: i64) -> Result<bool, StoreError> {
    let claimed = tx
        .execute(
            "/* attachments::claim_attachment */ INSERT INTO ledger.attachments (tenant_id, sha2, length) VALUES ($1, $2, $3)
             ON CONFLICT DO NOTHING",
            &[&tenant.0, &sha2, &length],
        )
        .await?;
    Ok(claimed > 0)
}

pub async fn write_piece(
    tx: &Tx<'_>,
    tenant: TenantId,
    sha2: &[u8],
    piece: i32,
    content: &[u8],
) -> Result<(), StoreError> {
    tx.execute(
        "/* attachments::write_attachment_piece */ INSERT INTO ledger.attachment_pieces (tenant_id, sha2, piece, content)
         VALUES ($1, $2, $3, $4)",
        &[&tenant.0, &sha2, &piece, &content],
    )
    .await
    .map(drop)
}

/// Notes under which authority the bytes of these contents were brought.
pub async fn bring(tx: &Tx<'_>, tenant: TenantId, hashes: &[&[u8]], authority: Uuid) -> Result<(), StoreError> {
    tx.execute(
        "/* attachments::bring_attachments */ INSERT INTO ledger.attachment_bringers (tenant_id, sha2, authority_key)
         SELECT $1, new.sha2, $3 FROM unnest($2::bytea[]) AS new (sha2) ORDER BY new.sha2 ON CONFLICT DO NOTHING",
        &[&tenant.0, &hashes, &authority],
    )
    .await
    .map(drop)
}

/// Those of the pairs of a hash and an authority where that content was brought under that authority.
pub async fn brought(
    tx: &Tx<'_>,
    tenant: TenantId,
    pairs: &[(Vec<u8>, Uuid)],
) -> Result<HashSet<(Vec<u8>, Uuid)>, StoreError> {
    let (hashes, authorities): (Vec<&[u8]>, Vec<Uuid>) =
        pairs.iter().map(|(hash, key)| (hash.as_slice(), *key)).unzip();
    let rows = tx
        .query(
            "/* attachments::brought_attachments */ SELECT asked.sha2, asked.authority_key
             FROM unnest($2::bytea[], $3::uuid[]) AS asked (sha2, authority_key)
             CROSS JOIN LATERAL (SELECT FROM ledger.attachment_bringers b WHERE b.tenant_id = $1
                                 AND b.sha2 = asked.sha2 AND b.authority_key = asked.authority_key OFFSET 0) b",
            &[&tenant.0, &hashes, &authorities],
        )
        .await?;
    rows.iter().map(|row| Ok((column(row, "sha2")?, column(row, "authority_key")?))).collect()
}

/// The length of a content, if the tenant has it.
pub async fn length(tx: &Tx<'_>, tenant: TenantId, sha2: &[u8]) -> Result<Option<i64>, StoreError> {
    let row = tx
        .query_opt(
            "/* attachments::attachment_length */ SELECT length FROM ledger.attachments WHERE tenant_id = $1 AND sha2 = $2",
            &[&tenant.0, &sha2],
        )
        .await?;
    row.map(|row| column(&row, "length")).transpose()
}

pub async fn read_piece(tx: &Tx<'_>, tenant: TenantId, sha2: &[u8], piece: i32) -> Result<Option<Vec<u8>>, StoreError> {
    let row = tx
        .query_opt(
            "/* attachments::read_attachment_piece */ SELECT content FROM ledger.attachment_pieces
             WHERE tenant_id = $1 AND sha2 = $2 AND piece = $3",
            &[&tenant.0, &sha2, &piece],
        )
        .await?;
    row.map(|row| column(&row, "content")).transpose()
}
