//! A Kafka node of a test's own that may be killed, held still, and started again over its data.

use std::{path::Path, process::Command};

use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer},
};
use tempfile::TempDir;

use super::{patience, pgproc::free_port, process::Process, settings};

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
        let properties = folder.path().join("server.properties");
        std::fs::write(&properties, properties_of(&address, folder.path())).expect("a file");
        // A cluster id is sixteen bytes in base64.
        let formatted = java("kafka.tools.StorageTool")
            .args(["format", "-t", "cHJvZ3Jlc3Mtc2VydmljZQ", "-c"])
            .arg(&properties)
            .output()
            .expect("java runs");
        assert!(formatted.status.success(), "{}", String::from_utf8_lossy(&formatted.stderr));
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
        let mut command = java("kafka.Kafka");
        command.arg(self.folder.path().join("server.properties"));
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

    /// `STOP` holds it still with all its connections open, `CONT` lets it go on.
    pub fn signal(&self, name: &str) {
        self.process.as_ref().expect("a running broker").signal(name);
    }
}

fn java(class: &str) -> Command {
    let mut command = Command::new("java");
    let classes = format!("{}/*", settings::required("TEST_KAFKA_JARS"));
    command.args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", &classes, class]);
    command
}

fn properties_of(address: &str, folder: &Path) -> String {
    let controller = free_port();
    format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=CLIENTS://{address},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=CLIENTS://{address}
listener.security.protocol.map=CLIENTS:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=CLIENTS
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
log.dirs={data}
",
        data = folder.join("data").display(),
    )
}
