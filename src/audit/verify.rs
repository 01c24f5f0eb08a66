//! Reads the log again, whole or from where somebody knew it, and compares it with the entries, with every checkpoint that was signed,
//! and with every one that lies outside. What does not fit is a finding that names the entry and the rule.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

mod finding;
mod outside;
mod walk;

pub use finding::{Finding, Rule};

use self::finding::{Expected, Findings};
use super::{
    Audit, AuditError,
    merkle::{self, Edge, Hash},
    note::{Note, Verifier},
    proof,
};
use crate::store::{As, platform::audit_log as log};

/// Entries of which nothing is left but an id: asked for at once.
const MOST: i64 = 100;

/// What somebody knows to be right from the last time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Known {
    /// The checkpoint, a signed note.
    pub checkpoint: String,
    /// The hashes of the tree's right edge, in base64: what the rest is added to.
    pub edge: Vec<String>,
}

/// What a look at the log came to.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The leaves that were taken for known.
    pub from: i64,
    pub size: i64,
    /// Entries that were compared with their commitments.
    pub entries: u64,
    /// Leaves that nobody can open, because their key was destroyed.
    pub sealed: u64,
    pub checkpoints: usize,
    /// Checkpoints that were found outside, by where.
    pub outside: BTreeMap<&'static str, usize>,
    pub findings: Vec<Finding>,
    /// Findings beyond those that are listed.
    pub more: usize,
    /// What to go on from the next time; absent where something was found.
    #[serde(skip)]
    pub known: Option<Known>,
}

/// How to look.
#[derive(Clone, Debug, Default)]
pub struct Look {
    pub since: Option<Known>,
    /// The key that the log must have; without it, the one in the database is believed.
    pub key: Option<Verifier>,
    /// Epochs of which the person who looks knows that they ended with a restore.
    pub ended: BTreeSet<i64>,
}

impl Audit {
    pub async fn verify(&self, look: &Look) -> Result<Report, AuditError> {
        let mut findings = Findings::default();
        let own = self.verifier().await?;
        let key = look.key.clone().unwrap_or_else(|| own.clone());
        if key != own {
            findings.add(Rule::Key, None, None, format!("the database signs with {own}, and {key} was expected"));
        }
        let mut edge = self.known(look.since.as_ref(), &key, &mut findings).await?;
        let from = signed(edge.size());
        // First what lies outside: what is signed meanwhile is found in the log all the same.
        let (mut expected, outside) = self.outside(from, &key, look, &mut findings).await?;
        let checkpoints = self.signed_here(from, &key, &mut expected, &mut findings).await?;
        let size = self.read("audit_size", |tx| Box::pin(log::size(tx))).await?;
        let mut walk = walk::Walk::default();
        walk.through(self, &mut edge, size, &mut expected, &mut findings).await?;
        self.sealed_rightly(&walk, &mut findings).await?;
        self.strays(size, &mut findings).await?;
        for (covered, said) in expected.range(size.saturating_add(1)..) {
            for one in said {
                let text = format!("the log has {size} entries, and {} signed {covered}", one.by);
                findings.add_expected(Rule::Truncated, one, *covered, text);
            }
        }
        let (findings, more) = findings.finish();
        let known = if findings.is_empty() { self.known_from_now_on(size).await? } else { None };
        Ok(Report {
            from,
            size,
            entries: walk.entries,
            sealed: walk.sealed,
            checkpoints,
            outside,
            findings,
            more,
            known,
        })
    }

    /// The edge of the tree that somebody knows, where the log still begins with it.
    async fn known(&self, since: Option<&Known>, key: &Verifier, findings: &mut Findings) -> Result<Edge, AuditError> {
        let Some(since) = since else { return Ok(Edge::default()) };
        let hashes: Option<Vec<Hash>> =
            since.edge.iter().map(|text| STANDARD.decode(text).ok()?.try_into().ok()).collect();
        let note = Note::read(&since.checkpoint).filter(|note| key.proves(note));
        let (Some(note), Some(hashes)) = (note, hashes.filter(|hashes| !hashes.is_empty())) else {
            findings.add(
                Rule::Key,
                None,
                None,
                "what was known before is not signed by the key of this log".to_owned(),
            );
            return Ok(Edge::default());
        };
        let size = note.tree.size;
        let edge = Edge::new(u64::try_from(size).unwrap_or_default(), hashes);
        let here = self.store.run_tx("audit_edge", As::Worker, |tx| Box::pin(proof::edge(tx, size))).await;
        let is_same = match here {
            Ok(here) => here == edge && edge.root() == note.tree.root,
            Err(AuditError::Incomplete) => false,
            Err(error) => return Err(error),
        };
        if is_same {
            return Ok(edge);
        }
        let text = format!("the log does not begin with the {size} entries that were known before");
        findings.add(Rule::Forked, None, Some(size), text);
        Ok(Edge::default())
    }

    async fn known_from_now_on(&self, size: i64) -> Result<Option<Known>, AuditError> {
        let Some(last) = self.checkpoint().await?.filter(|last| last.size <= size) else { return Ok(None) };
        let edge = self.store.run_tx("audit_edge", As::Worker, |tx| Box::pin(proof::edge(tx, last.size))).await?;
        let edge = edge.hashes().iter().map(|hash| STANDARD.encode(hash)).collect();
        Ok(Some(Known { checkpoint: last.note, edge }))
    }

    /// A key that is gone must be one that the trail says was destroyed.
    async fn sealed_rightly(&self, walk: &walk::Walk, findings: &mut Findings) -> Result<(), AuditError> {
        if walk.destroyed.is_empty() {
            return Ok(());
        }
        let (mut said, mut before) = (BTreeSet::new(), None);
        loop {
            let action = Some("audit.key.destroy");
            let page = self.read("audit_destroyed", |tx| Box::pin(log::list(tx, None, action, before, MOST))).await?;
            let Some((last, _)) = page.last() else { break };
            before = Some(last.id);
            said.extend(page.into_iter().map(|(entry, _)| entry.subject));
        }
        for key in walk.destroyed.iter().filter(|key| !said.contains(&key.to_string())) {
            let text = format!("key {key} was destroyed, and no entry audit.key.destroy says by whom");
            findings.add(Rule::Sealed, None, None, text);
        }
        Ok(())
    }

    /// Entries that came or went beside the log.
    async fn strays(&self, size: i64, findings: &mut Findings) -> Result<(), AuditError> {
        let beyond = self.read("audit_beyond", |tx| Box::pin(log::beyond(tx, size))).await?;
        // What was added meanwhile completes subtrees as well.
        if beyond > 0 && self.read("audit_size", |tx| Box::pin(log::size(tx))).await? == size {
            findings.add(Rule::Subtree, None, None, format!("{beyond} hashes are kept of what is not there"));
        }
        for (entry, is_there) in self.read("audit_unplaced", |tx| Box::pin(log::unplaced(tx, MOST))).await? {
            if is_there {
                let text = "it stands in the trail, has no place in the log and waits for none".to_owned();
                findings.add(Rule::Inserted, Some(entry), None, text);
            } else {
                let text = "it waits for its place in the log, and is not in the trail".to_owned();
                findings.add(Rule::Removed, Some(entry), None, text);
            }
        }
        Ok(())
    }
}

/// The root that is expected at each size, by whom.
type Roots = BTreeMap<i64, Vec<Expected>>;

fn signed(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

/// Whether the tree that has grown to here is the one that was signed.
fn compare(edge: &Edge, expected: &Roots, findings: &mut Findings) {
    let size = signed(edge.size());
    let Some(said) = expected.get(&size) else { return };
    let root = edge.root();
    for one in said.iter().filter(|one| one.root != root) {
        let text = format!("the first {size} entries are not those that {} signed", one.by);
        findings.add_expected(Rule::Forked, one, size, text);
    }
}

/// A place that nothing is left of: the walk goes on behind it.
fn gap() -> Hash {
    merkle::nothing()
}
