//! Files + history + wish → what to do, what has to wait, and what is wrong. Pure; every dry run is this, printed.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{
    lint::{self, Finding, Review, Severity},
    modules::{File, Module},
    names::{Category, Name},
    person,
    shape::{self, Effect},
};
use crate::store::schema::migrations::facts::{Attempt, HistoryTable, SchemaFacts};

/// A module beside what its schema says.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    pub module: &'a Module,
    pub facts: &'a SchemaFacts,
}

/// What the operator, or a start, asks for.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// Absent: every module.
    pub modules: Option<Vec<String>>,
    /// Absent: every category.
    pub categories: Option<Vec<Category>>,
    /// Confirms the manual gate of `release`, `data` and `Manual: yes` files. It never skips a check.
    pub force: bool,
    /// Who approved what is destructive.
    pub approved_by: Option<String>,
    /// Who asks: an approval of one's own is none.
    pub requested_by: String,
    /// At most so many files.
    pub steps: Option<usize>,
    /// Only steps of this kind.
    pub only: Option<Action>,
    /// Nothing is there yet that could be blocked or destroyed: gates and approvals do not apply.
    pub bootstrap: bool,
}

/// Something that stands between this binary and this database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "problem", rename_all = "snake_case")]
pub enum Problem {
    #[error("{module}/{file} was changed after it was applied: recorded {recorded}, shipped {shipped}")]
    Tampered { module: String, file: String, recorded: String, shipped: String },
    #[error("{module}/{file} was applied here but is not in this binary")]
    Removed { module: String, file: String },
    #[error("{module}/{file} was applied by a newer release than this one; this binary does not know the schema")]
    Newer { module: String, file: String },
    #[error("{module}/{file} is not applied, but {applied}, which comes after it, is")]
    OutOfOrder { module: String, file: String, applied: String },
    #[error("{module}/{file} takes the place of files of which this database lacks {}", absent.join(", "))]
    PartlySuperseded { module: String, file: String, absent: Vec<String> },
    #[error("{module}: schema_migrations has the columns {}: it is another tool's history; adopt it", columns.join(", "))]
    ForeignHistory { module: String, columns: Vec<String> },
    #[error("{module}: another tool's history is in its schema, in {}; adopt it", tables.join(", "))]
    LegacyHistory { module: String, tables: Vec<String> },
    #[error("{module}: the schema has {objects} objects but no history; adopt the history of whatever made them")]
    ObjectsWithoutHistory { module: String, objects: i64 },
    #[error("{module}/{file} stopped half-way outside a transaction; look at it, then resolve it with force")]
    Unresolved { module: String, file: String },
}

/// What one step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    Execute,
    /// The database already has the files this one takes the place of: only its row is written.
    Record,
}

#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    pub module: &'a Module,
    pub file: &'a File,
    pub action: Action,
}

/// Why a pending file is not among the steps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "because", rename_all = "snake_case")]
pub enum Because {
    /// Waits for an operator: `--force`.
    Gate,
    /// Destructive: `--approved-by NAME`.
    Approval,
    /// Comes after a file of its category that has to wait.
    Behind { file: String },
    /// More than `--steps` allows.
    Steps,
    /// The linter found errors in it.
    Unfit { findings: Vec<Finding> },
}

#[derive(Clone, Debug)]
pub struct Withheld<'a> {
    pub module: &'a Module,
    pub file: &'a File,
    pub because: Because,
}

#[derive(Clone, Debug, Default)]
pub struct Plan<'a> {
    pub steps: Vec<Step<'a>>,
    pub withheld: Vec<Withheld<'a>>,
    pub problems: Vec<Problem>,
    /// What the linter warns of in files that are applied all the same.
    pub warnings: Vec<Review>,
}

impl Plan<'_> {
    /// Logs what the linter has against the files: a start has nobody else to tell.
    pub fn tell_findings(&self) {
        for Withheld { module, file, because } in &self.withheld {
            if let Because::Unfit { findings } = because {
                let findings: Vec<String> = findings.iter().map(ToString::to_string).collect();
                tracing::error!(
                    module = module.name,
                    file = file.file(),
                    ?findings,
                    "a migration is not fit to be applied"
                );
            }
        }
        for Review { module, file, findings } in &self.warnings {
            let findings: Vec<String> = findings.iter().map(ToString::to_string).collect();
            tracing::warn!(module, file, ?findings, "the linter warns of a migration");
        }
    }

    /// Whether some step changes what is there in a way that only a backup takes back for certain.
    pub fn is_weighty(&self) -> bool {
        self.steps.iter().any(|step| {
            let automatic = step.file.category().is_automatic() && step.file.kind != Effect::Destructive;
            step.action == Action::Execute && !automatic
        })
    }
}

/// The plan for a wish. Problems are those of all modules: a sound module does not run beside a broken one.
pub fn make<'a>(known: &[Known<'a>], wish: &Wish) -> Plan<'a> {
    let mut plan = Plan { problems: problems(known), ..Plan::default() };
    for one in known.iter().filter(|one| wanted(wish.modules.as_deref(), &one.module.name)) {
        for category in Category::ALL.into_iter().filter(|c| wish.categories.as_ref().is_none_or(|w| w.contains(c))) {
            plan_category(&mut plan, *one, category, wish);
        }
    }
    plan
}

fn wanted(modules: Option<&[String]>, name: &str) -> bool {
    modules.is_none_or(|wanted| wanted.iter().any(|module| module == name))
}

fn plan_category<'a>(plan: &mut Plan<'a>, one: Known<'a>, category: Category, wish: &Wish) {
    let mut blocked: Option<&File> = None;
    for file in pending(one, category) {
        let action = if superseded_here(one, file).is_some() { Action::Record } else { Action::Execute };
        if wish.only.is_some_and(|only| only != action) {
            continue;
        }
        let because = match blocked {
            Some(first) => Some(Because::Behind { file: first.file() }),
            None => withhold(one, file, action, wish)
                .or_else(|| (wish.steps.is_some_and(|most| plan.steps.len() >= most)).then_some(Because::Steps)),
        };
        match because {
            None => {
                plan.warnings.extend(warnings(one.module, file, action));
                plan.steps.push(Step { module: one.module, file, action });
            }
            Some(because) => {
                blocked.get_or_insert(file);
                plan.withheld.push(Withheld { module: one.module, file, because });
            }
        }
    }
}

fn withhold(one: Known<'_>, file: &File, action: Action, wish: &Wish) -> Option<Because> {
    // Recording a squash changes nothing but the history, and its checksums prove it.
    if action == Action::Record {
        return None;
    }
    let findings = of_severity(Severity::Error, one.module, file);
    if !findings.is_empty() {
        return Some(Because::Unfit { findings });
    }
    if wish.bootstrap {
        return None;
    }
    if file.is_gated() && !wish.force {
        return Some(Because::Gate);
    }
    let approved = wish.approved_by.is_some() || is_approved(one.facts, file, &wish.requested_by);
    (file.kind == Effect::Destructive && !approved).then_some(Because::Approval)
}

/// The linter judges what is about to be applied, whoever brought it, at a start as at a run.
fn of_severity(severity: Severity, module: &Module, file: &File) -> Vec<Finding> {
    lint::file(module, file).into_iter().filter(|finding| finding.severity == severity).collect()
}

fn warnings(module: &Module, file: &File, action: Action) -> Option<Review> {
    if action == Action::Record {
        return None;
    }
    let findings = of_severity(Severity::Warning, module, file);
    (!findings.is_empty()).then(|| Review { module: module.name.clone(), file: file.file(), findings })
}

/// Whether somebody else than who asks approved exactly this text before.
fn is_approved(facts: &SchemaFacts, file: &File, requested_by: &str) -> bool {
    facts.attempts.iter().any(|attempt| {
        attempt.action == "approve"
            && attempt.name == file.file()
            && attempt.checksum.as_deref() == Some(&file.checksum)
            && attempt.approved_by.as_deref().is_some_and(|name| !person::same_person(name, requested_by))
    })
}

/// The module's files of a category that have no row, in order.
pub fn pending<'a>(one: Known<'a>, category: Category) -> impl Iterator<Item = &'a File> {
    one.module.of(category).filter(move |file| !has_row(one.facts, &file.file()))
}

pub fn has_row(facts: &SchemaFacts, file: &str) -> bool {
    facts.applied.iter().any(|row| row.name == file)
}

/// The (file, checksum) pairs a squash takes the place of, when this database has every one of them as shipped.
pub fn superseded_here<'a>(one: Known<'_>, file: &'a File) -> Option<Vec<(&'a str, &'a str)>> {
    let all = !file.head.supersedes.is_empty() && absent(one.facts, file).is_empty();
    all.then(|| file.head.supersedes.iter().map(|s| (s.file.as_str(), s.checksum.as_str())).collect())
}

/// What a squash claims to supersede and this database does not have as claimed.
fn absent(facts: &SchemaFacts, file: &File) -> Vec<String> {
    let has = |name: &str, sum: &str| facts.applied.iter().any(|row| row.name == name && row.checksum == sum);
    file.head.supersedes.iter().filter(|s| !has(&s.file, &s.checksum)).map(|s| s.file.clone()).collect()
}

/// The names of rows that some squash, applied here or about to be recorded, took the place of.
pub fn superseded_names(one: Known<'_>) -> BTreeSet<&str> {
    let recorded = one.facts.superseded.iter().map(|row| row.superseded.as_str());
    let coming = one.module.files.iter().flat_map(|f| &f.head.supersedes).map(|s| s.file.as_str());
    recorded.chain(coming).collect()
}

/// Whether nothing of ours, and nothing of anybody else's, is in the schemas yet.
pub fn is_empty(known: &[Known<'_>]) -> bool {
    known.iter().all(|Known { facts, .. }| {
        let foreign = matches!(facts.table, HistoryTable::Foreign(_));
        facts.applied.is_empty() && facts.objects == 0 && facts.legacy.is_empty() && !foreign
    })
}

/// Whether a first start was begun here and never finished.
pub fn is_bootstrapping(known: &[Known<'_>]) -> bool {
    let mut attempts = known.iter().flat_map(|one| &one.facts.attempts);
    attempts.any(|attempt| attempt.action == "bootstrap" && attempt.finished_at.is_none())
}

/// Everything that is wrong between the files and the histories.
pub fn problems(known: &[Known<'_>]) -> Vec<Problem> {
    known.iter().flat_map(|one| module_problems(*one)).collect()
}

fn module_problems(one: Known<'_>) -> Vec<Problem> {
    let Known { module, facts } = one;
    let name = || module.name.clone();
    if let HistoryTable::Foreign(columns) = &facts.table {
        return vec![Problem::ForeignHistory { module: name(), columns: columns.clone() }];
    }
    if facts.applied.is_empty() && !module.files.is_empty() {
        if !facts.legacy.is_empty() {
            return vec![Problem::LegacyHistory { module: name(), tables: facts.legacy.clone() }];
        }
        if facts.objects > 0 && !facts.attempts.iter().any(|attempt| attempt.action == "up") {
            return vec![Problem::ObjectsWithoutHistory { module: name(), objects: facts.objects }];
        }
    }
    let mut found = rows_against_files(one);
    for category in Category::ALL {
        found.extend(pending(one, category).filter_map(|file| file_problem(one, file)));
    }
    found
}

fn rows_against_files(one: Known<'_>) -> Vec<Problem> {
    let superseded = superseded_names(one);
    let module = || one.module.name.clone();
    let rows = one.facts.applied.iter();
    rows.filter_map(|row| match one.module.find(&row.name) {
        Some(file) if file.checksum == row.checksum => None,
        Some(file) => Some(Problem::Tampered {
            module: module(),
            file: row.name.clone(),
            recorded: row.checksum.clone(),
            shipped: file.checksum.clone(),
        }),
        None if superseded.contains(row.name.as_str()) => None,
        None if is_beyond(one.module, &row.name) => Some(Problem::Newer { module: module(), file: row.name.clone() }),
        None => Some(Problem::Removed { module: module(), file: row.name.clone() }),
    })
    .collect()
}

/// Whether the row's number is above every number of its category that this binary knows.
fn is_beyond(module: &Module, row: &str) -> bool {
    let Ok(name) = Name::parse(row) else { return false };
    module.of(name.category).all(|file| file.name.number < name.number)
}

fn file_problem(one: Known<'_>, file: &File) -> Option<Problem> {
    let (module, name) = (one.module.name.clone(), file.file());
    if !file.head.supersedes.is_empty() {
        let absent = absent(one.facts, file);
        let some_here = file.head.supersedes.iter().any(|s| has_row(one.facts, &s.file));
        if some_here && !absent.is_empty() {
            return Some(Problem::PartlySuperseded { module, file: name, absent });
        }
    }
    // The row of a squash stands for files that were in time, whatever came after them.
    if superseded_here(one, file).is_some() {
        return None;
    }
    let superseded = superseded_names(one);
    let later = one.module.of(file.category()).find(|other| {
        other.name.number > file.name.number
            && has_row(one.facts, &other.file())
            && !superseded.contains(other.file().as_str())
    });
    if let Some(later) = later {
        return Some(Problem::OutOfOrder { module, file: name, applied: later.file() });
    }
    is_unresolved(one.facts, file).then_some(Problem::Unresolved { module, file: name })
}

/// A statement outside a transaction that did not end well and cannot simply be repeated.
fn is_unresolved(facts: &SchemaFacts, file: &File) -> bool {
    !shape::is_repeatable(&file.text) && stopped_half_way(facts, file)
}

/// Whether the last word about a file outside a transaction is that it did not end well.
pub fn stopped_half_way(facts: &SchemaFacts, file: &File) -> bool {
    let last: Option<&Attempt> = facts
        .attempts
        .iter()
        .rfind(|attempt| attempt.name == file.file() && matches!(attempt.action.as_str(), "up" | "resolve" | "down"));
    file.head.no_transaction
        && last.is_some_and(|attempt| attempt.action == "up" && attempt.outcome.as_deref() != Some("applied"))
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::store::schema::migrations::facts::Applied;

    const HEAD: &str = "-- Description: d\n-- Breaking: no\n-- Manual: no\n";

    fn module(files: &[&str]) -> Module {
        let text = format!("{HEAD}SELECT 1;");
        Module::new("m", files.iter().map(|file| (*file, text.as_str())), false).unwrap()
    }

    fn one(file: &str, text: &str) -> Module {
        Module::new("m", [(file, text)], false).unwrap()
    }

    fn row(name: &str, category: Category, checksum: &str) -> Applied {
        Applied {
            name: name.to_owned(),
            category: category.name().to_owned(),
            checksum: checksum.to_owned(),
            applied_at: DateTime::UNIX_EPOCH,
            applied_by: "t".to_owned(),
            duration_ms: 1,
        }
    }

    /// Facts in which these files of the module are applied as shipped.
    fn with(module: &Module, applied: &[&str]) -> SchemaFacts {
        let file = |name: &&str| module.find(name).unwrap();
        let applied = applied.iter().map(file).map(|f| row(&f.file(), f.category(), &f.checksum)).collect();
        SchemaFacts { schema_exists: true, table: HistoryTable::Canonical, applied, ..SchemaFacts::default() }
    }

    fn attempt(name: &str, action: &str, outcome: Option<&str>, checksum: Option<&str>) -> Attempt {
        Attempt {
            id: 1,
            name: name.to_owned(),
            action: action.to_owned(),
            checksum: checksum.map(str::to_owned),
            started_at: DateTime::UNIX_EPOCH,
            finished_at: outcome.map(|_| DateTime::UNIX_EPOCH),
            outcome: outcome.map(str::to_owned),
            detail: None,
            lock_wait_ms: None,
            waits: None,
            done_by: "t".to_owned(),
            approved_by: Some("Ada".to_owned()),
        }
    }

    fn steps(module: &Module, facts: &SchemaFacts, wish: &Wish) -> (Vec<String>, Vec<(String, Because)>) {
        let plan = make(&[Known { module, facts }], wish);
        assert_eq!(plan.problems, []);
        let held = plan.withheld.into_iter().map(|w| (w.file.file(), w.because)).collect();
        (plan.steps.into_iter().map(|step| step.file.file()).collect(), held)
    }

    #[test]
    fn automatic_files_run_and_gated_ones_wait() {
        let module = module(&["001_a.sql", "100_b.sql", "101_c.sql", "S001_d.sql", "DM001_e.sql"]);
        let facts = with(&module, &[]);
        let (run, held) = steps(&module, &facts, &Wish::default());
        assert_eq!(run, ["001_a.sql", "S001_d.sql"]);
        let behind = Because::Behind { file: "100_b.sql".to_owned() };
        let expected = [("100_b.sql", Because::Gate), ("101_c.sql", behind), ("DM001_e.sql", Because::Gate)];
        assert_eq!(held, expected.map(|(file, because)| (file.to_owned(), because)));
        let all = Wish { force: true, ..Wish::default() };
        assert_eq!(steps(&module, &facts, &all).0.len(), 5);
        let bootstrap = Wish { bootstrap: true, ..Wish::default() };
        assert_eq!(steps(&module, &facts, &bootstrap).0.len(), 5);
        let some = Wish { steps: Some(1), categories: Some(vec![Category::Seed]), ..Wish::default() };
        assert_eq!(steps(&module, &facts, &some).0, ["S001_d.sql"]);
    }

    #[test]
    fn destructive_files_need_a_name_or_an_approval_of_this_very_text() {
        let head = HEAD.replace("no", "yes");
        let module = one("100_a.sql", &format!("{head}-- Lock: exclusive-brief\nDROP TABLE m.t;"));
        let mut facts = with(&module, &[]);
        let wish = Wish { force: true, ..Wish::default() };
        assert_eq!(steps(&module, &facts, &wish).1[0].1, Because::Approval);
        let named = Wish { approved_by: Some("Ada".to_owned()), ..wish.clone() };
        assert_eq!(steps(&module, &facts, &named).0.len(), 1);
        facts.attempts = vec![attempt("100_a.sql", "approve", Some("approved"), Some("sha256:another text"))];
        assert_eq!(steps(&module, &facts, &wish).0.len(), 0);
        facts.attempts = vec![attempt("100_a.sql", "approve", Some("approved"), Some(&module.files[0].checksum))];
        assert_eq!(steps(&module, &facts, &wish).0.len(), 1);
        let own = Wish { requested_by: " ADA".to_owned(), ..wish };
        assert_eq!(steps(&module, &facts, &own).1[0].1, Because::Approval, "an approval of one's own is none");
    }

    #[test]
    fn what_the_linter_refuses_is_withheld_and_named_whoever_asks() {
        let text = |sql: &str| format!("{HEAD}{sql}");
        let (bad, good) = (text("COPY m.t FROM PROGRAM 'id';"), text("SELECT 1;"));
        let files = [("001_a.sql", bad.as_str()), ("002_b.sql", good.as_str()), ("100_c.sql", good.as_str())];
        let module = Module::new("m", files, true).unwrap();
        for bootstrap in [false, true] {
            let wish = Wish { force: true, approved_by: Some("Ada".to_owned()), bootstrap, ..Wish::default() };
            let (steps, held) = steps(&module, &with(&module, &[]), &wish);
            assert_eq!(steps, ["100_c.sql"]);
            let Because::Unfit { findings } = &held[0].1 else { panic!("{held:?}") };
            assert_eq!((held[0].0.as_str(), findings[0].rule.as_str()), ("001_a.sql", "outside-world"));
            assert_eq!(held[1].1, Because::Behind { file: "001_a.sql".to_owned() });
        }
        // What was applied before the rule came stays applied.
        assert_eq!(steps(&module, &with(&module, &["001_a.sql"]), &Wish::default()).0, ["002_b.sql"]);
    }

    #[test]
    fn warnings_hold_nothing_back_and_are_told() {
        let module = one("001_a.sql", &format!("{HEAD}CREATE TABLE m.t (a varchar(3));"));
        let facts = with(&module, &[]);
        let plan = make(&[Known { module: &module, facts: &facts }], &Wish::default());
        assert_eq!((plan.steps.len(), plan.warnings[0].findings[0].rule.as_str()), (1, "prefer-text-field"));
    }

    #[test]
    fn a_backup_is_wanted_before_release_data_and_what_destroys() {
        let weighty = |file: &str, sql: &str| {
            let head = HEAD.replace("no", "yes") + &format!("-- Lock: {}\n", lint::lock_taken(sql));
            let module = one(file, &format!("{head}{sql}"));
            let facts = with(&module, &[]);
            let wish = Wish { force: true, approved_by: Some("Ada".to_owned()), ..Wish::default() };
            make(&[Known { module: &module, facts: &facts }], &wish).is_weighty()
        };
        assert!(weighty("100_a.sql", "SELECT 1;") && weighty("DM001_a.sql", "SELECT 1;"));
        assert!(weighty("001_a.sql", "DROP TABLE m.t;"));
        let module = module(&["001_a.sql", "S001_a.sql"]);
        let facts = with(&module, &[]);
        assert!(!make(&[Known { module: &module, facts: &facts }], &Wish::default()).is_weighty());
    }

    #[test]
    fn every_difference_has_its_problem() {
        let module = module(&["001_a.sql", "002_b.sql", "100_c.sql"]);
        let found = |facts: &SchemaFacts| problems(&[Known { module: &module, facts }]);
        assert_eq!(found(&with(&module, &["001_a.sql"])), []);
        let late = found(&with(&module, &["002_b.sql"]));
        assert!(matches!(&late[0], Problem::OutOfOrder { file, .. } if file == "001_a.sql"), "{late:?}");
        let mut facts = with(&module, &["001_a.sql"]);
        facts.applied.push(row("001_gone.sql", Category::Startup, "sha256:x"));
        facts.applied.push(row("101_new.sql", Category::Release, "sha256:x"));
        facts.applied[0].checksum = "sha256:y".to_owned();
        let kinds = found(&facts);
        assert!(
            matches!(kinds[..], [Problem::Tampered { .. }, Problem::Removed { .. }, Problem::Newer { .. }]),
            "{kinds:?}"
        );
    }

    #[test]
    fn histories_of_others_are_told_apart() {
        let module = module(&["001_a.sql"]);
        let found = |facts: &SchemaFacts| problems(&[Known { module: &module, facts }]).pop();
        let foreign = SchemaFacts { table: HistoryTable::Foreign(vec!["name".to_owned()]), ..SchemaFacts::default() };
        assert!(matches!(found(&foreign), Some(Problem::ForeignHistory { .. })));
        let legacy = SchemaFacts { legacy: vec!["m._sqlx_migrations".to_owned()], ..SchemaFacts::default() };
        assert!(matches!(found(&legacy), Some(Problem::LegacyHistory { .. })));
        let objects = SchemaFacts { objects: 3, ..SchemaFacts::default() };
        assert!(matches!(found(&objects), Some(Problem::ObjectsWithoutHistory { objects: 3, .. })));
        assert!(![foreign, legacy, objects].iter().any(|facts| is_empty(&[Known { module: &module, facts }])));
        assert!(is_empty(&[Known { module: &module, facts: &SchemaFacts::default() }]));
    }

    #[test]
    fn a_squash_is_recorded_executed_or_refused() {
        let old = module(&["001_a.sql", "002_b.sql"]);
        let supersedes: String =
            old.files.iter().map(|f| format!("-- Supersedes: {} {}\n", f.file(), f.checksum)).collect();
        let new = one("003_base.sql", &format!("{HEAD}{supersedes}SELECT 1;"));
        let plan = |facts: &SchemaFacts| {
            let plan = make(&[Known { module: &new, facts }], &Wish::default());
            (plan.steps.first().map(|step| step.action), plan.problems)
        };
        assert_eq!(plan(&with(&old, &["001_a.sql", "002_b.sql"])), (Some(Action::Record), vec![]));
        assert_eq!(plan(&with(&old, &[])), (Some(Action::Execute), vec![]));
        let half = plan(&with(&old, &["001_a.sql"])).1;
        assert!(matches!(&half[0], Problem::PartlySuperseded { absent, .. } if absent == &["002_b.sql"]), "{half:?}");
        let mut changed = with(&old, &["001_a.sql", "002_b.sql"]);
        changed.applied[1].checksum = "sha256:other".to_owned();
        assert!(matches!(plan(&changed).1[0], Problem::PartlySuperseded { .. }));
    }

    #[test]
    fn only_what_cannot_be_repeated_waits_after_a_crash() {
        let no_tx = |sql: &str| one("100_a.sql", &format!("-- progress: no-transaction\n{HEAD}{sql}"));
        let state = |module: &Module, attempts: Vec<Attempt>| {
            let facts = SchemaFacts { attempts, ..with(module, &[]) };
            problems(&[Known { module, facts: &facts }])
        };
        let index = no_tx("CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (a);");
        let open = || attempt("100_a.sql", "up", None, None);
        assert_eq!(state(&index, vec![open()]), []);
        let insert = no_tx("INSERT INTO t VALUES (1);");
        assert!(matches!(state(&insert, vec![open()])[..], [Problem::Unresolved { .. }]));
        assert_eq!(state(&insert, vec![open(), attempt("100_a.sql", "resolve", Some("retry"), None)]), []);
    }
}
