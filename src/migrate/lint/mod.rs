//! The migration linter: a SQL parser's view of each file, judged by rules. Pure; it never connects.
//!
//! To add a rule: write it beside its kin in one of the modules below, give it a name that says what it wants and a
//! line in `rules`, and bad and good forms in `forms`. `-- progress: allow RULE because REASON` in the head silences a
//! rule for one file; the silence is reported. A file that was shipped before the rule came stands in `shipped.toml`.

mod additive;
mod allow;
mod bodies;
mod calls;
mod columns;
mod cost;
mod effects;
mod finding;
#[cfg(test)]
mod forms;
mod functions;
mod general;
mod into;
mod ledger;
pub mod lock;
mod locking;
mod names;
mod nodes;
mod reach;
mod rows;
pub mod rules;
mod settings;
pub mod shipped;
mod source;
mod tenants;
mod transaction;

pub use allow::{Exemption, exemptions};
pub use finding::{Finding, Severity};
pub use lock::LockClass;

use serde::Serialize;

use super::{
    backfill::file::Backfill,
    checksum,
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
    /// The module whose file it is, and whose schema is named like it.
    pub module: &'a str,
    pub script: Script,
    pub breaking: bool,
    pub manual: bool,
    pub lock: LockClass,
    pub no_transaction: bool,
    pub sql: &'a str,
}

impl<'a> Subject<'a> {
    /// The migration itself.
    pub fn up(module: &'a str, file: &'a File) -> Self {
        Self {
            module,
            script: Script::Up(file.category()),
            breaking: file.head.breaking,
            manual: file.head.manual,
            lock: file.head.lock.unwrap_or_default(),
            no_transaction: file.head.no_transaction,
            sql: &file.text,
        }
    }

    /// The rollback script beside it.
    pub fn down(module: &'a str, file: &'a File) -> Option<Self> {
        let down = file.down.as_ref()?;
        let no_transaction = down.no_transaction;
        Some(Self { script: Script::Down, sql: &down.text, no_transaction, ..Self::up(module, file) })
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
        let down = file.down.as_ref().map(|down| (file.name.down_file(), self::down(module, file, &down.text)));
        std::iter::once((file.file(), self::file(module, file))).chain(down)
    });
    let walked = module.backfills.iter().map(|one| (one.file.clone(), backfill(one)));
    named
        .chain(walked)
        .map(|(file, findings)| Review { module: module.name.clone(), file, findings })
        .filter(|review| !review.findings.is_empty())
        .collect()
}

/// What the rules say about a migration of a module: an error in it, and it is not applied.
pub fn file(module: &Module, file: &File) -> Vec<Finding> {
    let mut found = lint(&Subject::up(&module.name, file));
    shipped::waive(&format!("{}/{}", module.name, file.file()), &file.checksum, &module.shipped, &mut found);
    found
}

/// What the rules say about a backfill, with the batch that its job puts before the statement.
pub fn backfill(backfill: &Backfill) -> Vec<Finding> {
    let (breaking, manual, lock, no_transaction) = (false, true, LockClass::default(), false);
    let (module, script, sql) = (backfill.module.as_str(), Script::Up(Category::Data), &*backfill.whole());
    lint(&Subject { module, script, breaking, manual, lock, no_transaction, sql })
}

/// What the rules say about the rollback script beside a migration.
fn down(module: &Module, file: &File, text: &str) -> Vec<Finding> {
    let mut found = Subject::down(&module.name, file).map(|subject| lint(&subject)).unwrap_or_default();
    let name = format!("{}/{}", module.name, file.name.down_file());
    shipped::waive(&name, &checksum::checksum(text), &module.shipped, &mut found);
    found
}

/// The strongest lock that a text takes of tables that were there before it.
pub fn lock_taken(sql: &str) -> LockClass {
    let source = Source::parse(sql);
    let classes = source.running().flat_map(|statement| effects::of(statement, &source)).map(|effect| effect.class);
    classes.max().unwrap_or_default()
}

/// What `files` are excused from, as far as a startup file made of them still needs it.
pub fn inherited(module: &Module, files: &[&File], sql: &str) -> Vec<Exemption> {
    let (script, lock) = (Script::Up(Category::Startup), lock_taken(sql));
    let (breaking, manual, no_transaction) = (false, false, false);
    let broken = lint(&Subject { module: &module.name, script, breaking, manual, lock, no_transaction, sql });
    let mut kept: Vec<Exemption> = Vec::new();
    for file in files {
        let name = format!("{}/{}", module.name, file.file());
        let waived = shipped::waivers(&name, &file.checksum, &module.shipped);
        for excuse in exemptions(&file.text).into_iter().chain(waived) {
            let needed = broken.iter().any(|f| f.severity > Severity::Note && f.rule == excuse.rule);
            if needed && !kept.iter().any(|one| one.rule == excuse.rule) {
                kept.push(excuse);
            }
        }
    }
    kept
}

/// Everything the rules have to say about a file, in the order of its lines.
pub fn lint(subject: &Subject<'_>) -> Vec<Finding> {
    let source = Source::parse(subject.sql);
    let mut found = Vec::new();
    general::check(subject, &source, &mut found);
    transaction::check(subject, &source, &mut found);
    settings::check(subject, &source, &mut found);
    reach::check(subject, &source, &mut found);
    calls::check(subject, &source, &mut found);
    functions::check(subject, &source, &mut found);
    rows::check(subject, &source, &mut found);
    ledger::check(subject, &source, &mut found);
    if subject.script != Script::Down {
        tenants::check(subject, &source, &mut found);
        additive::check(subject, &source, &mut found);
        locking::check(subject, &source, &mut found);
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

    /// A file of the module `progress` that declares no lock.
    pub fn file(script: Script, sql: &str) -> Subject<'_> {
        let module = "progress";
        Subject { module, script, breaking: false, manual: false, lock: LockClass::None, no_transaction: false, sql }
    }

    /// The same file with the lock declared that it takes.
    pub fn truthful<'a>(subject: &Subject<'a>) -> Subject<'a> {
        use LockClass::{Exclusive, ExclusiveBrief, None, Share, ShareUpdate};
        let fits =
            |lock: &LockClass| !lint(&Subject { lock: *lock, ..*subject }).iter().any(|f| f.rule == "lock-class");
        let lock = [None, ShareUpdate, Share, ExclusiveBrief, Exclusive].into_iter().find(fits);
        Subject { lock: lock.unwrap_or_default(), ..*subject }
    }

    /// The names of the errors and warnings found when the head tells the truth about the lock.
    pub fn rules_of(subject: &Subject<'_>) -> Vec<String> {
        let found = lint(&truthful(subject)).into_iter().filter(|f| f.severity > Severity::Note);
        found.map(|f| f.rule).collect()
    }

    /// Asserts that `bad` breaks exactly `rule`, and that `good` breaks nothing.
    pub fn tells_apart(script: Script, rule: &str, bad: &str, good: &str) {
        assert_eq!(rules_of(&file(script, bad)), [rule], "in {bad}");
        assert_eq!(rules_of(&file(script, good)), [""; 0], "in {good}");
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
