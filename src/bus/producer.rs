//! Events on their way out: an idempotent producer that answers only when every replica has the message.

use std::time::Duration;

use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    error::{KafkaError, RDKafkaErrorCode},
    producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer as _},
};

use super::connection::{BusError, client_config};
use crate::{config::Kafka, model::Event};

/// How long a message may take until the brokers have it; then the whole batch is sent again.
const DELIVERY: Duration = Duration::from_secs(30);
/// How long the brokers may take to answer a question about topics.
const ANSWER: Duration = Duration::from_secs(10);
/// How long topics of these events are kept where they are made here: 180 days.
const RETENTION_MS: &str = "15552000000";

/// A connection that sends. librdkafka keeps its own threads; dropping it flushes nothing, so await what was sent.
pub struct Producer {
    inner: FutureProducer,
    admin: AdminClient<DefaultClientContext>,
    prefix: String,
    partitions: i32,
    creates_topics: bool,
}

impl Producer {
    pub fn connect(kafka: &Kafka) -> Result<Self, BusError> {
        let client = client_config(kafka);
        let mut sender = client.clone();
        sender
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("compression.type", "lz4")
            .set("linger.ms", "5")
            .set("queue.buffering.max.messages", "200000")
            .set("delivery.timeout.ms", DELIVERY.as_millis().to_string());
        Ok(Self {
            inner: sender.create().map_err(BusError::Config)?,
            admin: client.create().map_err(BusError::Config)?,
            prefix: kafka.topic_prefix.clone(),
            partitions: i32::try_from(kafka.topic_partitions).unwrap_or(i32::MAX),
            creates_topics: kafka.create_topics,
        })
    }

    /// The topic of an event type.
    pub fn topic(&self, kind: &str) -> String {
        format!("{}{kind}", self.prefix)
    }

    /// Makes the topics that are missing, with the retention their events need; does nothing where that is not allowed.
    pub async fn ensure_topics(&self, kinds: &[&str]) -> Result<(), BusError> {
        if !self.creates_topics {
            return Ok(());
        }
        let names: Vec<String> = kinds.iter().map(|kind| self.topic(kind)).collect();
        // -1: the brokers' own default of replicas.
        let new =
            |name| NewTopic::new(name, self.partitions, TopicReplication::Fixed(-1)).set("retention.ms", RETENTION_MS);
        let topics: Vec<NewTopic<'_>> = names.iter().map(|name| new(name)).collect();
        let made = self.admin.create_topics(&topics, &AdminOptions::new().request_timeout(Some(ANSWER)));
        for result in made.await.map_err(BusError::Unreachable)? {
            match result {
                Ok(name) => tracing::info!(name, "a topic was made"),
                Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((_, code)) => return Err(BusError::Unreachable(KafkaError::AdminOp(code))),
            }
        }
        Ok(())
    }

    /// Sends the events in their order and waits until all are acknowledged. After an error some of them may be out
    /// and some not: send the same batch again, in the same order.
    pub async fn send_all(&self, events: &[Event]) -> Result<(), BusError> {
        let mut deliveries: Vec<DeliveryFuture> = Vec::with_capacity(events.len());
        for event in events {
            let (topic, payload) = (self.topic(event.kind), event.to_json());
            deliveries.push(self.enqueue(&topic, &event.key, &payload).await?);
        }
        for delivery in deliveries {
            match delivery.await {
                Ok(Ok(_)) => {}
                Ok(Err((error, _))) => return Err(self.failed(error)),
                // The producer went away before the message did.
                Err(_) => return Err(BusError::Unreachable(KafkaError::Canceled)),
            }
        }
        Ok(())
    }

    async fn enqueue(&self, topic: &str, key: &str, payload: &str) -> Result<DeliveryFuture, BusError> {
        let mut record = FutureRecord::to(topic).key(key).payload(payload);
        loop {
            match self.inner.send_result(record) {
                Ok(delivery) => return Ok(delivery),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    // The brokers take no more for now; the queue empties as they do, or by the delivery timeout.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    record = back;
                }
                Err((error, _)) => return Err(self.failed(error)),
            }
        }
    }

    /// What is still queued after a failure must not go out later, past what is sent again before it.
    fn failed(&self, error: KafkaError) -> BusError {
        self.inner.purge(rdkafka::producer::PurgeConfig::default().queue().inflight());
        BusError::Unreachable(error)
    }
}
