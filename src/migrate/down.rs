//! The way back: undoes the files applied last, each by the rollback script beside it.

use serde::Serialize;

use super::{
    error::MigrateError,
    modules::{Down, File, Module},
    person::check_approver,
    plan::{self, Known},
    report::{Done, Event, Failure},
    run::{self, Listener, Runner},
    watched::{Script, Watched},
};
use crate::store::{
    door::ddl::Session,
    schema::migrations::{
        ExecuteError,
        execute::{HistoryEntry, Timing},
        facts::Applied,
        millis,
        record::{self, Cost, NewAttempt},
        waits::Waits,
    },
};

/// A way back somebody asks for.
#[derive(Clone, Debug)]
pub struct DownRequest {
    /// Absent: of all modules, whatever was applied last.
    pub module: Option<String>,
    pub steps: usize,
    /// Who approved that rows are lost.
    pub approved_by: Option<String>,
    pub by: String,
    /// Without it only the plan is made.
    pub apply: bool,
}

/// One file to undo.
#[derive(Clone, Copy, Debug)]
pub struct DownStep<'a> {
    pub module: &'a Module,
    pub file: &'a File,
    pub down: &'a Down,
}

/// One file to undo, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DownPlanned {
    pub module: String,
    pub file: String,
    pub destructive: bool,
    pub transactional: bool,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct DownReport {
    pub applied: bool,
    pub planned: Vec<DownPlanned>,
    pub done: Vec<Done>,
    pub failed: Option<Failure>,
}

/// Why a file cannot be undone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoWayBack {
    #[error("{0} is not in this binary, so neither is its rollback script")]
    Unknown(String),
    #[error("{0} has no rollback script")]
    NoScript(String),
    #[error("{0} was recorded in place of other files, not executed; it cannot be undone")]
    Baseline(String),
}

/// The files to undo: those applied last first; within one moment, those that run last first. Pure.
pub fn plan<'a>(known: &[Known<'a>], module: Option<&str>, steps: usize) -> Result<Vec<DownStep<'a>>, NoWayBack> {
    let mut rows: Vec<(Known<'a>, &Applied, usize)> = Vec::new();
    for (place, one) in known.iter().enumerate().filter(|(_, one)| module.is_none_or(|m| m == one.module.name)) {
        let superseded = plan::superseded_names(*one);
        let applied = one.facts.applied.iter().filter(|row| !superseded.contains(row.name.as_str()));
        rows.extend(applied.map(|row| (*one, row, place)));
    }
    let order = |one: &Known<'_>, row: &Applied| one.module.files.iter().position(|f| f.file() == row.name);
    rows.sort_by_key(|(one, row, place)| (row.applied_at, *place, order(one, row)));
    rows.iter().rev().take(steps).map(|(one, row, _)| step(*one, row)).collect()
}

fn step<'a>(one: Known<'a>, row: &Applied) -> Result<DownStep<'a>, NoWayBack> {
    let name = || format!("{}/{}", one.module.name, row.name);
    if one.facts.superseded.iter().any(|s| s.baseline == row.name) {
        return Err(NoWayBack::Baseline(name()));
    }
    let file = one.module.find(&row.name).ok_or_else(|| NoWayBack::Unknown(name()))?;
    let down = file.down.as_ref().ok_or_else(|| NoWayBack::NoScript(name()))?;
    Ok(DownStep { module: one.module, file, down })
}

impl Runner {
    /// Undoes the files applied last. Whatever takes rows away needs a name that answers for it.
    pub async fn down(&self, request: &DownRequest, progress: Listener<'_>) -> Result<DownReport, MigrateError> {
        self.check_modules(request.module.as_ref().map(std::slice::from_ref))?;
        check_approver(request.approved_by.as_deref(), &request.by).map_err(MigrateError::Refused)?;
        let session = self.connect().await?;
        let held = self.lock(&session, progress).await?;
        let world = self.world(&session).await?;
        let known = world.known();
        let problems = plan::problems(&known);
        if !problems.is_empty() {
            return Err(MigrateError::Problems { problems });
        }
        let steps = plan(&known, request.module.as_deref(), request.steps)
            .map_err(|why| MigrateError::Refused(why.to_string()))?;
        let mut report = DownReport { planned: steps.iter().map(planned).collect(), ..DownReport::default() };
        if !request.apply || steps.is_empty() {
            return Ok(report);
        }
        if let Some(step) = steps.iter().find(|s| s.down.destructive).filter(|_| request.approved_by.is_none()) {
            let (module, file) = (&step.module.name, step.file.file());
            let why = format!("undoing {module}/{file} takes something away: say who approved it (--approved-by NAME)");
            return Err(MigrateError::Refused(why));
        }
        if world.server.read_only {
            return Err(MigrateError::ReadOnly { pending: steps.len() });
        }
        for one in known.iter().filter(|one| steps.iter().any(|step| step.module.name == one.module.name)) {
            run::prepare(&session, *one).await?;
        }
        report.applied = true;
        self.undo(&session, &steps, request, progress, &mut report).await?;
        held.release().await?;
        Ok(report)
    }

    async fn undo(
        &self,
        session: &Session,
        steps: &[DownStep<'_>],
        request: &DownRequest,
        progress: Listener<'_>,
        report: &mut DownReport,
    ) -> Result<(), MigrateError> {
        let watcher = self.watcher(session).await;
        let watched = Watched { session, budget: &self.settings.budget, watcher: watcher.as_ref(), progress };
        for (number, step) in steps.iter().enumerate() {
            let (module, file) = (step.module.name.clone(), step.file.file());
            let (number, of) = (number + 1, steps.len());
            progress(Event::Started { module: module.clone(), file: file.clone(), number, of });
            match undo_file(watched, step, request).await? {
                (Ok(timing), waits) => {
                    let done = Done {
                        module,
                        file,
                        action: "undone",
                        duration_ms: millis(timing.duration),
                        lock_wait_ms: millis(timing.lock_wait),
                        tries: timing.tries,
                        rows: timing.rows,
                        waits,
                    };
                    progress(Event::Done { done: done.clone() });
                    report.done.push(done);
                }
                (Err(error), waits) => {
                    let failure = Failure { waits: waits.map(Box::new), ..Failure::new(&module, &file, &error) };
                    progress(Event::Failed { failure: failure.clone() });
                    report.failed = Some(failure);
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

async fn undo_file(
    watched: Watched<'_>,
    step: &DownStep<'_>,
    request: &DownRequest,
) -> Result<(Result<Timing, ExecuteError>, Option<Waits>), MigrateError> {
    let (session, schema, file) = (watched.session, &step.module.schema, step.file.file());
    let attempt = NewAttempt {
        file: &file,
        action: "down",
        checksum: Some(&step.file.checksum),
        by: &request.by,
        approved_by: request.approved_by.as_deref(),
    };
    let id = record::begin(session, schema, attempt).await?;
    let entry = HistoryEntry::Remove { schema, file: &file };
    let Down { text, no_transaction, .. } = step.down;
    let script = Script { module: &step.module.name, file: &file, text, no_transaction: *no_transaction };
    let (result, waits) = watched.execute(script, entry).await;
    match &result {
        Ok(timing) => {
            let cost = Cost { lock_wait_ms: millis(timing.lock_wait), rows: timing.rows, waits: waits.as_ref() };
            record::done(session, schema, id, "undone", cost).await?;
        }
        Err(error) => {
            let _ = record::finish(session, schema, id, "failed", Some(&error.to_string()), waits.as_ref()).await;
        }
    }
    Ok((result, waits))
}

fn planned(step: &DownStep<'_>) -> DownPlanned {
    DownPlanned {
        module: step.module.name.clone(),
        file: step.file.file(),
        destructive: step.down.destructive,
        transactional: !step.down.no_transaction,
    }
}
