//! The recipe of `docs/operations.md` for a backup, with the real `pg_dump`: what it writes is whole, a database made of
//! it serves, and whoever has not the right to read everything fails instead of writing less.

use std::process::{Command, Output};

use serde_json::json;
use tokio_postgres::Client;

use crate::support::{
    app::{TestApp, ready, send},
    pg::{Server, TestDatabase},
    process::Service,
};

/// The installed client's major version. It reads servers up to its own, and writes what these understand.
pub fn client() -> u32 {
    let output = Command::new("pg_dump").arg("--version").output().expect("pg_dump: scripts/install-tools test");
    let text = String::from_utf8(output.stdout).unwrap();
    let number = text.split_once(") ").expect("pg_dump (PostgreSQL) 15.1").1;
    number.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
}

async fn server() -> &'static Server {
    if client() >= 18 { Server::newest().await } else { Server::oldest().await }
}

fn dump(url: &str, file: &std::path::Path, more: &[&str]) -> Output {
    let arguments = ["--format", "custom", "--file", file.to_str().unwrap()];
    Command::new("pg_dump").args(arguments).args(more).arg(url).output().unwrap()
}

/// Rows by table, as somebody sees them whom no policy binds.
async fn rows(client: &Client) -> Vec<(String, i64)> {
    let tables = "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
                  WHERE schemaname IN ('ledger', 'platform', 'progress') ORDER BY 1";
    let mut found = Vec::new();
    for row in client.query(tables, &[]).await.unwrap() {
        let table: String = row.get(0);
        let count = client.query_one(&format!("SELECT count(*) FROM {table}"), &[]).await.unwrap().get(0);
        found.push((table, count));
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_of_the_documented_login_is_whole_and_serves() {
    let server = server().await;
    let app = TestApp::start(TestDatabase::new(server).await).await;
    let statement = json!({"actor": {"mbox": "mailto:ada@example.com"},
        "verb": {"id": "http://adlnet.gov/expapi/verbs/completed"}, "object": {"id": "http://x.example/course"}});
    let ids = app.post_statements(&json!(vec![statement.clone(); 20])).await.expect(200).json();
    app.stop_loops().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("progress.dump");

    let refused = dump(&app.db.owner_url(), &file, &[]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("row-level security"), "the owner must fail: {said}");

    // A role belongs to the whole server, so each test has one of its own.
    let admin = app.db.superuser().await;
    let login = format!("{}_backup", app.db.name());
    let make = format!("CREATE ROLE {login} LOGIN BYPASSRLS PASSWORD 'word'; GRANT pg_read_all_data TO {login}");
    admin.batch_execute(&make).await.unwrap();
    let mut url = url::Url::parse(&app.db.owner_url()).unwrap();
    url.set_username(&login).unwrap();
    url.set_password(Some("word")).unwrap();
    let done = dump(url.as_str(), &file, &[]);
    admin.batch_execute(&format!("DROP ROLE {login}")).await.unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));

    let copy = TestDatabase::empty(server).await;
    let restored = Command::new("pg_restore")
        .args(["--exit-on-error", "--single-transaction", "--dbname", &copy.owner_url()])
        .arg(&file)
        .output()
        .unwrap();
    assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
    let (before, after) = (rows(&admin).await, rows(&copy.superuser().await).await);
    assert_eq!(before, after);
    let of = |table: &str| before.iter().filter(|(name, _)| name.starts_with(table)).map(|(_, rows)| rows).sum::<i64>();
    assert!(of("ledger.statements") >= 20 && of("platform.credentials") >= 1, "{before:?}");

    let (service, owner) = (copy.service_url(), copy.owner_url());
    let variables = [("PROGRESS_DATABASE_URL", service.as_str()), ("PROGRESS_DATABASE_MIGRATION_URL", owner.as_str())];
    let service = Service::start(&variables).await;
    ready(&service.url).await;
    let client = crate::support::http::client();
    let version = ("X-Experience-API-Version", "1.0.3");
    let place = format!("{}/xapi/statements", service.url);
    let key = (crate::support::app::KEY, Some(crate::support::app::SECRET));
    let wanted = [("statementId", ids[0].as_str().unwrap())];
    let found = client.get(&place).query(&wanted).header(version.0, version.1).basic_auth(key.0, key.1);
    send(found).await.expect(200);
    let more = client.post(&place).json(&statement).header(version.0, version.1).basic_auth(key.0, key.1);
    send(more).await.expect(200);
}
