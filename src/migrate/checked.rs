//! A run between the checks before and after it, and what the metrics learn of it.

use serde::Serialize;

use super::{
    checks::{self, Check, Host, Overrides, Status},
    error::MigrateError,
    note::Note,
    plan::Because,
    report::{Event, Planned, RunReport},
    run::{Listener, Request, Runner},
};
use crate::{model::Clock, telemetry::Metrics};

/// A run with its checks. A rehearsal has none.
#[derive(Debug, Default, Serialize)]
pub struct Checked {
    #[serde(flatten)]
    pub report: RunReport,
    pub checks: Around,
    /// Why this is not the end that was asked for, and what was applied all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(skip)]
    pub ending: Ending,
}

#[derive(Debug, Default, Serialize)]
pub struct Around {
    pub before: Vec<Check>,
    pub after: Vec<Check>,
    /// The failed checks that somebody went past.
    pub overridden: Vec<&'static str>,
}

/// How a run ended, gravest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ending {
    /// A file failed, for real or in rehearsal.
    Failed,
    /// A check failed before anything was applied, or afterwards.
    Unchecked,
    /// The linter found errors in files that were to be applied.
    Unfit,
    /// Files wait for somebody's word.
    Withheld,
    #[default]
    Done,
}

impl Checked {
    /// Whether what was asked for was done. Files that wait are no failure, unless they are all there was to do.
    pub fn is_well(&self) -> bool {
        self.error.is_none() && !matches!(self.ending, Ending::Failed | Ending::Unchecked | Ending::Unfit)
    }

    /// The word for it in attempts and metrics.
    pub fn outcome(&self) -> &'static str {
        match (self.is_well(), self.ending) {
            (true, _) => "succeeded",
            (false, Ending::Withheld) => "withheld",
            (false, _) => "failed",
        }
    }

    fn of(report: RunReport, checks: Around) -> Self {
        let failed_after =
            || checks.after.iter().any(|c| c.status == Status::Fail && !checks.overridden.contains(&c.name));
        let ending = if report.failed.is_some() || report.rehearsal_failed() {
            Ending::Failed
        } else if failed_after() {
            Ending::Unchecked
        } else if report.withheld.iter().any(|file| is_unfit(file).is_some()) {
            Ending::Unfit
        } else if report.withheld.iter().any(waits) {
            Ending::Withheld
        } else {
            Ending::Done
        };
        Self { error: explain(&report, &checks, ending), report, checks, ending }
    }
}

fn waits(file: &Planned) -> bool {
    matches!(file.withheld, Some(Because::Gate | Because::Approval))
}

fn is_unfit(file: &Planned) -> Option<String> {
    match &file.withheld {
        Some(Because::Unfit { findings }) => {
            let findings: Vec<String> = findings.iter().map(ToString::to_string).collect();
            Some(format!("{}/{}: {}", file.module, file.file, findings.join("; ")))
        }
        _ => None,
    }
}

/// What somebody has to know who looks at nothing else.
fn explain(report: &RunReport, checks: &Around, ending: Ending) -> Option<String> {
    let applied: Vec<String> = report.done.iter().map(|done| format!("{}/{}", done.module, done.file)).collect();
    let applied =
        if applied.is_empty() { "nothing was applied".to_owned() } else { format!("applied {}", applied.join(", ")) };
    match ending {
        Ending::Unchecked => {
            let failed =
                checks.after.iter().filter(|c| c.status == Status::Fail && !checks.overridden.contains(&c.name));
            Some(format!("{applied}; these checks failed afterwards: {}", names(failed)))
        }
        Ending::Unfit => {
            let unfit: Vec<String> = report.withheld.iter().filter_map(is_unfit).collect();
            Some(format!("{applied}; the linter refuses {}", unfit.join("; ")))
        }
        Ending::Withheld if report.done.is_empty() && !report.dry_run => {
            let count = |why| report.withheld.iter().filter(|file| file.withheld.as_ref() == Some(why)).count();
            let (gate, approval) = (count(&Because::Gate), count(&Because::Approval));
            Some(format!("{applied}: {gate} files wait for force, {approval} for the name of who approves them"))
        }
        _ => None,
    }
}

fn names<'a>(checks: impl Iterator<Item = &'a Check>) -> String {
    checks.map(|check| check.name).collect::<Vec<_>>().join(", ")
}

/// Runs what is asked for. A check that fails before stops it, one that fails afterwards fails it; only an override of
/// that very check goes past. The attempts tell how a run ended that was no rehearsal.
pub async fn run(
    runner: &Runner,
    request: &Request,
    overrides: &Overrides,
    host: &Host,
    clock: &Clock,
    progress: Listener<'_>,
) -> Result<Checked, MigrateError> {
    runner.check(request)?;
    let ended = between(runner, request, overrides, host, clock, progress).await;
    if !request.dry_run {
        let (outcome, detail) = match &ended {
            Ok(run) => (run.outcome(), run.error.clone().unwrap_or_default()),
            Err(error) => ("failed", error.to_string()),
        };
        let note = Note { action: "run", outcome, detail: &detail, by: &request.applied_by };
        if let Err(error) = runner.note_where_possible(&note).await {
            tracing::warn!(%error, "how a run of migrations ended could not be written down");
        }
    }
    ended
}

async fn between(
    runner: &Runner,
    request: &Request,
    overrides: &Overrides,
    host: &Host,
    clock: &Clock,
    progress: Listener<'_>,
) -> Result<Checked, MigrateError> {
    if request.dry_run {
        return Ok(Checked::of(runner.run(request, progress).await?, Around::default()));
    }
    let before = checks::gather_before_run(runner, host, clock, &request.wish).await?;
    progress(Event::Checked { checks: before.clone() });
    let (stand, past) = overrides.judge(&before);
    if !stand.is_empty() {
        let why = format!("nothing was applied, because these checks failed: {}", names(stand.into_iter()));
        let checks = Around { before, ..Around::default() };
        return Ok(Checked { checks, error: Some(why), ending: Ending::Unchecked, ..Checked::default() });
    }
    let mut overridden = note(runner, request, overrides, &past).await?;
    let report = runner.run(request, progress).await?;
    let after = checks::gather_after(runner, clock).await?;
    progress(Event::Checked { checks: after.clone() });
    overridden.extend(note(runner, request, overrides, &overrides.judge(&after).1).await?);
    Ok(Checked::of(report, Around { before, after, overridden }))
}

/// Writes down who went past which check and why, before anything comes of it.
async fn note(
    runner: &Runner,
    request: &Request,
    overrides: &Overrides,
    past: &[&Check],
) -> Result<Vec<&'static str>, MigrateError> {
    for check in past {
        let detail = format!("{} ({}); {}", check.name, check.found, overrides.reason());
        tracing::warn!(check = check.name, by = request.applied_by, "a failed check is gone past");
        runner
            .note(&Note { action: "override", outcome: "overridden", detail: &detail, by: &request.applied_by })
            .await?;
    }
    Ok(past.iter().map(|check| check.name).collect())
}

/// Counts what the attempts do not tell: how often a file of this process stepped back from a lock.
pub fn observe(metrics: &Metrics, event: &Event) {
    if let Event::Blocked { .. } = event {
        metrics.migrations.stepped_back.inc();
    }
}

#[cfg(test)]
mod tests {
    use super::super::{names::Category, report::Done, shape::Effect};
    use super::*;

    fn report(done: usize, because: Option<Because>) -> RunReport {
        let one = Done {
            module: "m".into(),
            file: "100_a.sql".into(),
            action: "applied",
            duration_ms: 1,
            lock_wait_ms: 0,
            tries: 1,
            rows: None,
            waits: None,
        };
        let held = because.map(|because| Planned {
            module: "m".into(),
            file: "101_b.sql".into(),
            category: Category::Release,
            kind: Effect::Additive,
            action: None,
            withheld: Some(because),
            rehearsal: None,
        });
        RunReport { done: vec![one; done], withheld: held.into_iter().collect(), ..RunReport::default() }
    }

    fn after(status: Status, overridden: &[&'static str]) -> Around {
        let check = Check { name: "indexes", status, found: "x".into(), todo: "y".into() };
        Around { after: vec![check], overridden: overridden.to_vec(), ..Around::default() }
    }

    #[test]
    fn what_fails_afterwards_fails_the_run_and_says_what_was_applied() {
        let failed = Checked::of(report(1, None), after(Status::Fail, &[]));
        assert_eq!((failed.ending, failed.is_well()), (Ending::Unchecked, false));
        let why = failed.error.unwrap();
        assert!(why.contains("applied m/100_a.sql") && why.contains("indexes"), "{why}");
        let past = Checked::of(report(1, None), after(Status::Fail, &["indexes"]));
        assert_eq!((past.ending, past.is_well()), (Ending::Done, true));
    }

    #[test]
    fn a_run_that_could_only_wait_did_not_succeed() {
        let all = Checked::of(report(0, Some(Because::Gate)), after(Status::Pass, &[]));
        assert_eq!((all.ending, all.is_well()), (Ending::Withheld, false));
        assert!(all.error.unwrap().contains("1 files wait for force"));
        let some = Checked::of(report(1, Some(Because::Gate)), after(Status::Pass, &[]));
        assert_eq!((some.ending, some.is_well()), (Ending::Withheld, true));
        let none = Checked::of(report(0, None), after(Status::Pass, &[]));
        assert_eq!((none.ending, none.is_well()), (Ending::Done, true));
    }
}
