//! What the server is like and who else is at work, as the owner's session sees it.

use tokio_postgres::Client;

use crate::store::{StoreError, door::ddl::Session};

#[derive(Clone, Debug, Default)]
pub struct BeforeFacts {
    /// As in `server_version_num`: 180001 is 18.1.
    pub version: i32,
    pub encoding: String,
    pub in_recovery: bool,
    pub read_only: bool,
    pub user: String,
    pub superuser: bool,
    pub create_role: bool,
    /// May make schemas in this database.
    pub create_in_database: bool,
    pub database_bytes: i64,
    /// Some table with a tenant, outside of `platform`, holds rows or held some.
    pub user_data: bool,
    /// Transactions until the oldest id wraps around are fewer the greater this is.
    pub frozen_age: i64,
    pub prepared_transactions: i64,
    pub group_roles: Vec<GroupRole>,
    /// Only of schemas that are there.
    pub schemas: Vec<SchemaOwner>,
    pub old_transactions: Vec<OldTransaction>,
    pub replicas: Vec<Replica>,
    /// Write-ahead log held back by replication slots nobody reads from.
    pub idle_slot_bytes: i64,
}

#[derive(Clone, Debug)]
pub struct GroupRole {
    pub name: String,
    pub exists: bool,
    pub member: bool,
}

#[derive(Clone, Debug)]
pub struct SchemaOwner {
    pub schema: String,
    pub owned: bool,
}

#[derive(Clone, Debug)]
pub struct OldTransaction {
    pub pid: i32,
    pub seconds: i64,
    pub state: String,
    pub application: String,
}

#[derive(Clone, Debug)]
pub struct Replica {
    pub name: String,
    pub state: String,
    pub lag_bytes: i64,
}

const SERVER: &str = "/* before::checks_server */
    SELECT current_setting('server_version_num')::int, pg_is_in_recovery(),
           current_setting('default_transaction_read_only') = 'on', current_user::text, r.rolsuper, r.rolcreaterole,
           has_database_privilege(current_database(), 'CREATE'), pg_database_size(current_database()),
           age(d.datfrozenxid)::bigint, (SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database()),
           CASE WHEN pg_is_in_recovery() THEN 0 ELSE (SELECT coalesce(sum(pg_current_wal_lsn() - restart_lsn), 0)::bigint
               FROM pg_replication_slots WHERE NOT active AND restart_lsn IS NOT NULL) END,
           pg_encoding_to_char(d.encoding)::text
    FROM pg_roles r, pg_database d WHERE r.rolname = current_user AND d.datname = current_database()";

/// Tables with pages, past row-level security. A table of the ledger whose rows may be nobody's has rules for everybody, which a
/// migration brings.
const FILLED: &str = "/* before::checks_filled */
    SELECT DISTINCT whole::regclass::text,
        CASE WHEN to_regrole('progress_worker') IS NULL THEN false ELSE has_table_privilege('progress_worker', whole, 'SELECT') END
    FROM pg_class c CROSS JOIN LATERAL (SELECT coalesce(pg_partition_root(c.oid), c.oid)::oid AS whole) root JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
            AND (a.attnotnull OR n.nspname <> 'ledger')
    WHERE n.nspname = ANY($1) AND n.nspname <> 'platform' AND c.relkind = 'r' AND pg_relation_size(c.oid) > 0";

/// Whether a table has rows of a tenant. Its size alone says too much: a row that was taken back leaves its page. The worker sees
/// every tenant's rows, the owner none; where it sees nothing of a table that has pages, there are rows.
async fn user_data(client: &Client, schemas: &[String]) -> Result<bool, tokio_postgres::Error> {
    let filled = client.query(FILLED, &[&schemas]).await?;
    if filled.is_empty() {
        return Ok(false);
    }
    if filled.iter().any(|row| !row.get::<_, bool>(1)) {
        return Ok(true);
    }
    let names = filled.iter().map(|row| format!("EXISTS (SELECT FROM {})", row.get::<_, String>(0)));
    let sql = format!("/* before::checks_user_data */ SELECT {}", names.collect::<Vec<_>>().join(" OR "));
    if client.batch_execute("SET ROLE progress_worker").await.is_err() {
        return Ok(true);
    }
    let found = client.query_one(&sql, &[]).await;
    client.batch_execute("RESET ROLE").await?;
    // What cannot be looked at is taken for somebody's.
    Ok(found.map_or(true, |row| row.get(0)))
}

const ROLES: &str = "/* before::checks_roles */
    SELECT w.name, r.oid IS NOT NULL, coalesce(pg_has_role(r.oid, 'MEMBER'), false)
    FROM unnest($1::text[]) AS w(name) LEFT JOIN pg_roles r ON r.rolname = w.name ORDER BY 1";

const SCHEMAS: &str = "/* before::checks_schemas */
    SELECT nspname::text, pg_has_role(nspowner, 'USAGE') FROM pg_namespace WHERE nspname = ANY($1) ORDER BY 1";

/// Sessions of other logins show no more than their presence to a role without `pg_read_all_stats`.
const TRANSACTIONS: &str = "/* before::checks_transactions */
    SELECT pid, extract(epoch FROM clock_timestamp() - xact_start)::bigint, coalesce(state, 'unknown'),
           coalesce(nullif(application_name, ''), usename::text, 'unknown')
    FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start < clock_timestamp() - interval '1 second'
    ORDER BY 2 DESC";

const REPLICAS: &str = "/* before::checks_replicas */
    SELECT coalesce(nullif(application_name, ''), 'replica'), coalesce(state, 'unknown'),
           coalesce(sent_lsn - replay_lsn, 0)::bigint
    FROM pg_stat_replication ORDER BY 1";

/// Reads the facts; `schemas` are those of the modules, `groups` the roles their rights are granted to.
pub async fn before(session: &Session, schemas: &[String], groups: &[String]) -> Result<BeforeFacts, StoreError> {
    read(session, schemas, groups).await.map_err(|e| StoreError::from_pg("checks_before", &e))
}

async fn read(session: &Session, schemas: &[String], groups: &[String]) -> Result<BeforeFacts, tokio_postgres::Error> {
    let client = session.client();
    let server = client.query_one(SERVER, &[]).await?;
    let user_data = user_data(client, schemas).await?;
    let group_roles = client.query(ROLES, &[&groups]).await?;
    let owners = client.query(SCHEMAS, &[&schemas]).await?;
    let old = client.query(TRANSACTIONS, &[]).await?;
    let replicas = client.query(REPLICAS, &[]).await?;
    Ok(BeforeFacts {
        version: server.get(0),
        in_recovery: server.get(1),
        read_only: server.get(2),
        user: server.get(3),
        superuser: server.get(4),
        create_role: server.get(5),
        create_in_database: server.get(6),
        database_bytes: server.get(7),
        frozen_age: server.get(8),
        prepared_transactions: server.get(9),
        idle_slot_bytes: server.get(10),
        encoding: server.get(11),
        user_data,
        group_roles: group_roles
            .iter()
            .map(|row| GroupRole { name: row.get(0), exists: row.get(1), member: row.get(2) })
            .collect(),
        schemas: owners.iter().map(|row| SchemaOwner { schema: row.get(0), owned: row.get(1) }).collect(),
        old_transactions: old
            .iter()
            .map(|r| OldTransaction { pid: r.get(0), seconds: r.get(1), state: r.get(2), application: r.get(3) })
            .collect(),
        replicas: replicas
            .iter()
            .map(|row| Replica { name: row.get(0), state: row.get(1), lag_bytes: row.get(2) })
            .collect(),
    })
}
