//! The kinds of jobs that a node does: which room does which.

use super::Database;
use crate::{
    config::Config,
    migrate::jobs::{Jobs, KIND},
    model::{Clock, Ids},
    store::Store,
    telemetry::Metrics,
    worker::jobs::{JobKind, JobRunner, JobStep},
};

/// The runner of a command, which does what no service beside it does. Call it on the main runtime.
pub fn runner(config: &Config, database: &Database) -> anyhow::Result<JobRunner> {
    let (metrics, ids) = (Metrics::new()?, Ids::random());
    let (store, node) = (Store::open(&database.settings)?, ids.uuid().to_string());
    let (runner, host) = (database.runner(config)?, database.host(config));
    let migrations = Jobs::new(store.clone(), runner, host, metrics.clone(), Clock::system(), ids);
    Ok(JobRunner::new(store, metrics, &node, kinds(&migrations)))
}

/// Every kind.
pub fn kinds(migrations: &Jobs) -> Vec<JobKind> {
    vec![migration_runs(migrations)]
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
