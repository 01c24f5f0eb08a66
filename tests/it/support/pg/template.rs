//! The migrated database that every test's own is a copy of; made once per server and version of the schema.

use progress_service::{
    migrate::{
        Runner, Settings, Verdict,
        modules::{File, internal},
        silent,
    },
    model::Secret,
    store::Endpoint,
};
use sha2::{Digest, Sha256};

use super::server::{OWNER, Server};

/// The name of the template, made now if it is not there.
pub async fn ensure(server: &Server) -> String {
    let digest = Sha256::digest(schema_text().as_bytes());
    let name = format!("progress_template_{}", hex::encode(&digest[..8]));
    if !exists(server, &name).await {
        let key = i64::from_be_bytes(digest[..8].try_into().unwrap());
        server.locked(key, build(server, &name)).await;
    }
    name
}

/// Under the lock. A template gets its name only when it is complete, so a killed process leaves no half of one.
async fn build(server: &Server, name: &str) {
    if exists(server, name).await {
        return;
    }
    let unfinished = format!("{name}_unfinished");
    server.drop_database(&unfinished).await;
    let create = format!("CREATE DATABASE {unfinished} OWNER {OWNER}");
    server.client.batch_execute(&create).await.unwrap();
    migrate(server, &unfinished).await;
    let rename = format!("ALTER DATABASE {unfinished} RENAME TO {name}");
    wait_for_sessions_to_end(server, &unfinished).await;
    server.client.batch_execute(&rename).await.unwrap();
    let close = format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false");
    server.client.batch_execute(&close).await.unwrap();
}

/// A closed connection's session ends a moment later, and a database in use can be neither renamed nor copied.
async fn wait_for_sessions_to_end(server: &Server, database: &str) {
    let count = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND backend_type = 'client backend'";
    while server.client.query_one(count, &[&database]).await.unwrap().get::<_, i64>(0) > 0 {
        tokio::task::yield_now().await;
    }
}

async fn exists(server: &Server, name: &str) -> bool {
    let query = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)";
    server.client.query_one(query, &[&name]).await.unwrap().get(0)
}

/// Brings the new database to today's schema, as the first start of a service does.
async fn migrate(server: &Server, database: &str) {
    let owner = Endpoint { url: Secret::new(server.url(Some(OWNER), database)), ca_file: None };
    let runner = Runner::new(internal().expect("valid modules"), owner, Settings::default());
    let verdict = runner.startup("tests", &silent).await.unwrap_or_else(|e| panic!("the template: {e}"));
    assert!(matches!(verdict, Verdict::Ready { .. }), "the template: {verdict:?}");
}

/// Everything the binary would apply; a template is as old as this text.
fn schema_text() -> String {
    let modules = internal().expect("valid modules");
    let text = |module: &str, file: &File| format!("{module} {}\n{}\n", file.file(), file.text);
    modules.iter().flat_map(|module| module.files.iter().map(|file| text(&module.name, file))).collect()
}
