//! Changes of partitions as jobs, for who cannot wait beside them: one month's state, or months divided anew.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    change::{self, ChangeError, Wish},
    rescheme::{self, ReschemeError, Step},
};
use crate::{
    model::{
        partition::{Change, Month},
        scheme::Scheme,
    },
    store::{
        StoreError,
        platform::jobs::{Context, Progress},
    },
    telemetry::Aside,
};

/// The kinds, and what the audit trail calls asking for one.
pub const CHANGE: &str = "partitions.change";
pub const DIVIDE: &str = "partitions.divide";

pub const KINDS: [&str; 2] = [CHANGE, DIVIDE];

/// How long a change waits for its moment before its job is begun again.
const PATIENCE: Duration = Duration::from_secs(30);
/// A piece of a month may be copied so long.
const LONGEST: Duration = Duration::from_hours(12);

/// Others kept the copy from its place for longer than a swap tries; an erasure threw it away, or somebody was erased since it was begun.
const PASSING: [&str; 3] = ["55P03", "55000", "PRE01"];

/// What a person can ask to become of a month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Act {
    Seal,
    Detach,
    Attach,
}

impl Act {
    pub fn change(self) -> Change {
        match self {
            Self::Seal => Change::Seal,
            Self::Detach => Change::Detach,
            Self::Attach => Change::Attach,
        }
    }
}

/// What is asked of a change.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeOrder {
    pub month: Month,
    pub act: Act,
}

/// What is asked of dividing.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DivideOrder {
    pub months: Vec<Month>,
    #[serde(with = "as_text")]
    pub to: Scheme,
}

mod as_text {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use crate::model::scheme::Scheme;

    pub(super) fn serialize<S: Serializer>(scheme: &Scheme, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(scheme)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Scheme, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum JobError {
    #[error(transparent)]
    Change(#[from] ChangeError),
    #[error(transparent)]
    Rescheme(#[from] ReschemeError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("partitions do no job of the kind {0}")]
    Kind(String),
}

impl JobError {
    /// Whether trying again in a while may help, without anybody's doing.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Change(ChangeError::Busy { .. })
            | Self::Rescheme(ReschemeError::Store(StoreError::Shape { name: "schemes::copy", .. })) => true,
            Self::Change(ChangeError::Store(error))
            | Self::Rescheme(ReschemeError::Store(error))
            | Self::Store(error) => {
                error.is_temporary()
                    || matches!(error, StoreError::Fenced { .. })
                    || error.code().is_some_and(|code| PASSING.contains(&code))
            }
            _ => false,
        }
    }
}

/// A step of a job of one of the kinds; answers what came of it once it is over.
pub async fn step(job: &Context, has_brokers: bool, aside: &Aside) -> Result<Option<Value>, JobError> {
    match job.job.kind.as_str() {
        CHANGE => change(job, has_brokers).await.map(Some),
        DIVIDE => divide(job, aside).await,
        kind => Err(JobError::Kind(kind.to_owned())),
    }
}

async fn change(job: &Context, has_brokers: bool) -> Result<Value, JobError> {
    let ChangeOrder { month, act } = job.parameters()?;
    let change = act.change();
    let wish = Wish { month, change, has_brokers, by: &job.job.requested_by, patience: PATIENCE };
    let made = change::make(&job.store, &wish).await?;
    Ok(json!({ "month": month, "state": change.to().name(), "made": made }))
}

/// Divides the next of the months. One that was left half-way is gone on with.
async fn divide(job: &Context, aside: &Aside) -> Result<Option<Value>, JobError> {
    let DivideOrder { months, to } = job.parameters()?;
    let done: usize = job.checkpoint()?.unwrap_or_default();
    let Some(month) = months.get(done).copied() else {
        return Ok(Some(json!({ "to": to.to_string(), "months": months })));
    };
    let all = job.store.divided_months().await?;
    if !rescheme::plan(&all, to, &[month])?.is_empty() {
        let steps = 2 * Scheme::Daily.parts(month).len() as u64 + 3;
        let (before, total) = (done as u64 * steps, months.len() as u64 * steps);
        let behind = AtomicU64::new(0);
        let tell = |step: Step| {
            let done = before + behind.fetch_add(1, Ordering::Relaxed) + 1;
            let note = Some(format!("{month}: {}", step.name()));
            job.progress(&Progress { done, total: Some(total.max(done)), unit: "steps", note, ..Progress::default() });
            // What is in its place is done, whoever wants it to stop.
            step == Step::Swapped || !job.should_stop()
        };
        match rescheme::rescheme(&job.store.patient(LONGEST), month, to, &job.job.requested_by, aside, &tell).await {
            Ok(()) => {}
            Err(ReschemeError::Stopped) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
    job.save_alone(&(done + 1)).await?;
    Ok(None)
}
