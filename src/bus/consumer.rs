//! Commands on their way in: a member of a consumer group, whose offsets are committed only when it is told that a
//! message is settled. What cannot be settled goes to the dead letters.

use std::{sync::Arc, time::Duration};

use rdkafka::{
    ClientContext, Message, Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer as _, ConsumerContext, StreamConsumer},
    error::KafkaError,
    message::{BorrowedMessage, Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
};

use super::{
    connection::{BusError, client_config},
    topics::Topics,
};
use crate::{
    config::Kafka,
    model::{Event, event::DEAD_LETTER},
};

/// The group's name after the prefix of the topics: nodes of one installation share the messages out.
const GROUP: &str = "progress-service";
/// How long the group waits for a node that fell silent before others get its partitions.
const SILENCE: Duration = Duration::from_secs(10);
/// How long the brokers may take to acknowledge a dead letter.
const DELIVERY: Duration = Duration::from_secs(30);
/// How soon a topic is noticed that somebody makes later.
const LOOK: Duration = Duration::from_secs(10);

/// A message with the place it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// As subscribed to, without the prefix.
    pub kind: &'static str,
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub payload: Vec<u8>,
    /// When it was sent, in Unix milliseconds, where the brokers know.
    pub sent_millis: Option<i64>,
}

/// Reads the topics it was made for.
pub struct Consumer {
    inner: Arc<StreamConsumer<Quiet>>,
    letters: FutureProducer,
    kinds: Vec<&'static str>,
    prefix: String,
}

/// The brokers' complaints belong into our log, not on standard error.
struct Quiet;

impl ClientContext for Quiet {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "the brokers");
    }
}

impl ConsumerContext for Quiet {}

impl Consumer {
    /// Joins the group; makes the topics that are missing, `others` among them, where that is allowed.
    pub async fn join(kafka: &Kafka, kinds: &[&'static str], others: &[&str]) -> Result<Self, BusError> {
        let client = client_config(kafka);
        let named = |kind: &&str| format!("{}{kind}", kafka.topic_prefix);
        let topics: Vec<String> = kinds.iter().map(|kind| named(&&**kind)).collect();
        let letters = std::iter::once(&DEAD_LETTER).chain(others).map(named);
        let all: Vec<String> = topics.iter().cloned().chain(letters).collect();
        Topics::connect(&client, kafka)?.ensure(&all).await?;

        let mut reader = client.clone();
        reader
            .set("group.id", format!("{}{GROUP}", kafka.topic_prefix))
            .set("enable.auto.commit", "false")
            // A command that was sent before this service was first started is a command all the same.
            .set("auto.offset.reset", "earliest")
            .set("session.timeout.ms", SILENCE.as_millis().to_string())
            .set("topic.metadata.refresh.interval.ms", LOOK.as_millis().to_string());
        let inner: StreamConsumer<Quiet> = reader.create_with_context(Quiet).map_err(BusError::Config)?;
        inner.subscribe(&topics.iter().map(String::as_str).collect::<Vec<_>>()).map_err(BusError::Config)?;
        let mut sender = client;
        sender
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("delivery.timeout.ms", DELIVERY.as_millis().to_string());
        let letters = sender.create().map_err(BusError::Config)?;
        Ok(Self { inner: Arc::new(inner), letters, kinds: kinds.to_vec(), prefix: kafka.topic_prefix.clone() })
    }

    /// Waits for the next message of the partitions this node has.
    pub async fn next(&self) -> Result<Received, BusError> {
        let message = self.inner.recv().await.map_err(BusError::Unreachable)?;
        Ok(self.owned(&message))
    }

    fn owned(&self, message: &BorrowedMessage<'_>) -> Received {
        let kind = message.topic().strip_prefix(&self.prefix);
        Received {
            kind: self.kinds.iter().copied().find(|known| Some(*known) == kind).unwrap_or_default(),
            topic: message.topic().to_owned(),
            partition: message.partition(),
            offset: message.offset(),
            payload: message.payload().unwrap_or_default().to_vec(),
            sent_millis: message.timestamp().to_millis(),
        }
    }

    /// Says that a message needs no more attention. Where the partition is another node's by now, that node sees the
    /// message again.
    pub async fn settled(&self, message: &Received) -> Result<(), BusError> {
        let mut next = TopicPartitionList::new();
        let offset = Offset::Offset(message.offset.saturating_add(1));
        next.add_partition_offset(&message.topic, message.partition, offset).map_err(BusError::Unreachable)?;
        let consumer = Arc::clone(&self.inner);
        let committed = tokio::task::spawn_blocking(move || consumer.commit(&next, CommitMode::Sync));
        committed.await?.map_err(BusError::Unreachable)
    }

    /// Puts a letter about the message into the dead letters; returns when the brokers have it.
    pub async fn refuse(&self, message: &Received, reason: &str, letter: &Event) -> Result<(), BusError> {
        let (partition, offset) = (message.partition.to_string(), message.offset.to_string());
        let headers = [
            ("reason", reason),
            ("original-topic", &message.topic),
            ("original-partition", &partition),
            ("original-offset", &offset),
        ];
        let headers = headers
            .iter()
            .fold(OwnedHeaders::new(), |all, (key, value)| all.insert(Header { key, value: Some(*value) }));
        let (topic, payload) = (format!("{}{DEAD_LETTER}", self.prefix), letter.to_json().map_err(BusError::Encoding)?);
        let record = FutureRecord::to(&topic).key(&letter.key).payload(&payload).headers(headers);
        self.letters.send(record, DELIVERY).await.map(drop).map_err(|(error, _)| BusError::Unreachable(error))
    }

    /// Leaves the group, so that others need not wait until it falls silent.
    pub async fn leave(self) {
        let left = tokio::task::spawn_blocking(move || drop(self));
        if let Err(error) = left.await {
            tracing::debug!(%error, "the group will notice by itself");
        }
    }
}
