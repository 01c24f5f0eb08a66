//! What people ask of the archive: what would be done, which is shown first, and the job that does it. The command line and
//! `/api/v1` ask here.

use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Archive, ArchiveError,
    gc::Leftover,
    kinds::{ADOPT, DROP, GC, Order, RESTORE, RUN},
};
use crate::{
    model::{
        partition::{Month, State},
        plan::Planned,
    },
    store::{
        As,
        ledger::segments,
        platform::jobs::{self, NewJob, Placed},
    },
};

/// What would be done to a month.
#[derive(Clone, Debug, Serialize)]
pub struct MonthPlan {
    pub act: &'static str,
    pub month: Month,
    pub state: &'static str,
    pub becomes: &'static str,
    /// By the database's estimate.
    pub statements: i64,
    /// Of its tables.
    pub bytes: i64,
    /// Published segments of it.
    pub segments: usize,
    pub archived_statements: i64,
    pub archived_bytes: i64,
}

impl MonthPlan {
    /// Whether the month is what it shall become.
    pub fn is_done(&self) -> bool {
        self.state == self.becomes
    }
}

/// From which states a month comes, what it becomes, and how that is said of one that is in no such state.
fn way(kind: &str) -> Option<(&'static [State], State, &'static str)> {
    match kind {
        RUN => Some((&[State::Sealed, State::Detached], State::Archived, "this is for one that is sealed or detached")),
        DROP => Some((&[State::Archived], State::Dropped, "this is for one that is archived")),
        RESTORE => Some((&[State::Dropped], State::Archived, "this is for one that is dropped")),
        _ => None,
    }
}

impl Archive {
    /// What a job of the kind would do: of one month, where it is about one.
    pub async fn plan(&self, kind: &'static str, month: Option<Month>) -> Result<Planned, ArchiveError> {
        let (plan, is_idle) = match kind {
            GC => {
                let leftovers = self.leftovers().await?;
                (Value::from_iter(leftovers.iter().map(Leftover::to_json)), leftovers.is_empty())
            }
            ADOPT => {
                let adoption = self.adoption().await?;
                (adoption.to_json(), adoption.is_done())
            }
            _ if way(kind).is_some() => {
                let plan = self.month_plan(kind, month.ok_or(ArchiveError::NoMonth(kind))?).await?;
                (json!(plan), plan.is_done())
            }
            _ => (json!({ "act": kind, "month": month }), false),
        };
        Ok(Planned::of(plan, is_idle))
    }

    /// What writing, dropping or restoring would do to the month.
    pub async fn month_plan(&self, kind: &'static str, month: Month) -> Result<MonthPlan, ArchiveError> {
        let (from, to, wanted) = way(kind).ok_or(ArchiveError::NoMonth(kind))?;
        let weights = self.store.partition_weights().await?;
        let found = weights.into_iter().find(|(one, _)| one.bounds.lower == month.begin());
        let (partition, weight) = found.ok_or(ArchiveError::Unknown(month))?;
        let state = partition.state;
        if state != to && !from.contains(&state) {
            return Err(ArchiveError::Wrong { partition: partition.bounds, state, wanted });
        }
        let mut segments = self.segments(Some(month)).await?;
        segments.retain(|one| one.state == segments::State::Published);
        let sum =
            |of: fn(&segments::Contents) -> i64| segments.iter().filter_map(|one| one.contents.as_ref()).map(of).sum();
        Ok(MonthPlan {
            act: kind,
            month,
            state: state.name(),
            becomes: to.name(),
            statements: weight.rows,
            bytes: weight.bytes,
            segments: segments.len(),
            archived_statements: sum(|contents| contents.rows),
            archived_bytes: sum(|contents| contents.bytes),
        })
    }

    /// Puts the job that does it, or finds the one that does the very same already.
    pub async fn ask_for(
        &self,
        kind: &'static str,
        month: Option<Month>,
        plan: &str,
        by: &str,
    ) -> Result<Uuid, ArchiveError> {
        let (id, parameters) = (self.ids.uuid(), Order::of(month));
        let job = &NewJob { id, kind, tenant: None, by, approved_by: None, parameters, plan_digest: Some(plan) };
        match self.store.run_once("put_archive_job", As::Worker, |tx| Box::pin(jobs::put_once(tx, job))).await? {
            Placed::This(id) => Ok(id),
            Placed::Other(job) => Err(ArchiveError::Busy { kind, job }),
        }
    }
}
