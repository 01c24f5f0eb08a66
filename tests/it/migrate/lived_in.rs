//! A database as users leave it: their statements in the ledger of any release, and a copy aside of everything there is, by which
//! is seen what an upgrade lost.

use chrono::DateTime;
use progress_service::{
    migrate::modules,
    model::TenantId,
    xapi::{Author, Limits, Prepared, Version, prepare, read},
};
use serde_json::json;
use tokio_postgres::Client;
use uuid::Uuid;

use super::fill;
use crate::xapi::identified;

/// Rows of one statement of SQL.
const AT_ONCE: i64 = 100_000;

/// By columns that every release has; of those that may be NULL most are.
const WRITE: &str = "WITH reserved AS MATERIALIZED (SELECT ledger.reserve($1::bigint) AS first),
    new AS MATERIALIZED (
        SELECT gen_random_uuid() AS id, 'epoch'::timestamptz + (first + n) * interval '1 microsecond' AS stored
        FROM reserved, generate_series(0, $1::bigint - 1) n),
    ids AS (INSERT INTO ledger.statement_ids (tenant_id, id, stored, digest) SELECT $2::uuid, id, stored, $5::bytea FROM new),
    related AS (INSERT INTO ledger.relations (tenant_id, key, stored) SELECT $2::uuid, $7::uuid, stored FROM new)
    INSERT INTO ledger.statements (tenant_id, id, stored, occurred, verb_key, agent_key, activity_key, registration_key, refers_to,
        voiding, converts, payload)
    SELECT $2::uuid, id, stored, NULL, $6::uuid, $7::uuid, $8::uuid, NULL, NULL, false, false, replace($4::text, $3::text, id::text)
    FROM new";

/// Writes so many statements of the default tenant.
pub async fn write(superuser: &Client, many: i64) {
    let (one, tenant) = (statement(), TenantId::DEFAULT.0);
    let (id, digest) = (one.id.to_string(), one.digest.as_slice());
    superuser.execute("SELECT ledger.ensure_month(now())", &[]).await.unwrap();
    for written in (0..many).step_by(usize::try_from(AT_ONCE).unwrap()) {
        let rows = AT_ONCE.min(many - written);
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 8] =
            [&rows, &tenant, &id, &one.payload, &digest, &one.verb_key, &one.agent_key, &one.activity_key];
        superuser.execute(WRITE, &values).await.unwrap();
    }
}

fn statement() -> Prepared {
    let authority = json!({"mbox": "mailto:lrs@example.com"});
    let author = Author::new(TenantId::DEFAULT.0, authority.as_object().unwrap(), Version::V1_0_3);
    let text = identified("5a5a5a5a-0000-4000-8000-000000000001", "ann", "course").to_string();
    let mut batch = read::statements(text.as_bytes(), Version::V1_0_3, &Limits::default()).unwrap();
    prepare(batch.statements.remove(0), &author, Uuid::nil, DateTime::UNIX_EPOCH)
}

/// A table with its columns as they were when it was copied aside.
#[derive(Debug)]
pub struct Kept {
    table: String,
    columns: String,
}

/// Copies every table of the product aside.
pub async fn keep(superuser: &Client) -> Vec<Kept> {
    superuser.batch_execute("CREATE SCHEMA kept").await.unwrap();
    let sql = "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
        WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped";
    let mut kept = Vec::new();
    for table in fill::tables(superuser, &modules::INTERNAL).await {
        let columns: String = superuser.query_one(sql, &[&table]).await.unwrap().get(0);
        let copy = format!("CREATE TABLE kept.{table:?} AS SELECT {columns} FROM {table}");
        superuser.batch_execute(&copy).await.unwrap();
        kept.push(Kept { table, columns });
    }
    kept
}

/// The tables that do not hold every row any more as it was, with how many they lack.
pub async fn gone(superuser: &Client, kept: &[Kept]) -> Vec<(String, i64)> {
    let mut gone = Vec::new();
    for Kept { table, columns } in kept {
        let sql = format!(
            "SELECT count(*) FROM (SELECT ROW({columns})::text FROM kept.{table:?} EXCEPT ALL SELECT ROW({columns})::text FROM {table}) gone"
        );
        match superuser.query_one(&sql, &[]).await.unwrap_or_else(|error| panic!("{table}: {error:?}")).get(0) {
            0 => {}
            rows => gone.push((table.clone(), rows)),
        }
    }
    gone
}
