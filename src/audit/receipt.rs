//! A receipt: an entry of the trail with all that is needed to check it without us, years later: its own key, its place, the way to the
//! root, and the signed checkpoint. Whoever holds the public key of the log needs nothing else.

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    Audit, AuditError,
    commitment::{self, commitment},
    merkle,
    note::{Note, Verifier},
};
use crate::store::platform::{
    audit::EntryId,
    audit_log::checkpoints::{self, Anchor},
};

/// The form of the document: it is only added to.
const FORMAT: &str = "progress-receipt/1";

/// A place outside of the service where the checkpoint lies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AuditAnchored)]
pub struct Anchored {
    pub place: String,
    pub at: DateTime<Utc>,
    #[schema(value_type = Object)]
    pub detail: Value,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AuditReceipt)]
pub struct Receipt {
    pub format: String,
    /// The entry to its last character, as the log committed to it: JSON in a string.
    pub entry: String,
    /// The key of this entry alone, in base64: HMAC-SHA256 under it over `entry` is the commitment.
    pub entry_key: String,
    pub leaf_index: i64,
    pub tree_size: i64,
    /// Hashes from the leaf up (RFC 6962), in base64.
    pub hashes: Vec<String>,
    /// The checkpoint, a signed note.
    pub checkpoint: String,
    pub signed_at: DateTime<Utc>,
    /// The public key of the log. Compare it with the one that you were given otherwise.
    pub verifier: String,
    pub anchors: Vec<Anchored>,
}

/// Why a receipt proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    #[error("the receipt has another form than {FORMAT}")]
    Format,
    #[error("the receipt's key is not the one that is trusted")]
    Key,
    #[error("the receipt's checkpoint is no signed note")]
    Note,
    #[error("the checkpoint is not signed by that key")]
    Signature,
    #[error("the entry is not in the tree that the checkpoint signs")]
    Proof,
}

impl Receipt {
    /// Whether the receipt holds under a key that is trusted; needs nothing but the two.
    pub fn check(&self, trusted: &Verifier) -> Result<(), Flaw> {
        if self.format != FORMAT {
            return Err(Flaw::Format);
        }
        if Verifier::read(&self.verifier).as_ref() != Some(trusted) {
            return Err(Flaw::Key);
        }
        let note = Note::read(&self.checkpoint).filter(|note| note.origin == trusted.name).ok_or(Flaw::Note)?;
        if !trusted.proves(&note) {
            return Err(Flaw::Signature);
        }
        let root = self
            .root()
            .filter(|_| (note.tree.size, note.tree.at) == (self.tree_size, self.signed_at))
            .ok_or(Flaw::Proof)?;
        if root == note.tree.root { Ok(()) } else { Err(Flaw::Proof) }
    }

    /// The root that the entry's place and hashes lead to.
    fn root(&self) -> Option<merkle::Hash> {
        let bytes = |text: &String| -> Option<[u8; 32]> { STANDARD.decode(text).ok()?.try_into().ok() };
        let hashes: Option<Vec<_>> = self.hashes.iter().map(bytes).collect();
        let leaf = merkle::leaf(&commitment(&bytes(&self.entry_key)?, &self.entry));
        let (index, size) = (u64::try_from(self.leaf_index).ok()?, u64::try_from(self.tree_size).ok()?);
        merkle::root_by_inclusion(index, size, leaf, &hashes?)
    }

    /// The entry, read.
    pub fn entry(&self) -> Value {
        serde_json::from_str(&self.entry).unwrap_or_default()
    }
}

/// The checkpoint with the signatures of its witnesses under our own.
fn witnessed(mut note: String, anchors: &[Anchor]) -> String {
    for line in anchors.iter().filter_map(|anchor| anchor.detail.get("signature")?.as_str()) {
        note.push_str(line);
        note.push('\n');
    }
    note
}

impl Audit {
    /// The receipt of an entry, under the newest checkpoint: a new one where none covers the entry yet. The checkpoint is brought
    /// outside first, as far as the places outside answer.
    pub async fn receipt(&self, entry: EntryId) -> Result<Receipt, AuditError> {
        let (proof, placed, checkpoint) = self.proven(entry).await?;
        if let Err(error) = self.anchor().await {
            tracing::warn!(%error, "a receipt's checkpoint is not anchored everywhere yet");
        }
        let size = checkpoint.size;
        let anchors = self.read("audit_anchors_of", |tx| Box::pin(checkpoints::anchors_of(tx, size))).await?;
        let key = match placed.key {
            Some(key) => commitment::entry_key(&key, placed.leaf.index, entry),
            None => return Err(AuditError::Destroyed(entry)),
        };
        let identity = self.identity().await?;
        let text = placed.entry.as_ref().map(|found| commitment::text(identity.installation, found));
        let text = text.filter(|text| commitment(&key, text) == placed.leaf.commitment);
        let receipt = Receipt {
            format: FORMAT.to_owned(),
            entry: text.ok_or(AuditError::Changed(entry))?,
            entry_key: STANDARD.encode(key),
            leaf_index: proof.leaf_index,
            tree_size: proof.tree_size,
            hashes: proof.hashes,
            checkpoint: witnessed(proof.checkpoint, &anchors),
            signed_at: Note::read(&checkpoint.note).ok_or(AuditError::Incomplete)?.tree.at,
            verifier: self.verifier().await?.to_string(),
            anchors: anchors
                .into_iter()
                .map(|anchor| Anchored { place: anchor.place, at: anchor.at, detail: anchor.detail })
                .collect(),
        };
        // Nobody is handed what does not hold.
        receipt.check(&self.verifier().await?).map_err(|_| AuditError::Changed(entry))?;
        Ok(receipt)
    }
}
