//! Entries get their places: some at a time, in a transaction of its own that one node has at once. Acts never wait for it.
//!
//! An entry is committed before it gets a place, so places are given in the order of commits, as finely as they are looked at: what
//! was committed before one look has a lower place than what was committed after it.

use std::collections::{BTreeMap, btree_map::Entry};

use ring::rand::{SecureRandom, SystemRandom};
use uuid::Uuid;

use super::{
    Audit, AuditError, commitment,
    merkle::{self, Node, TILE},
    proof::edge,
};
use crate::{
    model::TenantId,
    store::{
        As, StoreError,
        door::tx::Tx,
        platform::{
            audit_log::{self as log, Key, Leaf, Recorded},
            installation, leases,
        },
    },
};

/// Entries in one transaction.
const BATCH: i64 = 5_000;

impl Audit {
    /// Gives places to some of the entries that wait; answers whether there may be more.
    pub(super) async fn place(&self) -> Result<bool, AuditError> {
        let placed = self.store.run_tx("audit_place", As::Worker, |tx| Box::pin(place(tx))).await?;
        if let Some(size) = placed.size {
            self.metrics.audit.entries.set(size);
        }
        Ok(placed.is_full)
    }
}

struct Given {
    size: Option<i64>,
    is_full: bool,
}

async fn place(tx: &Tx<'_>) -> Result<Given, AuditError> {
    if !log::is_waited_for(tx).await? {
        return Ok(Given { size: None, is_full: false });
    }
    leases::check(tx).await?;
    log::alone(tx).await?;
    let mut entries = log::older(tx, BATCH).await?;
    let is_older = !entries.is_empty();
    if !is_older {
        entries = log::waiting(tx, BATCH).await?;
    }
    // What was there before the log goes first, and what waits comes after it.
    let is_full = is_older || entries.len() as i64 == BATCH;
    let size = log::size(tx).await?;
    if entries.is_empty() {
        return Ok(Given { size: Some(size), is_full });
    }
    let installation = installation::this(tx).await?.id;
    let keys = keys(tx, &entries).await?;
    let mut edge = edge(tx, size).await?;
    let (mut leaves, mut complete) = (Vec::with_capacity(entries.len()), Vec::new());
    for (index, entry) in (size..).zip(&entries) {
        let Some(key) = keys.get(&entry.tenant) else { continue };
        let leaf = leaf(installation, index, entry, key);
        complete.extend(edge.push(merkle::leaf(&leaf.commitment)).into_iter().filter_map(kept));
        leaves.push(leaf);
    }
    log::append(tx, &leaves).await?;
    log::append_subtrees(tx, &complete).await?;
    Ok(Given { size: Some(size + leaves.len() as i64), is_full })
}

fn leaf(installation: Uuid, index: i64, entry: &Recorded, key: &Key) -> Leaf {
    let entry_key = commitment::entry_key(&key.key, index, entry.id);
    let commitment = commitment::commitment(&entry_key, &commitment::text(installation, entry));
    Leaf { index, entry: entry.id, key_id: key.id, commitment }
}

/// A subtree whose hash is kept: one that is a whole tile, or a tile of tiles.
pub(super) fn kept((node, hash): (Node, merkle::Hash)) -> Option<(i16, i64, merkle::Hash)> {
    if !node.height.is_multiple_of(TILE) {
        return None;
    }
    Some((i16::try_from(node.height / TILE).ok()?, i64::try_from(node.number).ok()?, hash))
}

/// The keys of all tenants that the entries are of; those that have none yet get one.
async fn keys(tx: &Tx<'_>, entries: &[Recorded]) -> Result<BTreeMap<Option<TenantId>, Key>, StoreError> {
    let mut tenants: Vec<Option<TenantId>> = entries.iter().map(|entry| entry.tenant).collect();
    tenants.sort_unstable();
    tenants.dedup();
    let found = log::in_use(tx, &tenants).await?;
    let mut keys: BTreeMap<_, _> = found.into_iter().map(|key| (key.tenant, key)).collect();
    for tenant in tenants {
        if let Entry::Vacant(place) = keys.entry(tenant) {
            let mut fresh = [0; 32];
            let drawn = SystemRandom::new().fill(&mut fresh);
            drawn.map_err(|_| StoreError::Shape { name: "audit_place", detail: "no random bytes".to_owned() })?;
            place.insert(log::make_key(tx, tenant, fresh).await?);
        }
    }
    Ok(keys)
}
