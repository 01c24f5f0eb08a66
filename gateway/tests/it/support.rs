//! A month of two tenants as segments and as a local table, a gateway over the segments, and a PostgreSQL that knows both.

#![allow(dead_code, unused_imports, reason = "the harness of the service is used as far as it is needed")]

#[macro_use]
#[path = "../../../tests/it/support/pg/mod.rs"]
pub mod pg;
#[path = "../../../tests/it/support/background.rs"]
pub mod background;
#[path = "../../../tests/it/support/patience.rs"]
pub mod patience;
#[path = "../../../tests/it/support/settings.rs"]
pub mod settings;

use std::{net::SocketAddr, path::Path};

use chrono::{DateTime, TimeDelta, Utc};
use progress_gateway::{
    data::reach::Reach,
    wire::{logins::entry, scram::Verifier},
};
use progress_service::{
    config::{self, Config, Environment},
    model::{TenantId, partition::Month},
    objects::{
        Objects,
        segment::{Manifest, Owner, Place, Row, Sizes, Writer, Writing, publish, verify},
    },
};
use serde_json::json;
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};
use uuid::Uuid;

use pg::TestDatabase;

pub const ONE: TenantId = TenantId(Uuid::from_u128(0xa1));
pub const OTHER: TenantId = TenantId(Uuid::from_u128(0xb2));
pub const OWNER: Owner = Owner { installation: Uuid::from_u128(0x1757), epoch: 1 };
pub const PASSWORD: &str = "correct horse, battery";
/// Several parts, row groups and pages of a few hundred rows.
pub const SMALL: Sizes =
    Sizes { part_bytes: 150 << 10, group_rows: 300, group_bytes: 8 << 20, page_bytes: 4 << 10, page_rows: 50 };

pub fn month() -> Month {
    "2026-03".parse().unwrap()
}

fn key(of: &str, n: u32) -> Uuid {
    let mixed =
        of.bytes().fold(u64::from(n) + 1, |all, byte| (all ^ u64::from(byte)).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let again = (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    Uuid::from_u64_pair(mixed, again ^ again >> 32)
}

/// Statements of a month, evenly over it, with nulls and odd letters.
pub fn rows(tenant: TenantId, month: Month, count: u32) -> Vec<Row> {
    let step = (month.end() - month.begin()) / i32::try_from(count + 1).unwrap();
    let micros = step.num_microseconds().unwrap();
    let stored =
        |n: u32| month.begin() + TimeDelta::microseconds(micros * i64::from(n) + i64::from(tenant.0.as_u128() as u32));
    (0..count).map(|n| row(tenant, n, stored(n))).collect()
}

fn row(tenant: TenantId, n: u32, stored: DateTime<Utc>) -> Row {
    let own = |of: &str, n: u32| key(&format!("{of}{tenant}{}", stored.format("%Y-%m")), n);
    let voiding = n % 40 == 39;
    let verb = if voiding {
        "http://adlnet.gov/expapi/verbs/voided"
    } else {
        ["http://v.example/passed", "http://v.example/failed", "http://v.example/it's 100%_\\done"][n as usize % 3]
    };
    let payload = json!({"id": own("id", n), "actor": {"mbox": format!("mailto:learner{}@x.example", n % 97), "name": "Zoë \"Ö\" O'Neil\t\\"},
        "verb": {"id": verb}, "object": {"id": format!("http://lms.example/course/{}", n % 13)},
        "result": {"score": {"scaled": f64::from(n % 100) / 100.0}}, "noise": format!("{}{}", own("noise", n), own("more", n))});
    Row {
        tenant,
        id: own("id", n),
        stored,
        occurred: (n % 4 != 0).then(|| stored - TimeDelta::seconds(i64::from(n % 90))),
        verb_key: own(verb, 0),
        agent_key: (n % 50 != 7).then(|| own("agent", n % 97)),
        activity_key: (!voiding).then(|| own("activity", n % 13)),
        registration_key: (n % 3 == 0).then(|| own("registration", n % 200)),
        refers_to: voiding.then(|| own("id", n - 1)),
        voiding,
        voids_only_of: None,
        voided_by: None,
        converts: n % 5 == 0,
        relations: Vec::new(),
        payload: payload.to_string(),
    }
}

/// Writes a segment down and publishes it.
pub async fn archive(objects: &Objects, rows: &[Row], revision: u32, sizes: Sizes) -> Manifest {
    let place = Place { tenant: rows[0].tenant, month: Month::of(rows[0].stored), revision };
    let writing = Writing {
        place,
        owner: OWNER,
        id: Uuid::from_u128(1),
        retention_class: "standard".to_owned(),
        erasure_stamp: 0,
        written_at: DateTime::UNIX_EPOCH,
    };
    let mut writer = Writer::new(objects, writing, sizes);
    for row in rows {
        writer.push(row.clone()).await.unwrap();
    }
    let verified = verify(objects, writer.finish().await.unwrap()).await.unwrap();
    publish(objects, verified).await.unwrap().manifest().clone()
}

/// A gateway of one test, over a folder of its own.
pub struct Gateway {
    pub dir: TempDir,
    pub config: Config,
    pub objects: Objects,
    pub address: SocketAddr,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.server.abort();
    }
}

pub fn logins() -> String {
    let of = |name: &str, reach: Reach| entry(name, &reach, &Verifier::of(PASSWORD, [3; 16]));
    let logins = [
        of("archive", Reach::Installation(OWNER.installation)),
        of("elsewhere", Reach::Installation(Uuid::from_u128(0xe15e))),
        of("one", Reach::Tenant(ONE)),
        of("other", Reach::Tenant(OTHER)),
    ];
    logins.join("\n")
}

pub fn configured(dir: &Path, more: &[(&str, &str)]) -> Config {
    let text = |path: &Path| path.display().to_string();
    let mut settings = vec![
        ("PROGRESS_DATA_DIR".to_owned(), text(dir)),
        ("PROGRESS_GATEWAY_LISTEN".to_owned(), "127.0.0.1:0".to_owned()),
        ("PROGRESS_GATEWAY_LOGINS_FILE".to_owned(), text(&dir.join("logins.toml"))),
    ];
    settings.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    config::read(&Environment::of(settings), Path::new("/nowhere")).unwrap().config
}

impl Gateway {
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    pub async fn with(more: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("logins.toml"), logins()).unwrap();
        let config = configured(dir.path(), more);
        let objects = Objects::open(&config.archive, dir.path()).unwrap();
        let listening = progress_gateway::open(&config).await.unwrap();
        let address = listening.address().unwrap();
        // Over the harness's runtime, so that it answers whatever the test itself waits for.
        let server = background::runtime().spawn(listening.serve());
        Self { dir, config, objects, address, server }
    }

    /// The usual month, of both tenants.
    pub async fn filled() -> (Self, Vec<Row>) {
        let gateway = Self::start().await;
        let (one, other) = (rows(ONE, month(), 1_500), rows(OTHER, month(), 500));
        archive(&gateway.objects, &one, 0, SMALL).await;
        archive(&gateway.objects, &other, 0, SMALL).await;
        (gateway, [one, other].concat())
    }

    pub async fn login(&self, name: &str) -> Result<Client, tokio_postgres::Error> {
        self.login_with(name, PASSWORD).await
    }

    pub async fn login_with(&self, name: &str, password: &str) -> Result<Client, tokio_postgres::Error> {
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(self.address.port()).user(name).password(password).dbname("archive");
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(async move {
            // It ends as its test sees it end.
            let _ = connection.await;
        });
        Ok(client)
    }
}

/// The rows of an answer, as texts; what was empty is `NULL`.
pub fn texts(messages: Vec<SimpleQueryMessage>) -> Vec<Vec<String>> {
    let row = |message| match message {
        SimpleQueryMessage::Row(row) => {
            let text = |at: usize| row.get(at).map_or_else(|| "NULL".to_owned(), |text| format!("={text}"));
            Some((0..row.len()).map(text).collect())
        }
        _ => None,
    };
    messages.into_iter().filter_map(row).collect()
}

pub async fn ask(client: &Client, query: &str) -> Result<Vec<Vec<String>>, tokio_postgres::Error> {
    client.simple_query(query).await.map(texts)
}

/// The code and the words of a refusal.
pub fn refusal<T: std::fmt::Debug>(outcome: Result<T, tokio_postgres::Error>) -> (String, String) {
    let error = outcome.expect_err("a refusal");
    let db = error.as_db_error().unwrap_or_else(|| panic!("not an answer: {error}"));
    (db.code().code().to_owned(), format!("{} {}", db.message(), db.hint().unwrap_or_default()))
}

const COLUMNS: &str = "tenant_id uuid NOT NULL, id uuid NOT NULL, stored timestamptz NOT NULL, occurred timestamptz, \
    verb_key uuid NOT NULL, agent_key uuid, activity_key uuid, registration_key uuid, refers_to uuid, \
    voiding boolean NOT NULL, converts boolean NOT NULL";

/// `local.statements` with the rows, `far.month` over the gateway, and `far.statements`, whose partition that is.
pub async fn both_sides(db: &TestDatabase, gateway: &Gateway, rows: &[Row]) -> Client {
    let client = db.superuser().await;
    let port = gateway.address.port();
    client
        .batch_execute(&format!(
            "CREATE EXTENSION IF NOT EXISTS postgres_fdw; CREATE SCHEMA local; CREATE SCHEMA far;
             CREATE DOMAIN far.told AS text;
             CREATE TABLE local.statements ({COLUMNS}, payload text NOT NULL);
             CREATE SERVER archive FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '{port}', dbname 'archive',
                 updatable 'false', truncatable 'false', fetch_size '700', use_remote_estimate 'false');
             CREATE USER MAPPING FOR PUBLIC SERVER archive OPTIONS (user 'archive', password '{PASSWORD}');
             CREATE TABLE far.statements ({COLUMNS}, payload far.told NOT NULL) PARTITION BY RANGE (stored);
             CREATE FOREIGN TABLE far.month PARTITION OF far.statements
                 FOR VALUES FROM ('2026-03-01 00:00:00+00') TO ('2026-04-01 00:00:00+00')
                 SERVER archive OPTIONS (schema_name 'archive', table_name 'statements_2026_03');"
        ))
        .await
        .unwrap();
    insert(&client, rows).await;
    client
}

async fn insert(client: &Client, rows: &[Row]) {
    let statement = client
        .prepare("INSERT INTO local.statements VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)")
        .await
        .unwrap();
    client.batch_execute("BEGIN").await.unwrap();
    for row in rows {
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 12] = [
            &row.tenant.0,
            &row.id,
            &row.stored,
            &row.occurred,
            &row.verb_key,
            &row.agent_key,
            &row.activity_key,
            &row.registration_key,
            &row.refers_to,
            &row.voiding,
            &row.converts,
            &row.payload,
        ];
        client.execute(&statement, &values).await.unwrap();
    }
    client.batch_execute("COMMIT; ANALYZE local.statements").await.unwrap();
}
