//! Backfills as jobs, and what this release does to rows where no statement can.

use std::sync::Arc;

use uuid::Uuid;

use crate::{
    cold::Cold,
    migrate::backfill::{self, Backfills, Did, Steps},
    model::TenantId,
    projections::{
        ProjectionError,
        rebuild::{Rebuild, RebuildError},
    },
    store::{StoreError, platform::jobs::Context},
    worker::jobs::{JobKind, JobStep},
};

/// Whose name stands in the audit trail.
const BY: &str = "backfill";

/// Backfills are those of this node's files: another release has others.
pub fn backfill_runs(backfills: &Backfills) -> JobKind {
    let (digest, backfills) = (backfills.digest(), backfills.clone());
    let step = move |job: Arc<Context>| {
        let backfills = backfills.clone();
        async move {
            Ok(match backfills.step(&job).await? {
                backfill::Stepped::More => JobStep::More,
                backfill::Stepped::Done(outcome) => JobStep::Done(outcome),
                backfill::Stepped::Failed { why, outcome } => JobStep::Failed { why, outcome },
            })
        }
    };
    JobKind::new(backfill::KIND, step).of_plan(digest)
}

/// The steps that files name.
pub fn steps(cold: &Cold) -> Steps {
    let cold = cold.clone();
    Steps::default().with("count_activity", move |job, row| {
        let cold = cold.through(job.store.clone());
        Box::pin(async move {
            let tenant = row["tenant_id"].as_str().and_then(|id| id.parse::<Uuid>().ok());
            let Some(tenant) = tenant else { return Ok(Did::Failed("a row is a tenant's".to_owned())) };
            counted(count(&cold, TenantId(tenant)).await)
        })
    })
}

/// Counts a tenant's activity from its first statement on: a rebuild makes all projections anew, and puts in place what differs.
async fn count(cold: &Cold, tenant: TenantId) -> Result<(), RebuildError> {
    let rebuild = Box::pin(Rebuild::begin(cold, Some(tenant))).await?;
    let built = Box::pin(build(&rebuild)).await;
    rebuild.end().await?;
    built
}

async fn build(rebuild: &Rebuild) -> Result<(), RebuildError> {
    rebuild.build(&|_| {}).await?;
    for tenant in rebuild.tenants() {
        rebuild.compare(tenant).await?;
        rebuild.apply(tenant, BY).await?;
    }
    Ok(())
}

/// What the database refuses for the moment the job tries again by itself.
fn counted(done: Result<(), RebuildError>) -> Result<Did, StoreError> {
    match done {
        Ok(()) => Ok(Did::Row),
        Err(RebuildError::Busy) => Ok(Did::Later("another rebuild is at work".to_owned())),
        Err(RebuildError::Projection(ProjectionError::Store(error))) => Err(error),
        Err(error) => Ok(Did::Failed(error.to_string())),
    }
}
