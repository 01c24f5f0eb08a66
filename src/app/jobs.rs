//! The kinds of jobs that a node does: which room does which.

use super::Database;
use crate::{
    archive::{Archive, jobs as archive},
    config::Config,
    migrate::jobs::{Jobs, KIND},
    model::{Clock, Ids},
    objects::Objects,
    store::Store,
    telemetry::Metrics,
    worker::jobs::{JobKind, JobRunner, JobStep},
};

/// The runner of a command, which does what no service beside it does. Call it on the main runtime.
pub fn runner(config: &Config, database: &Database) -> anyhow::Result<JobRunner> {
    let (metrics, ids) = (Metrics::new()?, Ids::random());
    let (store, node) = (Store::open(&database.settings)?, ids.uuid().to_string());
    let (runner, host) = (database.runner(config)?, database.host(config));
    let archive = self::archive(config, &store, &Clock::system(), &ids, &metrics)?;
    let migrations = Jobs::new(store.clone(), runner, host, metrics.clone(), Clock::system(), ids);
    Ok(JobRunner::new(store, metrics, &node, kinds(&migrations, &archive)))
}

/// The archive that the configuration names. It is not connected to before somebody wants something of it.
pub fn archive(config: &Config, store: &Store, clock: &Clock, ids: &Ids, metrics: &Metrics) -> anyhow::Result<Archive> {
    let objects = Objects::open(&config.archive, &config.service.data_dir)?;
    Ok(Archive::new(store, &objects, clock, ids, metrics))
}

/// Every kind.
pub fn kinds(migrations: &Jobs, archive: &Archive) -> Vec<JobKind> {
    let mut kinds = archive_kinds(archive);
    kinds.push(migration_runs(migrations));
    kinds
}

/// What the archive does in jobs. What passes by itself is tried again; anything else is for a person to look at.
pub fn archive_kinds(archive: &Archive) -> Vec<JobKind> {
    let kind = |name: &'static str| {
        let archive = archive.clone();
        JobKind::new(name, move |job: std::sync::Arc<_>| {
            let archive = archive.clone();
            async move {
                match archive::step(&archive, &job).await {
                    Ok(archive::Stepped::More) => Ok(JobStep::More),
                    Ok(archive::Stepped::Done(outcome)) => Ok(JobStep::Done(outcome)),
                    Ok(archive::Stepped::Found { why, outcome }) => Ok(JobStep::Failed { why, outcome }),
                    Err(error) if error.is_passing() => Err(error.into()),
                    Err(error) => Ok(JobStep::Failed { why: error.to_string(), outcome: serde_json::Value::Null }),
                }
            }
        })
    };
    archive::KINDS.into_iter().map(kind).collect()
}

/// A run applies the files of this node: another release has others.
fn migration_runs(jobs: &Jobs) -> JobKind {
    let (digest, jobs) = (jobs.digest().to_owned(), jobs.clone());
    let step = move |job: std::sync::Arc<_>| {
        let jobs = jobs.clone();
        async move {
            let run = jobs.perform(&job).await?;
            Ok(match run.failure {
                None => JobStep::Done(run.outcome),
                Some(why) => JobStep::Failed { why, outcome: run.outcome },
            })
        }
    };
    JobKind::new(KIND, step).of_plan(digest)
}
