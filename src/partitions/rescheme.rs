//! Divides a month anew, while it is read: copied day by day, indexed, compared, and put in its own place.
//!
//! Each step is a transaction. Whoever was stopped after any of them begins again and goes on behind it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    model::{
        partition::{Bounds, Month},
        scheme::{self, Scheme},
    },
    store::{
        Store, StoreError,
        ledger::schemes::{Comparison, Divided, Division},
    },
    telemetry::Aside,
};

/// States in which nobody writes to a month whose table is here.
const STILL: [&str; 3] = ["sealed", "detached", "archived"];
/// How often the copy is put in place that others keep from it, with growing pauses.
const TRIES: u32 = 12;

#[derive(Debug, thiserror::Error)]
pub enum ReschemeError {
    #[error("the copy of {0} is not what the month is, so it was not put in place: {1}")]
    Differs(Month, String),
    #[error("there is no partition {0}; `progress-service partitions list` prints them")]
    Unknown(Month),
    #[error("{month} is {state}: one is divided anew that is sealed, detached, or archived with its table here")]
    NotStill { month: Month, state: String },
    #[error("{0} is not being divided anew")]
    Idle(Month),
    #[error("stopped; begun again it goes on")]
    Stopped,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What has been done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Begun,
    Copied(Bounds),
    Indexed,
    Compared(Bounds),
    Swapped,
}

impl Step {
    pub fn name(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Copied(_) => "copied",
            Self::Indexed => "indexed",
            Self::Compared(_) => "compared",
            Self::Swapped => "swapped",
        }
    }

    /// Which part of the month it was about.
    pub fn part(self) -> Option<Bounds> {
        match self {
            Self::Copied(part) | Self::Compared(part) => Some(part),
            Self::Begun | Self::Indexed | Self::Swapped => None,
        }
    }
}

/// What would be divided: those among `only`, each of which has to be one that can be, or all that can be.
pub fn plan(all: &[Divided], to: Scheme, only: &[Month]) -> Result<Vec<Divided>, ReschemeError> {
    for month in only {
        let one = all.iter().find(|one| one.month == *month).ok_or(ReschemeError::Unknown(*month))?;
        if one.scheme != to && fitting(std::slice::from_ref(one), to, &[]).is_empty() {
            return Err(ReschemeError::NotStill { month: *month, state: one.state.clone() });
        }
    }
    Ok(fitting(all, to, only))
}

/// What would be done to a month, in a line.
pub fn line(one: &Divided, to: Scheme) -> Value {
    let parts: Vec<String> = to.parts(one.month).into_iter().map(scheme::name).collect();
    json!({ "name": one.month, "state": one.state, "from": one.scheme.to_string(), "to": to.to_string(), "parts": parts })
}

/// The months that can be divided like this and are not: all of them, or those among `only`.
fn fitting(all: &[Divided], scheme: Scheme, only: &[Month]) -> Vec<Divided> {
    let is_meant = |one: &&Divided| only.is_empty() || only.contains(&one.month);
    let fits = |one: &&Divided| one.scheme != scheme && STILL.contains(&one.state.as_str());
    all.iter().filter(is_meant).filter(fits).cloned().collect()
}

/// Divides the month, a day at a time, and stands aside between two; `tell` hears of each step once it is done, and says whether to go on.
pub async fn rescheme(
    store: &Store,
    month: Month,
    scheme: Scheme,
    by: &str,
    aside: &Aside,
    tell: &(dyn Fn(Step) -> bool + Sync),
) -> Result<(), ReschemeError> {
    let tell = |step| if tell(step) { Ok(()) } else { Err(ReschemeError::Stopped) };
    let days = Scheme::Daily.parts(month);
    let mut division = store.begin_division(month, scheme).await?;
    tell(Step::Begun)?;
    for day in days.iter().copied().filter(|day| day.lower >= division.copied_until).collect::<Vec<_>>() {
        let begun = Instant::now();
        division = store.copy_division(&division, day).await?;
        aside.rest(begun.elapsed()).await;
        tell(Step::Copied(day))?;
    }
    store.index_division(&division).await?;
    tell(Step::Indexed)?;
    let mut comparison = Comparison::of(division);
    for day in days {
        let begun = Instant::now();
        let difference = store.compare_division(&mut comparison, day).await?;
        aside.rest(begun.elapsed()).await;
        if let Some(difference) = difference {
            return Err(ReschemeError::Differs(month, difference));
        }
        tell(Step::Compared(day))?;
    }
    let unseen = || ReschemeError::Differs(month, "not all of it was compared".to_owned());
    let same = comparison.finish().ok_or_else(unseen)?;
    let mut tries = 1;
    while let Err(error) = store.swap_division(&same, by).await {
        if error.code() != Some("55P03") || tries == TRIES {
            return Err(error.into());
        }
        tokio::time::sleep(Duration::from_millis(50) * 2u32.pow(tries.min(7))).await;
        tries += 1;
    }
    tell(Step::Swapped)
}

/// Removes what was copied; the month stays as it is.
pub async fn abort(store: &Store, month: Month) -> Result<Division, ReschemeError> {
    let found = store.divisions().await?.into_iter().find(|division| division.month == month);
    let division = found.ok_or(ReschemeError::Idle(month))?;
    store.abort_division(&division).await?;
    Ok(division)
}
