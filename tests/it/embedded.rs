//! The embedded PostgreSQL, really started: first and second start, deaths of either process, and folders it refuses.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use progress_service::{
    model::{Clock, Ids, Secret},
    store::embedded::{self, Embedded, EmbeddedError, Options},
};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use tokio_postgres::{Client, NoTls};

use crate::support::settings;

/// Set for the helper process only: the data folder it serves until it is killed.
const HELPER_FOLDER: &str = "TEST_EMBEDDED_FOLDER";
const PATIENCE: Duration = Duration::from_secs(120);

/// A folder the server's unprivileged user may pass through.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

/// Fetched once per user and machine; outside a home folder, which the server's user might not enter.
fn cache() -> PathBuf {
    let me = fs::metadata(tempfile::tempdir().unwrap().path()).unwrap().uid();
    let cache = std::env::temp_dir().join(format!("progress-service-programs-{me}"));
    fs::DirBuilder::new().recursive(true).mode(0o755).create(&cache).unwrap();
    assert_eq!(fs::metadata(&cache).unwrap().uid(), me, "{} is somebody else's", cache.display());
    cache
}

fn options(data_dir: &Path) -> Options {
    let programs = settings::optional("TEST_PG_BIN").map(PathBuf::from);
    Options { data_dir: data_dir.to_owned(), programs, cache_dir: cache(), port: None }
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

fn server_pid(data_dir: &Path) -> String {
    let text = fs::read_to_string(cluster(data_dir).join("postmaster.pid")).unwrap();
    text.lines().next().unwrap().to_owned()
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

#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_makes_a_sound_database() {
    let data = folder();
    let server = start(data.path()).await;
    let owner = connect(server.owner_url()).await.unwrap();
    for (setting, wanted) in [
        ("server_encoding", "UTF8"),
        ("data_checksums", "on"),
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("full_page_writes", "on"),
        ("listen_addresses", ""),
        ("password_encryption", "scram-sha-256"),
        ("shared_preload_libraries", "pg_stat_statements"),
        ("log_min_error_statement", "panic"),
        ("max_connections", "100"),
    ] {
        let found = text(&owner, &format!("SELECT current_setting('{setting}')")).await;
        assert_eq!(found, wanted, "{setting}");
    }
    let order = "SELECT string_agg(w, '' ORDER BY w) FROM unnest(ARRAY['b','a','B','é','z']) w";
    assert_eq!(text(&owner, order).await, "Babzé", "bytewise order");
    assert_eq!(text(&owner, "SELECT upper('é')").await, "É", "with Unicode's idea of a letter");
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_logs_in_as_a_role_that_owns_nothing() {
    let data = folder();
    let server = start(data.path()).await;
    let service = connect(server.service_url()).await.unwrap();
    assert_eq!(text(&service, "SELECT current_user::text").await, "progress_app");
    assert_eq!(text(&service, "SELECT current_database()::text").await, "progress");
    let row = service
        .query_one(
            "SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls,
                    pg_has_role('progress_service', 'MEMBER') AND pg_has_role('progress_worker', 'MEMBER'),
                    (SELECT count(*) FROM pg_shdepend d WHERE d.refobjid = r.oid AND d.deptype = 'o')
             FROM pg_roles r WHERE rolname = current_user",
            &[],
        )
        .await
        .unwrap();
    assert_eq!((row.get(0), row.get(1), row.get(2)), (false, true, 0_i64));
    assert!(service.batch_execute("CREATE TABLE public.mine ()").await.is_err());

    let owner = connect(server.owner_url()).await.unwrap();
    owner.batch_execute("CREATE EXTENSION pg_stat_statements").await.unwrap();
    let remembered =
        "SELECT coalesce(string_agg(query, ';'), '') FROM pg_stat_statements WHERE query ILIKE '%password%'";
    let password = fs::read_to_string(data.path().join("postgres/progress_app.password")).unwrap();
    assert!(!text(&owner, remembered).await.contains(password.trim()));
    server.stop().await.unwrap();
    let log = fs::read_to_string(data.path().join("postgres/log/server.log")).unwrap();
    assert!(log.contains("database system is shut down") && !log.contains(password.trim()), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_start_finds_everything_and_mends_a_lost_service_password() {
    let data = folder();
    let server = start(data.path()).await;
    leave_a_row(&server).await;
    server.stop().await.unwrap();
    let kept = |name: &str| data.path().join(format!("postgres/{name}.password"));
    for name in ["progress_owner", "progress_app"] {
        assert_eq!(fs::metadata(kept(name)).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
    }
    fs::remove_file(kept("progress_app")).unwrap();
    let server = start(data.path()).await;
    assert_the_row_is_there(&server).await;
    connect(server.service_url()).await.unwrap();
    server.stop().await.unwrap();

    fs::rename(kept("progress_owner"), kept("elsewhere")).unwrap();
    let refused = refusal(data.path()).await;
    assert!(
        matches!(&refused, EmbeddedError::PasswordLost { file } if file.ends_with("progress_owner.password")),
        "{refused}"
    );
    fs::write(kept("progress_owner"), "wrong").unwrap();
    assert!(matches!(refusal(data.path()).await, EmbeddedError::PasswordRejected { .. }));
    fs::rename(kept("elsewhere"), kept("progress_owner")).unwrap();
    start(data.path()).await.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_is_started_again_at_the_same_address() {
    let data = folder();
    let server = start(data.path()).await;
    leave_a_row(&server).await;
    for _ in 0..2 {
        let killed = server_pid(data.path());
        kill_hard(&killed);
        let begun = Instant::now();
        // the old server may answer for a moment longer, so the new one is known by its number
        while server_pid_changed(data.path(), &killed).is_none() || connect(server.service_url()).await.is_err() {
            assert!(begun.elapsed() < PATIENCE, "the server does not come back");
            sleep(Duration::from_millis(20)).await;
        }
        assert_the_row_is_there(&server).await;
    }
    server.stop().await.unwrap();
    assert!(!cluster(data.path()).join("postmaster.pid").exists());
}

fn server_pid_changed(data_dir: &Path, old: &str) -> Option<String> {
    let text = fs::read_to_string(cluster(data_dir).join("postmaster.pid")).ok()?;
    let pid = text.lines().next()?.to_owned();
    (pid != old && !pid.is_empty()).then_some(pid)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_outlived_a_killed_service_is_taken_over() {
    let data = folder();
    let mut helper = helper(data.path());
    await_ready(&mut helper);
    let orphan = server_pid(data.path());
    helper.kill().unwrap();
    helper.wait().unwrap();
    assert_eq!(server_pid(data.path()), orphan, "it still runs");
    let server = start(data.path()).await;
    assert_ne!(server_pid(data.path()), orphan);
    assert_the_row_is_there(&server).await;
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn both_processes_killed_at_once_lose_nothing() {
    let data = folder();
    let mut helper = helper(data.path());
    await_ready(&mut helper);
    kill_hard(&format!("{} {}", helper.id(), server_pid(data.path())));
    helper.wait().unwrap();
    let server = start(data.path()).await;
    assert_the_row_is_there(&server).await;
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_killed_while_it_makes_the_database_is_no_harm() {
    let data = folder();
    let home = data.path().join("postgres");
    let unfinished = || {
        let names = fs::read_dir(&home).into_iter().flatten().flatten().map(|entry| entry.file_name());
        names.filter(|name| name.to_string_lossy().starts_with("unfinished-")).count()
    };
    let mut helper = helper(data.path());
    let begun = Instant::now();
    while unfinished() == 0 {
        assert!(begun.elapsed() < PATIENCE, "initdb never began");
        sleep(Duration::from_millis(2)).await;
    }
    helper.kill().unwrap();
    helper.wait().unwrap();
    assert!(!home.join("cluster").exists(), "killed in the middle");
    let server = start(data.path()).await;
    leave_a_row(&server).await;
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_of_two_in_one_folder_is_told_who_is_there() {
    let data = folder();
    let mut helper = helper(data.path());
    await_ready(&mut helper);
    let refused = refusal(data.path()).await;
    assert!(matches!(&refused, EmbeddedError::InUse { holder, .. } if *holder == helper.id().to_string()), "{refused}");
    helper.kill().unwrap();
    helper.wait().unwrap();
    let server = start(data.path()).await;
    assert_the_row_is_there(&server).await;
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_another_major_version_is_not_touched() {
    let data = folder();
    let server = start(data.path()).await;
    let ours = fs::read_to_string(cluster(data.path()).join("PG_VERSION")).unwrap();
    server.stop().await.unwrap();
    fs::write(cluster(data.path()).join("PG_VERSION"), "17\n").unwrap();
    let before = fingerprint(&data.path().join("postgres"));
    let refused = refusal(data.path()).await;
    assert!(
        matches!(&refused, EmbeddedError::OtherMajor { found, programs, .. }
            if found == "17" && programs.to_string() == ours.trim()),
        "{refused}"
    );
    assert_eq!(fingerprint(&data.path().join("postgres")), before);
    fs::write(cluster(data.path()).join("PG_VERSION"), ours).unwrap();
    start(data.path()).await.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_that_are_not_ours_or_not_usable_are_refused() {
    let data = folder();
    let strange = data.path().join("strange");
    fs::create_dir_all(strange.join("postgres")).unwrap();
    fs::write(strange.join("postgres/holiday.jpg"), "sun").unwrap();
    let before = fingerprint(&strange.join("postgres"));
    let refused = refusal(&strange).await;
    assert!(
        matches!(&refused, EmbeddedError::Foreign { folder, .. } if folder.ends_with("strange/postgres")),
        "{refused}"
    );
    assert_eq!(fingerprint(&strange.join("postgres")), before);

    fs::write(data.path().join("file"), "").unwrap();
    let refused = refusal(&data.path().join("file/data")).await;
    assert!(
        matches!(&refused, EmbeddedError::Io { action: "make", path, .. } if path.ends_with("file/data")),
        "{refused}"
    );

    let closed = data.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    if fs::metadata(&closed).unwrap().uid() == 0 {
        let refused = refusal(&closed.join("data")).await;
        assert!(
            matches!(&refused, EmbeddedError::NotReachable { folder, .. } if folder.ends_with("closed")),
            "{refused}"
        );
    } else {
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o500)).unwrap();
        let refused = refusal(&closed.join("data")).await;
        assert!(matches!(&refused, EmbeddedError::Io { action: "make", .. }), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_start_is_quoted() {
    let data = folder();
    start(data.path()).await.stop().await.unwrap();
    let conf = cluster(data.path()).join("postgresql.conf");
    let good = fs::read_to_string(&conf).unwrap();
    fs::write(&conf, format!("{good}\nmax_connections = many\n")).unwrap();
    let refused = refusal(data.path()).await;
    assert!(matches!(&refused, EmbeddedError::Exited { tail, .. } if tail.contains("max_connections")), "{refused}");
    fs::write(&conf, format!("{good}\nmax_connections = 77\n")).unwrap();
    let server = start(data.path()).await;
    let owner = connect(server.owner_url()).await.unwrap();
    assert_eq!(text(&owner, "SHOW max_connections").await, "77", "an operator's own line wins over ours");
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_too_long_for_a_socket_gets_a_port_of_this_machine_alone() {
    let data = folder();
    let long = data.path().join("a-folder-with-a-rather-long-name".repeat(4));
    let server = start(&long).await;
    assert!(server.owner_url().expose().contains("@127.0.0.1:"));
    let owner = connect(server.owner_url()).await.unwrap();
    assert_eq!(text(&owner, "SHOW listen_addresses").await, "127.0.0.1");
    server.stop().await.unwrap();
}
