//! Writes a group, then answers each caller. Trouble of one caller, or of one tenant, never reaches its neighbours.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream};
use tracing::warn;

use super::{
    IngestError, Job, Submission,
    apart::Troubled,
    plan::{Fate, Refusal},
    transaction::Transactions,
};
use crate::{
    cold::{Cold, ColdError},
    model::TenantId,
    store::{Outcome, StoreError, ledger::seen::Seen},
    telemetry::Metrics,
    xapi::Violations,
};

/// Who takes so long is not written together with others for a while.
const LONG: Duration = Duration::from_secs(1);
/// Transactions under way at once where a group of several tenants is taken apart.
const AT_ONCE: usize = 4;

/// What one writer gets.
pub(super) enum Group {
    /// Plain statements of several tenants.
    Several(Vec<Job>),
    Of(TenantId, Vec<Job>),
}

/// What is known of statements that are to be written before it is tried.
#[derive(Clone, Copy)]
enum Doubt {
    None,
    /// Some ids are there already, perhaps from an attempt whose answer was lost.
    Stored,
}

impl Doubt {
    /// Nobody is told that nothing was stored where something may have been.
    fn about(self, error: IngestError) -> IngestError {
        match (self, error) {
            (Self::Stored, IngestError::Unavailable(error)) => IngestError::InDoubt(error),
            (_, error) => error,
        }
    }
}

pub(super) struct Writer {
    transactions: Transactions,
    longest_wait: Duration,
    troubled: Troubled,
    metrics: Metrics,
}

impl Writer {
    pub fn new(cold: Cold, seen: Arc<Seen>, longest_wait: Duration, metrics: Metrics) -> Self {
        let transactions = Transactions::new(cold, seen, metrics.clone());
        Self { transactions, longest_wait, troubled: Troubled::default(), metrics }
    }

    /// Whether it is written in a transaction of its tenant's own.
    pub fn goes_apart(&self, submission: &Submission) -> bool {
        !submission.is_plain() || self.troubled.has(submission.tenant, Instant::now())
    }

    /// Writes the group and answers every caller in it.
    pub async fn write(&self, group: Group) {
        let begun = Instant::now();
        match group {
            Group::Several(group) => self.several(self.in_time(group)).await,
            Group::Of(tenant, group) => self.own(tenant, self.in_time(group), Doubt::None).await,
        }
        self.metrics.ingest.writing_seconds.inc_by(begun.elapsed().as_secs_f64());
    }

    /// Rejects jobs that were queued for too long: while the database hangs, the backlog would time out one group after another.
    fn in_time(&self, group: Vec<Job>) -> Vec<Job> {
        let (group, late): (Vec<Job>, Vec<Job>) =
            group.into_iter().partition(|job| job.since.elapsed() < self.longest_wait);
        for job in late {
            answer(job, Err(IngestError::Late { after: self.longest_wait }));
        }
        group
    }

    async fn several(&self, group: Vec<Job>) {
        if group.is_empty() {
            return;
        }
        self.measure(&group);
        match self.transactions.of_several(&group).await {
            Ok(fates) => {
                let mut apart = Vec::new();
                for (job, fate) in group.into_iter().zip(fates) {
                    match fate {
                        Fate::Accepted(_) => answer(job, Ok(())),
                        Fate::Conflict { index, id, pointer } => {
                            answer(job, Err(IngestError::Conflict { index, id, pointer }));
                        }
                        Fate::Refused(Refusal::Against(violations)) => {
                            answer(job, Err(IngestError::Against(violations)));
                        }
                        Fate::Refused(Refusal::Apart) => apart.push(job),
                    }
                }
                self.apart(apart, Doubt::Stored).await;
            }
            // Somebody's trouble, or somebody holds it up: tried tenant by tenant, only that one has it.
            Err(error) if is_of_work(&error) || error.outcome() == Outcome::Retry => {
                warn!(%error, callers = group.len(), "a group could not be stored; trying its tenants one by one");
                self.apart(group, Doubt::None).await;
            }
            Err(error) => answer_all(group, &error.into()),
        }
    }

    /// Writes the callers of each tenant in a transaction of its own. Who takes long stays apart for a while.
    async fn apart(&self, group: Vec<Job>, doubt: Doubt) {
        let mut by_tenant: BTreeMap<TenantId, Vec<Job>> = BTreeMap::new();
        for job in group {
            by_tenant.entry(job.submission.tenant).or_default().push(job);
        }
        let each = |(tenant, jobs)| async move {
            let begun = Instant::now();
            self.own(tenant, jobs, doubt).await;
            if begun.elapsed() >= LONG {
                self.troubled.note(tenant, Instant::now());
            }
        };
        stream::iter(by_tenant).for_each_concurrent(AT_ONCE, each).await;
    }

    async fn own(&self, tenant: TenantId, group: Vec<Job>, doubt: Doubt) {
        if group.is_empty() {
            return;
        }
        self.measure(&group);
        match self.transactions.of_one(tenant, &group).await {
            Ok(fates) => group.into_iter().zip(fates).for_each(|(job, fate)| answer(job, verdict(fate))),
            // One caller's rows made the transaction fail: retry the callers separately, so that only that one gets the error.
            Err(error) if group.len() > 1 && may_be_of_one(&error) => {
                warn!(%error, callers = group.len(), "a group could not be stored; trying its callers one by one");
                for job in group {
                    let result = self.transactions.of_one(tenant, std::slice::from_ref(&job)).await;
                    let verdict_of = |mut fates: Vec<Fate<Violations>>| fates.pop().map_or(Ok(()), verdict);
                    answer(job, result.map_err(|error| doubt.about(error.into())).and_then(verdict_of));
                }
            }
            Err(error) => answer_all(group, &doubt.about(error.into())),
        }
    }

    fn measure(&self, group: &[Job]) {
        let statements: usize = group.iter().map(|job| job.submission.statements.len()).sum();
        self.metrics.ingest.group_size.observe(statements as f64);
    }
}

/// Whether what some caller brought may be the cause: nothing else failed, or the server gave up on the work they
/// brought together.
pub(super) fn may_be_of_one(error: &ColdError) -> bool {
    match error {
        ColdError::Store(error) => is_of_work(error),
        _ => true,
    }
}

fn is_of_work(error: &StoreError) -> bool {
    let is_elsewhere = matches!(error, StoreError::Fenced { .. });
    let is_fault = error.outcome() == Outcome::Final && !error.is_temporary() && !is_elsewhere;
    is_fault || error.code() == Some("57014")
}

fn verdict(fate: Fate<Violations>) -> Result<(), IngestError> {
    match fate {
        Fate::Accepted(_) => Ok(()),
        Fate::Conflict { index, id, pointer } => Err(IngestError::Conflict { index, id, pointer }),
        Fate::Refused(violations) => Err(IngestError::Against(violations)),
    }
}

fn answer_all(group: Vec<Job>, error: &IngestError) {
    group.into_iter().for_each(|job| answer(job, Err(error.clone())));
}

fn answer(job: Job, verdict: Result<(), IngestError>) {
    job.submission.span.finish(verdict.is_err());
    // A caller that went away no longer listens; its statements are stored all the same.
    let _ = job.answer.send(verdict);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn who_may_have_something_stored_is_not_told_otherwise() {
        let away = || IngestError::Unavailable(Arc::new(StoreError::Busy));
        assert!(matches!(Doubt::Stored.about(away()), IngestError::InDoubt(_)));
        assert!(matches!(Doubt::None.about(away()), IngestError::Unavailable(_)));
        assert!(matches!(Doubt::Stored.about(IngestError::Stopping), IngestError::Stopping));
    }
}
