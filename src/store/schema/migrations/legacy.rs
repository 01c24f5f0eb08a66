//! Histories that other tools left behind: found, read, and taken over into the canonical table.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{
    forms::{self, Form},
    quoted,
    record::{self, NewRow},
    tables::{ATTEMPTS, HISTORY, columns},
};
use crate::store::{StoreError, door::ddl::Session};

/// Another tool's history that is not ours to take over unless somebody names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Neighbour {
    /// `schema.table`.
    pub table: String,
    pub tool: &'static str,
}

/// Another tool's history in the order in which it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Legacy {
    pub tool: &'static str,
    /// Its one row names the last file and stands for all before it.
    pub head: bool,
    pub rows: Vec<LegacyRow>,
}

/// One row of another tool's history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LegacyRow {
    /// The number or mark, where the tool keeps one apart from the name.
    pub version: Option<String>,
    /// What the row may mean its file by, best first.
    pub names: Vec<String>,
    /// Absent where the tool does not keep the time.
    pub applied_at: Option<DateTime<Utc>>,
    /// The tool's own, with its kind in front.
    pub checksum: Option<String>,
    /// The file was begun and did not end well.
    pub unfinished: bool,
}

/// A row to be written, beside what the other tool said about the file.
#[derive(Clone, Debug)]
pub struct Adopted<'a> {
    pub row: NewRow<'a>,
    /// Absent: the moment of the adoption.
    pub at: Option<DateTime<Utc>>,
    pub checksum: Option<&'a str>,
    /// The other tool's row in words.
    pub label: &'a str,
}

/// The tables that are called like a history, outside of the system's schemas, with their columns.
const TABLES: &str = "/* legacy::migration_tables */
    SELECT n.nspname::text, c.relname::text, a.attname::text
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname <> 'information_schema'
      AND NOT starts_with(n.nspname, 'pg_') AND (n.nspname = ANY ($1)) = $2
      AND (c.relname = ANY ($3) OR right(c.relname, length($4)) = $4)
    ORDER BY n.nspname, c.relname, a.attnum";

/// Histories of other tools in this very schema, as `schema.table`.
pub async fn detect(session: &Session, schema: &str) -> Result<Vec<String>, StoreError> {
    let own = found(session, &[schema.to_owned()], true).await?;
    // What stands where the canonical history belongs is told apart by its columns.
    let history = format!("{schema}.{HISTORY}");
    Ok(own.into_iter().map(|one| one.table).filter(|table| *table != history).collect())
}

/// Histories of other tools outside of these schemas.
pub async fn neighbours(session: &Session, schemas: &[String]) -> Result<Vec<Neighbour>, StoreError> {
    found(session, schemas, false).await
}

async fn found(session: &Session, schemas: &[String], within: bool) -> Result<Vec<Neighbour>, StoreError> {
    let rows = session.client().query(TABLES, &[&schemas, &within, &forms::tables(), &forms::PLAIN_ENDING]).await;
    let mut tables: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for row in rows.map_err(|e| StoreError::from_pg("migration_tables", &e))? {
        tables.entry((row.get(0), row.get(1))).or_default().push(row.get(2));
    }
    let histories = tables.into_iter().filter_map(|((schema, table), columns)| {
        let tool = forms::tool(&table, &columns)?;
        Some(Neighbour { table: format!("{schema}.{table}"), tool })
    });
    Ok(histories.collect())
}

/// Reads another tool's history as far as it is the module's; `None` where the table is absent or tells none.
pub async fn read(session: &Session, schema: &str, table: &str, module: &str) -> Result<Option<Legacy>, StoreError> {
    let name = "migration_legacy_rows";
    let Some(columns) = columns(session, schema, table).await? else { return Ok(None) };
    let Some(form) = forms::of(&columns) else { return Ok(None) };
    let client = session.client();
    // Times without a zone mean UTC, whatever the zone of this session.
    let begin = "BEGIN READ ONLY; SET LOCAL timezone = 'UTC'";
    client.batch_execute(begin).await.map_err(|e| StoreError::from_pg(name, &e))?;
    let rows = client.query(&select(&form, schema, table), &[&module]).await;
    client.batch_execute("COMMIT").await.map_err(|e| StoreError::from_pg(name, &e))?;
    let rows = rows.map_err(|e| StoreError::from_pg(name, &e))?;
    let read = rows.iter().map(row).collect::<Result<_, _>>().map_err(|e| StoreError::from_pg(name, &e))?;
    Ok(Some(Legacy { tool: form.tool, head: form.head, rows: read }))
}

fn select(form: &Form, schema: &str, table: &str) -> String {
    let Form { version, names, at, checksum, unfinished, only, order, .. } = form;
    let table = format!("{}.{}", quoted(schema), quoted(table));
    let only = only.replace("{table}", &table);
    format!(
        "/* legacy::migration_legacy_rows */
         SELECT ({version})::text, {names}::text[], ({at})::timestamptz, ({checksum})::text, coalesce({unfinished}, false)
         FROM {table} AS h WHERE $1::text IS NOT NULL AND {only} ORDER BY {order}"
    )
}

fn row(row: &tokio_postgres::Row) -> Result<LegacyRow, tokio_postgres::Error> {
    let names: Vec<Option<String>> = row.try_get(1)?;
    Ok(LegacyRow {
        version: row.try_get(0)?,
        names: names.into_iter().flatten().filter(|name| !name.is_empty()).collect(),
        applied_at: row.try_get(2)?,
        checksum: row.try_get(3)?,
        unfinished: row.try_get(4)?,
    })
}

/// Writes the adopted rows with their old times in one transaction, and beside each what the other tool said. A table
/// that stands where the canonical one belongs is renamed first; no other table is touched.
pub async fn adopt(
    session: &Session,
    schema: &str,
    schema_exists: bool,
    in_the_way: bool,
    rows: &[Adopted<'_>],
) -> Result<(), StoreError> {
    let name = "migration_adopt";
    let client = session.client();
    let s = quoted(schema);
    let rename = format!("ALTER TABLE {s}.{HISTORY} RENAME TO {HISTORY}_legacy");
    let insert = format!(
        "/* legacy::migration_adopt */ INSERT INTO {s}.{HISTORY}
           (migration_name, category, checksum, applied_at, applied_by, duration_ms)
         VALUES ($1, $2, $3, coalesce($4, clock_timestamp()), $5, 0)"
    );
    let told = format!(
        "/* legacy::migration_adopt_told */ INSERT INTO {s}.{ATTEMPTS}
           (migration_name, action, checksum, finished_at, outcome, detail, done_by)
         VALUES ($1, 'adopt', $2, clock_timestamp(), 'adopted', $3, $4)"
    );
    client.batch_execute("BEGIN").await.map_err(|e| StoreError::from_pg(name, &e))?;
    let written = async {
        if !schema_exists {
            client.batch_execute(&format!("CREATE SCHEMA {s}")).await?;
        }
        if in_the_way {
            client.batch_execute(&rename).await?;
        }
        client.batch_execute(&record::tables(schema)).await?;
        for Adopted { row, at, checksum, label } in rows {
            client.execute(&insert, &[&row.file, &row.category, &row.checksum, at, &row.by]).await?;
            client.execute(&told, &[&row.file, checksum, label, &row.by]).await?;
        }
        client.batch_execute("COMMIT").await
    }
    .await;
    if written.is_err() {
        let _ = client.batch_execute("ROLLBACK").await;
    }
    written.map_err(|e| StoreError::from_pg(name, &e))
}
