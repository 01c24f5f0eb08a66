//! Kafka for tests: a topic per test, produced to and read from its beginning.

use std::time::Duration;

use progress_service::model::Ids;
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication},
    client::DefaultClientContext,
    consumer::{Consumer, StreamConsumer},
    error::KafkaError,
    message::{Header, Headers, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
};
use tokio::time::timeout;

use super::{
    background,
    patience::{self, PATIENCE},
    settings,
};

/// `host:port` of the brokers, as the service's configuration wants them.
pub fn brokers() -> String {
    settings::required("TEST_KAFKA_BROKERS")
}

fn client(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers);
    config
}

/// A name no other test has.
pub fn unique(stem: &str) -> String {
    format!("{stem}-{}", Ids::random().uuid().simple())
}

/// A message as a test compares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    pub partition: i32,
    pub offset: i64,
    pub key: Option<String>,
    pub payload: Vec<u8>,
    pub headers: Vec<(String, Vec<u8>)>,
}

impl Received {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.payload).expect("a JSON payload")
    }
}

/// A topic of this test alone; deleted with it.
pub struct Topic {
    pub name: String,
    brokers: String,
    partitions: i32,
}

impl Topic {
    pub async fn new(partitions: i32) -> Self {
        Self::named(unique("test"), partitions).await
    }

    pub async fn named(name: String, partitions: i32) -> Self {
        let topic = Self::existing(brokers(), name, partitions);
        topic.make().await;
        topic
    }

    /// A topic that somebody else makes, on any brokers.
    pub fn existing(brokers: String, name: String, partitions: i32) -> Self {
        Self { name, brokers, partitions }
    }

    /// Makes it, perhaps after it was deleted.
    pub async fn make(&self) {
        self.make_on(TopicReplication::Fixed(1)).await;
    }

    /// Makes it with these replicas; the first of each partition's leads it.
    pub async fn make_on(&self, replicas: TopicReplication<'_>) {
        let topic = NewTopic::new(&self.name, self.partitions, replicas);
        let made = self.admin().create_topics([&topic], &AdminOptions::new()).await.expect("the broker answers");
        made.into_iter().collect::<Result<Vec<_>, _>>().expect("a new topic");
    }

    pub async fn delete(&self) {
        let gone = self.admin().delete_topics(&[&self.name], &AdminOptions::new()).await.expect("the broker answers");
        gone.into_iter().collect::<Result<Vec<_>, _>>().expect("a deleted topic");
        // Until the broker has noticed it takes messages, and throws them away with the rest.
        patience::until("the end of the topic", async || match self.property("retention.ms").await {
            None => Ok(()),
            Some(_) => Err("it is still there"),
        })
        .await;
    }

    /// Sets one of its properties.
    pub async fn set(&self, name: &str, value: &str) {
        let change = AlterConfig::new(ResourceSpecifier::Topic(&self.name)).set(name, value);
        let done = self.admin().alter_configs([&change], &AdminOptions::new()).await.expect("the broker answers");
        done.into_iter().collect::<Result<Vec<_>, _>>().expect("a changed topic");
    }

    /// One of its properties; `None` where the topic is not there.
    pub async fn property(&self, name: &str) -> Option<String> {
        let asked = [ResourceSpecifier::Topic(&self.name)];
        let answers = self.admin().describe_configs(&asked, &AdminOptions::new()).await.expect("the broker answers");
        answers.into_iter().next()?.ok()?.get(name)?.value.clone()
    }

    /// How many partitions it has, 0 where it is not there.
    pub async fn partition_count(&self) -> i32 {
        let (name, mut settings) = (self.name.clone(), client(&self.brokers));
        let asking = tokio::task::spawn_blocking(move || {
            let consumer: StreamConsumer = settings.set("group.id", &name).create().expect("a consumer");
            partitions(&consumer, &name)
        });
        asking.await.expect("the count")
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        client(&self.brokers).create().expect("an administrator's client")
    }

    pub async fn send(&self, key: &str, payload: &[u8], headers: &[(&str, &str)]) {
        self.try_send(key, payload, headers).await.expect("an acknowledgement");
    }

    /// Fails where the broker does not take it.
    pub async fn try_send(&self, key: &str, payload: &[u8], headers: &[(&str, &str)]) -> Result<(), KafkaError> {
        let owned = headers
            .iter()
            .fold(OwnedHeaders::new(), |all, (key, value)| all.insert(Header { key, value: Some(*value) }));
        let producer: FutureProducer = client(&self.brokers).create().expect("a producer");
        let record = FutureRecord::to(&self.name).key(key).payload(payload).headers(owned);
        producer.send(record, PATIENCE).await.map(drop).map_err(|(error, _)| error)
    }

    /// The first `count` messages of all partitions, each partition's in its order; fails when they do not come.
    pub async fn read(&self, count: usize) -> Vec<Received> {
        let consumer = self.consumer().await;
        let mut received = Vec::with_capacity(count);
        while received.len() < count {
            let Ok(message) = timeout(PATIENCE, consumer.recv()).await else {
                panic!("{} of {count} messages came to {}: {received:?}", received.len(), self.name)
            };
            received.push(own(&message.expect("a message")));
        }
        received
    }

    /// Everything that is in the topic now.
    pub async fn read_all(&self) -> Vec<Received> {
        let count = self.count().await;
        self.read(count).await
    }

    /// How many messages are in the topic now.
    pub async fn count(&self) -> usize {
        let name = self.name.clone();
        let consumer = self.consumer().await;
        let counting = tokio::task::spawn_blocking(move || {
            let held = |partition| {
                let (low, high) = consumer.fetch_watermarks(&name, partition, PATIENCE).expect("watermarks");
                usize::try_from(high - low).expect("a count")
            };
            (0..partitions(&consumer, &name)).map(held).sum()
        });
        counting.await.expect("the count")
    }

    async fn consumer(&self) -> StreamConsumer {
        let mut settings = client(&self.brokers);
        settings.set("group.id", &self.name).set("enable.auto.commit", "false");
        let name = self.name.clone();
        let assigning = tokio::task::spawn_blocking(move || {
            let consumer: StreamConsumer = settings.create().expect("a consumer");
            let mut list = TopicPartitionList::new();
            for partition in 0..partitions(&consumer, &name) {
                list.add_partition_offset(&name, partition, Offset::Beginning).expect("a valid offset");
            }
            consumer.assign(&list).expect("an assignment");
            consumer
        });
        assigning.await.expect("a consumer")
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        let (name, admin) = (std::mem::take(&mut self.name), self.admin());
        background::wait_for(async move {
            // A topic that cannot be deleted harms nobody: its name is never used again.
            let patience = AdminOptions::new().request_timeout(Some(Duration::from_secs(5)));
            let _ = admin.delete_topics(&[&name], &patience).await;
        });
    }
}

/// As many as the topic has by now, whoever made it.
fn partitions(consumer: &StreamConsumer, name: &str) -> i32 {
    let metadata = consumer.fetch_metadata(Some(name), PATIENCE).expect("the broker answers");
    metadata.topics().first().map_or(0, |topic| topic.partitions().len()).try_into().expect("a count")
}

fn own(message: &rdkafka::message::BorrowedMessage<'_>) -> Received {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let headers = message.headers().map_or_else(Vec::new, |headers| {
        headers.iter().map(|header| (header.key.to_owned(), header.value.unwrap_or_default().to_owned())).collect()
    });
    Received {
        partition: message.partition(),
        offset: message.offset(),
        key: message.key().map(text),
        payload: message.payload().unwrap_or_default().to_owned(),
        headers,
    }
}
