//! What a backfill does to a table, a batch in each transaction, and what is kept of backfills.
//!
//! It works as the worker: a table that the worker may not change, or not see whole, is none that a backfill walks.

use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::store::{
    StoreError,
    door::tx::{Tx, column},
};

/// A table that is walked, by the columns of a unique index.
#[derive(Clone, Copy, Debug)]
pub struct Walk<'a> {
    pub table: &'a str,
    pub keys: &'a [String],
    /// The rows that still have to be done.
    pub remains: &'a str,
}

impl Walk<'_> {
    fn columns(&self) -> String {
        let keys: Vec<String> = self.keys.iter().map(|key| format!("t.{key}")).collect();
        keys.join(", ")
    }

    /// `(t.a, t.b) > ($n.a, $n.b)`, where the parameter is a place as [`Part::last`] has it.
    fn beyond(&self, sign: &str, parameter: usize) -> String {
        let table = self.table;
        let one =
            |key: &String| format!("(SELECT r.{key} FROM jsonb_populate_record(NULL::{table}, ${parameter}::jsonb) r)");
        let place: Vec<String> = self.keys.iter().map(one).collect();
        format!("({}) {sign} ({})", self.columns(), place.join(", "))
    }

    fn place(&self) -> String {
        let pairs: Vec<String> = self.keys.iter().map(|key| format!("'{key}', t.{key}")).collect();
        format!("jsonb_build_object({})", pairs.join(", "))
    }
}

/// Why a table cannot be walked, in words; empty: it can.
pub async fn obstacles(tx: &Tx<'_>, walk: &Walk<'_>) -> Result<Vec<String>, StoreError> {
    let sql = "/* backfills::obstacles */
        SELECT c.oid IS NOT NULL AS is_there,
            coalesce(has_table_privilege(c.oid, 'SELECT'), false) AS may_read,
            NOT coalesce(c.relrowsecurity, false) OR EXISTS (
                SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polcmd IN ('*', 'r') AND p.polpermissive
                  AND (0 = ANY (p.polroles) OR (SELECT oid FROM pg_roles WHERE rolname = current_user) = ANY (p.polroles))
                  AND pg_get_expr(p.polqual, p.polrelid) = 'true') AS sees_all,
            EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
                AND $2::text[] = (SELECT array_agg(a.attname::text ORDER BY k.place)
                    FROM unnest(i.indkey::smallint[]) WITH ORDINALITY AS k (number, place)
                    LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number AND a.attnotnull
                    WHERE k.place <= i.indnkeyatts)) AS is_key
        FROM (SELECT to_regclass($1::text) AS oid) named LEFT JOIN pg_class c ON c.oid = named.oid";
    let row = tx.query_one(sql, &[&walk.table, &walk.keys]).await?;
    if !column::<bool>(&row, "is_there")? {
        return Ok(vec![format!("there is no table {}", walk.table)]);
    }
    let mut found = Vec::new();
    if !column::<bool>(&row, "may_read")? {
        found.push(format!("progress_worker may not read {}", walk.table));
    }
    if !column::<bool>(&row, "sees_all")? {
        found.push(format!("progress_worker does not see every row of {}: it has no policy USING (true)", walk.table));
    }
    if !column::<bool>(&row, "is_key")? {
        found.push(format!(
            "{} has no unique index on ({}) in this order, without NULLs",
            walk.table,
            walk.keys.join(", ")
        ));
    }
    Ok(found)
}

/// A part of a table that was walked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Part {
    /// Rows in it.
    pub rows: i64,
    /// Rows that were changed; when it was looked at again, those that remain.
    pub changed: i64,
    /// Where it ended; `None`: there was nothing.
    pub last: Option<Value>,
    /// Over what stands in it; order plays no part.
    pub digest: Option<String>,
}

// A batch is a small part of its table, which no kept plan knows: taken for a tenth of all rows it would be joined with all of them. And what
// goes on beside the running work takes one process.
const CAREFULLY: &str = "/* backfills::carefully */
    SELECT set_config('plan_cache_mode', 'force_custom_plan', true), set_config('max_parallel_workers_per_gather', '0', true)";

/// Does the statement to the next `size` rows after a place.
pub async fn fill(
    tx: &Tx<'_>,
    walk: &Walk<'_>,
    statement: &str,
    after: Option<&Value>,
    size: i64,
) -> Result<Part, StoreError> {
    tx.execute(CAREFULLY, &[]).await?;
    let (rows, Some(last)) = next(tx, walk, after, size).await? else { return Ok(Part::default()) };
    let (columns, table, remains) = (walk.columns(), walk.table, walk.remains);
    let (upto, from) = (walk.beyond("<=", 2), after.map(|_| format!(" AND {}", walk.beyond(">", 3))));
    // The limit says how few they are; what others put between them since is done by the next round.
    let sql = format!(
        "/* backfills::fill */ WITH batch AS MATERIALIZED (SELECT {columns} FROM {table} t WHERE {upto}{} AND ({remains}) LIMIT $1)
         {statement}",
        from.unwrap_or_default()
    );
    let changed = match after {
        None => tx.execute(&sql, &[&size, &last]).await?,
        Some(after) => tx.execute(&sql, &[&size, &last, after]).await?,
    };
    Ok(Part { rows, changed: i64::try_from(changed).unwrap_or(i64::MAX), last: Some(last), digest: None })
}

/// Looks at the next `size` rows after a place: how many remain, and the digest of them all.
pub async fn look(tx: &Tx<'_>, walk: &Walk<'_>, after: Option<&Value>, size: i64) -> Result<Part, StoreError> {
    tx.execute(CAREFULLY, &[]).await?;
    let (rows, Some(last)) = next(tx, walk, after, size).await? else { return Ok(Part::default()) };
    let (table, remains, upto) = (walk.table, walk.remains, walk.beyond("<=", 1));
    let begin = format!(
        "/* backfills::look */ SELECT count(*) FILTER (WHERE {remains}) AS remaining,
            coalesce(sum(hashtextextended(t::text, 0)), 0)::text AS digest FROM {table} t WHERE {upto}"
    );
    let row = match after {
        None => tx.query_one(&begin, &[&last]).await?,
        Some(after) => tx.query_one(&format!("{begin} AND {}", walk.beyond(">", 2)), &[&last, after]).await?,
    };
    let (changed, digest) = (column(&row, "remaining")?, column(&row, "digest")?);
    Ok(Part { rows, changed, last: Some(last), digest: Some(digest) })
}

/// The first row behind a place that remains, by the columns it is walked by.
pub async fn remaining(tx: &Tx<'_>, walk: &Walk<'_>, after: Option<&Value>) -> Result<Option<Value>, StoreError> {
    let (columns, place, table, remains) = (walk.columns(), walk.place(), walk.table, walk.remains);
    let sql = |behind: &str| {
        format!(
            "/* backfills::remaining */ SELECT {place} AS row FROM {table} t WHERE ({remains}){behind} ORDER BY {columns} LIMIT 1"
        )
    };
    let row = match after {
        None => tx.query_opt(&sql(""), &[]).await?,
        Some(after) => tx.query_opt(&sql(&format!(" AND {}", walk.beyond(">", 1))), &[after]).await?,
    };
    row.map(|row| column(&row, "row")).transpose()
}

/// How many rows come next, and the place of the last of them.
async fn next(
    tx: &Tx<'_>,
    walk: &Walk<'_>,
    after: Option<&Value>,
    size: i64,
) -> Result<(i64, Option<Value>), StoreError> {
    let (columns, place, table) = (walk.columns(), walk.place(), walk.table);
    let descending: Vec<String> = walk.keys.iter().map(|key| format!("t.{key} DESC")).collect();
    let descending = descending.join(", ");
    let sql = |from: &str| {
        format!(
            "/* backfills::next */ WITH t AS MATERIALIZED (SELECT {columns} FROM {table} t {from} ORDER BY {columns} LIMIT $1)
             SELECT (SELECT count(*) FROM t) AS rows, (SELECT {place} FROM t ORDER BY {descending} LIMIT 1) AS last"
        )
    };
    let row = match after {
        None => tx.query_one(&sql(""), &[&size]).await?,
        Some(after) => tx.query_one(&sql(&format!("WHERE {}", walk.beyond(">", 2))), &[&size, after]).await?,
    };
    Ok((column(&row, "rows")?, column(&row, "last")?))
}

/// How the database is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Health {
    /// Sessions of this database that wait for a lock.
    pub waiting: i64,
    /// Bytes by which the slowest replica that can be seen is behind.
    pub lag: i64,
    /// Bytes of write-ahead log that the slowest slot holds back.
    pub slot_lag: i64,
    /// Rows of the table that are dead, and that live.
    pub dead: i64,
    pub live: i64,
    /// Bytes of write-ahead log ever written, and when, in seconds.
    pub log_position: i64,
    pub at: f64,
}

/// Looks how the database is; about rows of a table it tells what is known of that table. A server that was killed has forgotten what it
/// counted: then the catalog knows how many there were, and without it each dead row would stand beside none that lives.
pub async fn health(tx: &Tx<'_>, table: &str) -> Result<Health, StoreError> {
    let sql = "/* backfills::health */
        SELECT (SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
                WHERE NOT l.granted AND a.datname = current_database()) AS waiting,
            (SELECT coalesce(max(sent_lsn - replay_lsn), 0)::bigint FROM pg_stat_replication) AS lag,
            (SELECT coalesce(max(pg_current_wal_lsn() - restart_lsn), 0)::bigint FROM pg_replication_slots) AS slot_lag,
            (SELECT coalesce(sum(n_dead_tup), 0)::bigint FROM pg_stat_all_tables WHERE relid = to_regclass($1::text)) AS dead,
            (SELECT greatest(coalesce(sum(n_live_tup), 0)::bigint, (SELECT reltuples::bigint FROM pg_class WHERE oid = to_regclass($1::text)))
             FROM pg_stat_all_tables WHERE relid = to_regclass($1::text)) AS live,
            (pg_current_wal_lsn() - '0/0')::bigint AS log_position,
            extract(epoch FROM clock_timestamp())::float8 AS at";
    let row = tx.query_one(sql, &[&table]).await?;
    Ok(Health {
        waiting: column(&row, "waiting")?,
        lag: column(&row, "lag")?,
        slot_lag: column(&row, "slot_lag")?,
        dead: column(&row, "dead")?,
        live: column(&row, "live")?,
        log_position: column(&row, "log_position")?,
        at: column(&row, "at")?,
    })
}

/// About how many rows a table has, without counting them.
pub async fn estimate(tx: &Tx<'_>, table: &str) -> Result<Option<i64>, StoreError> {
    let sql = "/* backfills::estimate */ SELECT CASE WHEN reltuples >= 0 THEN reltuples::bigint END AS rows
        FROM pg_class WHERE oid = to_regclass($1::text)";
    Ok(tx.query_opt(sql, &[&table]).await?.map(|row| column(&row, "rows")).transpose()?.flatten())
}

/// What is kept of a backfill.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    pub module: String,
    pub file: String,
    pub checksum: String,
    pub speed: i32,
    pub job: Option<Uuid>,
    pub verified_at: Option<DateTime<Utc>>,
    pub rows: Option<i64>,
    pub changed: Option<i64>,
    pub digest: Option<String>,
}

fn kept(row: &Row) -> Result<Kept, StoreError> {
    Ok(Kept {
        module: column(row, "module")?,
        file: column(row, "file")?,
        checksum: column(row, "checksum")?,
        speed: column(row, "speed")?,
        job: column(row, "job_id")?,
        verified_at: column(row, "verified_at")?,
        rows: column(row, "rows_seen")?,
        changed: column(row, "rows_changed")?,
        digest: column(row, "digest")?,
    })
}

/// All that is kept.
pub async fn all(tx: &Tx<'_>) -> Result<Vec<Kept>, StoreError> {
    let sql = "/* backfills::all */ SELECT module, file, checksum, speed, job_id, verified_at, rows_seen, rows_changed, digest
        FROM platform.backfills ORDER BY module, file";
    tx.query(sql, &[]).await?.iter().map(kept).collect()
}

/// That a job walks with this text from now on.
pub async fn begin(tx: &Tx<'_>, (module, file, checksum): (&str, &str, &str), job: Uuid) -> Result<(), StoreError> {
    let sql = "/* backfills::begin */ INSERT INTO platform.backfills (module, file, checksum, job_id) VALUES ($1, $2, $3, $4)
        ON CONFLICT (module, file) DO UPDATE SET checksum = excluded.checksum, job_id = excluded.job_id, verified_at = NULL,
            rows_seen = NULL, rows_changed = NULL, digest = NULL";
    tx.execute(sql, &[&module, &file, &checksum, &job]).await.map(drop)
}

/// Sets how fast it goes, from its next batch on.
pub async fn set_speed(
    tx: &Tx<'_>,
    (module, file, checksum): (&str, &str, &str),
    speed: i32,
) -> Result<(), StoreError> {
    let sql = "/* backfills::set_speed */ INSERT INTO platform.backfills (module, file, checksum, speed) VALUES ($1, $2, $3, $4)
        ON CONFLICT (module, file) DO UPDATE SET speed = excluded.speed";
    tx.execute(sql, &[&module, &file, &checksum, &speed]).await.map(drop)
}

/// How fast it goes.
pub async fn speed(tx: &Tx<'_>, module: &str, file: &str) -> Result<i32, StoreError> {
    let sql = "/* backfills::speed */ SELECT speed FROM platform.backfills WHERE module = $1 AND file = $2";
    tx.query_opt(sql, &[&module, &file]).await?.map_or(Ok(100), |row| column(&row, "speed"))
}

/// That every row was looked at and none remains.
pub async fn verified(tx: &Tx<'_>, module: &str, file: &str, seen: (i64, i64), digest: &str) -> Result<(), StoreError> {
    let sql = "/* backfills::verified */ UPDATE platform.backfills SET verified_at = clock_timestamp(), rows_seen = $3,
        rows_changed = $4, digest = $5 WHERE module = $1 AND file = $2";
    tx.execute(sql, &[&module, &file, &seen.0, &seen.1, &digest]).await.map(drop)
}
