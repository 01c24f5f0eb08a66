//! The migration linter: a SQL parser's view of each file, judged by rules. Pure; it never connects.
//!
//! To add a rule: write it beside its kin in one of the modules below, give it a name that says what it
//! wants, and a bad and a good file in its tests. `-- progress: allow RULE because REASON` silences a rule
//! for one file; the silence is reported.

mod additive;
mod allow;
mod effects;
mod finding;
mod general;
mod ledger;
pub mod lock;
mod names;
mod source;
mod transaction;

pub use finding::{Finding, Severity};
pub use lock::LockClass;

use source::Source;

/// What a file is for: decides which rules apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Startup,
    Release,
    Seed,
    Data,
    /// A rollback script: it may destroy what its migration made.
    Down,
}

/// One file and what its head says about it.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    pub kind: Kind,
    pub breaking: bool,
    pub manual: bool,
    pub lock: LockClass,
    pub no_transaction: bool,
    pub sql: &'a str,
}

/// Everything the rules have to say about a file, in the order of its lines.
pub fn lint(subject: &Subject<'_>) -> Vec<Finding> {
    let source = Source::parse(subject.sql);
    let mut found = Vec::new();
    general::check(subject, &source, &mut found);
    transaction::check(subject, &source, &mut found);
    ledger::check(subject, &source, &mut found);
    if subject.kind != Kind::Down {
        additive::check(subject, &source, &mut found);
        effects::check(subject, &source, &mut found);
    }
    let mut found = allow::apply(subject.sql, found);
    found.sort_by(|a, b| (a.line, &a.rule, &a.message).cmp(&(b.line, &b.rule, &b.message)));
    found.dedup();
    found
}

#[cfg(test)]
mod testing {
    //! What the rules' tests share.
    use super::*;

    pub fn file(kind: Kind, sql: &str) -> Subject<'_> {
        Subject { kind, breaking: false, manual: false, lock: LockClass::Exclusive, no_transaction: false, sql }
    }

    /// The names of the errors and warnings found, but for a lock declared too wide, which `file` always is.
    pub fn rules_of(subject: &Subject<'_>) -> Vec<String> {
        lint(subject).into_iter().filter(|f| f.severity > Severity::Note).map(|f| f.rule).collect()
    }

    /// Asserts that `bad` breaks exactly `rule`, and that `good` breaks nothing.
    pub fn tells_apart(kind: Kind, rule: &str, bad: &str, good: &str) {
        assert_eq!(rules_of(&file(kind, bad)), [rule], "in {bad}");
        assert_eq!(lint(&file(kind, good)).into_iter().filter(|f| f.severity > Severity::Note).collect::<Vec<_>>(), []);
    }
}
