//! What is measured: a PostgreSQL with its default durability and a service, each a process tree of its own.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, bail};
use base64::{Engine, prelude::BASE64_STANDARD};
use progress_service::{
    embedded::{self, Embedded, Options},
    model::{Clock, Ids, Secret},
    store::{Endpoint, PoolSettings, Store, StoreSettings},
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};
use tokio_postgres::{Client, Config, NoTls};

use super::{http::Target, process};

const PROGRAM: &str = env!("CARGO_BIN_EXE_progress-service");
/// The service inherits it from whoever starts the driver.
const BROKERS: &str = "PROGRESS_KAFKA_BROKERS";
/// Any port that is free.
const ANY: &str = "127.0.0.1:0";
const CREDENTIAL: &str = "load:a-secret-for-the-load-driver";

/// Both servers, started and ready.
pub struct Place {
    data: PathBuf,
    database: Database,
    service: Option<Child>,
    pub target: Target,
    /// Whether the service has brokers to send events to.
    pub sends: bool,
    /// What else the service's program is told.
    variables: Vec<(String, String)>,
}

struct Database {
    server: Embedded,
    postmaster: u32,
    login: Config,
}

impl Place {
    /// Starts both over `data`, which may hold what an earlier start left.
    pub async fn start(data: &Path) -> anyhow::Result<Self> {
        Self::start_with(data, &[]).await
    }

    /// The same with more variables for the service's program.
    pub async fn start_with(data: &Path, variables: &[(&str, &str)]) -> anyhow::Result<Self> {
        let database = Database::start(data).await?;
        let variables: Vec<_> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let (service, target) = start_service(program(data, &database, &variables), ANY).await?;
        let sends = std::env::var_os(BROKERS).is_some_and(|brokers| !brokers.is_empty());
        Ok(Self { data: data.to_owned(), database, service: Some(service), target, sends, variables })
    }

    /// Starts the service again, where others look for it.
    pub async fn serve_at(&mut self, address: SocketAddr) -> anyhow::Result<()> {
        self.stop_service().await?;
        let (service, target) = start_service(self.program(), &address.to_string()).await?;
        (self.service, self.target) = (Some(service), target);
        Ok(())
    }

    /// Starts the service again, with brokers or without.
    pub async fn serve(&mut self, brokers: Option<&str>) -> anyhow::Result<()> {
        self.serve_told(&[(BROKERS, brokers.unwrap_or_default())]).await?;
        self.sends = brokers.is_some();
        Ok(())
    }

    /// Starts the service again, with these variables as well.
    pub async fn serve_told(&mut self, variables: &[(&str, &str)]) -> anyhow::Result<()> {
        self.stop_service().await?;
        let mut command = self.program();
        command.envs(variables.iter().copied());
        let (service, target) = start_service(command, ANY).await?;
        (self.service, self.target) = (Some(service), target);
        Ok(())
    }

    /// Asks the service to end, and waits.
    pub async fn stop_service(&mut self) -> anyhow::Result<()> {
        let Some(mut service) = self.service.take() else { return Ok(()) };
        let id = service.id().context("the service has ended")?.to_string();
        Command::new("kill").args(["-s", "TERM", &id]).status().await?;
        tokio::time::timeout(Duration::from_secs(60), service.wait()).await.context("the service does not stop")??;
        Ok(())
    }

    /// Asks both to end, and waits.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.stop_service().await?;
        self.database.server.stop().await?;
        Ok(())
    }

    /// The service's program, as it finds this database.
    pub fn program(&self) -> Command {
        program(&self.data, &self.database, &self.variables)
    }

    /// By which the service reaches its database.
    pub fn service_url(&self) -> &str {
        self.database.server.service_url().expose()
    }

    /// The version the database says it has.
    pub fn database_version(&self) -> &str {
        self.database.server.version()
    }

    /// A session of the superuser, who sees every row and may COPY from files of the server.
    pub async fn superuser(&self) -> anyhow::Result<Client> {
        let url = embedded::physical::superuser_url(&self.data).await?.context("the server does not run")?;
        connect(&url.expose().parse()?).await
    }

    /// A session such as the service has.
    pub async fn login(&self) -> anyhow::Result<Client> {
        connect(&self.database.login).await
    }

    /// The service's own way to the database, without the service.
    pub fn store(&self) -> anyhow::Result<Store> {
        let endpoint = |url: &Secret| Endpoint { url: url.clone(), ca_file: None };
        let server = &self.database.server;
        let (service, owner) = (endpoint(server.service_url()), endpoint(server.owner_url()));
        Ok(Store::open(&StoreSettings { service, owner, pool: PoolSettings::default(), worker_connections: 2 })?)
    }

    pub fn service_process(&self) -> u32 {
        self.service.as_ref().and_then(Child::id).unwrap_or_default()
    }

    /// CPU seconds so far of the service, the database and this process.
    pub fn cpu(&self) -> Cpu {
        Cpu {
            service: process::cpu_seconds(self.service_process()),
            database: process::cpu_seconds(self.database.postmaster),
            client: process::own_cpu_seconds(),
        }
    }
}

/// CPU seconds by who spent them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cpu {
    pub service: f64,
    pub database: f64,
    pub client: f64,
}

impl Cpu {
    pub fn since(self, earlier: Self) -> Self {
        Self {
            service: self.service - earlier.service,
            database: self.database - earlier.database,
            client: self.client - earlier.client,
        }
    }
}

impl Database {
    async fn start(data: &Path) -> anyhow::Result<Self> {
        let programs = std::env::var_os("TEST_PG_PROGRAMS").map(Into::into);
        let options = Options {
            data_dir: data.to_owned(),
            programs,
            cache_dir: data.join("programs"),
            port: None,
            keeps_log: false,
        };
        let server = embedded::start(options, &Clock::system(), &Ids::random()).await?;
        let owner: Config = server.owner_url().expose().parse()?;
        let login = server.service_url().expose().parse()?;
        let client = connect(&owner).await?;
        for promise in ["fsync", "synchronous_commit", "full_page_writes"] {
            let value: String = client.query_one(&format!("SHOW {promise}"), &[]).await?.get(0);
            if value != "on" {
                bail!("{promise} is {value}: nothing measured here would be durable");
            }
        }
        let backend: i32 = client.query_one("SELECT pg_backend_pid()", &[]).await?.get(0);
        let postmaster = process::parent(backend.cast_unsigned()).context("the backend has no parent")?;
        Ok(Self { server, postmaster, login })
    }
}

async fn connect(config: &Config) -> anyhow::Result<Client> {
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

fn program(data: &Path, database: &Database, variables: &[(String, String)]) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .env("PROGRESS_LOG", "warn")
        .env("PROGRESS_DATA_DIR", data)
        .env("PROGRESS_DATABASE_URL", database.server.service_url().expose())
        .env("PROGRESS_DATABASE_MIGRATION_URL", database.server.owner_url().expose())
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    command
}

async fn start_service(mut command: Command, address: &str) -> anyhow::Result<(Child, Target)> {
    command.arg("serve").env("PROGRESS_LISTEN", address).env("PROGRESS_BOOTSTRAP_CREDENTIAL", CREDENTIAL);
    let mut service = command.spawn().context("the service cannot be started")?;
    let mut lines = BufReader::new(service.stdout.take().context("no output")?).lines();
    while let Some(line) = lines.next_line().await? {
        if let Some(url) = line.strip_prefix("listening on http://") {
            let address = url.trim().parse()?;
            // Nobody reads what follows, but the pipe must not fill.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            let authorization = format!("Basic {}", BASE64_STANDARD.encode(CREDENTIAL)).parse()?;
            return Ok((service, Target { address, authorization }));
        }
    }
    bail!("the service ended before it listened: {}", service.wait().await?)
}
