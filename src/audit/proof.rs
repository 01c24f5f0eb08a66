//! Proofs out of the rows: that an entry is in the tree of a checkpoint, and that one tree is the beginning of another. Each reads a few
//! hundred hashes at most, however long the log is.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    Audit, AuditError,
    merkle::{self, Edge, Hash, Node, TILE},
};
use crate::store::{
    As,
    door::tx::Tx,
    platform::{
        audit::EntryId,
        audit_log::{
            self as log, Placed, Span,
            checkpoints::{self, Checkpoint},
        },
    },
};

/// That an entry is in the log.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AuditProof)]
pub struct Proof {
    #[schema(value_type = i64)]
    pub entry_id: EntryId,
    pub leaf_index: i64,
    pub tree_size: i64,
    /// What stands at the place, in base64: an HMAC of the entry.
    pub commitment: String,
    /// Hashes from the leaf up, in base64.
    pub hashes: Vec<String>,
    /// The signed checkpoint.
    pub checkpoint: String,
}

impl Proof {
    /// As C2SP tlog-proof has it.
    pub fn text(&self) -> String {
        let hashes: String = self.hashes.iter().map(|hash| format!("{hash}\n")).collect();
        format!("c2sp.org/tlog-proof@v1\nindex {}\n{hashes}\n{}", self.leaf_index, self.checkpoint)
    }
}

impl Audit {
    /// The proof of an entry under the newest checkpoint; one is signed now where none covers it.
    pub async fn proof(&self, entry: EntryId) -> Result<Proof, AuditError> {
        Ok(self.proven(entry).await?.0)
    }

    /// The proof, and what stands at its place.
    pub(super) async fn proven(&self, entry: EntryId) -> Result<(Proof, Placed, Checkpoint), AuditError> {
        if let Some(found) = self.proven_before(entry).await? {
            return Ok(found);
        }
        self.settle().await?;
        match self.proven_before(entry).await? {
            Some(found) => Ok(found),
            None if self.is_there(entry).await? => Err(AuditError::NoPlace(entry)),
            None => Err(AuditError::NoEntry(entry)),
        }
    }

    async fn proven_before(&self, entry: EntryId) -> Result<Option<(Proof, Placed, Checkpoint)>, AuditError> {
        self.store
            .run_tx("audit_proof", As::Worker, |tx| {
                Box::pin(async move {
                    let (Some(index), Some(checkpoint)) =
                        (log::place_of(tx, entry).await?, checkpoints::last(tx).await?)
                    else {
                        return Ok(None);
                    };
                    if index >= checkpoint.size {
                        return Ok(None);
                    }
                    let Some(placed) = log::placed(tx, index).await? else { return Ok(None) };
                    let ranges = merkle::inclusion(number(index)?, number(checkpoint.size)?);
                    let hashes = ranges_of(tx, &ranges).await?;
                    let proof = Proof {
                        entry_id: entry,
                        leaf_index: index,
                        tree_size: checkpoint.size,
                        commitment: STANDARD.encode(placed.leaf.commitment),
                        hashes: hashes.iter().map(|hash| STANDARD.encode(hash)).collect(),
                        checkpoint: checkpoint.note.clone(),
                    };
                    Ok(Some((proof, placed, checkpoint)))
                })
            })
            .await
    }

    async fn is_there(&self, entry: EntryId) -> Result<bool, AuditError> {
        let newest = EntryId(entry.0.saturating_add(1));
        let found = self
            .read("audit_entry", |tx| Box::pin(async move { log::list(tx, None, None, Some(newest), 1).await }))
            .await?;
        Ok(found.first().is_some_and(|(found, _)| found.id == entry))
    }

    /// The hashes that prove that a tree of one size is the beginning of one of another.
    pub async fn consistency(&self, old: i64, new: i64) -> Result<Vec<Hash>, AuditError> {
        self.store
            .run_tx("audit_consistency", As::Worker, |tx| {
                Box::pin(async move { ranges_of(tx, &merkle::consistency(number(old)?, number(new)?)).await })
            })
            .await
    }
}

/// The right edge of the tree of this size.
pub(super) async fn edge(tx: &Tx<'_>, size: i64) -> Result<Edge, AuditError> {
    let size = number(size)?;
    Ok(Edge::new(size, nodes(tx, &merkle::complete(0, size)).await?))
}

/// The hash of each range.
async fn ranges_of(tx: &Tx<'_>, ranges: &[(u64, u64)]) -> Result<Vec<Hash>, AuditError> {
    let parts: Vec<Vec<Node>> = ranges.iter().map(|(from, to)| merkle::complete(*from, *to)).collect();
    let hashes = nodes(tx, &parts.concat()).await?;
    let mut rest = hashes.as_slice();
    Ok(parts
        .iter()
        .map(|nodes| {
            let (own, others) = rest.split_at(nodes.len().min(rest.len()));
            rest = others;
            merkle::joined(own)
        })
        .collect())
}

/// The hashes of complete subtrees, folded from the largest that are kept.
async fn nodes(tx: &Tx<'_>, nodes: &[Node]) -> Result<Vec<Hash>, AuditError> {
    let spans: Vec<Span> = nodes.iter().map(span).collect::<Result<_, _>>()?;
    let found = log::hashes(tx, &spans).await?;
    spans
        .iter()
        .zip(found)
        .map(|(span, hashes)| {
            if hashes.len() as i64 != span.count {
                return Err(AuditError::Incomplete);
            }
            let hashes = if span.height == 0 { hashes.iter().map(|one| merkle::leaf(one)).collect() } else { hashes };
            Ok(merkle::folded(hashes))
        })
        .collect()
}

fn span(node: &Node) -> Result<Span, AuditError> {
    let (level, rest) = (node.height / TILE, node.height % TILE);
    let first = i64::try_from(node.number << rest).map_err(|_| AuditError::Incomplete)?;
    Ok(Span { height: i16::try_from(level).map_err(|_| AuditError::Incomplete)?, first, count: 1 << rest })
}

pub(super) fn number(size: i64) -> Result<u64, AuditError> {
    u64::try_from(size).map_err(|_| AuditError::Incomplete)
}
