//! Files + history + wish → what to do, what has to wait, and what is wrong. Pure; every dry run is this, printed.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{
    modules::{File, Module},
    names::{Category, Name},
    shape::{self, Kind},
};
use crate::store::migrations::facts::{Attempt, HistoryTable, SchemaFacts};

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
    #[error("{module}: another tool's history is in {}; adopt it", tables.join(", "))]
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
            None => plan.steps.push(Step { module: one.module, file, action }),
            Some(because) => {
                blocked.get_or_insert(file);
                plan.withheld.push(Withheld { module: one.module, file, because });
            }
        }
    }
}

fn withhold(one: Known<'_>, file: &File, action: Action, wish: &Wish) -> Option<Because> {
    // Recording a squash changes nothing but the history, and its checksums prove it.
    if wish.bootstrap || action == Action::Record {
        return None;
    }
    if file.is_gated() && !wish.force {
        return Some(Because::Gate);
    }
    let approved = wish.approved_by.is_some() || is_approved(one.facts, file);
    (file.kind == Kind::Destructive && !approved).then_some(Because::Approval)
}

/// Whether somebody approved exactly this text before.
fn is_approved(facts: &SchemaFacts, file: &File) -> bool {
    facts.attempts.iter().any(|attempt| {
        attempt.action == "approve"
            && attempt.name == file.file()
            && attempt.checksum.as_deref() == Some(&file.checksum)
            && attempt.approved_by.is_some()
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
    let last: Option<&Attempt> = facts
        .attempts
        .iter()
        .rfind(|attempt| attempt.name == file.file() && matches!(attempt.action.as_str(), "up" | "resolve" | "down"));
    file.head.no_transaction
        && !shape::is_repeatable(&file.text)
        && last.is_some_and(|attempt| attempt.action == "up" && attempt.outcome.as_deref() != Some("applied"))
}
