//! One transaction for many callers: of several tenants, where their statements stand for themselves, or of one, whatever it
//! may send.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use chrono::TimeDelta;
use tracing::{debug, warn};
use uuid::Uuid;

use super::{
    Job, Submission, arrivals, attach,
    link::link,
    plan::{self, Fate, Refusal},
    recall::{Halt, Recalled},
    sessions::Sessions,
    verbs::UnregisteredVerbs,
};
use crate::{
    cold::{Cold, ColdError},
    model::TenantId,
    store::{
        As, Store, StoreError, Tx,
        ledger::{
            erased,
            remember::remember,
            seen::{Seen, Written},
            statements::{self, Id, NewStatement, id_of},
            traces::{self, Traced},
        },
    },
    telemetry::Metrics,
    xapi::{Violations, prepare::Prepared},
};

/// Attempts at a group whose ids another transaction takes at the same moment.
const RACES: u32 = 8;
/// How long statements of several tenants wait for a lock that one of them has caused, in each of the attempts at them.
const COMMON_WAIT: Duration = Duration::from_millis(250);

/// What became of a group.
struct Stored<R> {
    fates: Vec<Fate<R>>,
    written: Written,
    /// Rules of cmi5 that were broken, and what came of that.
    broken: Vec<(&'static str, &'static str)>,
}

pub(super) struct Transactions {
    store: Store,
    cold: Cold,
    seen: Arc<Seen>,
    verbs: UnregisteredVerbs,
    metrics: Metrics,
}

impl Transactions {
    pub fn new(cold: Cold, seen: Arc<Seen>, metrics: Metrics) -> Self {
        let store = cold.store().clone();
        let verbs = UnregisteredVerbs::start(store.clone(), metrics.clone());
        Self { store, cold, seen, verbs, metrics }
    }

    /// Stores plain statements of several tenants.
    pub async fn of_several(&self, group: &[Job]) -> Result<Vec<Fate<Refusal>>, StoreError> {
        let mut races = 0;
        loop {
            let together = self.store.run_tx("ingest", As::Group, |tx| Box::pin(self.together(tx, group))).await;
            match together {
                Ok(stored) => return Ok(self.done(group, stored, |refusal| *refusal != Refusal::Apart)),
                Err(error) => self.before_another(error, As::Group, &mut races).await?,
            }
        }
    }

    /// Stores whatever callers of one tenant sent.
    pub async fn of_one(&self, tenant: TenantId, group: &[Job]) -> Result<Vec<Fate<Violations>>, ColdError> {
        let whom = As::Tenant(tenant);
        let (mut races, mut recalled) = (0, Recalled::default());
        loop {
            let alone =
                self.store.run_tx("ingest", whom, |tx| Box::pin(self.alone(tx, tenant, group, &recalled))).await;
            match alone {
                Ok(stored) => return Ok(self.done(group, stored, |_| true)),
                Err(Halt::Known(moments)) => Box::pin(recalled.read(&self.cold, tenant, &moments)).await?,
                Err(Halt::Reached(moments)) => {
                    // Nobody waits for the archive who only refers to it.
                    if let Err(error) = Box::pin(recalled.read(&self.cold, tenant, &moments)).await {
                        warn!(%error, "references to archived statements are followed later");
                        recalled.later = true;
                    }
                }
                Err(Halt::Store(error)) => self.before_another(error, whom, &mut races).await?,
            }
        }
    }

    /// Makes ready for another attempt after this error, or gives it back.
    async fn before_another(&self, error: StoreError, whom: As, races: &mut u32) -> Result<(), StoreError> {
        match error.code() {
            Some("23505") if *races < RACES => debug!("another transaction took one of the ids; reading again"),
            // 23514 (check_violation): the only constraint our rows can violate is that a partition for `stored` exists.
            Some("23514") if *races < RACES => {
                // Partitions are made ahead; one that is missing is made now, and is an alarm.
                warn!("a partition of the ledger was missing and is being made");
                let now = self.store.run_tx("ledger_time", whom, |tx| Box::pin(statements::now(tx))).await?;
                if self.store.ensure_partition(now).await? {
                    self.metrics.ledger.months_on_demand.inc();
                }
            }
            _ => return Err(error),
        }
        *races += 1;
        Ok(())
    }

    /// In two flights, but for what is new of their vocabulary. Whoever brings again what is there, or what others refer to
    /// already, goes apart: to compare and to follow takes reading what is stored.
    async fn together(&self, tx: &Tx<'_>, group: &[Job]) -> Result<Stored<Refusal>, StoreError> {
        let tenants: BTreeSet<TenantId> = group.iter().map(|job| job.submission.tenant).collect();
        let tenants: Vec<TenantId> = tenants.into_iter().collect();
        let (callers, ids) = callers(group);
        let named = tx.set_tenants(&tenants, COMMON_WAIT);
        let looked = Sessions::of_several(tx, &tenants, group);
        let ((), before, mut sessions) = futures_util::try_join!(named, statements::beforehand(tx, &ids), looked)?;
        // Who may have to be erased on arrival is asked one tenant at a time; and after the microseconds are reserved.
        let erasing = erased::tenants(tx, &tenants).await?;
        let needs_more = |statement: &Prepared| {
            let known = before.known.get(&id_of(statement));
            before.awaited.contains(&id_of(statement))
                || known.is_some_and(|known| statement.has_timestamp && !known.erased)
        };
        let fates = plan::plan(&callers, &before.known, |caller, new| {
            let submission = &group[caller].submission;
            if erasing.contains(&submission.tenant)
                || submission.statements.iter().any(needs_more)
                || sessions.is_doubtful(submission)
            {
                return Err(Refusal::Apart);
            }
            sessions.judge(submission, new).map_err(Refusal::Against)
        });
        let broken = sessions.keep(tx).await?;
        let entries = entries(&callers, &fates, before.first_micros)?;
        let (unseen, written) = self.seen.unseen(entries.iter().map(|entry| entry.statement));
        let traced = traced(group, &fates);
        futures_util::try_join!(remember(tx, unseen), traces::keep(tx, &traced))?;
        statements::append_last(tx, &entries).await?;
        Ok(Stored { fates, written, broken })
    }

    async fn alone(
        &self,
        tx: &Tx<'_>,
        tenant: TenantId,
        group: &[Job],
        recalled: &Recalled,
    ) -> Result<Stored<Violations>, Halt> {
        let (callers, ids) = callers(group);
        // One round trip: reserve the microseconds of `stored`, then read which ids are known. In this order: a concurrent
        // referrer that this read does not see will see this transaction when its references are settled.
        let mut before = statements::beforehand(tx, &ids).await?;
        statements::recall(tx, &mut before.known).await?;
        recalled.complete(&mut before.known, &callers)?;
        let lost = arrivals::lost(tx, tenant, &callers, &mut before.known).await?;
        let mut sessions = Sessions::of_one(tx, tenant, group).await?;
        let fates = plan::plan(&callers, &before.known, |caller, new| sessions.judge(&group[caller].submission, new));
        let broken = sessions.keep(tx).await?;

        let entries = entries(&callers, &fates, before.first_micros)?;
        let (unseen, written) = self.seen.unseen(entries.iter().map(|entry| entry.statement));
        let traced = traced(group, &fates);
        futures_util::try_join!(remember(tx, unseen), traces::keep(tx, &traced))?;
        for (job, fate) in group.iter().zip(&fates) {
            if matches!(fate, Fate::Accepted(_)) {
                let Submission { statements, attachments, .. } = &job.submission;
                let attachments = &*arrivals::wanted(attachments, statements, &lost);
                // All statements of a request have the authority of its credential.
                let authority = statements.first().map(|statement| statement.authority_key);
                attach::store(tx, tenant, attachments, authority).await?;
            }
        }
        let those = |which: &dyn Fn(&Prepared) -> bool| -> Vec<Uuid> {
            entries.iter().map(|entry| entry.statement).filter(|s| which(s)).map(|s| s.id).collect()
        };
        let referring = those(&|s| s.refers_to.is_some());
        let awaited = those(&|s| before.awaited.contains(&id_of(s)));
        // Without references the inserts are the last statements, so COMMIT is pipelined behind them: one round trip less.
        if referring.is_empty() && awaited.is_empty() {
            statements::append_last(tx, &entries).await?;
        } else {
            statements::append(tx, &entries).await?;
            link(tx, tenant, &referring, &awaited, recalled).await?;
        }
        Ok(Stored { fates, written, broken })
    }

    /// Notes what is stored, and counts it; those whose refusal is not the last word are counted when that is said.
    fn done<R>(&self, group: &[Job], stored: Stored<R>, is_final: impl Fn(&R) -> bool) -> Vec<Fate<R>> {
        let Stored { fates, written, broken } = stored;
        self.seen.note(written);
        for (rule, outcome) in broken {
            self.metrics.ingest.cmi5_violations.with_label_values(&[rule, outcome]).inc();
        }
        for (job, fate) in group.iter().zip(&fates) {
            let statements = &job.submission.statements;
            self.verbs.note(accepted(statements, fate).map(|statement| statement.verb.iri.as_str()));
            let others = match fate {
                Fate::Accepted(_) => Some("same"),
                Fate::Conflict { .. } => Some("conflict"),
                Fate::Refused(refusal) => is_final(refusal).then_some("refused"),
            };
            let (all, new) = (statements.len() as u64, accepted(statements, fate).count() as u64);
            self.metrics.ingest.statements.with_label_values(&["new"]).inc_by(new);
            if let Some(others) = others {
                self.metrics.ingest.statements.with_label_values(&[others]).inc_by(all - new);
            }
        }
        fates
    }
}

/// What each caller brings, and the ids of all of it.
fn callers(group: &[Job]) -> (Vec<&[Prepared]>, Vec<Id>) {
    let callers: Vec<&[Prepared]> = group.iter().map(|job| job.submission.statements.as_slice()).collect();
    let ids = callers.iter().copied().flatten().map(id_of).collect();
    (callers, ids)
}

/// What is to be written, each statement with its own microsecond.
fn entries<'a, R>(
    callers: &[&'a [Prepared]],
    fates: &'a [Fate<R>],
    first_micros: i64,
) -> Result<Vec<NewStatement<'a>>, StoreError> {
    let first = statements::moment(first_micros)?;
    let new = callers.iter().zip(fates).flat_map(|(statements, fate)| accepted(statements, fate));
    let entry = |(offset, statement)| NewStatement { statement, stored: first + TimeDelta::microseconds(offset) };
    Ok((0..).zip(new).map(entry).collect())
}

/// The new statements of requests that are traced.
fn traced<R>(group: &[Job], fates: &[Fate<R>]) -> Vec<Traced> {
    let of = |(job, fate)| {
        let Job { submission, .. }: &Job = job;
        let context = submission.span.context();
        context.into_iter().flat_map(move |context| {
            accepted(&submission.statements, fate).map(move |statement| Traced { of: id_of(statement), context })
        })
    };
    group.iter().zip(fates).flat_map(of).collect()
}

/// The statements of a caller that are to be written.
fn accepted<'a, R>(statements: &'a [Prepared], fate: &'a Fate<R>) -> impl Iterator<Item = &'a Prepared> {
    let new: &[bool] = match fate {
        Fate::Accepted(new) => new,
        Fate::Conflict { .. } | Fate::Refused(_) => &[],
    };
    statements.iter().zip(new).filter(|(_, new)| **new).map(|(statement, _)| statement)
}
