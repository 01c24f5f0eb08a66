//! The kinds of jobs that a node does: which room does which.

use crate::{
    migrate::jobs::{Jobs, KIND},
    worker::jobs::{JobStep, Kind},
};

/// Every kind.
pub fn kinds(migrations: &Jobs) -> Vec<Kind> {
    vec![migration_runs(migrations)]
}

/// A run applies the files of this node: another release has others.
fn migration_runs(jobs: &Jobs) -> Kind {
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
    Kind::new(KIND, step).of_plan(digest)
}
