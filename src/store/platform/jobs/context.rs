//! What a step of a job has to work with: what was asked, how far the job has come, and whether it shall stop.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Checkpoint, Job, Progress, save};
use crate::store::{As, Store, StoreError, Tx};

/// A job in a step. A step begins from the checkpoint and saves the next one with what it does, so that a step which is
/// broken off anywhere is begun again, by this node or another, as if it had not been.
pub struct Context {
    pub job: Job,
    /// Under the job's lease. Whatever deletes, drops or publishes calls `leases::check` first in its transaction, or
    /// [`Store::check_lease`] where there is none: after that, a node that lost the job changes nothing.
    pub store: Store,
    format: i32,
    told: watch::Sender<Value>,
    stop: CancellationToken,
}

impl Context {
    /// Of a job whose kind writes checkpoints of this format; `told` is what becomes of its progress.
    pub fn new(job: Job, store: Store, format: i32, told: watch::Sender<Value>, stop: CancellationToken) -> Self {
        Self { job, store, format, told, stop }
    }

    /// What was asked for.
    pub fn parameters<T: DeserializeOwned>(&self) -> Result<T, StoreError> {
        read("job.parameters", &self.job.parameters)
    }

    /// Where the job goes on; `None` at its beginning. A kind that knows older formats than its own looks at
    /// `job.checkpoint` itself; one that is newer than a node is not given to it.
    pub fn checkpoint<T: DeserializeOwned>(&self) -> Result<Option<T>, StoreError> {
        let Some(Checkpoint { format, value }) = &self.job.checkpoint else { return Ok(None) };
        if *format != self.format {
            let detail = format!("it has format {format}, expected is {}", self.format);
            return Err(StoreError::Shape { name: "job.checkpoint", detail });
        }
        read("job.checkpoint", value).map(Some)
    }

    /// Keeps where the job goes on, together with what this transaction does. Fails where another node has the job.
    pub async fn save(&self, tx: &Tx<'_>, checkpoint: &(impl Serialize + Sync)) -> Result<(), StoreError> {
        let detail = |error: serde_json::Error| StoreError::Shape { name: "job.checkpoint", detail: error.to_string() };
        let value = serde_json::to_value(checkpoint).map_err(detail)?;
        save(tx, self.job.id, &Checkpoint { format: self.format, value }).await
    }

    /// The same, after something that no transaction holds.
    pub async fn save_alone(&self, checkpoint: &(impl Serialize + Sync)) -> Result<(), StoreError> {
        self.store.run_tx("job_save", As::Worker, |tx| Box::pin(self.save(tx, checkpoint))).await
    }

    /// Tells how far the job has come. It costs nothing, and is written down a few times a second at most.
    pub fn progress(&self, progress: &Progress) {
        self.told.send_replace(serde_json::to_value(progress).unwrap_or_default());
    }

    /// Whether the step shall end where it can go on later: somebody asked for a pause or a cancellation, or the node stops.
    pub fn should_stop(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Returns when it shall.
    pub async fn stopped(&self) {
        self.stop.cancelled().await;
    }
}

fn read<T: DeserializeOwned>(name: &'static str, value: &Value) -> Result<T, StoreError> {
    T::deserialize(value).map_err(|error| StoreError::Shape { name, detail: error.to_string() })
}
