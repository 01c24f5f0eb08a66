//! Writes a group: one transaction, then each caller's answer. Trouble of one caller never reaches its neighbours.

use std::time::Duration;

use chrono::TimeDelta;
use tracing::{debug, warn};
use uuid::Uuid;

use super::{
    IngestError, Job, Submission, attach,
    link::link,
    plan::{self, Fate},
    recall::{Halt, Recalled},
    sessions::Sessions,
    verbs::UnregisteredVerbs,
};
use crate::{
    cold::{Cold, ColdError},
    model::TenantId,
    store::{
        As, Outcome, Store, StoreError, Tx,
        ledger::{
            remember::remember,
            seen::{Seen, Written},
            statements::{self, NewStatement},
        },
    },
    telemetry::Metrics,
    xapi::prepare::Prepared,
};

/// Attempts at a group whose ids another transaction takes at the same moment.
const RACES: u32 = 8;

/// What became of a group.
struct Stored {
    fates: Vec<Fate>,
    written: Written,
    /// Rules of cmi5 that were broken, and what came of that.
    broken: Vec<(&'static str, &'static str)>,
}

pub(super) struct Writer {
    store: Store,
    cold: Cold,
    longest_wait: Duration,
    seen: Seen,
    verbs: UnregisteredVerbs,
    metrics: Metrics,
}

impl Writer {
    pub fn new(cold: Cold, longest_wait: Duration, metrics: Metrics) -> Self {
        let store = cold.store().clone();
        let verbs = UnregisteredVerbs::start(store.clone(), metrics.clone());
        Self { store, cold, longest_wait, seen: Seen::default(), verbs, metrics }
    }

    /// Writes the group and answers every caller in it.
    pub async fn write(&self, tenant: TenantId, group: Vec<Job>) {
        // Reject jobs that were queued for too long: while the database hangs, the backlog would time out one group after another.
        let (group, late): (Vec<Job>, Vec<Job>) =
            group.into_iter().partition(|job| job.since.elapsed() < self.longest_wait);
        for job in late {
            answer(job, Err(IngestError::Late { after: self.longest_wait }));
        }
        if group.is_empty() {
            return;
        }
        let statements: usize = group.iter().map(|job| job.submission.statements.len()).sum();
        self.metrics.ingest.group_size.observe(statements as f64);
        match self.try_group(tenant, &group).await {
            Ok(fates) => {
                for (job, fate) in group.into_iter().zip(fates) {
                    answer(job, verdict(fate));
                }
            }
            // One caller's rows made the transaction fail: retry the callers separately, so that only that one gets the error.
            Err(error) if group.len() > 1 && may_be_of_one(&error) => {
                warn!(%error, callers = group.len(), "a group could not be stored; trying its callers one by one");
                for job in group {
                    let result = self.try_group(tenant, std::slice::from_ref(&job)).await;
                    let verdict_of = |mut fates: Vec<Fate>| fates.pop().map_or(Ok(()), verdict);
                    answer(job, result.map_err(IngestError::from).and_then(verdict_of));
                }
            }
            Err(error) => {
                let error = IngestError::from(error);
                for job in group {
                    answer(job, Err(error.clone()));
                }
            }
        }
    }

    async fn try_group(&self, tenant: TenantId, group: &[Job]) -> Result<Vec<Fate>, ColdError> {
        let (mut race, mut recalled) = (0, Recalled::default());
        loop {
            let result = self
                .store
                .run_tx("ingest", As::Tenant(tenant), |tx| Box::pin(self.transaction(tx, tenant, group, &recalled)))
                .await;
            match result {
                Ok(Stored { fates, written, broken }) => {
                    self.seen.note(written);
                    self.count(group, &fates);
                    for (rule, outcome) in broken {
                        self.metrics.ingest.cmi5_violations.with_label_values(&[rule, outcome]).inc();
                    }
                    return Ok(fates);
                }
                Err(Halt::Known(moments)) => Box::pin(recalled.read(&self.cold, tenant, &moments)).await?,
                Err(Halt::Reached(moments)) => {
                    // Nobody waits for the archive who only refers to it.
                    if let Err(error) = Box::pin(recalled.read(&self.cold, tenant, &moments)).await {
                        warn!(%error, "references to archived statements are followed later");
                        recalled.later = true;
                    }
                }
                Err(Halt::Store(error)) if race < RACES && error.code() == Some("23505") => {
                    debug!("another transaction took one of the ids; reading again");
                    race += 1;
                }
                // 23514 (check_violation): the only constraint our rows can violate is that a partition for `stored` exists.
                Err(Halt::Store(error)) if race < RACES && error.code() == Some("23514") => {
                    // Partitions are made ahead; one that is missing is made now, and is an alarm.
                    warn!("a partition of the ledger was missing and is being made");
                    if self.store.ensure_partition(self.ledger_time(tenant).await?).await? {
                        self.metrics.ledger.months_on_demand.inc();
                    }
                    race += 1;
                }
                Err(Halt::Store(error)) => return Err(error.into()),
            }
        }
    }

    async fn ledger_time(&self, tenant: TenantId) -> Result<chrono::DateTime<chrono::Utc>, StoreError> {
        self.store.run_tx("ledger_time", As::Tenant(tenant), |tx| Box::pin(statements::now(tx))).await
    }

    async fn transaction(
        &self,
        tx: &Tx<'_>,
        tenant: TenantId,
        group: &[Job],
        recalled: &Recalled,
    ) -> Result<Stored, Halt> {
        let callers: Vec<&[Prepared]> = group.iter().map(|job| job.submission.statements.as_slice()).collect();
        let ids: Vec<Uuid> = callers.iter().flat_map(|statements| statements.iter().map(|s| s.id)).collect();
        // One round trip: reserve the microseconds of `stored`, then read which ids are known. In this order: a concurrent
        // referrer that this read does not see will see this transaction when its references are settled.
        let mut before = statements::beforehand(tx, tenant, &ids).await?;
        recalled.complete(&mut before.known, &callers)?;
        let mut sessions = Sessions::look(tx, tenant, group).await?;
        let fates = plan::plan(&callers, &before.known, |caller, new| sessions.judge(&group[caller].submission, new));
        let broken = sessions.keep(tx).await?;

        let first = statements::moment(before.first_micros)?;
        let new = callers.iter().zip(&fates).flat_map(|(statements, fate)| accepted(statements, fate));
        let entries: Vec<NewStatement<'_>> = (0..)
            .zip(new)
            .map(|(offset, statement)| NewStatement { statement, stored: first + TimeDelta::microseconds(offset) })
            .collect();
        let (unseen, written) = self.seen.unseen(entries.iter().map(|entry| entry.statement));
        remember(tx, tenant, unseen).await?;
        for (job, fate) in group.iter().zip(&fates) {
            if matches!(fate, Fate::Accepted(_)) {
                let Submission { statements, attachments, .. } = &job.submission;
                // All statements of a request have the authority of its credential.
                let authority = statements.first().map(|statement| statement.authority_key);
                attach::store(tx, tenant, attachments, authority).await?;
            }
        }
        let those = |which: &dyn Fn(&Prepared) -> bool| -> Vec<Uuid> {
            entries.iter().map(|entry| entry.statement).filter(|s| which(s)).map(|s| s.id).collect()
        };
        let referring = those(&|s| s.refers_to.is_some());
        let awaited = those(&|s| before.awaited.contains(&s.id));
        // Without references the inserts are the last statements, so COMMIT is pipelined behind them: one round trip less.
        if referring.is_empty() && awaited.is_empty() {
            statements::append_last(tx, tenant, &entries).await?;
        } else {
            statements::append(tx, tenant, &entries).await?;
            link(tx, tenant, &referring, &awaited, recalled).await?;
        }
        Ok(Stored { fates, written, broken })
    }

    fn count(&self, group: &[Job], fates: &[Fate]) {
        for (job, fate) in group.iter().zip(fates) {
            let new = accepted(&job.submission.statements, fate).count() as u64;
            self.verbs.note(accepted(&job.submission.statements, fate).map(|statement| statement.verb.iri.as_str()));
            let all = job.submission.statements.len() as u64;
            let others = match fate {
                Fate::Accepted(_) => "same",
                Fate::Conflict { .. } => "conflict",
                Fate::Against(_) => "refused",
            };
            self.metrics.ingest.statements.with_label_values(&["new"]).inc_by(new);
            self.metrics.ingest.statements.with_label_values(&[others]).inc_by(all - new);
        }
    }
}

/// The statements of a caller that are to be written.
fn accepted<'a>(statements: &'a [Prepared], fate: &'a Fate) -> impl Iterator<Item = &'a Prepared> {
    let new: &[bool] = match fate {
        Fate::Accepted(new) => new,
        Fate::Conflict { .. } | Fate::Against(_) => &[],
    };
    statements.iter().zip(new).filter(|(_, new)| **new).map(|(statement, _)| statement)
}

/// Whether what some caller brought may be the cause: nothing else failed, or the server gave up on the work they
/// brought together.
pub(super) fn may_be_of_one(error: &ColdError) -> bool {
    let ColdError::Store(error) = error else { return true };
    let is_elsewhere = matches!(error, StoreError::Fenced { .. });
    let is_fault = error.outcome() == Outcome::Final && !error.is_temporary() && !is_elsewhere;
    is_fault || error.code() == Some("57014")
}

fn verdict(fate: Fate) -> Result<(), IngestError> {
    match fate {
        Fate::Accepted(_) => Ok(()),
        Fate::Conflict { index, id, pointer } => Err(IngestError::Conflict { index, id, pointer }),
        Fate::Against(violations) => Err(IngestError::Against(violations)),
    }
}

fn answer(job: Job, verdict: Result<(), IngestError>) {
    // A caller that went away no longer listens; its statements are stored all the same.
    let _ = job.answer.send(verdict);
}
