//! A database of one test: a copy of the migrated template, dropped when the test ends.

use std::sync::atomic::{AtomicU32, Ordering};

use progress_service::{
    model::Secret,
    store::{Endpoint, PoolSettings, Store, StoreSettings},
};
use tokio_postgres::Client;

use super::{
    super::{background, patience},
    leftovers,
    server::{OWNER, SERVICE, Server, connect},
    template,
};

/// Dropped with the test; it then fails if a queue still holds work the test did not declare with [`Self::leaves`].
pub struct TestDatabase {
    server: &'static Server,
    name: String,
    expected: Vec<&'static str>,
}

impl TestDatabase {
    /// A copy of the migrated template.
    pub async fn new(server: &'static Server) -> Self {
        let template = template::ensure(server).await;
        Self::create(server, &format!("TEMPLATE {template}")).await
    }

    /// A database nobody has migrated yet.
    pub async fn empty(server: &'static Server) -> Self {
        Self::create(server, "").await
    }

    /// An empty database with another encoding than the server's.
    pub async fn encoded(server: &'static Server, encoding: &str) -> Self {
        Self::create(server, &format!("TEMPLATE template0 LOCALE 'C' ENCODING '{encoding}'")).await
    }

    async fn create(server: &'static Server, how: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("progress_test_{}_{}", server.run, COUNT.fetch_add(1, Ordering::Relaxed));
        let statement = format!("CREATE DATABASE {name} OWNER {OWNER} {how}");
        server.client.batch_execute(&statement).await.unwrap();
        Self { server, name, expected: Vec::new() }
    }

    /// Another database with everything that is in this one, as a staging copy is made. Whoever is connected here is cut off.
    pub async fn copy(&self) -> Self {
        let (server, name) = (self.server, &self.name);
        let run = async |sql: String| server.client.batch_execute(&sql).await.unwrap();
        run(format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false")).await;
        let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = $1";
        patience::until("everybody is gone", async || {
            let left: i64 = server.client.query_one(sql, &[name]).await.unwrap().get(0);
            if left == 0 { Ok(()) } else { Err(left) }
        })
        .await;
        let copy = Self::create(server, &format!("TEMPLATE {name}")).await;
        run(format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true")).await;
        copy
    }

    /// The server this database is on.
    pub fn server(&self) -> &'static Server {
        self.server
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Declares that rows may be left in the queue `table` when the test ends.
    pub fn leaves(&mut self, table: &'static str) {
        self.expected.push(table);
    }

    /// The URL of the login that owns the schema and is no superuser.
    pub fn owner_url(&self) -> String {
        self.server.url(Some(OWNER), &self.name)
    }

    /// The URL of the login the service runs with: owner of nothing, bound by row-level security.
    pub fn service_url(&self) -> String {
        self.server.url(Some(SERVICE), &self.name)
    }

    /// The URL of a superuser, whom no policy binds: for looking, not for the service.
    pub fn superuser_url(&self) -> String {
        self.server.url(None, &self.name)
    }

    pub async fn owner(&self) -> Client {
        connect(self.server.config(Some(OWNER), &self.name)).await
    }

    pub async fn service(&self) -> Client {
        connect(self.server.config(Some(SERVICE), &self.name)).await
    }

    pub async fn superuser(&self) -> Client {
        connect(self.server.config(None, &self.name)).await
    }

    /// A superuser in another database of the same server: a neighbour.
    pub async fn neighbour(&self) -> Client {
        connect(self.server.config(None, "postgres")).await
    }

    pub fn store_settings(&self) -> StoreSettings {
        let endpoint = |url: String| Endpoint { url: Secret::new(url), ca_file: None };
        StoreSettings {
            service: endpoint(self.service_url()),
            owner: endpoint(self.owner_url()),
            pool: PoolSettings { connections: 4, ..PoolSettings::default() },
            worker_connections: 4,
        }
    }

    /// The store's door to this database, with the service's and the owner's logins.
    pub fn store(&self) -> Store {
        Store::open(&self.store_settings()).expect("valid settings")
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let (server, name, expected) = (self.server, self.name.clone(), std::mem::take(&mut self.expected));
        let leftovers = background::wait_for(async move {
            let leftovers = leftovers::find(server, &name, &expected).await;
            server.drop_database(&name).await;
            leftovers
        });
        if !std::thread::panicking() {
            let leftovers = leftovers.expect("the database can be dropped");
            assert!(leftovers.is_empty(), "the test left work in a queue: {}", leftovers.join(", "));
        }
    }
}
