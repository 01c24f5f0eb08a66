//! Places in the log, what was committed to at each, and the hashes of complete subtrees.

use tokio_postgres::Row;

use super::{Recorded, waiting::bytes};
use crate::store::{
    StoreError,
    door::tx::{Tx, column},
    platform::audit::EntryId,
};

/// What is committed to at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    pub index: i64,
    pub entry: EntryId,
    pub key_id: i64,
    pub commitment: [u8; 32],
}

/// A leaf with the entry and the key as they are found now.
#[derive(Clone, Debug)]
pub struct Placed {
    pub leaf: Leaf,
    /// Absent where the row is gone.
    pub entry: Option<Recorded>,
    /// Absent where the key was destroyed or its row is gone.
    pub key: Option<[u8; 32]>,
    /// Whether the key was destroyed as it is to be.
    pub is_destroyed: bool,
}

/// Hashes beside each other: of leaves at height 0, above it of subtrees of 256 to the power of the height.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub height: i16,
    pub first: i64,
    pub count: i64,
}

const SIZE: &str = "/* leaves::size */ SELECT coalesce(max(leaf_index) + 1, 0) AS size FROM platform.audit_leaves";

/// How many places are given.
pub async fn size(tx: &Tx<'_>) -> Result<i64, StoreError> {
    column(&tx.query_one(SIZE, &[]).await?, "size")
}

const APPEND: &str = "/* leaves::append */
    INSERT INTO platform.audit_leaves (leaf_index, audit_id, key_id, commitment)
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bytea[])";

pub async fn append(tx: &Tx<'_>, leaves: &[Leaf]) -> Result<(), StoreError> {
    let indices: Vec<i64> = leaves.iter().map(|leaf| leaf.index).collect();
    let entries: Vec<i64> = leaves.iter().map(|leaf| leaf.entry.0).collect();
    let keys: Vec<i64> = leaves.iter().map(|leaf| leaf.key_id).collect();
    let commitments: Vec<&[u8]> = leaves.iter().map(|leaf| leaf.commitment.as_slice()).collect();
    tx.execute(APPEND, &[&indices, &entries, &keys, &commitments]).await.map(drop)
}

const APPEND_SUBTREES: &str = "/* leaves::append_subtrees */
    INSERT INTO platform.audit_subtrees (height, number, hash) SELECT * FROM unnest($1::smallint[], $2::bigint[], $3::bytea[])";

/// Adds hashes of subtrees that became complete: height, number, hash.
pub async fn append_subtrees(tx: &Tx<'_>, complete: &[(i16, i64, [u8; 32])]) -> Result<(), StoreError> {
    let heights: Vec<i16> = complete.iter().map(|one| one.0).collect();
    let numbers: Vec<i64> = complete.iter().map(|one| one.1).collect();
    let hashes: Vec<&[u8]> = complete.iter().map(|one| one.2.as_slice()).collect();
    tx.execute(APPEND_SUBTREES, &[&heights, &numbers, &hashes]).await.map(drop)
}

const COMMITMENTS: &str = "/* leaves::commitments */
    SELECT w.nth, l.commitment AS hash FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY AS w (first, count, nth)
    JOIN platform.audit_leaves l ON l.leaf_index >= w.first AND l.leaf_index < w.first + w.count
    ORDER BY w.nth, l.leaf_index";

const SUBTREES: &str = "/* leaves::subtrees */
    SELECT w.nth, s.hash FROM unnest($1::bigint[], $2::bigint[], $3::smallint[]) WITH ORDINALITY AS w (first, count, height, nth)
    JOIN platform.audit_subtrees s ON s.height = w.height AND s.number >= w.first AND s.number < w.first + w.count
    ORDER BY w.nth, s.number";

/// For each span its hashes, in their order: commitments of leaves, not hashed yet, and hashes of subtrees.
pub async fn hashes(tx: &Tx<'_>, spans: &[Span]) -> Result<Vec<Vec<[u8; 32]>>, StoreError> {
    let mut found = vec![Vec::new(); spans.len()];
    for is_leaves in [true, false] {
        let these: Vec<usize> = (0..spans.len()).filter(|at| (spans[*at].height == 0) == is_leaves).collect();
        if these.is_empty() {
            continue;
        }
        let first: Vec<i64> = these.iter().map(|at| spans[*at].first).collect();
        let count: Vec<i64> = these.iter().map(|at| spans[*at].count).collect();
        let heights: Vec<i16> = these.iter().map(|at| spans[*at].height).collect();
        let rows = if is_leaves {
            tx.query(COMMITMENTS, &[&first, &count]).await?
        } else {
            tx.query(SUBTREES, &[&first, &count, &heights]).await?
        };
        for row in &rows {
            let nth: i64 = column(row, "nth")?;
            let place = usize::try_from(nth - 1).ok().and_then(|nth| these.get(nth));
            if let Some(place) = place {
                found[*place].push(bytes(column(row, "hash")?)?);
            }
        }
    }
    Ok(found)
}

/// The commitments of some leaves beside each other.
pub async fn commitments(tx: &Tx<'_>, first: i64, count: i64) -> Result<Vec<[u8; 32]>, StoreError> {
    Ok(hashes(tx, &[Span { height: 0, first, count }]).await?.pop().unwrap_or_default())
}

const PLACED: &str = "/* leaves::placed */
    SELECT l.leaf_index, l.audit_id AS entry, l.key_id, l.commitment, a.audit_id, a.at, a.tenant_id, a.actor, a.action, a.subject,
           a.detail, k.key, coalesce(k.destroyed_at IS NOT NULL, false) AS is_destroyed
    FROM platform.audit_leaves l LEFT JOIN platform.audit a ON a.audit_id = l.audit_id
    LEFT JOIN platform.audit_keys k ON k.key_id = l.key_id
    WHERE l.leaf_index >= $1 /* first */ AND l.leaf_index < $2 /* end */ ORDER BY l.leaf_index";

/// Leaves with what they committed to, as it is found now.
pub async fn place_many(tx: &Tx<'_>, first: i64, end: i64) -> Result<Vec<Placed>, StoreError> {
    tx.query(PLACED, &[&first, &end]).await?.iter().map(read).collect()
}

const PLACE_OF: &str =
    "/* leaves::place_of */ SELECT leaf_index FROM platform.audit_leaves WHERE audit_id = $1 /* entry */";

/// The place of an entry, where it has one.
pub async fn place_of(tx: &Tx<'_>, entry: EntryId) -> Result<Option<i64>, StoreError> {
    tx.query_opt(PLACE_OF, &[&entry.0]).await?.map(|row| column(&row, "leaf_index")).transpose()
}

/// One leaf with its entry.
pub async fn placed(tx: &Tx<'_>, index: i64) -> Result<Option<Placed>, StoreError> {
    Ok(place_many(tx, index, index + 1).await?.pop())
}

fn read(row: &Row) -> Result<Placed, StoreError> {
    let is_there = column::<Option<i64>>(row, "audit_id")?.is_some();
    let leaf = Leaf {
        index: column(row, "leaf_index")?,
        entry: EntryId(column(row, "entry")?),
        key_id: column(row, "key_id")?,
        commitment: bytes(column(row, "commitment")?)?,
    };
    let key: Option<Vec<u8>> = column(row, "key")?;
    Ok(Placed {
        leaf,
        entry: if is_there { Some(Recorded::read(row)?) } else { None },
        key: key.map(bytes).transpose()?,
        is_destroyed: column(row, "is_destroyed")?,
    })
}

const BEYOND: &str = "/* leaves::beyond */
    SELECT count(*) AS beyond FROM platform.audit_subtrees WHERE number < 0 OR number >= $1::bigint /* size */ >> (8 * height)";

/// How many hashes are kept of subtrees that are not complete in a tree of this size.
pub async fn beyond(tx: &Tx<'_>, size: i64) -> Result<i64, StoreError> {
    column(&tx.query_one(BEYOND, &[&size]).await?, "beyond")
}
