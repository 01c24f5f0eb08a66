//! CPU-heavy work (parsing large bodies, merges, PDFs) in a bounded pool of threads apart from those that answer requests,
//! scheduled round-robin over tenants.
//!
//! There are a few slots. A tenant never has the last of them, so that another finds one free, or one that is free soon.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::{runtime::Handle, sync::oneshot, time::timeout};

use super::HttpError;
use crate::{config, model::TenantId, telemetry::Metrics};

/// Bytes that are read in a moment, less than a turn would take.
pub const SMALL: usize = 64 << 10;

/// When who has waited in vain may try again.
const COME_BACK: Duration = Duration::from_secs(2);

type Job = Box<dyn FnOnce() + Send>;

/// The slots and who waits for them; clones share them.
#[derive(Clone)]
pub struct Work(Arc<Inner>);

struct Inner {
    /// The main runtime: its threads outlive those of the listener.
    runtime: Handle,
    slots: usize,
    longest_wait: Duration,
    turns: Mutex<Turns>,
    metrics: Metrics,
}

/// Who waits, and who is at work.
#[derive(Default)]
struct Turns {
    busy: usize,
    tenants: HashMap<TenantId, Queue>,
    /// Tenants with waiting jobs, the next one first.
    order: VecDeque<TenantId>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Job>,
    busy: usize,
}

impl Work {
    /// On the current runtime, which must be the main one.
    pub fn new(settings: &config::Work, metrics: &Metrics) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let slots = if settings.slots > 0 { settings.slots } else { processors + 1 };
        Self(Arc::new(Inner {
            runtime: Handle::current(),
            slots,
            longest_wait: settings.longest_wait,
            turns: Mutex::default(),
            metrics: metrics.clone(),
        }))
    }

    /// Runs what so many bytes take: a few at once and here, many in their turn.
    pub async fn sized<T: Send + 'static>(
        &self,
        tenant: TenantId,
        bytes: usize,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, HttpError> {
        if bytes <= SMALL { Ok(job()) } else { self.run(tenant, job).await }
    }

    /// Runs a job in its tenant's turn. Who goes away before it begins is skipped.
    pub async fn run<T: Send + 'static>(
        &self,
        tenant: TenantId,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, HttpError> {
        let (begins, begun) = oneshot::channel();
        let (answer, verdict) = oneshot::channel();
        let (queued, seconds) = (Instant::now(), self.0.metrics.work.seconds.clone());
        let waited = self.0.metrics.work.wait_seconds.clone();
        self.0.turns().push(
            tenant,
            Box::new(move || {
                if begins.send(()).is_ok() {
                    waited.observe(queued.elapsed().as_secs_f64());
                    let _timer = seconds.start_timer();
                    let _ = answer.send(job());
                }
            }),
        );
        self.0.pump();
        let after = self.0.longest_wait;
        if timeout(after, begun).await.is_err() {
            self.0.metrics.work.late.inc();
            let why =
                format!("other work was before this for {after:?}, the longest it waits; send it again in a while");
            return Err(HttpError::Unavailable { why, retry_after: COME_BACK });
        }
        verdict.await.map_err(|_| HttpError::internal("work was cut off before its end"))
    }
}

impl Inner {
    fn turns(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives free slots to who is next.
    fn pump(self: &Arc<Self>) {
        let mut turns = self.turns();
        while turns.busy < self.slots
            && let Some((tenant, job)) = turns.next(self.slots.saturating_sub(1).max(1))
        {
            let slot = Slot { inner: Arc::clone(self), tenant };
            self.runtime.spawn_blocking(move || {
                let _slot = slot;
                job();
            });
        }
    }
}

impl Turns {
    fn push(&mut self, tenant: TenantId, job: Job) {
        let queue = self.tenants.entry(tenant).or_default();
        if queue.waiting.is_empty() {
            self.order.push_back(tenant);
        }
        queue.waiting.push_back(job);
    }

    /// The first job of the first tenant that is not at work in `most` slots; the tenant goes to the end of the row.
    fn next(&mut self, most: usize) -> Option<(TenantId, Job)> {
        let may = |tenant: &TenantId| self.tenants.get(tenant).is_some_and(|queue| queue.busy < most);
        let tenant = self.order.remove(self.order.iter().position(may)?)?;
        let queue = self.tenants.get_mut(&tenant)?;
        let job = queue.waiting.pop_front()?;
        if !queue.waiting.is_empty() {
            self.order.push_back(tenant);
        }
        queue.busy += 1;
        self.busy += 1;
        Some((tenant, job))
    }

    fn done(&mut self, tenant: TenantId) {
        self.busy -= 1;
        if let Some(queue) = self.tenants.get_mut(&tenant) {
            queue.busy -= 1;
            if queue.busy == 0 && queue.waiting.is_empty() {
                self.tenants.remove(&tenant);
            }
        }
    }
}

/// A slot in use; free again however its job ends.
struct Slot {
    inner: Arc<Inner>,
    tenant: TenantId,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.inner.turns().done(self.tenant);
        self.inner.pump();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use uuid::Uuid;

    use super::*;

    fn work(slots: usize, longest_wait: Duration) -> Work {
        Work::new(&config::Work { slots, longest_wait }, &Metrics::new().unwrap())
    }

    fn tenant(n: u128) -> TenantId {
        TenantId(Uuid::from_u128(n))
    }

    /// A job that stays until the sender is dropped.
    fn stay(work: &Work, tenant: TenantId) -> (mpsc::Sender<()>, tokio::task::JoinHandle<Result<(), HttpError>>) {
        let (hold, held) = mpsc::channel::<()>();
        let work = work.clone();
        let job = async move { work.run(tenant, move || held.recv().unwrap_or_default()).await };
        (hold, tokio::spawn(job))
    }

    #[tokio::test]
    async fn a_tenant_never_has_the_last_slot() {
        let work = work(3, Duration::from_secs(60));
        let stays: Vec<_> = (0..10).map(|_| stay(&work, tenant(1))).collect();
        assert_eq!(work.run(tenant(2), || 7).await.unwrap(), 7);
        assert!(stays.iter().all(|(_, job)| !job.is_finished()));
        for (hold, job) in stays {
            drop(hold);
            job.await.unwrap().unwrap();
        }
        // The answer comes a moment before its slot is free.
        let all_free = async {
            while !work.0.turns().tenants.is_empty() {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(30), all_free).await.expect("every slot is given back");
    }

    #[tokio::test]
    async fn tenants_take_turns_however_many_jobs_one_brings() {
        let work = work(1, Duration::from_secs(60));
        let (hold, first) = stay(&work, tenant(1));
        while work.0.turns().busy == 0 {
            tokio::task::yield_now().await;
        }
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut running = Vec::new();
        for n in [1, 1, 1, 2, 3] {
            let (queue, order) = (work.clone(), order.clone());
            let job = async move { queue.run(tenant(n), move || order.lock().unwrap().push(n)).await };
            running.push(tokio::spawn(job));
            while work.0.turns().tenants.values().map(|queue| queue.waiting.len()).sum::<usize>() < running.len() {
                tokio::task::yield_now().await;
            }
        }
        drop(hold);
        first.await.unwrap().unwrap();
        for job in running {
            job.await.unwrap().unwrap();
        }
        assert_eq!(*order.lock().unwrap(), [1, 2, 3, 1, 1]);
    }

    #[tokio::test]
    async fn who_waits_too_long_is_told_so_and_skipped() {
        let work = work(1, Duration::from_millis(20));
        let (hold, job) = stay(&work, tenant(1));
        while work.0.turns().busy == 0 {
            tokio::task::yield_now().await;
        }
        let (ran, has_run) = mpsc::channel();
        let refused = work.run(tenant(2), move || ran.send(())).await;
        assert!(matches!(refused, Err(HttpError::Unavailable { .. })), "{refused:?}");
        drop(hold);
        job.await.unwrap().unwrap();
        assert_eq!(work.run(tenant(2), || 1).await.unwrap(), 1);
        assert!(has_run.recv().is_err(), "what nobody waits for is not done");
    }

    #[tokio::test]
    async fn a_job_that_panics_gives_its_slot_back() {
        let work = work(1, Duration::from_secs(60));
        let broken: Result<(), _> = work.run(tenant(1), || panic!("meant")).await;
        assert!(matches!(broken, Err(HttpError::Internal(_))));
        assert_eq!(work.run(tenant(1), || 1).await.unwrap(), 1);
    }
}
