//! From leaf to leaf: each entry against its commitment, each hash against the leaves, each root against what was signed.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::{Findings, Roots, Rule, compare, gap, signed};
use crate::{
    audit::{
        Audit, AuditError, commitment,
        merkle::{self, Edge, Hash},
        place::kept,
    },
    store::platform::audit_log::{self as log, Placed, Span},
};

/// Leaves that are read at once.
const PAGE: i64 = 2_000;

#[derive(Default)]
pub(super) struct Walk {
    pub entries: u64,
    pub sealed: u64,
    /// Keys that are destroyed, of leaves that were met.
    pub destroyed: BTreeSet<i64>,
}

impl Walk {
    pub(super) async fn through(
        &mut self,
        audit: &Audit,
        edge: &mut Edge,
        size: i64,
        expected: &mut Roots,
        findings: &mut Findings,
    ) -> Result<(), AuditError> {
        let installation = audit.identity().await?.installation;
        let mut at = signed(edge.size());
        while at < size {
            let end = size.min(at + PAGE);
            let page = audit.read("audit_leaves", |tx| Box::pin(log::place_many(tx, at, end))).await?;
            let mut page = page.into_iter().peekable();
            let mut complete = Vec::new();
            for index in at..end {
                let leaf = match page.next_if(|placed| placed.leaf.index == index) {
                    Some(placed) => {
                        self.look(installation, &placed, findings);
                        merkle::leaf(&placed.leaf.commitment)
                    }
                    None => {
                        findings.add(Rule::Removed, None, Some(index), format!("place {index} of the log is gone"));
                        gap()
                    }
                };
                complete.extend(edge.push(leaf).into_iter().filter_map(kept));
                compare(edge, expected, findings);
            }
            subtrees(audit, &complete, findings).await?;
            at = end;
        }
        Ok(())
    }

    fn look(&mut self, installation: Uuid, placed: &Placed, findings: &mut Findings) {
        let (leaf, at) = (&placed.leaf, Some(placed.leaf.index));
        let Some(entry) = &placed.entry else {
            findings.add(Rule::Removed, Some(leaf.entry), at, "it is not in the trail any more".to_owned());
            return;
        };
        let Some(key) = placed.key else {
            if placed.is_destroyed {
                self.destroyed.insert(leaf.key_id);
                self.sealed += 1;
            } else {
                let text = format!("its key {} is not there", leaf.key_id);
                findings.add(Rule::Sealed, Some(leaf.entry), at, text);
            }
            return;
        };
        self.entries += 1;
        let key = commitment::entry_key(&key, leaf.index, leaf.entry);
        if commitment::commitment(&key, &commitment::text(installation, entry)) != leaf.commitment {
            let text = "it is not what the log committed to at this place".to_owned();
            findings.add(Rule::Changed, Some(leaf.entry), at, text);
        }
    }
}

/// The hashes that are kept, against those that follow from the leaves.
async fn subtrees(audit: &Audit, complete: &[(i16, i64, Hash)], findings: &mut Findings) -> Result<(), AuditError> {
    let mut spans: BTreeMap<i16, Vec<(i64, Hash)>> = BTreeMap::new();
    for (height, number, hash) in complete {
        spans.entry(*height).or_default().push((*number, *hash));
    }
    for (height, hashes) in spans {
        let (Some((first, _)), count) = (hashes.first(), hashes.len() as i64) else { continue };
        let span = [Span { height, first: *first, count }];
        let kept = audit.read("audit_subtrees", |tx| Box::pin(async move { log::hashes(tx, &span).await })).await?;
        let kept = kept.first().map_or(&[][..], Vec::as_slice);
        if !kept.iter().eq(hashes.iter().map(|(_, hash)| hash)) {
            let text = format!("hashes at height {height} from {first} on do not follow from the leaves");
            findings.add(Rule::Subtree, None, None, text);
        }
    }
    Ok(())
}
