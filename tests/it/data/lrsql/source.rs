//! A database in lrsql's form, as far as it matters here: in that of an early version on the oldest server, in today's on the newest.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::support::pg::{Server, TestDatabase};

/// Statements; every three of them were stored at one moment, five minutes times three after those before.
pub(super) const MANY: i64 = 600;
pub(super) const API_KEY: &str = "lrsql-key-1";
pub(super) const API_SECRET: &str = "lrsql-secret-1";
/// The credential of which lrsql makes the authority.
pub(super) const CREDENTIAL: &str = "01930000-0000-8000-8000-000000000001";
/// When the first was stored, and between those at one moment and the next.
const FIRST: i64 = 1_763_596_800_000;
const APART: i64 = 15 * 60 * 1_000;
/// Some lie a month later, and the rest two.
const JUMP: i64 = 30 * 86_400_000;

pub(super) fn id(n: i64) -> Uuid {
    Uuid::from_u128(0x5555_0000_0000_4000_8000_0000_0000_0000 + u128::from(n.unsigned_abs()))
}

fn millis(n: i64) -> i64 {
    FIRST + n / 3 * APART + (n / 240).min(2) * JUMP
}

fn key(n: i64) -> Uuid {
    keyed(n, n)
}

/// The key of a row: the moment of its place, and what keeps it apart from others of that moment.
fn keyed(place: i64, n: i64) -> Uuid {
    let (millis, n) = (u128::from(millis(place).unsigned_abs()), u128::from(n.unsigned_abs()));
    Uuid::from_u128((millis << 80) | (8 << 76) | (2 << 62) | n)
}

fn text(millis: i64) -> String {
    chrono::DateTime::from_timestamp_millis(millis).unwrap().format("%Y-%m-%dT%H:%M:%S%.9fZ").to_string()
}

pub(super) fn statement(n: i64) -> Value {
    let mut one = json!({"id": id(n), "actor": {"objectType": "Agent", "mbox": format!("mailto:l{}@x.example", n % 5)},
        "verb": {"id": if n % 4 == 0 { "http://adlnet.gov/expapi/verbs/completed" } else { "http://x.example/did" }, "display": {"en": "did"}},
        "object": {"objectType": "Activity", "id": format!("http://x.example/{}", n % 7)}, "version": "1.0.0",
        "timestamp": text(millis(n) - 1_000), "stored": text(millis(n)),
        "authority": {"account": {"homePage": "http://lrsql.example", "name": CREDENTIAL}, "objectType": "Agent"}});
    let more = match n {
        11 => {
            json!({"verb": {"id": "http://adlnet.gov/expapi/verbs/voided"}, "object": {"objectType": "StatementRef", "id": id(10)}})
        }
        12 => {
            json!({"verb": {"id": "http://x.example/commented"}, "object": {"objectType": "StatementRef", "id": id(9)}})
        }
        13..=15 => {
            json!({"attachments": [{"usageType": "http://x.example/certificate", "display": {"en": "C"}, "contentType": "text/plain",
            "length": content(n).len(), "sha2": hex::encode(Sha256::digest(content(n)))}]})
        }
        16 => {
            json!({"authority": {"objectType": "Group", "member": [{"account": {"homePage": "http://idp.example", "name": "client"}},
            {"account": {"homePage": "http://idp.example", "name": "sub"}}]}})
        }
        17 => {
            json!({"result": {"score": {"scaled": 0.5, "raw": 5e0}, "duration": "PT1.50S", "extensions": {"http://x.example/ü": null}}})
        }
        18 => {
            json!({"version": "2.0.0", "context": {"contextAgents": [{"objectType": "contextAgent", "agent": {"mbox": "mailto:l3@x.example"}}]}})
        }
        _ => json!({}),
    };
    one.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    one
}

/// Of two statements it is the same.
fn content(n: i64) -> &'static str {
    if n == 15 { "bytes of another one" } else { "bytes of a certificate" }
}

pub(super) struct Lrsql {
    db: TestDatabase,
    pub eyes: Client,
    is_today: bool,
}

impl Lrsql {
    /// With everything that lrsql keeps, for a login that may only read.
    pub async fn filled(server: &'static Server) -> Self {
        let db = TestDatabase::empty(server).await;
        let eyes = db.superuser().await;
        let source = Self { db, eyes, is_today: server.major > 15 };
        source.tables().await;
        source.put(&(0..MANY).map(|n| (n, n, statement(n))).collect::<Vec<_>>()).await;
        source
            .eyes
            .batch_execute(&format!("UPDATE xapi_statement SET is_voided = true WHERE statement_id = '{}'", id(10)))
            .await
            .unwrap();
        source.others().await;
        for table in [
            "xapi_statement",
            "attachment",
            "actor",
            "state_document",
            "agent_profile_document",
            "activity_profile_document",
            "lrs_credential",
            "credential_to_scope",
        ] {
            source.open(table).await;
        }
        source
    }

    pub fn url(&self) -> String {
        self.db.service_url()
    }

    /// The same with another password.
    pub fn url_with(&self, password: &str) -> String {
        let mut url = url::Url::parse(&self.url()).unwrap();
        url.set_password(Some(password)).unwrap();
        url.into()
    }

    pub async fn open(&self, table: &str) {
        self.eyes.batch_execute(&format!("GRANT SELECT ON {table} TO progress_test_service")).await.unwrap();
    }

    pub async fn closed(&self, table: &str) {
        self.eyes.batch_execute(&format!("REVOKE SELECT ON {table} FROM progress_test_service")).await.unwrap();
    }

    /// Statements with their places and what their ids are made of.
    pub async fn put(&self, statements: &[(i64, i64, Value)]) {
        let (keys, ids): (Vec<Uuid>, Vec<Uuid>) =
            statements.iter().map(|(place, n, _)| (keyed(*place, *n), id(*n))).unzip();
        let (verbs, payloads): (Vec<&str>, Vec<String>) =
            statements.iter().map(|(_, _, one)| (one["verb"]["id"].as_str().unwrap(), one.to_string())).unzip();
        let payload = if self.is_today { "jsonb" } else { "json" };
        let sql = format!("INSERT INTO xapi_statement (id, statement_id, verb_iri, payload)
            SELECT key, id, verb, payload::{payload} FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[]) AS t (key, id, verb, payload)");
        self.eyes.execute(&sql, &[&keys, &ids, &verbs, &payloads]).await.unwrap();
    }

    /// Fills up to so many.
    pub async fn more(&self, total: i64) {
        self.put(&(MANY..total).map(|n| (n, n, statement(n))).collect::<Vec<_>>()).await;
    }

    async fn tables(&self) {
        let (payload, modified, label) =
            if self.is_today { ("jsonb", "timestamptz", "label text,") } else { ("json", "timestamp", "") };
        let document = "content_type text NOT NULL, content_length integer NOT NULL, contents bytea NOT NULL";
        let sql = format!(
            "CREATE TYPE scope_enum AS ENUM ('statements/write', 'statements/read', 'all/read', 'all', 'agents_profile');
             CREATE TABLE xapi_statement (id uuid PRIMARY KEY, statement_id uuid NOT NULL UNIQUE, registration uuid, verb_iri text NOT NULL,
                 is_voided boolean NOT NULL DEFAULT false, payload {payload} NOT NULL);
             CREATE TABLE actor (id uuid PRIMARY KEY, actor_ifi text NOT NULL, actor_type text NOT NULL, payload {payload} NOT NULL);
             CREATE TABLE attachment (id uuid PRIMARY KEY, statement_id uuid NOT NULL, attachment_sha text NOT NULL, {document});
             CREATE TABLE state_document (id uuid PRIMARY KEY, state_id text NOT NULL, activity_iri text NOT NULL, agent_ifi text NOT NULL,
                 registration uuid, last_modified {modified} NOT NULL, {document});
             CREATE TABLE agent_profile_document (id uuid PRIMARY KEY, profile_id text NOT NULL, agent_ifi text NOT NULL,
                 last_modified {modified} NOT NULL, {document});
             CREATE TABLE activity_profile_document (id uuid PRIMARY KEY, profile_id text NOT NULL, activity_iri text NOT NULL,
                 last_modified {modified} NOT NULL, {document});
             CREATE TABLE lrs_credential (id uuid PRIMARY KEY, api_key text NOT NULL, secret_key text NOT NULL, {label} account_id uuid NOT NULL);
             CREATE TABLE credential_to_scope (id uuid PRIMARY KEY, api_key text NOT NULL, secret_key text NOT NULL, scope scope_enum)"
        );
        self.eyes.batch_execute(&sql).await.unwrap();
    }

    /// Attachments, documents, agents and credentials.
    async fn others(&self) {
        for n in 13..=15 {
            let (sha2, content) = (hex::encode_upper(Sha256::digest(content(n))), content(n));
            let sql = "INSERT INTO attachment VALUES ($1, $2, $3, 'text/plain', $4, $5)";
            let length = i32::try_from(content.len()).unwrap();
            self.eyes.execute(sql, &[&key(n), &id(n), &sha2, &length, &content.as_bytes()]).await.unwrap();
        }
        // The one agent is known from statements; the other's identifier is all there is.
        self.eyes
            .batch_execute(&format!(
                r#"SET TimeZone = 'UTC';
                   INSERT INTO actor VALUES
                     ('{}', 'mbox::mailto:l1@x.example', 'Agent', '{{"mbox":"mailto:l1@x.example","name":"L"}}'),
                     ('{}', 'account::{CREDENTIAL}@http://lrsql.example', 'Agent',
                      '{{"objectType":"Agent","account":{{"homePage":"http://lrsql.example","name":"{CREDENTIAL}"}}}}');
                   INSERT INTO state_document VALUES
                     ('{}', 'bookmark', 'http://x.example/1', 'account::ann@x.example@http://x.example', NULL, '2026-01-01 10:00:00', 'text/plain', 6, 'page 7'),
                     ('{}', 'bookmark', 'http://x.example/1', 'account::ann@x.example@http://x.example', '99990000-0000-4000-8000-000000000001', '2026-01-01 11:00:00', 'text/plain', 6, 'page 9'),
                     ('{}', 'empty', 'http://x.example/1', 'mbox_sha1sum::ebd31e95054c018b10727ccffd2ef2ec3a016ee9', NULL, '2026-01-01 11:00:00.123', 'application/octet-stream', 0, '');
                   INSERT INTO agent_profile_document VALUES ('{}', 'likes', 'mbox::mailto:l1@x.example', '2025-12-01 11:00:00', 'application/json', 12, '{{"tea": true}}');
                   INSERT INTO activity_profile_document VALUES ('{}', 'p', 'http://x.example/2', '2026-01-01 11:00:00', 'application/octet-stream', 2, '\x00ff');
                   INSERT INTO lrs_credential (id, api_key, secret_key, account_id) VALUES
                     ('{CREDENTIAL}', '{API_KEY}', '{API_SECRET}', '{1}'), ('{0}', 'lrsql-key-2', 'x', '{1}'), ('{1}', 'lrsql-key-3', 'x', '{1}');
                   INSERT INTO credential_to_scope VALUES ('{0}', '{API_KEY}', '{API_SECRET}', 'all'), ('{1}', 'lrsql-key-2', 'x', 'statements/write'),
                     ('{2}', 'lrsql-key-2', 'x', 'agents_profile'), ('{3}', 'lrsql-key-3', 'x', NULL)"#,
                key(1), key(2), key(3), key(4), key(5), key(6), key(7)
            ))
            .await
            .unwrap();
    }
}
