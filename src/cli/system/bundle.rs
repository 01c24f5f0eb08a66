//! `system bundle`: what somebody who helps has to know, in one file that may be given away: never a statement, a person, a secret, or
//! a text in which one could stand.

use std::{path::Path, time::Duration};

use anyhow::Context as _;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use crate::{
    app::Database,
    bundle::zip::Zip,
    config::{self, Loaded},
    http::api::API_VERSION,
    migrate::{
        approve::LogLine,
        checks::Check,
        promise,
        report::{ModuleStatus, Report},
    },
    model::masked::masked,
    store::{
        As, Store,
        door::tls,
        platform::{
            jobs::{self, Filter, Job},
            rollouts::{self, Rollout},
        },
    },
};

/// Jobs, rollouts and attempts at migrations that are told of, the newest.
const MOST: usize = 200;
/// How long a service beside may take to tell its metrics.
const PATIENCE: Duration = Duration::from_secs(5);

const README: &str = "What `progress-service system bundle` found. No statement, no person, no secret and no name of a tenant is in here.

versions.json      this program, the database, the machine
configuration.txt  every key with its value, where it came from; secrets are hidden
migrations.json    which files are applied, which wait, what is wrong, and what was tried
checks.json        the checks of the whole, as `system validate` prints them
jobs.json          long work: kinds, states, times, errors; not what it was about
rollouts.json      rollouts: states and times
metrics.txt        the metrics of the service that was asked, or why there are none

The service writes its log to standard error: add the hour that matters, after reading it.
";

/// What goes into the file, each part under its name.
pub(super) struct Parts(Vec<(&'static str, String)>);

impl Parts {
    /// Reads all there is to tell.
    pub(super) async fn gather(
        loaded: &Loaded,
        database: &Database,
        checks: &[Check],
        metrics: &str,
    ) -> anyhow::Result<Self> {
        let runner = database.runner(&loaded.config)?;
        let (status, logs) = (runner.status().await?, runner.logs(None).await?);
        let store = Store::open(&database.settings)?;
        let everything = &Filter { kind: None, state: None, before: None };
        let most = i64::try_from(MOST).unwrap_or(i64::MAX);
        let jobs = store.run_tx("list_jobs", As::Worker, |tx| Box::pin(jobs::list(tx, everything, most))).await;
        let rollouts = store.run_tx("newest", As::Worker, |tx| Box::pin(rollouts::newest(tx, None, most))).await;
        store.close();
        let pretty = |value: Value| serde_json::to_string_pretty(&value);
        Ok(Self(vec![
            ("README.txt", README.to_owned()),
            ("versions.json", pretty(versions(&status))?),
            ("configuration.txt", config::show(loaded)),
            ("migrations.json", pretty(migrations(&status, &logs))?),
            ("checks.json", pretty(json!(checks.iter().map(check).collect::<Vec<_>>()))?),
            ("jobs.json", pretty(json!(jobs?.iter().map(job).collect::<Vec<_>>()))?),
            ("rollouts.json", pretty(json!(rollouts?.iter().map(rollout).collect::<Vec<_>>()))?),
            ("metrics.txt", asked(metrics).await.unwrap_or_else(|why| format!("# none: {why:#}\n"))),
        ]))
    }

    /// Writes them into a new zip; one that is there is left alone.
    pub(super) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let (mut zip, mut bytes) = (Zip::default(), Vec::new());
        for (name, text) in &self.0 {
            bytes.extend(zip.begin(name));
            zip.add(text.as_bytes());
            bytes.extend(text.as_bytes());
        }
        bytes.extend(zip.finish());
        let file = std::fs::File::create_new(path).with_context(|| format!("{} cannot be made", path.display()))?;
        std::io::Write::write_all(&mut &file, &bytes).with_context(|| format!("{} cannot be written", path.display()))
    }

    /// The names of the parts, and how many bytes each has.
    pub(super) fn sizes(&self) -> impl Iterator<Item = (&'static str, usize)> {
        self.0.iter().map(|(name, text)| (*name, text.len()))
    }
}

fn versions(status: &Report) -> Value {
    json!({
        "program": env!("CARGO_PKG_VERSION"), "api": API_VERSION, "previousRelease": promise::previous(),
        "database": status.server, "readOnly": status.read_only,
        "processors": std::thread::available_parallelism().map_or(0, usize::from),
    })
}

fn migrations(status: &Report, logs: &[LogLine]) -> Value {
    let module = |module: &ModuleStatus| {
        let file = |file: &crate::migrate::report::FileStatus| {
            json!({ "name": file.name, "state": file.state.name(), "checksum": file.checksum,
                "appliedAt": file.applied_at.map(moment), "durationMs": file.duration_ms })
        };
        json!({ "name": module.name, "plugin": module.plugin, "files": module.files.iter().map(file).collect::<Vec<_>>() })
    };
    // Of what the database said only the code: in a message stand rows.
    let tried = |line: &LogLine| {
        let attempt = &line.attempt;
        let code = attempt.detail.as_deref().and_then(|detail| detail.split(':').next()).filter(|code| code.len() == 5);
        json!({ "module": line.module, "file": attempt.name, "action": attempt.action, "outcome": attempt.outcome,
            "code": code, "startedAt": moment(attempt.started_at), "finishedAt": attempt.finished_at.map(moment),
            "lockWaitMs": attempt.lock_wait_ms,
            "causedWaitMs": attempt.waits.as_ref().map(|waits| &waits["longest_ms"]) })
    };
    json!({
        "applied": status.applied, "pending": status.pending, "gated": status.gated,
        "problems": status.problems.iter().map(|problem| &problem.message).collect::<Vec<_>>(),
        "modules": status.modules.iter().map(module).collect::<Vec<_>>(),
        "tried": logs.iter().rev().take(MOST).map(tried).collect::<Vec<_>>(),
    })
}

fn check(line: &Check) -> Value {
    // Whose projections are late stands in that line by name.
    let found = if line.name == "projections" { "…".to_owned() } else { masked(&line.found) };
    json!({ "name": line.name, "status": line.status, "found": found, "todo": line.todo })
}

fn job(job: &Job) -> Value {
    let progress = |name: &str| job.progress.get(name).cloned().unwrap_or_default();
    json!({
        "id": job.id, "kind": job.kind, "state": job.state.name(), "attempts": job.attempts, "crashes": job.crashes,
        "done": progress("done"), "total": progress("total"), "unit": progress("unit"),
        "error": job.error.as_deref().map(masked), "stalled": job.is_stalled(),
        "createdAt": moment(job.created_at), "startedAt": job.started_at.map(moment),
        "finishedAt": job.finished_at.map(moment),
    })
}

fn rollout(rollout: &Rollout) -> Value {
    json!({
        "id": rollout.id, "state": rollout.state, "step": rollout.step, "why": rollout.why.as_deref().map(masked),
        "startedAt": moment(rollout.started_at), "finishedAt": rollout.finished_at.map(moment),
    })
}

fn moment(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The metrics of a service that runs beside.
async fn asked(url: &str) -> anyhow::Result<String> {
    let tls = tls::client_config(None)?;
    let client = reqwest::Client::builder().tls_backend_preconfigured(tls).timeout(PATIENCE).build()?;
    let answer = client.get(url).send().await.and_then(reqwest::Response::error_for_status);
    Ok(answer.with_context(|| format!("{url} does not answer"))?.text().await?)
}
