//! A topic read from its beginning to where it ends now, by nobody's group: for what was sent to be found again.

use std::time::{Duration, Instant};

use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode},
    metadata::{MetadataPartition, MetadataTopic},
};

use super::connection::{BusError, client_config};
use crate::config::Kafka;

/// How long the brokers may take to answer one question.
const ANSWER: Duration = Duration::from_secs(10);

/// Reads whole topics. Clones are one.
#[derive(Clone)]
pub struct TopicReader {
    settings: ClientConfig,
}

impl TopicReader {
    pub fn new(kafka: &Kafka) -> Self {
        let mut settings = client_config(kafka);
        settings.set("group.id", "progress-service-reader").set("enable.auto.commit", "false");
        settings.set("enable.partition.eof", "true");
        Self { settings }
    }

    /// What every message of the topic holds, in the order of each partition; nothing where there is no such topic.
    pub async fn all(&self, topic: &str) -> Result<Vec<Vec<u8>>, BusError> {
        let (settings, topic) = (self.settings.clone(), topic.to_owned());
        tokio::task::spawn_blocking(move || read(&settings, &topic)).await?
    }
}

fn read(settings: &ClientConfig, topic: &str) -> Result<Vec<Vec<u8>>, BusError> {
    let consumer: BaseConsumer = settings.create().map_err(BusError::Config)?;
    let metadata = consumer.fetch_metadata(Some(topic), ANSWER).map_err(BusError::Unreachable)?;
    let partitions = metadata.topics().iter().flat_map(MetadataTopic::partitions).map(MetadataPartition::id);
    let partitions: Vec<i32> = partitions.collect();
    let mut wanted = TopicPartitionList::new();
    let mut left = 0_usize;
    for partition in partitions {
        let (first, end) = consumer.fetch_watermarks(topic, partition, ANSWER).map_err(BusError::Unreachable)?;
        if end > first {
            wanted.add_partition_offset(topic, partition, Offset::Beginning).map_err(BusError::Unreachable)?;
            left += 1;
        }
    }
    consumer.assign(&wanted).map_err(BusError::Unreachable)?;
    let (mut found, mut heard) = (Vec::new(), Instant::now());
    while left > 0 {
        match consumer.poll(Duration::from_millis(200)) {
            Some(Ok(message)) => found.push(message.payload().unwrap_or_default().to_vec()),
            Some(Err(KafkaError::PartitionEOF(_))) => left -= 1,
            Some(Err(error)) => return Err(BusError::Unreachable(error)),
            None if heard.elapsed() < ANSWER => continue,
            None => {
                return Err(BusError::Unreachable(KafkaError::MessageConsumption(RDKafkaErrorCode::RequestTimedOut)));
            }
        }
        heard = Instant::now();
    }
    Ok(found)
}
