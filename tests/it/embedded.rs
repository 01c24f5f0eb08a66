//! The embedded PostgreSQL, really started: first and second start, deaths of either process, and folders it refuses.

mod deaths;
mod refusals;
mod starts;
mod takeover;

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use progress_service::{
    embedded::{self, Embedded, EmbeddedError, Options},
    model::{Clock, Ids, Secret},
};
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

use crate::support::settings;

/// Set for the helper process only: the data folder it serves until it is killed.
const HELPER_FOLDER: &str = "TEST_EMBEDDED_FOLDER";

/// A folder the server's unprivileged user may pass through.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

fn options(data_dir: &Path) -> Options {
    let programs = Some(PathBuf::from(settings::required("TEST_PG_PROGRAMS")));
    Options {
        data_dir: data_dir.to_owned(),
        programs,
        cache_dir: data_dir.join("programs"),
        port: None,
        keeps_log: false,
    }
}

async fn try_start(data_dir: &Path) -> Result<Embedded, EmbeddedError> {
    embedded::start(options(data_dir), &Clock::system(), &Ids::random()).await
}

async fn start(data_dir: &Path) -> Embedded {
    try_start(data_dir).await.unwrap_or_else(|error| panic!("{error}"))
}

async fn refusal(data_dir: &Path) -> EmbeddedError {
    try_start(data_dir).await.expect_err("the start is refused")
}

async fn connect(url: &Secret) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::Config::connect(&url.expose().parse()?, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// What the file of this login says.
fn password(data_dir: &Path, login: &str) -> String {
    fs::read_to_string(data_dir.join(format!("postgres/{login}.password"))).unwrap().trim().to_owned()
}

/// The way of the superuser into the service's database, which the service itself does not have.
fn superuser_url(server: &Embedded, data_dir: &Path) -> Secret {
    let owner = format!("progress_schema:{}", password(data_dir, "progress_schema"));
    let superuser = format!("progress_owner:{}", password(data_dir, "progress_owner"));
    assert!(server.owner_url().expose().contains(&owner));
    Secret::new(server.owner_url().expose().replace(&owner, &superuser))
}

async fn superuser(server: &Embedded, data_dir: &Path) -> Client {
    connect(&superuser_url(server, data_dir)).await.unwrap()
}

async fn text(client: &Client, query: &str) -> String {
    client.query_one(query, &[]).await.unwrap().get(0)
}

/// Writes a row that has to be there after whatever comes next.
async fn leave_a_row(server: &Embedded) {
    let client = connect(server.owner_url()).await.unwrap();
    client.batch_execute("CREATE TABLE kept (word text); INSERT INTO kept VALUES ('durable')").await.unwrap();
}

async fn assert_the_row_is_there(server: &Embedded) {
    let client = connect(server.owner_url()).await.unwrap();
    assert_eq!(text(&client, "SELECT word FROM kept").await, "durable");
}

fn cluster(data_dir: &Path) -> PathBuf {
    data_dir.join("postgres/cluster")
}

/// The number of the server that runs on this folder.
fn server_pid(data_dir: &Path) -> Option<String> {
    let text = fs::read_to_string(cluster(data_dir).join("postmaster.pid")).ok()?;
    text.lines().next().map(str::to_owned)
}

fn kill_hard(pid: &str) {
    assert!(Command::new("sh").args(["-c", &format!("kill -9 {pid}")]).status().unwrap().success());
}

/// Every file below `folder` with what would change if it were touched.
fn fingerprint(folder: &Path) -> Vec<(PathBuf, u64, i64, i64)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let facts = entry.metadata().unwrap();
        found.push((entry.path(), facts.len(), facts.mtime(), facts.mtime_nsec()));
        if facts.is_dir() {
            found.extend(fingerprint(&entry.path()));
        }
    }
    found.sort();
    found
}

/// This test binary again, serving `data_dir` until it is killed.
fn helper(data_dir: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "embedded::helper_process", "--nocapture", "--test-threads=1"]);
    command.env(HELPER_FOLDER, data_dir).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

/// Waits until the helper has a server up and a row written.
fn await_ready(helper: &mut Child) {
    let mut lines = BufReader::new(helper.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("helper is ready")), "the helper ended early");
}

/// Not a test of its own: what [`helper`] runs. Without its variable there is nothing to do.
#[tokio::test(flavor = "multi_thread")]
async fn helper_process() {
    let Some(data_dir) = settings::optional(HELPER_FOLDER) else { return };
    let server = start(Path::new(&data_dir)).await;
    leave_a_row(&server).await;
    println!("helper is ready");
    std::future::pending::<()>().await;
}
