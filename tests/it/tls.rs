//! Encrypted connections to the servers behind the service: they open for who trusts the right authority, and shut
//! with a reason for everybody else. The servers are the tests' own, with certificates of the tests' own.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use bytes::Bytes;
use progress_service::{
    bus::connection::ping,
    config::{Config, Environment, read},
    model::Secret,
    objects::Objects,
    store::{Endpoint, PoolSettings, Store, StoreSettings, door::ddl::Session},
};
use tempfile::TempDir;

use crate::support::{
    authority::Authority,
    patience,
    pgproc::{PgServer, free_port},
    process::Process,
    settings,
};

#[tokio::test]
async fn postgresql_over_tls_for_who_trusts_its_authority() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = PgServer::encrypted(&authority.sign()).await;
    let plain = server.client().await;
    plain.batch_execute("CREATE ROLE progress_service; CREATE ROLE progress_worker; CREATE ROLE progress_eraser; CREATE ROLE progress_retention").await.unwrap();
    let endpoint = |ca_file: Option<PathBuf>| {
        let url = Secret::new(format!("{}?sslmode=require", server.url()));
        Endpoint { url, ca_file }
    };
    let store = |endpoint: Endpoint| {
        let pool = PoolSettings::default();
        let settings = StoreSettings { service: endpoint.clone(), owner: endpoint, pool, worker_connections: 1 };
        Store::open(&settings).unwrap()
    };

    let trusting = store(endpoint(Some(authority.file())));
    trusting.ping().await.unwrap();
    let owner = trusting.ddl().await.unwrap();
    let count = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
                 WHERE ssl AND application_name IN ('progress_worker', 'progress_owner')";
    assert_eq!(plain.query_one(count, &[]).await.unwrap().get::<_, i64>(0), 2);
    drop(owner);

    for ca_file in [None, Some(other.file())] {
        let refused = Session::connect(&endpoint(ca_file.clone())).await.err().unwrap().to_string();
        assert!(refused.contains("invalid peer certificate"), "{refused}");
        let refused = store(endpoint(ca_file)).ping().await.unwrap_err().to_string();
        assert!(refused.contains("invalid peer certificate"), "{refused}");
    }
}

fn configuration(variables: &[(&str, &str)]) -> Config {
    read(&Environment::of(variables.iter().copied()), Path::new("no such file")).unwrap().config
}

/// An S3 gateway that speaks only TLS, with one bucket: the folder `bucket`.
fn object_store(authority: &Authority) -> (Process, String, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let [certificate, key, _] = authority.sign().write(folder.path());
    let (objects, metadata) = (folder.path().join("objects"), folder.path().join("metadata"));
    std::fs::create_dir_all(objects.join("bucket")).unwrap();
    std::fs::create_dir(&metadata).unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let mut command = Command::new(settings::required("TEST_S3_PROGRAM"));
    command.env("ROOT_ACCESS_KEY", "key").env("ROOT_SECRET_KEY", "secret").args(["--port", &address, "--cert"]);
    command.arg(certificate).arg("--key").arg(key).args(["posix", "--sidecar"]).arg(metadata).arg(objects);
    (Process::start(command), format!("https://{address}"), folder)
}

#[tokio::test]
async fn object_storage_over_tls_for_who_trusts_its_authority() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (_process, endpoint, folder) = object_store(&authority);
    let open = |ca_file: Option<PathBuf>| {
        let ca_file = ca_file.unwrap_or_default();
        let config = configuration(&[
            ("PROGRESS_ARCHIVE_URL", "s3://bucket/months"),
            ("PROGRESS_ARCHIVE_S3_ENDPOINT", &endpoint),
            ("PROGRESS_ARCHIVE_S3_ACCESS_KEY", "key"),
            ("PROGRESS_ARCHIVE_S3_SECRET_KEY", "secret"),
            ("PROGRESS_ARCHIVE_S3_CA_FILE", &ca_file.to_string_lossy()),
        ]);
        Objects::open(&config.archive, folder.path()).unwrap()
    };
    let objects = open(Some(authority.file()));
    patience::until("the start of the object store", async || objects.ping().await).await;
    objects.put("a/part", Bytes::from_static(b"bytes")).await.unwrap();
    assert_eq!(objects.get("a/part").await.unwrap(), "bytes");
    assert_eq!(objects.list("a").await.unwrap(), [("a/part".to_owned(), 5)]);

    for ca_file in [None, Some(other.file())] {
        let refused = open(ca_file).ping().await.unwrap_err().to_string();
        assert!(refused.contains("certificate"), "{refused}");
    }
}

const USER: &str = "progress";
const PASSWORD: &str = "right";

/// A Kafka node of the test's own whose clients come over TLS and sign in.
struct Broker {
    _process: Process,
    address: String,
    _folder: TempDir,
}

impl Broker {
    fn start(authority: &Authority) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [_, _, pair] = authority.sign().write(folder.path());
        let address = format!("127.0.0.1:{}", free_port());
        let properties = folder.path().join("server.properties");
        std::fs::write(&properties, properties_of(&address, folder.path(), &pair)).unwrap();
        // A cluster id is sixteen bytes in base64.
        let scram = format!("SCRAM-SHA-512=[name={USER},password={PASSWORD}]");
        let formatted = java("kafka.tools.StorageTool")
            .args(["format", "-t", "cHJvZ3Jlc3Mtc2VydmljZQ", "--add-scram", &scram, "-c"])
            .arg(&properties)
            .output()
            .unwrap();
        assert!(formatted.status.success(), "{}", String::from_utf8_lossy(&formatted.stderr));
        let mut command = java("kafka.Kafka");
        command.arg(&properties);
        Self { _process: Process::start(command), address, _folder: folder }
    }

    /// The answer to a client that was told these things besides the address.
    async fn answer(&self, mechanism: &str, password: &str, ca_file: Option<PathBuf>) -> Result<usize, String> {
        let ca_file = ca_file.unwrap_or_default();
        let config = configuration(&[
            ("PROGRESS_KAFKA_BROKERS", &self.address),
            ("PROGRESS_KAFKA_TLS", "true"),
            ("PROGRESS_KAFKA_CA_FILE", &ca_file.to_string_lossy()),
            ("PROGRESS_KAFKA_SASL_MECHANISM", mechanism),
            ("PROGRESS_KAFKA_SASL_USER", USER),
            ("PROGRESS_KAFKA_SASL_PASSWORD", password),
        ]);
        ping(&config.kafka, Duration::from_secs(5)).await.map_err(|error| error.to_string())
    }

    /// Waits for a refusal with this reason: on a busy machine the time may run out before there is one.
    async fn refuses(&self, why: &str, mechanism: &str, password: &str, ca_file: Option<PathBuf>) {
        patience::until("the refusal", async || match self.answer(mechanism, password, ca_file.clone()).await {
            Ok(brokers) => panic!("{mechanism} lets somebody in, to {brokers} brokers"),
            Err(reason) if reason.contains(why) => Ok(()),
            Err(reason) => Err(reason),
        })
        .await;
    }
}

fn java(class: &str) -> Command {
    let mut command = Command::new("java");
    let classes = format!("{}/*", settings::required("TEST_KAFKA_JARS"));
    command.args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", &classes, class]);
    command
}

fn properties_of(address: &str, folder: &Path, pair: &Path) -> String {
    let (internal, controller) = (free_port(), free_port());
    format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=CLIENTS://{address},INTERNAL://127.0.0.1:{internal},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=CLIENTS://{address},INTERNAL://127.0.0.1:{internal}
listener.security.protocol.map=CLIENTS:SASL_SSL,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=INTERNAL
listener.name.clients.ssl.keystore.type=PEM
listener.name.clients.ssl.keystore.location={pair}
listener.name.clients.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512
listener.name.clients.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
user_{USER}=\"{PASSWORD}\";
listener.name.clients.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
log.dirs={data}
",
        pair = pair.display(),
        data = folder.join("data").display(),
    )
}

#[tokio::test]
async fn kafka_over_tls_for_who_trusts_its_authority_and_knows_the_password() {
    let (authority, other) = (Authority::new(), Authority::new());
    let broker = Broker::start(&authority);
    let trusted = || Some(authority.file());
    let brokers =
        patience::until("the start of the broker", async || broker.answer("SCRAM-SHA-512", PASSWORD, trusted()).await);
    assert_eq!(brokers.await, 1);
    let plain = patience::until("the other mechanism", async || broker.answer("PLAIN", PASSWORD, trusted()).await);
    assert_eq!(plain.await, 1);
    for mechanism in ["PLAIN", "SCRAM-SHA-512"] {
        broker.refuses("uthentication failed", mechanism, "wrong", trusted()).await;
    }
    for ca_file in [None, Some(other.file())] {
        broker.refuses("certificate", "PLAIN", PASSWORD, ca_file).await;
    }
}
