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

use serde::Serialize;

use super::{
    modules::{File, Module},
    names::Category,
};
use source::Source;

/// Which way a file goes: decides which rules apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Script {
    Up(Category),
    /// A rollback script: it may destroy what its migration made.
    Down,
}

/// One file and what its head says about it.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    pub script: Script,
    pub breaking: bool,
    pub manual: bool,
    pub lock: LockClass,
    pub no_transaction: bool,
    pub sql: &'a str,
}

impl<'a> Subject<'a> {
    /// The migration itself.
    pub fn up(file: &'a File) -> Self {
        Self {
            script: Script::Up(file.category()),
            breaking: file.head.breaking,
            manual: file.head.manual,
            lock: file.head.lock.unwrap_or_default(),
            no_transaction: file.head.no_transaction,
            sql: &file.text,
        }
    }

    /// The rollback script beside it.
    pub fn down(file: &'a File) -> Option<Self> {
        let down = file.down.as_ref()?;
        Some(Self { script: Script::Down, sql: &down.text, no_transaction: down.no_transaction, ..Self::up(file) })
    }
}

/// What the rules say about one file of a module.
#[derive(Clone, Debug, Serialize)]
pub struct Review {
    pub module: String,
    pub file: String,
    pub findings: Vec<Finding>,
}

impl Review {
    pub fn has_errors(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }
}

/// Judges every file of a module, its rollback scripts included; files nothing is said about are left out.
pub fn review(module: &Module) -> Vec<Review> {
    let named = module.files.iter().flat_map(|file| {
        let down = Subject::down(file).map(|subject| (file.name.down_file(), subject));
        std::iter::once((file.file(), Subject::up(file))).chain(down)
    });
    named
        .map(|(file, subject)| Review { module: module.name.clone(), file, findings: lint(&subject) })
        .filter(|review| !review.findings.is_empty())
        .collect()
}

/// Everything the rules have to say about a file, in the order of its lines.
pub fn lint(subject: &Subject<'_>) -> Vec<Finding> {
    let source = Source::parse(subject.sql);
    let mut found = Vec::new();
    general::check(subject, &source, &mut found);
    transaction::check(subject, &source, &mut found);
    ledger::check(subject, &source, &mut found);
    if subject.script != Script::Down {
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

    pub const STARTUP: Script = Script::Up(Category::Startup);
    pub const RELEASE: Script = Script::Up(Category::Release);
    pub const SEED: Script = Script::Up(Category::Seed);
    pub const DATA: Script = Script::Up(Category::Data);
    pub const DOWN: Script = Script::Down;

    pub fn file(script: Script, sql: &str) -> Subject<'_> {
        Subject { script, breaking: false, manual: false, lock: LockClass::Exclusive, no_transaction: false, sql }
    }

    /// The names of the errors and warnings found, but for a lock declared too wide, which `file` always is.
    pub fn rules_of(subject: &Subject<'_>) -> Vec<String> {
        lint(subject).into_iter().filter(|f| f.severity > Severity::Note).map(|f| f.rule).collect()
    }

    /// Asserts that `bad` breaks exactly `rule`, and that `good` breaks nothing.
    pub fn tells_apart(script: Script, rule: &str, bad: &str, good: &str) {
        assert_eq!(rules_of(&file(script, bad)), [rule], "in {bad}");
        assert_eq!(
            lint(&file(script, good)).into_iter().filter(|f| f.severity > Severity::Note).collect::<Vec<_>>(),
            []
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::modules;

    #[test]
    fn our_own_files_are_fit_to_ship() {
        for review in modules::internal().unwrap().iter().flat_map(super::review) {
            let text: Vec<String> = review.findings.iter().map(ToString::to_string).collect();
            assert!(!review.has_errors(), "{}/{}:\n{}", review.module, review.file, text.join("\n"));
        }
    }
}
