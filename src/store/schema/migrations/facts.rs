//! What a database says about its migrations: read in one snapshot, without writing or creating anything.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{
    legacy::{self, Neighbour},
    quoted,
    tables::{ATTEMPTS, BASELINES, HISTORY, PROMISED, columns},
};
use crate::store::{StoreError, door::ddl::Session};

/// One row of the canonical history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    pub name: String,
    pub category: String,
    pub checksum: String,
    pub applied_at: DateTime<Utc>,
    pub applied_by: String,
    pub duration_ms: i64,
}

/// One row of the attempts: everything that was tried, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Attempt {
    pub id: i64,
    #[serde(rename = "file")]
    pub name: String,
    pub action: String,
    pub checksum: Option<String>,
    pub started_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
    pub outcome: Option<String>,
    pub detail: Option<String>,
    pub lock_wait_ms: Option<i64>,
    /// What it cost others, as [`super::waits::Waits`]; absent where nobody watched.
    pub waits: Option<serde_json::Value>,
    pub done_by: String,
    pub approved_by: Option<String>,
}

/// One superseded file of a squash that this database knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Superseded {
    pub baseline: String,
    pub superseded: String,
    pub checksum: String,
}

/// That a release before can live with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promise {
    pub file: String,
    pub release: String,
}

/// What stands where the history table should be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HistoryTable {
    #[default]
    Absent,
    Canonical,
    /// A table of that name with other columns: some other tool's.
    Foreign(Vec<String>),
}

/// Everything about one module's schema.
#[derive(Clone, Debug, Default)]
pub struct SchemaFacts {
    pub schema_exists: bool,
    pub table: HistoryTable,
    pub applied: Vec<Applied>,
    pub attempts: Vec<Attempt>,
    pub superseded: Vec<Superseded>,
    pub promises: Vec<Promise>,
    /// Tables, views and sequences in the schema that are not the runner's own.
    pub objects: i64,
    /// Tables of this very schema in which another tool kept its history, as `schema.table`.
    pub legacy: Vec<String>,
}

/// What the session itself can do, and what else lives in its database.
#[derive(Clone, Debug)]
pub struct ServerFacts {
    pub read_only: bool,
    pub user: String,
    pub version: String,
    /// As in `server_version_num`: 180001 is 18.1.
    pub version_num: i32,
    pub encoding: String,
    /// Schemas with a canonical history that belong to none of the modules.
    pub abandoned: Vec<String>,
    /// Histories of other tools in schemas that belong to none of the modules.
    pub neighbours: Vec<Neighbour>,
}

const CANONICAL: [&str; 6] = ["migration_name", "category", "checksum", "applied_at", "applied_by", "duration_ms"];

/// Reads the facts of every schema in one snapshot.
pub async fn read(session: &Session, schemas: &[String]) -> Result<(ServerFacts, Vec<SchemaFacts>), StoreError> {
    let name = "migration_facts";
    let client = session.client();
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
    client.batch_execute(begin).await.map_err(|e| StoreError::from_pg(name, &e))?;
    let found = read_all(session, schemas).await;
    // A failed snapshot is rolled back by the same word.
    client.batch_execute("COMMIT").await.map_err(|e| StoreError::from_pg(name, &e))?;
    found
}

async fn read_all(session: &Session, schemas: &[String]) -> Result<(ServerFacts, Vec<SchemaFacts>), StoreError> {
    let server = server(session, schemas).await?;
    let mut all = Vec::with_capacity(schemas.len());
    for schema in schemas {
        all.push(schema_facts(session, schema).await?);
    }
    Ok((server, all))
}

async fn server(session: &Session, schemas: &[String]) -> Result<ServerFacts, StoreError> {
    let sql = "/* facts::migration_server */
        SELECT pg_is_in_recovery() OR current_setting('default_transaction_read_only')::bool,
               current_user::text, current_setting('server_version'), current_setting('server_version_num')::int,
               current_setting('server_encoding')";
    let row = session.client().query_one(sql, &[]).await.map_err(|e| StoreError::from_pg("migration_server", &e))?;
    Ok(ServerFacts {
        read_only: row.get(0),
        user: row.get(1),
        version: row.get(2),
        version_num: row.get(3),
        encoding: row.get(4),
        abandoned: abandoned(session, schemas).await?,
        neighbours: legacy::neighbours(session, schemas).await?,
    })
}

async fn abandoned(session: &Session, schemas: &[String]) -> Result<Vec<String>, StoreError> {
    let sql = "/* facts::migration_abandoned */
        SELECT n.nspname::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relname = $2 AND c.relkind IN ('r', 'p') AND n.nspname <> ALL ($1)
          AND $3 = (SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_catalog.pg_attribute a
                    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
        ORDER BY 1";
    let columns = CANONICAL.map(str::to_owned).to_vec();
    let rows = session.client().query(sql, &[&schemas, &HISTORY, &columns]).await;
    let rows = rows.map_err(|e| StoreError::from_pg("migration_abandoned", &e))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

async fn schema_facts(session: &Session, schema: &str) -> Result<SchemaFacts, StoreError> {
    let sql = "/* facts::migration_schema */
        SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1),
          (SELECT count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = $1 AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
              AND NOT starts_with(c.relname, 'schema_migration'))";
    let row = session.client().query_one(sql, &[&schema]).await;
    let row = row.map_err(|e| StoreError::from_pg("migration_schema", &e))?;
    let mut facts = SchemaFacts { schema_exists: row.get(0), objects: row.get(1), ..SchemaFacts::default() };
    facts.legacy = legacy::detect(session, schema).await?;
    facts.table = match columns(session, schema, HISTORY).await? {
        None => HistoryTable::Absent,
        Some(columns) if columns == CANONICAL => HistoryTable::Canonical,
        Some(columns) => HistoryTable::Foreign(columns),
    };
    if facts.table == HistoryTable::Canonical {
        facts.applied = applied(session, schema).await?;
    }
    if columns(session, schema, ATTEMPTS).await?.is_some() {
        facts.attempts = attempts(session, schema).await?;
    }
    if columns(session, schema, BASELINES).await?.is_some() {
        (facts.superseded, facts.promises) = superseded(session, schema).await?;
    }
    Ok(facts)
}

async fn applied(session: &Session, schema: &str) -> Result<Vec<Applied>, StoreError> {
    let sql = format!(
        "/* facts::migration_history */ SELECT migration_name, category, checksum, applied_at, applied_by, duration_ms
         FROM {}.{HISTORY} ORDER BY applied_at, migration_name",
        quoted(schema)
    );
    let rows = session.client().query(&sql, &[]).await.map_err(|e| StoreError::from_pg("migration_history", &e))?;
    rows.iter()
        .map(|row| {
            Ok(Applied {
                name: row.try_get(0)?,
                category: row.try_get(1)?,
                checksum: row.try_get(2)?,
                applied_at: row.try_get(3)?,
                applied_by: row.try_get(4)?,
                duration_ms: row.try_get(5)?,
            })
        })
        .collect::<Result<_, tokio_postgres::Error>>()
        .map_err(|e| StoreError::from_pg("migration_history", &e))
}

async fn attempts(session: &Session, schema: &str) -> Result<Vec<Attempt>, StoreError> {
    let sql = format!(
        "/* facts::migration_attempts */ SELECT attempt_id, migration_name, action, checksum, started_at, finished_at,
           outcome, detail, lock_wait_ms, done_by, approved_by, nullif(to_jsonb(a) -> 'waits', 'null')
         FROM {}.{ATTEMPTS} a ORDER BY attempt_id",
        quoted(schema)
    );
    let rows = session.client().query(&sql, &[]).await.map_err(|e| StoreError::from_pg("migration_attempts", &e))?;
    rows.iter()
        .map(|row| {
            Ok(Attempt {
                id: row.try_get(0)?,
                name: row.try_get(1)?,
                action: row.try_get(2)?,
                checksum: row.try_get(3)?,
                started_at: row.try_get(4)?,
                finished_at: row.try_get(5)?,
                outcome: row.try_get(6)?,
                detail: row.try_get(7)?,
                lock_wait_ms: row.try_get(8)?,
                done_by: row.try_get(9)?,
                approved_by: row.try_get(10)?,
                waits: row.try_get(11)?,
            })
        })
        .collect::<Result<_, tokio_postgres::Error>>()
        .map_err(|e| StoreError::from_pg("migration_attempts", &e))
}

/// Files that a squash took the place of, and those that a release before was promised to live with.
async fn superseded(session: &Session, schema: &str) -> Result<(Vec<Superseded>, Vec<Promise>), StoreError> {
    let sql = format!(
        "/* facts::migration_baselines */ SELECT baseline, superseded, checksum FROM {}.{BASELINES} ORDER BY 1, 2",
        quoted(schema)
    );
    let rows = session.client().query(&sql, &[]).await.map_err(|e| StoreError::from_pg("migration_baselines", &e))?;
    let (mut squashed, mut promises) = (Vec::new(), Vec::new());
    for row in &rows {
        let text = |place| row.try_get::<_, String>(place).map_err(|e| StoreError::from_pg("migration_baselines", &e));
        let (baseline, superseded) = (text(0)?, text(1)?);
        match baseline.strip_prefix(PROMISED) {
            Some(release) => promises.push(Promise { file: superseded, release: release.to_owned() }),
            None => squashed.push(Superseded { baseline, superseded, checksum: text(2)? }),
        }
    }
    Ok((squashed, promises))
}
