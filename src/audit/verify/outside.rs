//! The roots that were signed: as the database remembers them, and as they lie outside.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Expected, Findings, Look, Roots, Rule};
use crate::{
    audit::{
        Audit, AuditError,
        anchor::{KAFKA, OBJECTS, Outside},
        note::{Note, Tree, Verifier},
    },
    store::platform::audit_log::checkpoints::{self, Anchor},
};

/// Rows that are read at once.
const PAGE: i64 = 10_000;

impl Audit {
    /// Everything that lies outside, over more than `from` leaves.
    pub(super) async fn outside(
        &self,
        from: i64,
        key: &Verifier,
        look: &Look,
        findings: &mut Findings,
    ) -> Result<(Roots, BTreeMap<&'static str, usize>), AuditError> {
        let installation = self.identity().await?.installation;
        let (mut roots, mut counts) = (Roots::new(), BTreeMap::new());
        // First what is noted: it was there by then.
        let noted = self.noted(OBJECTS, from).await?;
        let stored = self.in_store(installation, from).await?;
        all_there(OBJECTS, &noted, &stored, findings);
        counts.insert(OBJECTS, stored.len());
        let mut all = stored;
        if self.brokers.is_some() {
            let noted = self.noted(KAFKA, from).await?;
            let sent = self.in_topic(installation, from).await?;
            all_there(KAFKA, &noted, &sent, findings);
            counts.insert(KAFKA, sent.len());
            all.extend(sent);
        }
        for Outside { place, note } in &all {
            let Some(read) = Note::read(note) else {
                findings.add(Rule::Anchor, None, None, format!("{place} holds no checkpoint"));
                continue;
            };
            if !key.proves(&read) {
                let size = Some(read.tree.size);
                findings.add(Rule::Key, None, size, format!("{place} is not signed by the key of this log"));
            } else if read.tree.size > from {
                let (root, has_ended) = (read.tree.root, look.ended.contains(&read.tree.epoch));
                roots.entry(read.tree.size).or_default().push(Expected { root, by: place.clone(), has_ended });
            }
        }
        Ok((roots, counts))
    }

    /// Everything that the database says was signed; answers how many checkpoints that is.
    pub(super) async fn signed_here(
        &self,
        from: i64,
        key: &Verifier,
        roots: &mut Roots,
        findings: &mut Findings,
    ) -> Result<usize, AuditError> {
        let outside: BTreeSet<i64> = roots.keys().copied().collect();
        let mut here = BTreeSet::new();
        let mut after = from;
        loop {
            let page = self.read("audit_checkpoints", |tx| Box::pin(checkpoints::after(tx, after, PAGE))).await?;
            let Some(last) = page.last() else { break };
            after = last.size;
            for row in &page {
                here.insert(row.size);
                let tree = Tree { size: row.size, root: row.root, epoch: row.epoch, at: row.signed_at };
                let note = Note::read(&row.note).filter(|note| note.tree == tree);
                if !note.is_some_and(|note| key.proves(&note)) {
                    let text = format!("the checkpoint over {} entries is not what was signed", row.size);
                    findings.add(Rule::Checkpoint, None, Some(row.size), text);
                } else {
                    let by = format!("this database at {}", row.signed_at);
                    let expected = Expected { root: row.root, by, has_ended: false };
                    roots.entry(row.size).or_default().push(expected);
                }
            }
        }
        for size in outside.difference(&here) {
            let has_ended = roots.get(size).is_some_and(|said| said.iter().all(|one| one.has_ended));
            if !has_ended {
                let text =
                    format!("a checkpoint over {size} entries lies outside, and the database does not remember it");
                findings.add(Rule::Checkpoint, None, Some(*size), text);
            }
        }
        Ok(here.len())
    }

    /// What the database says it brought to a place.
    async fn noted(&self, place: &'static str, from: i64) -> Result<Vec<Anchor>, AuditError> {
        let (mut noted, mut after) = (Vec::new(), from);
        loop {
            let page =
                self.read("audit_anchored_at", |tx| Box::pin(checkpoints::anchored_at(tx, place, after, PAGE))).await?;
            let Some(last) = page.last() else { return Ok(noted) };
            after = last.size;
            noted.extend(page);
        }
    }
}

/// What was brought to a place must be there, and what is there must be noted; but for what may be younger than the newest note, as it
/// is when a step ended between the two.
fn all_there(place: &str, noted: &[Anchor], found: &[Outside], findings: &mut Findings) {
    let found: BTreeMap<i64, &str> =
        found.iter().filter_map(|one| Some((Note::read(&one.note)?.tree.size, one.place.as_str()))).collect();
    // A topic that is kept for some time only has lost its beginning.
    let begin = if place == KAFKA { found.keys().next().copied().unwrap_or(i64::MAX) } else { 0 };
    for anchor in noted.iter().filter(|anchor| anchor.size >= begin) {
        let key = anchor.detail.get("key").and_then(Value::as_str);
        if found.get(&anchor.size).is_none_or(|there| key.is_some_and(|key| key != *there)) {
            let size = anchor.size;
            let text = format!("the checkpoint over {size} entries was brought to {place}, and is not there");
            findings.add(Rule::Anchor, None, Some(size), text);
        }
    }
    let newest = noted.last().map_or(0, |anchor| anchor.size);
    let noted: BTreeSet<i64> = noted.iter().map(|anchor| anchor.size).collect();
    for (size, there) in found.iter().filter(|(size, _)| **size < newest && !noted.contains(*size)) {
        let text = format!("{there} lies outside, and the database does not remember that it was brought there");
        findings.add(Rule::Checkpoint, None, Some(*size), text);
    }
}
