//! The migrated database that every test's own is a copy of; made once per server and version of the schema.

use std::{
    fs,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::server::{OWNER, Server, connect};

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

/// Applies the files of `migrations/` in order, as the owner.
async fn migrate(server: &Server, database: &str) {
    let owner = connect(server.config(Some(OWNER), database)).await;
    for (path, text) in schema_files() {
        let module = path.parent().and_then(Path::file_name).unwrap().to_string_lossy().into_owned();
        owner.batch_execute(&format!("CREATE SCHEMA IF NOT EXISTS {module}")).await.unwrap();
        owner.batch_execute(&text).await.unwrap_or_else(|e| panic!("{}: {e:?}", path.display()));
    }
}

/// What goes up, module by module: `platform` is what the others build on.
fn schema_files() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let mut modules = list(&root);
    modules.sort_by_key(|module| (!module.ends_with("platform"), module.clone()));
    let mut files = Vec::new();
    for module in modules.iter().filter(|path| path.is_dir()) {
        let is_up = |path: &PathBuf| {
            let name = path.to_string_lossy();
            name.ends_with(".sql") && !name.ends_with(".down.sql")
        };
        let mut ups: Vec<_> = list(module).into_iter().filter(is_up).collect();
        ups.sort();
        files.extend(ups.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())));
    }
    files
}

fn list(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).map_or_else(|_| Vec::new(), |entries| entries.map(|entry| entry.unwrap().path()).collect())
}

fn schema_text() -> String {
    schema_files()
        .into_iter()
        .map(|(path, text)| format!("{}\n{text}\n", path.file_name().unwrap_or_default().display()))
        .collect()
}
