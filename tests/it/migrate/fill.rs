//! A row for every table, whatever its columns: a rollback script that works on empty tables proves little.

use progress_service::store::{Endpoint, door::ddl::Session, schema::catalog};
use tokio_postgres::Client;

/// What the filler adds to the catalog is told apart by this ending.
const LEAF: &str = "_filled";

/// Puts a row into every table of the schemas; returns the tables that took none.
pub async fn fill(superuser: &Client, schemas: &[&str]) -> Vec<String> {
    // Foreign keys rest; what a row means is no matter here, only that it is there.
    superuser.batch_execute("SET session_replication_role = replica").await.unwrap();
    let mut empty = Vec::new();
    for table in tables(superuser, schemas).await {
        if superuser.batch_execute(&insert(superuser, &table).await).await.is_err() {
            let leaf =
                format!("CREATE TABLE {table}{LEAF} PARTITION OF {table} FOR VALUES FROM (MINVALUE) TO (MAXVALUE)");
            let _ = superuser.batch_execute(&leaf).await;
            // As every month does, it belongs to whom the whole belongs: a trigger of the whole is one of each part.
            let owned = format!(
                "DO $$ BEGIN EXECUTE format('ALTER TABLE {table}{LEAF} OWNER TO %s', (SELECT relowner::regrole
                 FROM pg_class WHERE oid = '{table}'::regclass)); END $$"
            );
            let _ = superuser.batch_execute(&owned).await;
            let _ = superuser.batch_execute(&insert(superuser, &table).await).await;
        }
        if super::fixture::count(superuser, &table).await == 0 {
            empty.push(table);
        }
    }
    empty
}

/// Every table of the schemas, those that are divided as a whole.
pub async fn tables(client: &Client, schemas: &[&str]) -> Vec<String> {
    let select =
        "SELECT format('%s.%s', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                  WHERE n.nspname = ANY ($1) AND c.relkind IN ('r', 'p') AND NOT c.relispartition
                    AND NOT starts_with(c.relname, 'schema_migration') ORDER BY c.oid";
    client.query(select, &[&schemas]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

/// An INSERT with a value for every column that may not be NULL; of a list of allowed words the first is taken.
async fn insert(client: &Client, table: &str) -> String {
    if let Some(row) = of_its_own(table) {
        return format!("INSERT INTO {table} {row}");
    }
    let select = r"SELECT quote_ident(a.attname), format_type(a.atttypid, NULL),
        (SELECT substring(pg_get_constraintdef(k.oid) FROM 'ARRAY\[(''[^'']*'')') FROM pg_constraint k
         WHERE k.conrelid = a.attrelid AND k.contype = 'c' AND k.conkey = ARRAY[a.attnum]
           AND pg_get_constraintdef(k.oid) LIKE '%ARRAY[''%' LIMIT 1)
        FROM pg_attribute a WHERE a.attrelid = $1::text::regclass AND a.attnum > 0 AND NOT a.attisdropped
          AND a.attnotnull AND NOT a.atthasdef AND a.attidentity = ''";
    let (mut columns, mut values) = (Vec::new(), Vec::new());
    for row in client.query(select, &[&table]).await.unwrap() {
        let (column, kind, word): (String, String, Option<String>) = (row.get(0), row.get(1), row.get(2));
        columns.push(column);
        // Later from column to column, as bounds and periods want it.
        let moment = || format!("now() + {} * interval '1 minute'", values.len());
        let plain = || if kind == "timestamp with time zone" { moment() } else { value(&kind).to_owned() };
        values.push(word.unwrap_or_else(plain));
    }
    if columns.is_empty() {
        return format!("INSERT INTO {table} DEFAULT VALUES");
    }
    format!("INSERT INTO {table} ({}) VALUES ({})", columns.join(", "), values.join(", "))
}

/// What has to fit together in ways that no type tells.
fn of_its_own(table: &str) -> Option<&'static str> {
    match table {
        "platform.flags" => Some("(name, value, reason, set_by) VALUES ('x', 'true', 'x', 'x')"),
        "platform.rollouts" => Some(
            "(rollout_id, name, plan, digest, state, asked_by) VALUES (gen_random_uuid(), 'x', '{}', 'x', 'done', 'x')",
        ),
        "platform.audit_keys" => Some("(key) VALUES (sha256('x'))"),
        "ledger.retention_requests" => Some(
            "(digest, plan, requested_by) VALUES (encode(sha256(convert_to('{}'::jsonb::text, 'UTF8')), 'hex'), '{}', 'x')",
        ),
        "ledger.hidden_persons" => {
            Some("(tenant_id, erasure_id, agent_key) VALUES (gen_random_uuid(), gen_random_uuid(), gen_random_uuid())")
        }
        _ => None,
    }
}

fn value(kind: &str) -> &'static str {
    match kind {
        "uuid" => "gen_random_uuid()",
        "date" => "date_trunc('month', current_date)::date",
        "bytea" => "sha256('x')",
        "json" | "jsonb" => "'{}'",
        "boolean" => "true",
        "interval" => "'1 day'",
        "xid8" => "pg_current_xact_id()",
        array if array.ends_with("[]") => "'{}'",
        "text" | "character varying" | "name" => "md5(random()::text)",
        _ => "1",
    }
}

/// What the catalog holds but for what [`fill`] added.
pub async fn objects(owner: &Endpoint, schemas: &[&str]) -> Vec<String> {
    let session = Session::connect(owner).await.unwrap();
    let schemas: Vec<String> = schemas.iter().map(|schema| (*schema).to_owned()).collect();
    let mut objects = catalog::listing(&session, &schemas).await.unwrap().objects;
    objects.retain(|line| !line.contains(LEAF));
    objects
}
