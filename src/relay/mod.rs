//! From the ledger to the brokers: in the order of the ledger, at least once, acknowledged before the cursor moves.
//!
//! The ledger is append-only, so it is its own outbox. Without brokers nothing runs here, and everything stored so far
//! goes out once there are some.

mod stored;

use tokio::sync::OnceCell;

pub use stored::STATEMENT_STORED;

use crate::{
    bus::{connection::BusError, producer::Producer},
    model::{Clock, Event},
    store::{Store, StoreError, relay::Position},
    telemetry::Metrics,
};

/// Statements of one tenant in one go: enough to keep the brokers busy, little enough to send again.
const BATCH: i64 = 5_000;

#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Bus(#[from] BusError),
}

/// Sends what is stored. One node at a time runs it, under a lease; two would only send some events twice.
pub struct Relay {
    store: Store,
    producer: Producer,
    metrics: Metrics,
    clock: Clock,
    /// The key that makes actors unrecognisable, and the proof that the topics are there.
    ready: OnceCell<Vec<u8>>,
}

impl Relay {
    pub fn new(store: Store, producer: Producer, metrics: Metrics, clock: Clock) -> Self {
        Self { store, producer, metrics, clock, ready: OnceCell::new() }
    }

    /// Sends one batch of each tenant; answers whether there may be more.
    pub async fn step(&self) -> Result<bool, RelayError> {
        let key = self.ready.get_or_try_init(|| self.prepare()).await?;
        let mut more = false;
        for position in self.store.relay_positions().await? {
            more |= self.tenant(position, key).await?;
        }
        if !more {
            self.metrics.relay.lag_seconds.set(0.0);
        }
        Ok(more)
    }

    async fn prepare(&self) -> Result<Vec<u8>, RelayError> {
        self.producer.ensure_topics(&[STATEMENT_STORED]).await?;
        Ok(self.store.signing_key("actor").await?)
    }

    async fn tenant(&self, from: Position, key: &[u8]) -> Result<bool, RelayError> {
        let batch = self.store.relay_batch(from, BATCH).await?;
        let (Some(first), Some(last)) = (batch.first(), batch.last()) else { return Ok(false) };
        let lag = (self.clock.now() - first.stored).num_milliseconds();
        // A gauge of seconds needs no more digits than a double has.
        self.metrics.relay.lag_seconds.set(f64::from(i32::try_from(lag).unwrap_or(i32::MAX)) / 1_000.0);
        let events: Vec<Event> = batch.iter().map(|outgoing| stored::event(from.tenant, outgoing, key)).collect();
        self.producer.send_all(&events).await?;
        self.metrics.relay.sent.inc_by(events.len() as u64);
        self.store.relay_advance(from, last.stored).await?;
        Ok(i64::try_from(batch.len()) == Ok(BATCH))
    }
}
