//! What the service does to months by itself: it seals those whose time has come, and puts jobs for what takes long.

use chrono::TimeDelta;

use super::{
    Archive, ArchiveError, jobs,
    plan::{Act, Coming, Schedule, due},
};
use crate::{
    model::{
        job,
        partition::{Change, State},
        plan::digest,
    },
    partitions::change::{self, ChangeError, Wish},
    store::{
        As, StoreError,
        ledger::partitions::{self, Standing},
        platform::{
            jobs::{self as queue, Filter, NewJob},
            leases,
        },
    },
};

use std::time::Duration;

/// As the audit trail knows it.
pub const BY: &str = "schedule";
/// A job that failed is not put again before: somebody should look first.
const REST: TimeDelta = TimeDelta::hours(6);

impl Archive {
    /// Does what is due, or puts a job for it; one month of each kind at a time, the oldest first.
    pub async fn keep_schedule(&self, schedule: &Schedule, has_brokers: bool) -> Result<(), ArchiveError> {
        let standings = self.standings().await?;
        for state in State::ALL {
            let months = standings.iter().filter(|one| one.partition.state == state).count();
            self.metrics.archive.months(state.name(), months);
        }
        let due = due(schedule, self.clock.now(), &standings);
        let mut waiting = due.len();
        for one in due.iter().filter(|one| one.act == Act::Seal) {
            waiting -= usize::from(self.seal(one, has_brokers).await?);
        }
        for (act, kind) in [(Act::Archive, jobs::RUN), (Act::Drop, jobs::DROP)] {
            if let Some(first) = due.iter().find(|one| one.act == act) {
                self.put(kind, first).await?;
            }
        }
        self.metrics.archive.due(waiting);
        Ok(())
    }

    /// All months, as the schedule looks at them.
    pub async fn standings(&self) -> Result<Vec<Standing>, ArchiveError> {
        Ok(self.store.run_tx("standings", As::Worker, |tx| Box::pin(partitions::standings(tx))).await?)
    }

    async fn seal(&self, one: &Coming, has_brokers: bool) -> Result<bool, ArchiveError> {
        let wish = Wish { month: one.month, change: Change::Seal, has_brokers, by: BY, patience: Duration::ZERO };
        match change::make(&self.store, &wish).await {
            Ok(_) => Ok(true),
            // The gauge of what is due tells when that goes on for long.
            Err(error @ (ChangeError::NotPast { .. } | ChangeError::Busy { .. })) => {
                tracing::info!(%error, "a month waits to be sealed");
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn put(&self, kind: &'static str, one: &Coming) -> Result<(), ArchiveError> {
        let (plan, id) = (digest(one), self.ids.uuid());
        let job = &NewJob {
            id,
            kind,
            tenant: None,
            by: BY,
            approved_by: None,
            parameters: jobs::Order::of(Some(one.month)),
            plan_digest: Some(&plan),
        };
        let (filter, rested) = (&Filter { kind: Some(kind.to_owned()), ..Filter::default() }, self.clock.now() - REST);
        let put = self.store.run_once("put_archive_job", As::Worker, |tx| {
            Box::pin(async move {
                leases::check(tx).await?;
                let last = queue::list(tx, filter, 1).await?.pop();
                let has_failed = last.is_some_and(|last| {
                    let is_over = matches!(last.state, job::State::Failed | job::State::Cancelled);
                    is_over && last.finished_at.is_none_or(|at| at > rested)
                });
                if !has_failed {
                    queue::put_alone(tx, job).await?;
                }
                Ok::<_, StoreError>(())
            })
        });
        Ok(put.await?)
    }
}
