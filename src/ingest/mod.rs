//! Group commit: many callers' statements in one transaction, each caller its own answer, given after the commit.
//!
//! It never answers before the transaction is durable and never drops what it accepted: what does not fit the queue is
//! refused at the door.

mod apart;
mod arrivals;
mod attach;
mod commit;
mod group;
mod link;
pub mod own;
mod places;
mod plan;
mod recall;
mod sessions;
pub mod settle;
pub mod spool;
mod transaction;
mod verbs;
mod waiting;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

pub use spool::{Attachment, Spool};

use crate::{
    cmi5::Said,
    cold::{Cold, ColdError},
    model::TenantId,
    store::{StoreError, ledger::seen::Seen},
    telemetry::{Metrics, Span},
    xapi::{Violations, prepare::Prepared},
};

use commit::Writer;
use places::{Place, Places};
use waiting::Waits;

/// How much may wait, and how much goes into one transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngestSettings {
    /// Kibibytes of statements that may wait or be under way; beyond it callers are told to come back.
    pub queue_kib: u32,
    /// Statements in one transaction, unless one caller brings more.
    pub group_statements: usize,
    /// Transactions under way at once.
    pub writers: usize,
    /// How long a group waits for company while another is under way; an idle service never waits.
    pub group_delay: Duration,
    /// Who has waited so long for their group to begin is told to come back.
    pub longest_wait: Duration,
}

impl Default for IngestSettings {
    fn default() -> Self {
        Self {
            queue_kib: 64 << 10,
            group_statements: 1_000,
            writers: 2,
            group_delay: Duration::ZERO,
            longest_wait: Duration::from_secs(30),
        }
    }
}

/// One caller's request: all of it is stored, or none.
pub struct Submission {
    pub tenant: TenantId,
    pub statements: Vec<Prepared>,
    /// Those of the statements that are cmi5's, in its words.
    pub said: Vec<Said>,
    pub attachments: Vec<Attachment>,
    /// The way of this submission into the ledger, where its request is traced.
    pub span: Span,
}

/// Why nothing of a submission was stored.
#[derive(Debug, Clone, thiserror::Error)]
pub enum IngestError {
    /// The queue is full, or so full that it has no room for more of this tenant; nothing was accepted.
    #[error("the ingest queue of {limit_kib} KiB has no room for more of this tenant")]
    Full { limit_kib: u32 },
    /// The service stops and takes no more.
    #[error("the service is shutting down")]
    Stopping,
    #[error("statement {index}: id {id} already names a different statement ({pointer} differs)")]
    Conflict { index: usize, id: Uuid, pointer: &'static str },
    /// The tenant holds its units to cmi5's rules.
    #[error("{0}")]
    Against(Violations),
    #[error("the database did not get to these statements within {after:?}; send them again")]
    Late { after: Duration },
    /// The database is away or overloaded; nothing was stored.
    #[error("{0}")]
    Unavailable(Arc<StoreError>),
    /// The database went away while it committed; whether the statements were stored is not known. Repeating them under
    /// the same ids is safe.
    #[error("{0}")]
    InDoubt(Arc<StoreError>),
    #[error("{0}")]
    Failed(Arc<StoreError>),
    /// What is archived and has to be compared cannot be read; nothing was stored.
    #[error("{0}")]
    Archive(Arc<ColdError>),
}

impl From<StoreError> for IngestError {
    fn from(error: StoreError) -> Self {
        let kind = match error {
            StoreError::InDoubt { .. } => Self::InDoubt,
            _ if error.is_temporary() => Self::Unavailable,
            _ => Self::Failed,
        };
        kind(Arc::new(error))
    }
}

impl From<ColdError> for IngestError {
    fn from(error: ColdError) -> Self {
        match error {
            ColdError::Store(error) => error.into(),
            error => Self::Archive(Arc::new(error)),
        }
    }
}

/// A submission on its way, with its place in the queue and the caller's ear.
struct Job {
    submission: Submission,
    since: Instant,
    answer: oneshot::Sender<Result<(), IngestError>>,
    _place: Place,
}

impl Waits for Job {
    fn tenant(&self) -> TenantId {
        self.submission.tenant
    }

    fn size(&self) -> usize {
        self.submission.statements.len()
    }
}

/// The way in. Clones share one queue.
#[derive(Clone)]
pub struct Ingest {
    jobs: mpsc::UnboundedSender<Job>,
    places: Arc<Places>,
    seen: Arc<Seen>,
    metrics: Metrics,
}

impl Ingest {
    /// Starts the writers on the current runtime, which must be the main one.
    pub fn start(cold: Cold, settings: IngestSettings, metrics: &Metrics) -> Self {
        let (jobs, waiting) = mpsc::unbounded_channel();
        let places = Arc::new(Places::new(settings.queue_kib));
        let seen = Arc::new(Seen::default());
        let writer = Writer::new(cold, Arc::clone(&seen), settings.longest_wait, metrics.clone());
        tokio::spawn(group::run(waiting, writer, settings));
        Self { jobs, places, seen, metrics: metrics.clone() }
    }

    /// Forgets what is known to be written: somebody was erased, and names and words of theirs are gone.
    pub fn forget(&self) {
        self.seen.clear();
    }

    /// Stores all statements of the submission or none; returns after the commit with their ids in order.
    pub async fn submit(&self, submission: Submission) -> Result<Vec<Uuid>, IngestError> {
        let ids = submission.statements.iter().map(|statement| statement.id).collect();
        let statements: usize = submission.statements.iter().map(|s| s.payload.len() + 512).sum();
        let size = statements + submission.attachments.iter().map(Attachment::held).sum::<usize>();
        let place = self.places.take(submission.tenant, size).ok_or_else(|| {
            self.metrics.ingest.refused.inc();
            IngestError::Full { limit_kib: self.places.total_kib() }
        })?;
        self.metrics.ingest.queued_kib.set(self.load().0.into());
        let (answer, verdict) = oneshot::channel();
        self.jobs
            .send(Job { submission, since: Instant::now(), answer, _place: place })
            .map_err(|_| IngestError::Stopping)?;
        verdict.await.map_err(|_| IngestError::Stopping)??;
        Ok(ids)
    }

    /// Counts a request whose attachments could not be kept until it is stored.
    pub fn cannot_spool(&self) {
        self.metrics.ingest.spool_failures.inc();
    }

    /// Kibibytes that wait or are under way, and how many may.
    pub fn load(&self) -> (u32, u32) {
        (self.places.taken_kib(), self.places.total_kib())
    }
}
