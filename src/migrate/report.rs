//! What the runner says: values whose JSON form is a promise (see docs/migrations.md). Pure.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{
    checks::Check,
    head::Previous,
    lint::{self, Exemption, Review},
    modules::{File, Module},
    names::Category,
    plan::{self, Action, Because, Known, Plan, Problem},
    shape::Effect,
};
use crate::store::schema::migrations::{
    ExecuteError,
    blockers::{self, Blocker},
    legacy::Neighbour,
    waits::{Wait, Waits},
};

/// Where one file, or one row without a file, stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Applied,
    Pending,
    /// Applied, and since then replaced by a squash.
    Superseded,
    Tampered,
    Removed,
    Newer,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Pending => "pending",
            Self::Superseded => "superseded",
            Self::Tampered => "tampered",
            Self::Removed => "removed",
            Self::Newer => "newer",
        }
    }
}

impl Serialize for Category {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// What is known of a file from its text.
#[derive(Clone, Debug, Serialize)]
pub struct About {
    pub description: String,
    pub kind: Effect,
    pub breaking: bool,
    pub manual: bool,
    pub lock: Option<&'static str>,
    pub transactional: bool,
    pub reversible: bool,
    /// Waits for an operator's word.
    pub gated: bool,
    /// What the release before does once it is applied, where the head says so.
    pub previous: Option<Previous>,
    /// This release serves without it.
    pub can_wait: bool,
    /// The rules of the linter that its head asks to be excused from.
    pub exemptions: Vec<Exemption>,
}

impl About {
    pub fn of(file: &File) -> Self {
        Self {
            description: file.head.description.clone(),
            kind: file.kind,
            breaking: file.head.breaking,
            manual: file.head.manual,
            lock: file.lock_class().map(lint::LockClass::name),
            transactional: !file.head.no_transaction,
            reversible: file.down.is_some(),
            gated: file.is_gated(),
            previous: file.head.previous,
            can_wait: file.head.can_wait,
            exemptions: lint::exemptions(&file.text),
        }
    }
}

#[derive(Clone, Debug, Serialize)]
pub struct FileStatus {
    pub name: String,
    pub category: Option<Category>,
    pub state: State,
    /// Of the shipped file; of the row where there is no file.
    pub checksum: String,
    pub applied_at: Option<DateTime<Utc>>,
    pub applied_by: Option<String>,
    pub duration_ms: Option<i64>,
    pub about: Option<About>,
}

#[derive(Clone, Debug, Serialize)]
pub struct ModuleStatus {
    pub name: String,
    pub schema: String,
    pub plugin: bool,
    pub files: Vec<FileStatus>,
}

/// The answer of `status` and `verify`.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub server: String,
    pub role: String,
    pub read_only: bool,
    pub applied: usize,
    pub pending: usize,
    /// Pending files that wait for an operator, as `module/file`.
    pub gated: Vec<String>,
    pub modules: Vec<ModuleStatus>,
    /// Schemas with a history of ours whose module is not here: a plug-in that was taken away whole.
    pub abandoned: Vec<String>,
    /// Histories of other tools in schemas that are not ours. They are left alone.
    pub neighbours: Vec<Neighbour>,
    pub problems: Vec<Described>,
}

/// A problem with its sentence, so that nobody needs our types to show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Described {
    #[serde(flatten)]
    pub problem: Problem,
    pub message: String,
}

impl From<Problem> for Described {
    fn from(problem: Problem) -> Self {
        Self { message: problem.to_string(), problem }
    }
}

/// One file that was applied, recorded, undone or adopted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Done {
    pub module: String,
    pub file: String,
    pub action: &'static str,
    pub duration_ms: i64,
    pub lock_wait_ms: i64,
    pub tries: u32,
    /// Rows inserted, changed and deleted; unknown of what ran outside of a transaction.
    pub rows: Option<i64>,
    /// Who had to wait for it, as far as was seen; absent where nobody watched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits: Option<Waits>,
}

/// The file at which a run stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    pub module: String,
    pub file: String,
    pub error: String,
    /// SQLSTATE, where the server gave one.
    pub code: Option<String>,
    pub line: Option<usize>,
    /// The connection broke: the history tells at the next run whether the file was applied.
    pub connection_lost: bool,
    /// Who had to wait for it, as far as was seen; absent where nobody watched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits: Option<Box<Waits>>,
}

impl Failure {
    pub fn new(module: &str, file: &str, error: &ExecuteError) -> Self {
        let (code, line) = match error {
            ExecuteError::Sql { code, line, .. } => (Some(code.clone()), *line),
            _ => (None, None),
        };
        let connection_lost = match error {
            ExecuteError::Connection(_) => true,
            // The server says goodbye before it closes: shutdown, crash of a sibling, termination by an operator.
            ExecuteError::Sql { code, .. } => matches!(code.as_str(), "57P01" | "57P02" | "57P03"),
            _ => false,
        };
        let (module, file) = (module.to_owned(), file.to_owned());
        Self { module, file, error: error.to_string(), code, line, connection_lost, waits: None }
    }
}

/// A file of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Planned {
    pub module: String,
    pub file: String,
    pub category: Category,
    pub kind: Effect,
    pub action: Option<Action>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub withheld: Option<Because>,
    /// What a rehearsal found; only in a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rehearsal: Option<RehearsalNote>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "rehearsal", rename_all = "snake_case")]
pub enum RehearsalNote {
    /// Executed and rolled back.
    Ran {
        duration_ms: i64,
        locks: Vec<LockTaken>,
    },
    Failed {
        error: String,
    },
    /// Cannot be executed in a transaction, so not in a rehearsal either.
    NotExecutable,
    /// A file before it failed.
    NotReached,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LockTaken {
    pub relation: String,
    pub mode: String,
}

/// The answer of `run`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RunReport {
    pub dry_run: bool,
    pub planned: Vec<Planned>,
    pub done: Vec<Done>,
    pub withheld: Vec<Planned>,
    /// What the linter warns of in the planned files.
    pub warnings: Vec<Review>,
    pub failed: Option<Failure>,
    pub duration_ms: i64,
}

impl RunReport {
    /// Whether a dry run met a file that would fail.
    pub fn rehearsal_failed(&self) -> bool {
        self.planned.iter().any(|file| matches!(file.rehearsal, Some(RehearsalNote::Failed { .. })))
    }

    pub fn of_plan(plan: &Plan<'_>) -> Self {
        let step = |s: &plan::Step<'_>| planned(s.module, s.file, Some(s.action), None);
        let held = |w: &plan::Withheld<'_>| planned(w.module, w.file, None, Some(w.because.clone()));
        Self {
            planned: plan.steps.iter().map(step).collect(),
            withheld: plan.withheld.iter().map(held).collect(),
            warnings: plan.warnings.clone(),
            ..Self::default()
        }
    }
}

fn planned(module: &Module, file: &File, action: Option<Action>, withheld: Option<Because>) -> Planned {
    Planned {
        module: module.name.clone(),
        file: file.file(),
        category: file.category(),
        kind: file.kind,
        action,
        withheld,
        rehearsal: None,
    }
}

/// The state of every file and row of a module, rows without a file last.
pub fn module_status(one: Known<'_>) -> ModuleStatus {
    let superseded = plan::superseded_names(one);
    let problems = plan::problems(&[one]);
    let row = |name: &str| one.facts.applied.iter().find(|row| row.name == name);
    let mut files: Vec<FileStatus> = Vec::new();
    for file in &one.module.files {
        let applied = row(&file.file());
        let state = match applied {
            None => State::Pending,
            Some(row) if row.checksum != file.checksum => State::Tampered,
            Some(_) => State::Applied,
        };
        files.push(FileStatus {
            name: file.file(),
            category: Some(file.category()),
            state,
            checksum: file.checksum.clone(),
            applied_at: applied.map(|row| row.applied_at),
            applied_by: applied.map(|row| row.applied_by.clone()),
            duration_ms: applied.map(|row| row.duration_ms),
            about: Some(About::of(file)),
        });
    }
    for row in one.facts.applied.iter().filter(|row| one.module.find(&row.name).is_none()) {
        let newer = problems.iter().any(|p| matches!(p, Problem::Newer { file, .. } if *file == row.name));
        let state = match (superseded.contains(row.name.as_str()), newer) {
            (true, _) => State::Superseded,
            (_, true) => State::Newer,
            _ => State::Removed,
        };
        files.push(FileStatus {
            name: row.name.clone(),
            category: Category::parse(&row.category),
            state,
            checksum: row.checksum.clone(),
            applied_at: Some(row.applied_at),
            applied_by: Some(row.applied_by.clone()),
            duration_ms: Some(row.duration_ms),
            about: None,
        });
    }
    let Module { name, schema, plugin, .. } = one.module;
    ModuleStatus { name: name.clone(), schema: schema.clone(), plugin: *plugin, files }
}

/// Says that a file stepped back, and from whom, to who listens and to the log.
pub fn tell_blocked(
    progress: &(dyn Fn(Event) + Send + Sync),
    module: &str,
    file: &str,
    tries: u32,
    blockers: &[Blocker],
) {
    tracing::info!(module, file, tries, blockers = blockers::list(blockers), "a migration steps back from a lock");
    let (module, file) = (module.to_owned(), file.to_owned());
    progress(Event::Blocked { module, file, tries, blockers: blockers.to_vec() });
}

/// Says that somebody waits for a file longer than anybody should, to who listens and to the log.
pub fn tell_waits(progress: &(dyn Fn(Event) + Send + Sync), module: &str, file: &str, wait: &Wait) {
    let Wait { pid, application, on, mode, waited_ms } = wait;
    tracing::warn!(module, file, on, mode, pid, application, waited_ms, "a migration makes others wait");
    let (module, file) = (module.to_owned(), file.to_owned());
    progress(Event::MakesWait { module, file, wait: wait.clone() });
}

/// What happens during a run, for a log, a terminal or a page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Another runner holds the lock.
    Waiting {
        pid: Option<i32>,
        application: Option<String>,
    },
    Planned {
        files: usize,
        withheld: usize,
    },
    Started {
        module: String,
        file: String,
        number: usize,
        of: usize,
    },
    /// A file stepped back from a lock and will try again.
    Blocked {
        module: String,
        file: String,
        tries: u32,
        blockers: Vec<Blocker>,
    },
    /// Somebody waits for a file longer than the limit; told once for each file, as soon as it is seen.
    MakesWait {
        module: String,
        file: String,
        wait: Wait,
    },
    Done {
        done: Done,
    },
    Failed {
        failure: Failure,
    },
    /// The checks before a run or after it.
    Checked {
        checks: Vec<Check>,
    },
}
