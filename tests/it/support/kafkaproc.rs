//! A Kafka node of a test's own that may be killed, held still, and started again over its data.

use std::{path::PathBuf, process::Command, time::Duration};

use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    message::Headers,
};
use tempfile::TempDir;

use super::{patience, pgproc::free_port, process::Process, settings};

/// The node as `scripts/services` starts it too.
const NODE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/kafka/node");

const SETTINGS: &str = "server.properties";

/// Dropped with everything in it.
pub struct Broker {
    process: Option<Process>,
    /// `host:port`, the same after every start.
    pub address: String,
    folder: TempDir,
}

impl Broker {
    /// A fresh node that answers.
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let address = format!("127.0.0.1:{}", free_port());
        let mut broker = Self { process: None, address, folder };
        broker.resume().await;
        broker
    }

    /// A second node of the first one's cluster, which has no say in elections.
    pub async fn beside(first: &Self) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let address = format!("127.0.0.1:{}", free_port());
        let settings = std::fs::read_to_string(first.folder.path().join(SETTINGS)).expect("the first one's settings");
        let own = |line: &str| match line.split_once('=') {
            Some(("process.roles", _)) => "process.roles=broker".to_owned(),
            Some(("node.id", _)) => "node.id=2".to_owned(),
            Some((name @ ("listeners" | "advertised.listeners"), _)) => format!("{name}=PLAINTEXT://{address}"),
            Some(("log.dirs", _)) => format!("log.dirs={}", folder.path().join("data").display()),
            _ => line.to_owned(),
        };
        let settings: Vec<String> = settings.lines().map(own).collect();
        std::fs::write(folder.path().join(SETTINGS), settings.join("\n")).expect("a file");
        let mut broker = Self { process: None, address, folder };
        broker.resume().await;
        broker
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// Starts it over its data and waits until it answers.
    pub async fn resume(&mut self) {
        let port = self.address.rsplit(':').next().expect("a port");
        let mut command = Command::new(NODE);
        command.arg(self.folder.path()).arg(port).env("TEST_KAFKA_JARS", settings::required("TEST_KAFKA_JARS"));
        self.process = Some(Process::start(command));
        let address = self.address.clone();
        patience::until("the start of the broker", async || {
            let asked = ClientConfig::new().set("bootstrap.servers", &address).create::<BaseConsumer>();
            let consumer = asked.map_err(|e| e.to_string())?;
            let asking = tokio::task::spawn_blocking(move || {
                consumer.fetch_metadata(None, std::time::Duration::from_secs(1)).map(|_| ()).map_err(|e| e.to_string())
            });
            asking.await.expect("no panic")
        })
        .await;
    }

    /// Where its log segments lie.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Every key, value and header of every topic, as a client gets them: decompressed.
    pub async fn everything(&self) -> Vec<Vec<u8>> {
        let mut settings = ClientConfig::new();
        settings.set("bootstrap.servers", &self.address).set("group.id", "a test");
        settings.set("enable.auto.commit", "false").set("enable.partition.eof", "true");
        tokio::task::spawn_blocking(move || read_all(&settings)).await.expect("no panic")
    }

    /// `STOP` holds it still with all its connections open, `CONT` lets it go on.
    pub fn signal(&self, name: &str) {
        self.process.as_ref().expect("a running broker").signal(name);
    }
}

fn read_all(settings: &ClientConfig) -> Vec<Vec<u8>> {
    const ANSWER: Duration = Duration::from_secs(20);
    let consumer: BaseConsumer = settings.create().expect("a consumer");
    let metadata = consumer.fetch_metadata(None, ANSWER).expect("the broker answers");
    let (mut wanted, mut left) = (TopicPartitionList::new(), 0);
    for topic in metadata.topics() {
        for partition in topic.partitions() {
            wanted.add_partition_offset(topic.name(), partition.id(), Offset::Beginning).expect("an offset");
            left += 1;
        }
    }
    consumer.assign(&wanted).expect("an assignment");
    let mut found = Vec::new();
    while left > 0 {
        match consumer.poll(ANSWER).expect("the broker answers") {
            Ok(message) => {
                found.extend([message.key(), message.payload()].into_iter().flatten().map(<[u8]>::to_vec));
                let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
                found.extend(headers.filter_map(|header| header.value.map(<[u8]>::to_vec)));
            }
            Err(KafkaError::PartitionEOF(_)) => left -= 1,
            Err(error) => panic!("{error}"),
        }
    }
    found
}
