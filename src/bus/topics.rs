//! Topics: made where they are missing and that is allowed, and asked how large a message they take.

use std::time::Duration;

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication},
    client::DefaultClientContext,
    error::{KafkaError, RDKafkaErrorCode},
};

use super::connection::BusError;
use crate::config::Kafka;

/// How long the brokers may take to answer a question about topics.
const ANSWER: Duration = Duration::from_secs(10);
/// How long topics of events are kept where they are made here: 180 days.
const RETENTION_MS: &str = "15552000000";
/// Topics that are kept for good: what lies there is proof of what this service says later.
const KEPT_FOR_GOOD: &str = "progress.audit.checkpoint.v1";

pub(super) struct Topics {
    admin: AdminClient<DefaultClientContext>,
    partitions: i32,
    creates: bool,
}

impl Topics {
    pub(super) fn connect(client: &ClientConfig, kafka: &Kafka) -> Result<Self, BusError> {
        Ok(Self {
            admin: client.create().map_err(BusError::Config)?,
            partitions: i32::try_from(kafka.topic_partitions).unwrap_or(i32::MAX),
            creates: kafka.create_topics,
        })
    }

    /// Makes the topics that are missing, with the retention their events need; does nothing where that is not allowed.
    pub(super) async fn ensure(&self, names: &[String]) -> Result<(), BusError> {
        if !self.creates {
            return Ok(());
        }
        // -1: the brokers' own default of replicas.
        let new = |name| NewTopic::new(name, self.partitions, TopicReplication::Fixed(-1));
        let kept = |name: &str| if name.ends_with(KEPT_FOR_GOOD) { "-1" } else { RETENTION_MS };
        let topics: Vec<NewTopic<'_>> = names.iter().map(|name| new(name).set("retention.ms", kept(name))).collect();
        let made = self.admin.create_topics(&topics, &options());
        for result in made.await.map_err(BusError::Unreachable)? {
            match result {
                Ok(name) => tracing::info!(name, "a topic was made"),
                Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((_, code)) => return Err(BusError::Unreachable(KafkaError::AdminOp(code))),
            }
        }
        Ok(())
    }

    /// The least that any of the topics takes in one message; `None` where the brokers do not tell.
    pub(super) async fn smallest_limit(&self, names: &[String]) -> Result<Option<usize>, BusError> {
        let asked: Vec<ResourceSpecifier<'_>> = names.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
        let answers = self.admin.describe_configs(&asked, &options()).await.map_err(BusError::Unreachable)?;
        let limit = |answer: rdkafka::admin::ConfigResourceResult| {
            answer.ok()?.get("max.message.bytes")?.value.as_ref()?.parse::<usize>().ok()
        };
        Ok(answers.into_iter().filter_map(limit).min())
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(ANSWER))
}
