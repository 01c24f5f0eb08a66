//! Statements of the stock as the service prepares them, and as rows of the ledger in PostgreSQL's binary COPY form, with
//! the keys the service itself computes.

use bytes::{BufMut, Bytes, BytesMut};
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::SinkExt;
use progress_service::{
    model::TenantId,
    store::ledger::statements::relation_keys,
    xapi::{Author, Limits, Prepared, Version, keys::Ifi, prepare, read},
};
use rand::rngs::SmallRng;
use tokio_postgres::{Client, Transaction};
use uuid::Uuid;

use super::statements::Stock;

/// Microseconds between 1970 and 2000, where PostgreSQL's time begins.
const EPOCH: i64 = 946_684_800_000_000;
/// Statements that are read at once: a request holds only so many.
const REQUEST: usize = 100;
const HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

pub const TABLES: [&str; 3] = [
    "statement_ids (tenant_id, id, stored, digest)",
    "statements (tenant_id, id, stored, occurred, verb_key, agent_key, activity_key, registration_key, refers_to, voiding, \
     converts, payload)",
    "relations (tenant_id, key, stored)",
];

/// Some statements, ready to be copied into the three tables.
#[derive(Clone)]
pub struct Chunk {
    pub statements: usize,
    pub first: DateTime<Utc>,
    tables: [Bytes; 3],
}

/// So many statements of the stock, each under a new id.
pub fn drawn(stock: &Stock, count: usize, rng: &mut SmallRng) -> anyhow::Result<Vec<Prepared>> {
    let mut statements = Vec::with_capacity(count);
    while statements.len() < count {
        let request = stock.body(REQUEST.min(count - statements.len()), rng);
        statements.extend(prepared(&request)?);
    }
    Ok(statements)
}

/// Reads and prepares a body of statements as the service would.
fn prepared(body: &[u8]) -> anyhow::Result<Vec<Prepared>> {
    let authority = Ifi::Account { home_page: "https://lrs.example.com".to_owned(), name: "load".to_owned() };
    let author = Author::new(TenantId::DEFAULT.0, &authority.to_map(), Version::V1_0_3);
    let batch = read::statements(body, Version::V1_0_3, &Limits::default())
        .map_err(|violations| anyhow::anyhow!("the load is not valid: {violations:?}"))?;
    Ok(batch.statements.into_iter().map(|s| prepare(s, &author, Uuid::nil, DateTime::UNIX_EPOCH)).collect())
}

impl Chunk {
    /// The first is stored at `first`, each other `step` microseconds after the one before.
    pub fn new(statements: &[Prepared], first: DateTime<Utc>, step: i64) -> Self {
        let mut tables = [(); 3].map(|()| BytesMut::from(HEAD));
        let [ids, rows, relations] = &mut tables;
        for (n, statement) in (0..).zip(statements) {
            let stored = first + TimeDelta::microseconds(n * step);
            for (table, columns) in [(&mut *ids, 4), (&mut *rows, 12)] {
                table.put_i16(columns);
                uuid(table, Some(statement.tenant()));
                uuid(table, Some(statement.id));
                time(table, Some(stored));
            }
            field(ids, &statement.digest);
            time(rows, statement.has_timestamp.then_some(statement.timestamp));
            uuid(rows, Some(statement.verb_key));
            uuid(rows, statement.agent_key);
            uuid(rows, statement.activity_key);
            uuid(rows, statement.registration_key);
            uuid(rows, statement.refers_to);
            field(rows, &[u8::from(statement.is_voiding)]);
            // Of an earlier release: nothing is converted.
            field(rows, &[0]);
            field(rows, statement.payload.as_bytes());
            for key in relation_keys(statement) {
                relations.put_i16(3);
                uuid(relations, Some(statement.tenant()));
                uuid(relations, Some(key));
                time(relations, Some(stored));
            }
        }
        for table in &mut tables {
            table.put_i16(-1);
        }
        Self { statements: statements.len(), first, tables: tables.map(BytesMut::freeze) }
    }

    /// Copies into the tables of `schema`, in one transaction.
    pub async fn copy(&self, client: &mut Client, schema: &str) -> anyhow::Result<()> {
        let transaction = client.transaction().await?;
        self.copy_within(&transaction, schema).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// The same, as a part of a transaction.
    pub async fn copy_within(&self, transaction: &Transaction<'_>, schema: &str) -> anyhow::Result<()> {
        for (table, rows) in TABLES.iter().zip(&self.tables) {
            copy_into(transaction, &format!("{schema}.{table}"), rows).await?;
        }
        Ok(())
    }
}

async fn copy_into(transaction: &Transaction<'_>, table: &str, rows: &Bytes) -> anyhow::Result<()> {
    let sink = transaction.copy_in::<_, Bytes>(&format!("COPY {table} FROM STDIN (FORMAT binary)")).await?;
    futures_util::pin_mut!(sink);
    let mut rest = rows.clone();
    while !rest.is_empty() {
        let piece = rest.split_to(rest.len().min(256 << 10));
        sink.feed(piece).await?;
    }
    sink.finish().await?;
    Ok(())
}

fn field(table: &mut BytesMut, value: &[u8]) {
    table.put_i32(i32::try_from(value.len()).unwrap_or(i32::MAX));
    table.put_slice(value);
}

fn uuid(table: &mut BytesMut, value: Option<Uuid>) {
    match value {
        Some(value) => field(table, value.as_bytes()),
        None => table.put_i32(-1),
    }
}

fn time(table: &mut BytesMut, value: Option<DateTime<Utc>>) {
    match value {
        Some(value) => field(table, &(value.timestamp_micros() - EPOCH).to_be_bytes()),
        None => table.put_i32(-1),
    }
}
