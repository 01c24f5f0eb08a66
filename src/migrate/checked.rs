//! A run between the checks before and after it, and what the metrics learn of it.

use serde::Serialize;

use super::{
    checks::{self, Check, Place, Status},
    report::{Event, RunReport},
    run::{MigrateError, Progress, Request, Runner},
};
use crate::{model::Clock, telemetry::Metrics};

/// A run with its checks. A rehearsal has none.
#[derive(Debug, Default, Serialize)]
pub struct Checked {
    #[serde(flatten)]
    pub report: RunReport,
    pub checks: Around,
    /// Why nothing was applied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

#[derive(Debug, Default, Serialize)]
pub struct Around {
    pub before: Vec<Check>,
    pub after: Vec<Check>,
}

impl Checked {
    /// Whether everything that was to happen happened.
    pub fn is_well(&self) -> bool {
        self.error.is_none() && self.report.failed.is_none() && !self.report.rehearsal_failed()
    }
}

/// Runs what is asked for. What fails before stops it, unless the request is forced.
pub async fn run(
    runner: &Runner,
    request: &Request,
    place: &Place,
    clock: &Clock,
    progress: Progress<'_>,
) -> Result<Checked, MigrateError> {
    if request.dry_run {
        return Ok(Checked { report: runner.run(request, progress).await?, ..Checked::default() });
    }
    let before = checks::gather_before(runner, place, clock).await?;
    let failed: Vec<&str> = before.iter().filter(|c| c.status == Status::Fail).map(|check| check.name).collect();
    if !failed.is_empty() && !request.wish.force {
        let error = Some(format!("nothing was applied, because these checks failed: {}", failed.join(", ")));
        return Ok(Checked { checks: Around { before, after: Vec::new() }, error, ..Checked::default() });
    }
    let report = runner.run(request, progress).await?;
    // The report of what was done must not be lost because nobody can look at it any more.
    let after = checks::gather_after(runner, clock).await.unwrap_or_else(|error| {
        tracing::warn!(%error, "the checks after a migration could not be made");
        Vec::new()
    });
    Ok(Checked { report, checks: Around { before, after }, error: None })
}

/// Counts what happens in a run.
pub fn observe(metrics: &Metrics, event: &Event) {
    let metrics = &metrics.migrations;
    match event {
        Event::Done { done } => {
            metrics.files.with_label_values(&[done.action]).inc();
            metrics.file_seconds.observe(done.duration_ms as f64 / 1_000.0);
            metrics.rows.inc_by(done.rows.and_then(|rows| u64::try_from(rows).ok()).unwrap_or(0));
        }
        Event::Failed { .. } => metrics.files.with_label_values(&["failed"]).inc(),
        Event::Waiting { .. } | Event::Planned { .. } | Event::Started { .. } => {}
    }
}
