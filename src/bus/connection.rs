//! How to reach the brokers: addresses, TLS and SASL from the configuration, for producers and consumers alike.

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rdkafka::{
    ClientConfig, ClientContext,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::KafkaError,
};

use crate::config::Kafka;

#[derive(Debug, thiserror::Error)]
pub enum BusError {
    #[error("the brokers do not answer: {0}")]
    Unreachable(KafkaError),
    /// The same, with what a broker or the connection to it said: a refused certificate or password stands only there.
    #[error("the brokers do not answer: {error}: {reason}")]
    Refused { error: KafkaError, reason: String },
    #[error("the connection to the brokers cannot be configured: {0}")]
    Config(KafkaError),
    #[error("the connection to the brokers broke and is not made again yet")]
    NotReady,
    #[error("an event is no JSON: {0}")]
    Encoding(serde_json::Error),
    #[error("the brokers' answer was not waited for: {0}")]
    Cancelled(#[from] tokio::task::JoinError),
}

/// The settings every client shares.
pub fn client_config(kafka: &Kafka) -> ClientConfig {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", kafka.brokers.join(",")).set("client.id", "progress-service");
    // A topic that the brokers make by themselves has their retention, not that of events.
    client.set("allow.auto.create.topics", "false");
    let protocol = match (kafka.tls, kafka.sasl_mechanism.is_some()) {
        (false, false) => "plaintext",
        (true, false) => "ssl",
        (false, true) => "sasl_plaintext",
        (true, true) => "sasl_ssl",
    };
    client.set("security.protocol", protocol);
    if kafka.tls {
        // librdkafka brings no authorities of its own; `probe` finds those of the system.
        let authority = kafka.ca_file.as_deref().and_then(Path::to_str).unwrap_or("probe");
        client.set("ssl.ca.location", authority);
    }
    if let Some(mechanism) = kafka.sasl_mechanism {
        client.set("sasl.mechanism", mechanism.name());
        client.set("sasl.username", kafka.sasl_user.as_deref().unwrap_or_default());
        client.set("sasl.password", kafka.sasl_password.as_ref().map_or("", |password| password.expose()));
    }
    client
}

/// Keeps the first thing that went wrong; what follows is only that nothing works.
#[derive(Default)]
struct FirstReason(Mutex<Option<String>>);

impl ClientContext for FirstReason {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "the brokers refuse");
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| reason.to_owned());
    }
}

impl ConsumerContext for FirstReason {}

/// Asks the brokers who they are; the answer is how many there are.
pub async fn ping(kafka: &Kafka, patience: Duration) -> Result<usize, BusError> {
    let client = client_config(kafka);
    let asking = tokio::task::spawn_blocking(move || {
        let consumer: BaseConsumer<FirstReason> =
            client.create_with_context(FirstReason::default()).map_err(BusError::Config)?;
        consumer.fetch_metadata(None, patience).map(|metadata| metadata.brokers().len()).map_err(|error| {
            // Reasons wait in a queue, behind lines for the log; this ends with the first.
            let _ = consumer.poll(Duration::from_millis(100));
            match consumer.context().0.lock().unwrap_or_else(PoisonError::into_inner).take() {
                Some(reason) => BusError::Refused { error, reason },
                None => BusError::Unreachable(error),
            }
        })
    });
    asking.await?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, read};

    fn configured(environment: &[(&str, &str)]) -> ClientConfig {
        let environment = Environment::of(environment.iter().copied());
        client_config(&read(&environment, Path::new("/nowhere")).unwrap().config.kafka)
    }

    #[test]
    fn plain_unless_told_otherwise() {
        let client = configured(&[("PROGRESS_KAFKA_BROKERS", "a:1,b:2")]);
        assert_eq!(client.get("bootstrap.servers"), Some("a:1,b:2"));
        assert_eq!(client.get("security.protocol"), Some("plaintext"));
        assert_eq!(client.get("sasl.mechanism"), None);
    }

    #[test]
    fn tls_and_sasl_together_make_a_client_that_librdkafka_accepts() {
        let client = configured(&[
            ("PROGRESS_KAFKA_BROKERS", "a:1"),
            ("PROGRESS_KAFKA_TLS", "true"),
            ("PROGRESS_KAFKA_SASL_MECHANISM", "SCRAM-SHA-512"),
            ("PROGRESS_KAFKA_SASL_USER", "me"),
            ("PROGRESS_KAFKA_SASL_PASSWORD", "secret"),
        ]);
        assert_eq!(client.get("security.protocol"), Some("sasl_ssl"));
        assert_eq!(client.get("sasl.password"), Some("secret"));
        let made: Result<BaseConsumer, _> = client.create();
        assert!(made.is_ok(), "{:?}", made.err());
    }
}
