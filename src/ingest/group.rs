//! Forms groups: whatever waits when a writer is free goes together, of as many tenants as there are. Whoever needs a
//! transaction of its tenant's own waits in a line of its own.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::timeout,
};

use super::{
    IngestSettings, Job,
    commit::{Group, Writer},
    waiting::Turns,
};

/// Writers that say nothing for so long are not at work, they wait for somebody: others may begin.
const STALLED: Duration = Duration::from_millis(500);
/// How many more there may be then, for each that is configured.
const SPARE: usize = 3;

/// Runs until every `Ingest` is dropped and all that was accepted is answered.
pub(super) async fn run(mut arriving: mpsc::UnboundedReceiver<Job>, writer: Writer, settings: IngestSettings) {
    let writer = Arc::new(writer);
    let writers = Arc::new(Semaphore::new(settings.writers));
    let spare = Arc::new(Semaphore::new(settings.writers * SPARE));
    let mut waiting = Waiting::default();
    loop {
        if waiting.is_empty() {
            match arriving.recv().await {
                Some(job) => waiting.push(job, &writer),
                None => break,
            }
        }
        let permit = tokio::select! {
            biased;
            permit = place(&writers, &spare, !waiting.several.is_empty()) => permit,
            Some(job) = arriving.recv(), if waiting.several.is_empty() => {
                waiting.push(job, &writer);
                continue;
            }
        };
        let Some((permit, is_spare)) = permit else { break };
        if !settings.group_delay.is_zero() && writers.available_permits() + 1 < settings.writers {
            tokio::time::sleep(settings.group_delay).await;
        }
        while let Ok(job) = arriving.try_recv() {
            waiting.push(job, &writer);
        }
        let Some(group) = waiting.next_group(settings.group_statements, is_spare) else { continue };
        let writer = Arc::clone(&writer);
        tokio::spawn(async move {
            writer.write(group).await;
            drop(permit);
        });
    }
    // Wait for the groups that are still under way.
    for (semaphore, all) in [(writers, settings.writers), (spare, settings.writers * SPARE)] {
        drop(semaphore.acquire_many(u32::try_from(all).unwrap_or(u32::MAX)).await);
    }
}

/// A place to write at, and whether it is a spare one, which is only for statements of several tenants. `None` never comes:
/// the semaphores live as long as `run` and are never closed.
async fn place(
    writers: &Arc<Semaphore>,
    spare: &Arc<Semaphore>,
    may_be_spare: bool,
) -> Option<(OwnedSemaphorePermit, bool)> {
    let ordinary = Arc::clone(writers).acquire_owned();
    tokio::pin!(ordinary);
    if may_be_spare {
        match timeout(STALLED, &mut ordinary).await {
            Ok(permit) => return Some((permit.ok()?, false)),
            Err(_) => {
                if let Ok(permit) = Arc::clone(spare).try_acquire_owned() {
                    return Some((permit, true));
                }
            }
        }
    }
    Some((ordinary.await.ok()?, false))
}

#[derive(Default)]
struct Waiting {
    several: Turns<Job>,
    own: Turns<Job>,
    /// Both lines take turns.
    own_is_next: bool,
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.several.is_empty() && self.own.is_empty()
    }

    fn push(&mut self, job: Job, writer: &Writer) {
        if writer.goes_apart(&job.submission) { self.own.push(job) } else { self.several.push(job) }
    }

    fn next_group(&mut self, most: usize, is_spare: bool) -> Option<Group> {
        let own = !is_spare && (self.own_is_next || self.several.is_empty());
        self.own_is_next = !own;
        if own && let Some((tenant, jobs)) = self.own.of_one(most) {
            return Some(Group::Of(tenant, jobs));
        }
        (!self.several.is_empty()).then(|| Group::Several(self.several.of_several(most)))
    }
}
