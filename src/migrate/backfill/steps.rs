//! What a release does to a row where no statement can: written in Rust, known by name, done as often as it takes.

use std::{collections::BTreeMap, future::Future, pin::Pin, sync::Arc};

use serde_json::Value;

use crate::store::{StoreError, platform::jobs::Context};

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Did {
    /// The row does not remain any more.
    Row,
    /// Something is in the way that passes: the same row is next.
    Later(String),
    /// Somebody has to look.
    Failed(String),
}

type Doing<'j> = Pin<Box<dyn Future<Output = Result<Did, StoreError>> + Send + 'j>>;
type Step = dyn for<'j> Fn(&'j Context, Value) -> Doing<'j> + Send + Sync;

/// The steps of a release, by name.
#[derive(Clone, Default)]
pub struct Steps(BTreeMap<&'static str, Arc<Step>>);

impl Steps {
    /// With one more. It is given the columns by which the table is walked, may be given the same row again, and works under the job's
    /// lease.
    #[must_use]
    pub fn with(
        mut self,
        name: &'static str,
        step: impl for<'j> Fn(&'j Context, Value) -> Doing<'j> + Send + Sync + 'static,
    ) -> Self {
        self.0.insert(name, Arc::new(step));
        self
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(super) async fn perform(&self, name: &str, job: &Context, row: Value) -> Result<Did, StoreError> {
        match self.0.get(name) {
            Some(step) => step(job, row).await,
            None => Ok(Did::Failed(format!("this release has no step {name:?}: the file is another release's"))),
        }
    }
}
