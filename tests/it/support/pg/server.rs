//! One of the two servers: its administrator's connection, the logins tests use, and who cleans up after whom.

use progress_service::model::Ids;
use tokio::sync::OnceCell;
use tokio_postgres::{Client, Config, NoTls};

use super::super::{background, settings};

/// Owns the databases of the tests and their schema, as an operator's migration login does.
pub const OWNER: &str = "progress_test_owner";
/// The login the service has in tests: a member of the group roles, owner of nothing.
pub const SERVICE: &str = "progress_test_service";

/// Session locks of the harness live in the administrator's database under these classes.
const RUN_LOCK: i32 = 0x7072_6f67;
const SETUP_LOCK: i64 = 0x7072_6f67_7365_7475;

/// A server the tests may make databases on.
pub struct Server {
    /// The major version the variable promises.
    pub major: u32,
    admin: Config,
    pub(super) client: Client,
    /// This process, in the names of its databases.
    pub(super) run: String,
}

impl Server {
    /// PostgreSQL 18, named by `TEST_DATABASE_URL`.
    pub async fn newest() -> &'static Self {
        static NEWEST: OnceCell<Server> = OnceCell::const_new();
        NEWEST.get_or_init(|| Self::connect(18, "TEST_DATABASE_URL")).await
    }

    /// PostgreSQL 15, named by `TEST_DATABASE_URL_15`.
    pub async fn oldest() -> &'static Self {
        static OLDEST: OnceCell<Server> = OnceCell::const_new();
        OLDEST.get_or_init(|| Self::connect(15, "TEST_DATABASE_URL_15")).await
    }

    async fn connect(major: u32, variable: &str) -> Self {
        let admin: Config = settings::required(variable).parse().unwrap_or_else(|e| panic!("{variable}: {e}"));
        let client = connect(admin.clone()).await;
        let number = u32::from_be_bytes(Ids::random().bytes::<4>());
        let server = Self { major, admin, client, run: format!("{number:08x}") };
        server.client.execute("SELECT pg_advisory_lock($1, $2)", &[&RUN_LOCK, &number.cast_signed()]).await.unwrap();
        server.locked(SETUP_LOCK, server.prepare()).await;
        server
    }

    /// The logins of the tests, made once per server; then the databases of processes that died.
    async fn prepare(&self) {
        let password = self.password().replace('\'', "''");
        let logins = format!(
            "DO $$ DECLARE wanted text; BEGIN
               FOREACH wanted IN ARRAY ARRAY['progress_service', 'progress_ingest', 'progress_worker', 'progress_eraser', 'progress_retention',
                                         '{OWNER}', '{SERVICE}'] LOOP
                 IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
                   EXECUTE format('CREATE ROLE %I', wanted);
                 END IF;
               END LOOP;
             END $$;
             ALTER ROLE {OWNER} LOGIN CREATEROLE PASSWORD '{password}';
             ALTER ROLE {SERVICE} LOGIN PASSWORD '{password}';
             GRANT progress_service, progress_ingest, progress_worker, progress_eraser, progress_retention TO {OWNER} WITH ADMIN OPTION;
             GRANT progress_service, progress_ingest, progress_worker, progress_eraser, progress_retention TO {SERVICE}"
        );
        self.client.batch_execute(&logins).await.unwrap();
        self.reap().await;
    }

    /// Drops what a killed process left: it no longer holds the lock of its run.
    async fn reap(&self) {
        let names = self.client.query(r"SELECT datname FROM pg_database WHERE datname LIKE 'progress\_test\_%'", &[]);
        for row in names.await.unwrap() {
            let name: String = row.get(0);
            let Some(run) = name.split('_').nth(2).and_then(|run| u32::from_str_radix(run, 16).ok()) else { continue };
            let run = run.cast_signed();
            let free = self.client.query_one("SELECT pg_try_advisory_lock($1, $2)", &[&RUN_LOCK, &run]).await.unwrap();
            // A session may take its own lock again, so its own name is told apart.
            if free.get(0) && !name.contains(&self.run) {
                self.drop_database(&name).await;
            }
            if free.get(0) {
                self.client.execute("SELECT pg_advisory_unlock($1, $2)", &[&RUN_LOCK, &run]).await.unwrap();
            }
        }
    }

    pub(super) async fn drop_database(&self, name: &str) {
        let statement = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
        self.client.batch_execute(&statement).await.unwrap();
    }

    /// Does `work` while no other test process does work of the same `key` on this server. Polls: a session that
    /// waits inside the lock function would hold a snapshot, and `CREATE INDEX CONCURRENTLY` waits for those.
    pub(super) async fn locked<T>(&self, key: i64, work: impl Future<Output = T>) -> T {
        // A connection of its own: the administrator's is shared by all tests of this process.
        let holder = connect(self.admin.clone()).await;
        while !holder.query_one("SELECT pg_try_advisory_lock($1)", &[&key]).await.unwrap().get::<_, bool>(0) {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        work.await
    }

    /// How to reach `database` as `user`; the test logins share the administrator's password.
    pub(super) fn config(&self, user: Option<&str>, database: &str) -> Config {
        let mut config = self.admin.clone();
        if let Some(user) = user {
            config.user(user).password(self.password());
        }
        config.dbname(database);
        config
    }

    pub(super) fn url(&self, user: Option<&str>, database: &str) -> String {
        let config = self.config(user, database);
        let host = match config.get_hosts().first() {
            Some(tokio_postgres::config::Host::Tcp(host)) => host.clone(),
            other => panic!("the test server must be reached by TCP, not {other:?}"),
        };
        let port = config.get_ports().first().copied().unwrap_or(5432);
        let mut url = url::Url::parse(&format!("postgres://{host}:{port}/{database}")).unwrap();
        url.set_username(config.get_user().unwrap_or("postgres")).unwrap();
        url.set_password(Some(&self.password())).unwrap();
        url.into()
    }

    fn password(&self) -> String {
        let password = self.admin.get_password().unwrap_or(b"progress");
        String::from_utf8(password.to_owned()).expect("a password in UTF-8")
    }
}

/// A connection driven by the harness's runtime, so that it works in any test and in `Drop`.
pub(super) async fn connect(config: Config) -> Client {
    attempt(config).await.expect("the test server answers")
}

/// A connection to a server that may not be there.
pub async fn try_connect(url: &str) -> Result<Client, tokio_postgres::Error> {
    attempt(url.parse()?).await
}

async fn attempt(config: Config) -> Result<Client, tokio_postgres::Error> {
    let connecting = background::runtime().spawn(async move {
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(async move {
            // A connection ends when its database is dropped; the test that cared has seen its own error.
            let _ = connection.await;
        });
        Ok(client)
    });
    connecting.await.expect("the harness's runtime")
}
