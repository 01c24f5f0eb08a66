//! What does not fit, and what to do about it.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use crate::{audit::merkle::Hash, store::platform::audit::EntryId};

/// Which rule is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// An entry is not what was committed to at its place, or stands at another's.
    Changed,
    /// An entry, or its place, is gone.
    Removed,
    /// An entry stands in the trail that the log does not know.
    Inserted,
    /// The log is shorter than one that was signed.
    Truncated,
    /// The log is another than one that was signed.
    Forked,
    /// A hash that follows from the leaves does not.
    Subtree,
    /// A row about a checkpoint or an anchor is not what it should be, or is gone.
    Checkpoint,
    /// A checkpoint that was brought outside is not there any more, or is another.
    Anchor,
    /// Signatures are by another key.
    Key,
    /// A key is gone that nobody said was to go.
    Sealed,
}

impl Rule {
    fn name(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Removed => "removed",
            Self::Inserted => "inserted",
            Self::Truncated => "truncated",
            Self::Forked => "forked",
            Self::Subtree => "subtree",
            Self::Checkpoint => "checkpoint",
            Self::Anchor => "anchor",
            Self::Key => "key",
            Self::Sealed => "sealed",
        }
    }

    fn next(self) -> &'static str {
        match self {
            Self::Changed | Self::Removed | Self::Inserted => {
                "keep this database as it is, and look for the entry in a backup from before; whoever could write as a superuser could do this"
            }
            Self::Truncated | Self::Forked => {
                "if a backup was restored here, say so with --ended EPOCH; if not, keep this database as it is: entries were removed or rewritten"
            }
            Self::Subtree => {
                "the entries are right as far as the roots are; restore platform.audit_subtrees from a backup"
            }
            Self::Checkpoint => "compare it with what lies outside: `audit anchors`",
            Self::Anchor => {
                "find out who may delete in the archive's store or in the topic; the other places still prove the log"
            }
            Self::Key => "compare the key with the one that was handed out when the log began: `audit key`",
            Self::Sealed => "find out who destroyed it: its entries cannot be checked any more",
        }
    }
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    pub rule: Rule,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<EntryId>,
    /// The place in the log, or for a checkpoint the size of its tree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<i64>,
    pub what: String,
    pub next: &'static str,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.rule.name())?;
        match (self.entry, self.index) {
            (Some(entry), Some(index)) => write!(f, "entry {entry} at place {index}: ")?,
            (Some(entry), None) => write!(f, "entry {entry}: ")?,
            _ => {}
        }
        write!(f, "{}; {}", self.what, self.next)
    }
}

/// A root that somebody holds us to.
pub(in crate::audit) struct Expected {
    pub root: Hash,
    pub by: String,
    /// Of an epoch that ended with a restore.
    pub has_ended: bool,
}

/// Findings of each rule that are listed; the others are counted.
const LISTED: usize = 20;

#[derive(Default)]
pub(super) struct Findings {
    found: Vec<Finding>,
    of: BTreeMap<Rule, usize>,
}

impl Findings {
    pub(super) fn add(&mut self, rule: Rule, entry: Option<EntryId>, index: Option<i64>, what: String) {
        let count = self.of.entry(rule).or_default();
        *count += 1;
        if *count <= LISTED {
            self.found.push(Finding { rule, entry, index, what, next: rule.next() });
        }
    }

    /// Something about a signed tree: no finding where it is of an epoch that the person who looks knows to have ended.
    pub(super) fn add_expected(&mut self, rule: Rule, expected: &Expected, size: i64, what: String) {
        if !expected.has_ended {
            self.add(rule, None, Some(size), what);
        }
    }

    /// What is listed, and how many more there are.
    pub(super) fn finish(self) -> (Vec<Finding>, usize) {
        let more = self.of.values().map(|count| count.saturating_sub(LISTED)).sum();
        (self.found, more)
    }
}
