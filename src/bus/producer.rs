//! Events on their way out: an idempotent producer that answers only when every replica has the message.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rdkafka::{
    ClientConfig,
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseRecord, Producer as _, PurgeConfig, ThreadedProducer},
};

use super::{
    connection::{BusError, client_config},
    delivery::{Batch, Reports},
    topics::Topics,
};
use crate::{config::Kafka, model::Event};

/// How long a message may take until the brokers have it; then the whole batch is sent again.
const DELIVERY: Duration = Duration::from_secs(30);
/// Between two tries to hand over a message while the queue is full.
const PAUSE: Duration = Duration::from_millis(5);
/// Messages handed over before other work of the node gets its turn.
const AT_ONCE: usize = 128;
/// What a message may weigh where no topic says less: librdkafka's own bound.
const LARGEST: usize = 1_000_000;
/// What the brokers count of a batch beside its messages.
const OVERHEAD: usize = 256;

/// An event that is too large for its topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Oversized {
    /// Its place in what was sent.
    pub at: usize,
    pub bytes: usize,
    pub limit: usize,
}

/// A connection that sends. After any failure it is made anew: what an old one may still hold must not go out later,
/// past what is sent again before it.
pub struct Producer {
    settings: ClientConfig,
    topics: Topics,
    prefix: String,
    current: Mutex<Option<Arc<Connection>>>,
}

struct Connection {
    inner: ThreadedProducer<Reports>,
    /// The largest message that every topic takes.
    limit: usize,
}

impl Producer {
    pub fn connect(kafka: &Kafka) -> Result<Self, BusError> {
        let client = client_config(kafka);
        let mut settings = client.clone();
        settings
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("compression.type", "lz4")
            .set("linger.ms", "5")
            // A topic that somebody deleted is made again soon.
            .set("topic.metadata.propagation.max.ms", "5000")
            .set("queue.buffering.max.messages", "200000")
            .set("delivery.timeout.ms", DELIVERY.as_millis().to_string());
        let topics = Topics::connect(&client, kafka)?;
        Ok(Self { settings, topics, prefix: kafka.topic_prefix.clone(), current: Mutex::new(None) })
    }

    /// The topic of an event type.
    pub fn topic(&self, kind: &str) -> String {
        format!("{}{kind}", self.prefix)
    }

    /// Makes the topics that are missing, where that is allowed, and connects; does nothing while the connection lives.
    pub async fn ready(&self, kinds: &[&str]) -> Result<(), BusError> {
        if self.slot().is_some() {
            return Ok(());
        }
        let names: Vec<String> = kinds.iter().map(|kind| self.topic(kind)).collect();
        self.topics.ensure(&names).await?;
        let limit = self.topics.smallest_limit(&names).await?.unwrap_or(LARGEST + OVERHEAD);
        // Two thousand: less than a topic may be told to take, and still a message.
        let limit = limit.saturating_sub(OVERHEAD).clamp(2_000, LARGEST);
        let mut settings = self.settings.clone();
        settings.set("message.max.bytes", limit.to_string());
        let inner = settings.create_with_context(Reports).map_err(BusError::Config)?;
        *self.slot() = Some(Arc::new(Connection { inner, limit }));
        Ok(())
    }

    /// Sends the events in their order and waits until all are acknowledged, but for those that are too large for
    /// their topic: they are answered. After an error some of them may be out and some not: send the same batch again.
    pub async fn send_all(&self, events: &[Event]) -> Result<Vec<Oversized>, BusError> {
        let connection = self.slot().clone().ok_or(BusError::NotReady)?;
        // Dropped in the middle, as when a lease is lost, it must not go on sending.
        let cut = Cut { producer: self, connection: Some(&connection) };
        let batch = Arc::new(Batch::new());
        let mut oversized = Vec::new();
        let mut topics: HashMap<&str, String> = HashMap::new();
        for (at, event) in events.iter().enumerate() {
            let topic = topics.entry(&event.kind).or_insert_with(|| self.topic(&event.kind));
            let payload = event.to_json().map_err(BusError::Encoding)?;
            let bytes = payload.len() + event.key.len();
            if connection.send(topic, &event.key, &payload, &batch).await?.is_too_large() {
                oversized.push(Oversized { at, bytes, limit: connection.limit });
            }
            if at % AT_ONCE == AT_ONCE - 1 {
                tokio::task::yield_now().await;
            }
        }
        batch.all_acknowledged().await.map_err(BusError::Unreachable)?;
        cut.not_needed();
        Ok(oversized)
    }

    /// Forgets the connection and everything it holds. Ending it waits for its threads, so another thread does that.
    fn forget(&self, connection: &Arc<Connection>) {
        let mut slot = self.slot();
        if slot.as_ref().is_some_and(|current| Arc::ptr_eq(current, connection)) {
            connection.inner.purge(PurgeConfig::default().queue().inflight());
            let ended = slot.take();
            drop(slot);
            std::thread::spawn(move || drop(ended));
        }
    }

    fn slot(&self) -> MutexGuard<'_, Option<Arc<Connection>>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What became of a message that was handed over.
#[derive(PartialEq, Eq)]
enum Handed {
    Over,
    TooLarge,
}

impl Handed {
    fn is_too_large(&self) -> bool {
        *self == Self::TooLarge
    }
}

impl Connection {
    async fn send(&self, topic: &str, key: &str, payload: &str, batch: &Arc<Batch>) -> Result<Handed, BusError> {
        batch.expect_one();
        let mut record = BaseRecord::with_opaque_to(topic, Arc::clone(batch)).key(key).payload(payload);
        loop {
            match self.inner.send(record) {
                Ok(()) => return Ok(Handed::Over),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    // The brokers take no more for now; the queue empties as they do, or by the delivery timeout.
                    record = back;
                    tokio::time::sleep(PAUSE).await;
                }
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge), _)) => {
                    batch.expect_one_less();
                    return Ok(Handed::TooLarge);
                }
                Err((error, _)) => return Err(BusError::Unreachable(error)),
            }
        }
    }
}

/// Cuts the connection unless told that all went well.
struct Cut<'a> {
    producer: &'a Producer,
    connection: Option<&'a Arc<Connection>>,
}

impl Cut<'_> {
    fn not_needed(mut self) {
        self.connection = None;
    }
}

impl Drop for Cut<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection {
            self.producer.forget(connection);
        }
    }
}
