//! Signed checkpoints over the log, and where each of them lies outside of this database.

use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio_postgres::Row;

use super::waiting::bytes;
use crate::store::{
    StoreError,
    door::tx::{Tx, column},
};

/// A checkpoint as it was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    pub size: i64,
    pub root: [u8; 32],
    /// In which epoch of the installation.
    pub epoch: i64,
    pub signed_at: DateTime<Utc>,
    /// The signed note.
    pub note: String,
}

impl Checkpoint {
    fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            size: column(row, "tree_size")?,
            root: bytes(column(row, "root_hash")?)?,
            epoch: column(row, "epoch")?,
            signed_at: column(row, "signed_at")?,
            note: column(row, "note")?,
        })
    }
}

/// A place outside where a checkpoint lies.
#[derive(Clone, Debug, PartialEq)]
pub struct Anchor {
    pub size: i64,
    /// `objects`, `kafka`, or `witness:NAME`.
    pub place: String,
    pub at: DateTime<Utc>,
    pub detail: Value,
}

const APPEND: &str = "/* checkpoints::append */
    INSERT INTO platform.audit_checkpoints (tree_size, root_hash, epoch, signed_at, note)
    VALUES ($1 /* size */, $2 /* root */, $3 /* epoch */, $4 /* at */, $5 /* note */)";

pub async fn append(tx: &Tx<'_>, new: &Checkpoint) -> Result<(), StoreError> {
    tx.execute(APPEND, &[&new.size, &new.root.as_slice(), &new.epoch, &new.signed_at, &new.note]).await.map(drop)
}

const LAST: &str = "/* checkpoints::last */
    SELECT tree_size, root_hash, epoch, signed_at, note FROM platform.audit_checkpoints ORDER BY tree_size DESC LIMIT 1";

pub async fn last(tx: &Tx<'_>) -> Result<Option<Checkpoint>, StoreError> {
    tx.query_opt(LAST, &[]).await?.as_ref().map(Checkpoint::read).transpose()
}

const LIST: &str = "/* checkpoints::list */
    SELECT tree_size, root_hash, epoch, signed_at, note FROM platform.audit_checkpoints
    WHERE tree_size > $1 /* after */ ORDER BY tree_size LIMIT $2 /* most */";

/// Checkpoints over more than so many leaves, the smallest first.
pub async fn after(tx: &Tx<'_>, size: i64, most: i64) -> Result<Vec<Checkpoint>, StoreError> {
    tx.query(LIST, &[&size, &most]).await?.iter().map(Checkpoint::read).collect()
}

const UNANCHORED: &str = "/* checkpoints::unanchored */
    SELECT c.tree_size, c.root_hash, c.epoch, c.signed_at, c.note FROM platform.audit_checkpoints c
    WHERE c.tree_size > coalesce((SELECT max(a.tree_size) FROM platform.audit_anchors a WHERE a.place = $1 /* place */), 0)
    ORDER BY c.tree_size LIMIT $2 /* most */";

/// Checkpoints that do not lie at this place yet, in their order.
pub async fn unanchored(tx: &Tx<'_>, place: &str, most: i64) -> Result<Vec<Checkpoint>, StoreError> {
    tx.query(UNANCHORED, &[&place, &most]).await?.iter().map(Checkpoint::read).collect()
}

const APPEND_ANCHOR: &str = "/* checkpoints::append_anchor */
    INSERT INTO platform.audit_anchors (tree_size, place, anchored_at, detail)
    VALUES ($1 /* size */, $2 /* place */, $3 /* at */, $4 /* detail */) ON CONFLICT DO NOTHING";

pub async fn append_anchor(tx: &Tx<'_>, anchor: &Anchor) -> Result<(), StoreError> {
    tx.execute(APPEND_ANCHOR, &[&anchor.size, &anchor.place, &anchor.at, &anchor.detail]).await.map(drop)
}

const ANCHORS: &str = "/* checkpoints::anchors */
    SELECT tree_size, place, anchored_at, detail FROM platform.audit_anchors
    WHERE ($1::bigint IS NULL OR tree_size < $1 /* size */ OR tree_size = $1 AND place > $2 /* place */)
    ORDER BY tree_size DESC, place LIMIT $3 /* most */";

/// The newest anchors first: those that come after a size and place.
pub async fn anchors(tx: &Tx<'_>, after: Option<(i64, &str)>, most: i64) -> Result<Vec<Anchor>, StoreError> {
    let (size, place) = (after.map(|after| after.0), after.map(|after| after.1));
    tx.query(ANCHORS, &[&size, &place, &most]).await?.iter().map(read_anchor).collect()
}

const ANCHORS_OF: &str = "/* checkpoints::anchors_of */
    SELECT tree_size, place, anchored_at, detail FROM platform.audit_anchors WHERE tree_size = $1 /* size */ ORDER BY place";

/// Where one checkpoint lies.
pub async fn anchors_of(tx: &Tx<'_>, size: i64) -> Result<Vec<Anchor>, StoreError> {
    tx.query(ANCHORS_OF, &[&size]).await?.iter().map(read_anchor).collect()
}

const ANCHORED_AT: &str = "/* checkpoints::anchored_at */
    SELECT tree_size, place, anchored_at, detail FROM platform.audit_anchors
    WHERE place = $1 /* place */ AND tree_size > $2 /* after */ ORDER BY tree_size LIMIT $3 /* most */";

/// What is said to lie at a place, the smallest first.
pub async fn anchored_at(tx: &Tx<'_>, place: &str, after: i64, most: i64) -> Result<Vec<Anchor>, StoreError> {
    tx.query(ANCHORED_AT, &[&place, &after, &most]).await?.iter().map(read_anchor).collect()
}

fn read_anchor(row: &Row) -> Result<Anchor, StoreError> {
    Ok(Anchor {
        size: column(row, "tree_size")?,
        place: column(row, "place")?,
        at: column(row, "anchored_at")?,
        detail: column(row, "detail")?,
    })
}
