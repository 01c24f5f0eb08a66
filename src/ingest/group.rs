//! Forms groups: whatever waits when a writer is free goes together, one tenant at a time.
//!
//! A group belongs to one tenant, so that its transaction needs one tenant setting and a tenant's trouble is its own.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use tokio::sync::{Semaphore, mpsc};

use super::{IngestSettings, Job, commit::Writer};
use crate::model::TenantId;

/// Runs until every `Ingest` is dropped and all that was accepted is answered.
pub(super) async fn run(mut arriving: mpsc::UnboundedReceiver<Job>, writer: Writer, settings: IngestSettings) {
    let writer = Arc::new(writer);
    let writers = Arc::new(Semaphore::new(settings.writers));
    let mut waiting = Waiting::default();
    loop {
        if waiting.is_empty() {
            match arriving.recv().await {
                Some(job) => waiting.push(job),
                None => break,
            }
        }
        // The semaphore lives as long as this function and is never closed.
        let Ok(permit) = Arc::clone(&writers).acquire_owned().await else { break };
        if !settings.group_delay.is_zero() && writers.available_permits() + 1 < settings.writers {
            tokio::time::sleep(settings.group_delay).await;
        }
        while let Ok(job) = arriving.try_recv() {
            waiting.push(job);
        }
        let (tenant, group) = waiting.next_group(settings.group_statements);
        let writer = Arc::clone(&writer);
        tokio::spawn(async move {
            writer.write(tenant, group).await;
            drop(permit);
        });
    }
    // Wait for the groups that are still under way.
    let all = u32::try_from(settings.writers).unwrap_or(u32::MAX);
    drop(writers.acquire_many(all).await);
}

/// Jobs by tenant, tenants in turn, so that a busy one cannot starve the others.
#[derive(Default)]
struct Waiting {
    turn: VecDeque<TenantId>,
    jobs: HashMap<TenantId, VecDeque<Job>>,
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.turn.is_empty()
    }

    fn push(&mut self, job: Job) {
        let tenant = job.submission.tenant;
        let jobs = self.jobs.entry(tenant).or_default();
        if jobs.is_empty() {
            self.turn.push_back(tenant);
        }
        jobs.push_back(job);
    }

    /// The next tenant's oldest jobs, up to `most` statements but at least one job.
    fn next_group(&mut self, most: usize) -> (TenantId, Vec<Job>) {
        let Some(tenant) = self.turn.pop_front() else { return (TenantId::DEFAULT, Vec::new()) };
        let mut group = Vec::new();
        let mut statements = 0;
        if let Some(jobs) = self.jobs.get_mut(&tenant) {
            while let Some(job) = jobs.front() {
                statements += job.submission.statements.len();
                if !group.is_empty() && statements > most {
                    break;
                }
                group.extend(jobs.pop_front());
            }
            if jobs.is_empty() {
                self.jobs.remove(&tenant);
            } else {
                self.turn.push_back(tenant);
            }
        }
        (tenant, group)
    }
}
