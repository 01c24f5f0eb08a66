//! Commands beside a running service whose database is its own: each joins that database, and none stops it.

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt, process::Output};

use serde_json::Value;

use crate::support::{
    app::ready,
    http,
    process::{Service, command},
    settings,
};

/// Every command that opens the database, but for what changes too much to be tried here.
const COMMANDS: &[&[&str]] = &[
    &["db", "ping"],
    &["db", "check-permissions"],
    &["db", "check"],
    &["db", "check", "--after"],
    &["db", "reindex"],
    &["tenants", "list"],
    &["tenants", "create", "acme"],
    &["tenants", "suspend", "acme"],
    &["tenants", "resume", "acme"],
    &["credentials", "list"],
    &["credentials", "create", "--scopes", "all"],
    &["partitions", "list"],
    &["partitions", "ensure"],
    &["projections", "status"],
    &["projections", "verify"],
    &["migrations", "status"],
    &["migrations", "verify"],
    &["migrations", "logs"],
    &["migrations", "run"],
    &["migrations", "run", "--dry-run"],
];

fn run(service: &Service, programs: &str, arguments: &[&str]) -> Output {
    let data = service.data().to_string_lossy().into_owned();
    let variables = [("PROGRESS_DATA_DIR", data.as_str()), ("PROGRESS_PG_BIN", programs), ("PROGRESS_LOG", "warn")];
    let variables: BTreeMap<_, _> = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    command(arguments, &variables).output().unwrap()
}

fn pid(service: &Service) -> String {
    let file = fs::read_to_string(service.data().join("postgres/cluster/postmaster.pid")).expect("a running server");
    file.lines().next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_joins_the_database_of_a_running_service() {
    let programs = settings::required("TEST_PG_PROGRAMS");
    let service = Service::start(&[("PROGRESS_PG_BIN", &programs)]).await;
    ready(&service.url).await;
    let server = pid(&service);
    for arguments in COMMANDS {
        let output = run(&service, &programs, arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        // 4 and 5 are findings about the database, which was reached.
        assert!(matches!(output.status.code(), Some(0 | 4 | 5)), "{arguments:?}: {:?} {said}", output.status);
        assert!(!said.contains("in use by another"), "{arguments:?}: {said}");
        assert_eq!(pid(&service), server, "{arguments:?} left the server as it was");
    }

    // It is the same database: what a command makes the service knows.
    let output = run(&service, &programs, &["credentials", "create", "--scopes", "all", "--json"]);
    let made: Value = serde_json::from_slice(&output.stdout).unwrap();
    let request = http::client().get(format!("{}/xapi/statements", service.url));
    let request = request.header("X-Experience-API-Version", "1.0.3");
    let answer = request.basic_auth(made["apiKey"].as_str().unwrap(), made["secret"].as_str()).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(ready(&service.url).await["ready"].as_bool().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_says_who_holds_a_database_that_does_not_answer() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let lock = fs::File::create(folder.path().join("postgres.lock")).unwrap();
    fs::write(folder.path().join("postgres.lock"), "4242\n").unwrap();
    lock.lock().unwrap();
    let data = folder.path().to_string_lossy().into_owned();
    let variables = BTreeMap::from([("PROGRESS_DATA_DIR".to_owned(), data)]);
    let output = tokio::task::spawn_blocking(move || command(&["tenants", "list"], &variables).output().unwrap());
    let output = output.await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("4242") && said.contains("does not answer"), "{said}");
    assert!(!said.contains("another folder"), "another folder is another database: {said}");
}

#[test]
fn an_error_is_told_once() {
    let variables = BTreeMap::from([("PROGRESS_CONFIG".to_owned(), "/nowhere/progress.toml".to_owned())]);
    let output = command(&["config", "validate"], &variables).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(said.matches("No such file").count(), 1, "{said}");
    let unreachable = "postgres://nobody@127.0.0.1:1/nothing".to_owned();
    let variables = BTreeMap::from([("PROGRESS_DATABASE_URL".to_owned(), unreachable)]);
    let output = command(&["db", "ping"], &variables).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said.lines().next().unwrap().matches("refused").count(), 1, "{said}");
    assert_eq!(output.status.code(), Some(7), "{said}");
}
