//! A Kafka node of the driver's own, and readers of its topics that know when a message came.

use std::{
    net::TcpListener,
    path::Path,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
};
use serde::Deserialize;
use tokio::process::{Child, Command};
use uuid::Uuid;

use super::process;

const NODE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/kafka/node");
/// Unlike a test's node it has time to become fast, and memory to stay so.
const JAVA: [&str; 2] = ["-Xmx1g", "-XX:TieredStopAtLevel=4"];
const ANSWER: Duration = Duration::from_secs(1);
const START: Duration = Duration::from_secs(60);

pub struct Broker {
    node: Child,
    /// `host:port`.
    pub address: String,
}

impl Broker {
    /// A fresh node that answers.
    pub async fn start(folder: &Path) -> anyhow::Result<Self> {
        let port = free_port().context("no free port")?;
        let mut command = Command::new(NODE);
        command.arg(folder).arg(port.to_string()).args(JAVA);
        command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
        let mut broker = Self { node: command.spawn().context("no broker")?, address: format!("127.0.0.1:{port}") };
        let begun = Instant::now();
        while broker.partitions(None).is_err() {
            if begun.elapsed() > START {
                bail!("the broker does not answer");
            }
            if let Some(status) = broker.node.try_wait()? {
                bail!("the broker ended: {status}");
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(broker)
    }

    pub fn cpu_seconds(&self) -> f64 {
        self.node.id().map_or(0.0, process::cpu_seconds)
    }

    /// Its data is thrown away anyway.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        Ok(self.node.kill().await?)
    }

    /// Notes from now on when each message comes to the topic, which the service makes.
    pub async fn watch(&self, topic: &'static str) -> anyhow::Result<Watch> {
        let begun = Instant::now();
        while self.partitions(Some(topic))? == 0 {
            if begun.elapsed() > START {
                bail!("there is no topic {topic}");
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let consumer = self.consumer()?;
        let mut list = TopicPartitionList::new();
        for partition in 0..self.partitions(Some(topic))? {
            let (_, end) = consumer.fetch_watermarks(topic, partition, START)?;
            list.add_partition_offset(topic, partition, Offset::Offset(end))?;
        }
        consumer.assign(&list)?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || note(&consumer, &stopped));
        Ok(Watch { stop, thread })
    }

    fn consumer(&self) -> anyhow::Result<BaseConsumer> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.address).set("group.id", "load").set("enable.auto.commit", "false");
        // A late answer of the reader would be taken for a late event.
        config.set("fetch.wait.max.ms", "10");
        Ok(config.create()?)
    }

    /// Of a topic, none while it is not there; without a topic, whether the broker answers at all.
    fn partitions(&self, topic: Option<&str>) -> anyhow::Result<i32> {
        let metadata = self.consumer()?.fetch_metadata(topic, ANSWER)?;
        Ok(metadata.topics().first().map_or(0, |topic| topic.partitions().len()).try_into()?)
    }
}

/// A port nobody listens on. The node binds it only after a while, so it lies below those that the system gives to
/// connections meanwhile.
fn free_port() -> Option<u16> {
    let mut draws = std::iter::repeat_with(|| rand::random_range(20_000..32_000)).take(100);
    draws.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
}

/// A reader at work.
pub struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<anyhow::Result<Vec<(Uuid, Instant)>>>,
}

impl Watch {
    /// When the events came, by the statement that caused each.
    pub fn end(self) -> anyhow::Result<Vec<(Uuid, Instant)>> {
        self.stop.store(true, Ordering::Release);
        self.thread.join().map_err(|_| anyhow::anyhow!("the reader of events panicked"))?
    }
}

#[derive(Deserialize)]
struct Caused {
    causationid: Uuid,
}

/// Reads until it is told to stop and nothing comes any more.
fn note(consumer: &BaseConsumer, stop: &AtomicBool) -> anyhow::Result<Vec<(Uuid, Instant)>> {
    let mut seen = Vec::new();
    loop {
        let last = stop.load(Ordering::Acquire);
        match consumer.poll(ANSWER) {
            Some(message) => {
                let (message, came) = (message?, Instant::now());
                let Caused { causationid } = serde_json::from_slice(message.payload().unwrap_or_default())?;
                seen.push((causationid, came));
            }
            None if last => return Ok(seen),
            None => {}
        }
    }
}
