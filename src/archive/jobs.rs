//! The archive's jobs: long work on a month, in steps that any node goes on with.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use super::kinds::{ADOPT, DROP, GC, KINDS, Order, RESTORE, RUN, VERIFY};
use super::{Archive, ArchiveError, Proven, adopt::Adopted, drop_month, prove};
use crate::{
    model::{
        TenantId,
        partition::{Change, Month, State},
    },
    store::{
        As,
        ledger::partitions,
        platform::jobs::{Context, Progress},
    },
};

/// What a step says of its job.
#[derive(Debug)]
pub enum Stepped {
    More,
    Done(Value),
    /// It is over, and what was found is no good news.
    Found {
        why: String,
        outcome: Value,
    },
}

/// How far writing a month is.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Written {
    /// The last tenant that is done.
    tenant: TenantId,
    statements: u64,
    tenants: u64,
}

/// Counts statements, and lets people see.
struct Counter<'j> {
    job: &'j Context,
    done: AtomicU64,
    total: Option<u64>,
    note: String,
}

impl<'j> Counter<'j> {
    fn new(job: &'j Context, done: u64, total: Option<u64>, note: String) -> Self {
        Self { job, done: AtomicU64::new(done), total, note }
    }

    fn add(&self, statements: u64) {
        let done = self.done.fetch_add(statements, Ordering::Relaxed) + statements;
        let total = self.total.map(|total| total.max(done));
        let note = Some(self.note.clone());
        self.job.progress(&Progress { done, total, unit: "statements", note, ..Progress::default() });
    }
}

/// A step of a job of one of the kinds.
pub async fn step(archive: &Archive, job: &Context) -> Result<Stepped, ArchiveError> {
    let archive = archive.through(&job.store);
    let order: Order = job.parameters()?;
    match (job.job.kind.as_str(), order.month) {
        (RUN, Some(month)) => run(&archive, job, month).await,
        (DROP, Some(month)) => drop_table(&archive, job, month).await,
        (RESTORE, Some(month)) => restore(&archive, job, month).await,
        (VERIFY, month) => verify(&archive, job, month).await,
        (GC, _) => gc(&archive).await,
        (ADOPT, _) => adopt(&archive, job).await,
        (kind, _) => {
            Ok(Stepped::Found { why: format!("{kind} is about one month, and none was named"), outcome: json!({}) })
        }
    }
}

/// About how many statements the month has.
async fn estimate(archive: &Archive, month: Month) -> Result<Option<u64>, ArchiveError> {
    let weights = archive.store.run_tx("weights", As::Worker, |tx| Box::pin(partitions::weights(tx))).await?;
    let found = weights.iter().find(|(one, _)| one.bounds.lower == month.begin());
    Ok(found.map(|(_, weight)| weight.rows.unsigned_abs()).filter(|rows| *rows > 0))
}

async fn run(archive: &Archive, job: &Context, month: Month) -> Result<Stepped, ArchiveError> {
    let partition = archive.partition(month).await?;
    match partition.state {
        State::Sealed | State::Detached => {}
        State::Archived | State::Dropped | State::Attached => {
            return Ok(Stepped::Done(json!({ "month": month, "state": partition.state.name() })));
        }
        state => {
            let wanted = "only one that is sealed or detached is archived";
            return Err(ArchiveError::Wrong { partition: partition.bounds, state, wanted });
        }
    }
    // Before the month is moved anywhere: a copy of the database moves none either.
    let claim = archive.claim().await?;
    archive.detach(month, &job.job.requested_by).await?;
    let bounds = archive.ready(month).await?;
    let mut at: Option<Written> = job.checkpoint()?;
    let done = at.map_or(0, |at| at.statements);
    let counter = Counter::new(job, done, estimate(archive, month).await?, format!("writing {month}"));
    while let Some(tenant) = archive.next_tenant(&bounds, at.map(|at| at.tenant)).await? {
        let rows = archive.write(&claim, (month, &bounds), tenant, &|count| counter.add(count)).await?;
        let (statements, tenants) = at.map_or((0, 0), |at| (at.statements, at.tenants));
        let written = Written { tenant, statements: statements + rows, tenants: tenants + 1 };
        job.save_alone(&written).await?;
        at = Some(written);
        if job.should_stop() {
            return Ok(Stepped::More);
        }
    }
    archive.change(month, Change::Archive, &job.job.requested_by).await?;
    let (statements, tenants) = at.map_or((0, 0), |at| (at.statements, at.tenants));
    Ok(Stepped::Done(json!({ "month": month, "state": "archived", "statements": statements, "segments": tenants })))
}

async fn drop_table(archive: &Archive, job: &Context, month: Month) -> Result<Stepped, ArchiveError> {
    if archive.partition(month).await?.state == State::Dropped {
        return Ok(Stepped::Done(json!({ "month": month, "state": "dropped" })));
    }
    let counter = Counter::new(job, 0, estimate(archive, month).await?, format!("proving {month}"));
    let proven: Proven = prove(archive, month, &|count| counter.add(count)).await?;
    if job.should_stop() {
        return Ok(Stepped::More);
    }
    let (statements, segments) = proven.size();
    drop_month(archive, proven, &job.job.requested_by).await?;
    Ok(Stepped::Done(json!({ "month": month, "state": "dropped", "statements": statements, "segments": segments })))
}

async fn restore(archive: &Archive, job: &Context, month: Month) -> Result<Stepped, ArchiveError> {
    let published = archive.published(Some(month)).await?;
    let rows = published.iter().filter_map(|one| one.contents.as_ref()).map(|contents| contents.rows.unsigned_abs());
    let total: u64 = rows.sum();
    let counter = Counter::new(job, 0, Some(total), format!("restoring {month}"));
    if !archive.restore(month, &|| job.should_stop(), &|count| counter.add(count)).await? {
        return Ok(Stepped::More);
    }
    Ok(Stepped::Done(json!({ "month": month, "state": "archived", "statements": total })))
}

async fn verify(archive: &Archive, job: &Context, month: Option<Month>) -> Result<Stepped, ArchiveError> {
    let published = archive.published(month).await?;
    let total =
        published.iter().filter_map(|one| one.contents.as_ref()).map(|contents| contents.rows.unsigned_abs()).sum();
    let counter = Counter::new(job, 0, Some(total), "verifying".to_owned());
    let report = archive.verify(month, &|count| counter.add(count)).await?;
    let outcome = report.to_json();
    if report.problems.is_empty() {
        return Ok(Stepped::Done(outcome));
    }
    let first = report.problems.first().map(|(_, why)| why.as_str()).unwrap_or_default();
    let why =
        format!("{} of {} segments are not as they were written; {first}", report.problems.len(), report.segments);
    Ok(Stepped::Found { why, outcome })
}

async fn gc(archive: &Archive) -> Result<Stepped, ArchiveError> {
    let claim = archive.claim().await?;
    let leftovers = archive.leftovers().await?;
    let bytes: u64 = leftovers.iter().map(super::gc::Leftover::bytes).sum();
    let objects = archive.collect(&claim, &leftovers).await?;
    Ok(Stepped::Done(json!({ "objects": objects, "bytes": bytes })))
}

async fn adopt(archive: &Archive, job: &Context) -> Result<Stepped, ArchiveError> {
    let adoption = archive.adoption().await?;
    let Adopted { segments, caught_up } = archive.adopt(adoption.begins, &job.job.requested_by).await?;
    let epoch = archive.installation().await?.epoch;
    Ok(Stepped::Done(json!({ "epoch": epoch, "segments": segments, "caughtUp": caught_up.to_json() })))
}
