//! A pgbouncer of a test's own, in front of its database.

use std::{
    fs,
    os::unix::{fs::chown, process::CommandExt},
    path::Path,
    process::Command,
};

use progress_service::{
    model::Secret,
    store::{Endpoint, StoreSettings},
};
use tempfile::TempDir;
use url::Url;

use super::{
    patience,
    pg::{TestDatabase, try_connect},
    pgproc::{free_port, unprivileged},
    process::Process,
};

/// Stopped when it is dropped.
pub struct PgBouncer {
    _process: Process,
    _folder: TempDir,
    port: u16,
}

impl PgBouncer {
    /// Starts one in this `pool_mode`, with `more` lines of configuration.
    pub async fn start(db: &TestDatabase, mode: &str, more: &str) -> Self {
        let (folder, port) = (tempfile::tempdir().expect("a folder"), free_port());
        let upstream = Url::parse(&db.superuser_url()).expect("a URL");
        let host = upstream.host_str().unwrap_or("127.0.0.1");
        let users = [db.superuser_url(), db.owner_url(), db.service_url()].map(|url| {
            let url = Url::parse(&url).expect("a URL");
            format!("\"{}\" \"{}\"\n", url.username(), url.password().unwrap_or_default())
        });
        let (users_file, ini) = (folder.path().join("users.txt"), folder.path().join("pgbouncer.ini"));
        let settings = format!(
            "[databases]\n* = host={host} port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = trust\nauth_file = {}\npool_mode = {mode}\nmax_client_conn = 200\n{more}\n",
            upstream.port().unwrap_or(5432),
            users_file.display()
        );
        fs::write(&users_file, users.concat()).expect("a file");
        fs::write(&ini, settings).expect("a file");
        let mut command = Command::new(program());
        command.arg(&ini);
        if let Some((user, group)) = unprivileged() {
            for path in [folder.path(), &users_file, &ini] {
                chown(path, Some(user), Some(group)).expect("the right to give a file away");
            }
            command.uid(user).gid(group);
        }
        let bouncer = Self { _process: Process::start(command), _folder: folder, port };
        let url = bouncer.before(&db.superuser_url());
        patience::until("pgbouncer", async || try_connect(&url).await.map(drop)).await;
        bouncer
    }

    /// The same URL, by way of this pgbouncer.
    pub fn before(&self, url: &str) -> String {
        let mut url = Url::parse(url).expect("a URL");
        url.set_host(Some("127.0.0.1")).expect("a host");
        url.set_port(Some(self.port)).expect("a port");
        url.into()
    }

    /// The store's settings, by way of this pgbouncer.
    pub fn store_settings(&self, db: &TestDatabase) -> StoreSettings {
        let endpoint = |url: String| Endpoint { url: Secret::new(self.before(&url)), ca_file: None };
        StoreSettings { service: endpoint(db.service_url()), owner: endpoint(db.owner_url()), ..db.store_settings() }
    }
}

/// Debian puts it where only root's PATH leads.
fn program() -> &'static str {
    let packaged = "/usr/sbin/pgbouncer";
    if Path::new(packaged).exists() { packaged } else { "pgbouncer" }
}
