//! Projections beside the live ones: a schema of their own, how the two differ, and how the live ones become the same.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::model::TenantId;
use crate::store::{
    As, Store, StoreError, Tx,
    door::{ddl::Session, tx::column},
    progress::{
        activity::days_kept,
        projections::{Of, TABLES},
    },
};

const PATIENCE: Duration = Duration::from_secs(10);

/// A table that is compared.
struct Compared {
    table: &'static str,
    key: &'static [&'static str],
    /// The column that names the attempt; absent where all of it is looked through always, for it is small.
    attempt: Option<&'static str>,
    /// Which rows, if not all.
    only: &'static str,
}

const fn of_attempts(table: &'static str, key: &'static [&'static str], attempt: &'static str) -> Compared {
    Compared { table, key, attempt: Some(attempt), only: "true" }
}

/// The tables that are compared.
const COMPARED: [Compared; 8] = [
    of_attempts("attempt_names", &["id"], "id"),
    of_attempts("attempt_statements", &["statement_id"], "attempt_id"),
    of_attempts("attempts", &["id"], "id"),
    of_attempts("completion_records", &["id"], "attempt_id"),
    of_attempts("scores", &["attempt_id"], "attempt_id"),
    Compared { table: "activity", key: &["day", "verb_key", "course_id"], attempt: None, only: "true" },
    Compared { table: "activity_due", key: &["statement_id"], attempt: None, only: "true" },
    // A day that is forgotten at any moment now is in one of the two or in both.
    Compared { table: "learner_days", key: &["day", "learner"], attempt: None, only: DAYS },
];

const DAYS: &str = concat!("day > (now() AT TIME ZONE 'UTC')::date - ", days_kept!(), " + 1");

impl Compared {
    /// The key of a row as text.
    fn text(&self, row: &str) -> String {
        let columns: Vec<String> = self.key.iter().map(|column| format!("{row}.{column}")).collect();
        format!("concat_ws(' ', {})", columns.join(", "))
    }

    /// Whether two rows have the same key.
    fn same(&self, one: &str, other: &str) -> String {
        let columns: Vec<String> = self.key.iter().map(|column| format!("{one}.{column} = {other}.{column}")).collect();
        columns.join(" AND ")
    }
}

/// The schema of the shadow. One process has it at a time; one that was killed leaves it to the next.
pub struct Shadow {
    session: Session,
}

/// How many rows of a table differ, in one way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub table: String,
    /// `missing`, `extra` or `wrong`, as seen from the live row.
    pub kind: String,
    pub rows: i64,
    /// Some of the keys.
    pub examples: Vec<String>,
}

impl Shadow {
    /// Makes it anew; `None` while another process has it.
    pub async fn create(store: &Store) -> Result<Option<Self>, StoreError> {
        let session = store.ddl().await?;
        let locked =
            session.client().query_one("/* rebuild::lock_shadow */ SELECT pg_try_advisory_lock(76301, 6)", &[]).await;
        if !locked.map_err(|e| StoreError::from_pg("lock_shadow", &e))?.get::<_, bool>(0) {
            return Ok(None);
        }
        let shadow = Self { session };
        // What is told about dropping a schema is nothing for an operator's screen.
        shadow.run("SET client_min_messages = warning").await?;
        shadow.remove().await?;
        shadow.run("CREATE SCHEMA progress_rebuild").await?;
        for table in TABLES {
            // Unlogged: a crash throws it away, and so would the next rebuild.
            let like = if table == "attempt_statements" { "DEFAULTS" } else { "DEFAULTS INCLUDING INDEXES" };
            shadow
                .run(&format!(
                    "CREATE UNLOGGED TABLE progress_rebuild.{table} (LIKE progress.{table} INCLUDING {like})"
                ))
                .await?;
        }
        let differences = "CREATE UNLOGGED TABLE progress_rebuild.differences
            (tenant_id uuid, noun text, key text, kind text, PRIMARY KEY (tenant_id, noun, key))";
        shadow.run(differences).await?;
        shadow.run("GRANT USAGE ON SCHEMA progress_rebuild TO progress_worker").await?;
        let grant = "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA progress_rebuild TO progress_worker";
        shadow.run(grant).await?;
        Ok(Some(shadow))
    }

    /// Builds the indexes that would only have slowed the reading down.
    pub async fn index(&self) -> Result<(), StoreError> {
        for sql in [
            "CREATE UNIQUE INDEX ON progress_rebuild.attempt_statements (tenant_id, statement_id)",
            "CREATE INDEX ON progress_rebuild.attempt_statements (tenant_id, attempt_id, stored)",
            "ANALYZE progress_rebuild.attempt_statements",
            "ANALYZE progress_rebuild.attempt_names",
        ] {
            self.run(sql).await?;
        }
        Ok(())
    }

    /// Removes it, and lets the next one begin at once.
    pub async fn end(self) -> Result<(), StoreError> {
        self.remove().await?;
        self.run("SELECT pg_advisory_unlock(76301, 6)").await
    }

    async fn remove(&self) -> Result<(), StoreError> {
        self.run("DROP SCHEMA IF EXISTS progress_rebuild CASCADE").await
    }

    async fn run(&self, sql: &str) -> Result<(), StoreError> {
        self.session.run("shadow", sql, PATIENCE).await
    }
}

/// Where each tenant's live projections are.
pub async fn positions(tx: &Tx<'_>) -> Result<Vec<(TenantId, DateTime<Utc>)>, StoreError> {
    let sql = "/* rebuild::projection_positions */ SELECT tenant_id, position FROM progress.projection_cursors ORDER BY tenant_id";
    let rows = tx.query(sql, &[]).await?;
    rows.iter().map(|row| Ok((TenantId(column(row, "tenant_id")?), column(row, "position")?))).collect()
}

/// Makes everything that the transaction sees one moment's.
pub async fn one_moment(tx: &Tx<'_>) -> Result<(), StoreError> {
    tx.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", &[]).await.map(drop)
}

/// The next attempts of the shadow, by id.
pub async fn attempts_after(tx: &Tx<'_>, of: Of, after: &str, most: i64) -> Result<Vec<String>, StoreError> {
    let sql = of.sql(
        "/* rebuild::attempts_after */ SELECT id FROM progress.attempt_names WHERE tenant_id = $1 AND id > $2 ORDER BY id LIMIT $3",
    );
    let rows = tx.query(&sql, &[&of.tenant.0, &after, &most]).await?;
    rows.iter().map(|row| column(row, "id")).collect()
}

/// Writes down where the two differ, row by row and byte by byte: everywhere, or in some attempts only.
pub async fn compare(tx: &Tx<'_>, tenant: TenantId, attempts: Option<&[String]>) -> Result<(), StoreError> {
    if attempts.is_none() {
        // The one query that means to read whole tables: by an index it would fetch each row from a page of its own.
        tx.execute("SET LOCAL enable_seqscan = on", &[]).await?;
        tx.execute("SET LOCAL work_mem = '64MB'", &[]).await?;
    }
    for one in &COMPARED {
        let (table, only, same) = (one.table, one.only, one.same("s", "l"));
        let (live, rebuilt) = (one.text("l"), one.text("s"));
        let attempts = attempts.filter(|_| one.attempt.is_some());
        let some = match (attempts, one.attempt) {
            (Some(_), Some(attempt)) => format!("AND {attempt} = ANY($2)"),
            _ => "AND $2::text[] IS NULL".to_owned(),
        };
        let sql = format!(
            "/* rebuild::compare_projections */ INSERT INTO progress_rebuild.differences (tenant_id, noun, key, kind)
             SELECT $1, '{table}', CASE WHEN l.tenant_id IS NULL THEN {rebuilt} ELSE {live} END,
                    CASE WHEN l.tenant_id IS NULL THEN 'missing' WHEN s.tenant_id IS NULL THEN 'extra' ELSE 'wrong' END
             FROM (SELECT * FROM progress.{table} WHERE tenant_id = $1 AND {only} {some}) l
             FULL JOIN (SELECT * FROM progress_rebuild.{table} WHERE tenant_id = $1 AND {only} {some}) s ON {same}
             WHERE l.tenant_id IS NULL OR s.tenant_id IS NULL OR l *<> s
             ON CONFLICT DO NOTHING"
        );
        tx.execute(&sql, &[&tenant.0, &attempts]).await?;
    }
    Ok(())
}

/// What was written down.
pub async fn differences(tx: &Tx<'_>, tenant: TenantId) -> Result<Vec<Difference>, StoreError> {
    let sql = "/* rebuild::projection_differences */ SELECT noun, kind, count(*) AS rows, (array_agg(key ORDER BY key))[1:3] AS examples
        FROM progress_rebuild.differences WHERE tenant_id = $1 GROUP BY noun, kind ORDER BY noun, kind";
    let difference = |row: &tokio_postgres::Row| {
        Ok(Difference {
            table: column(row, "noun")?,
            kind: column(row, "kind")?,
            rows: column(row, "rows")?,
            examples: column(row, "examples")?,
        })
    };
    tx.query(sql, &[&tenant.0]).await?.iter().map(difference).collect()
}

pub async fn forget_differences(tx: &Tx<'_>, tenant: TenantId) -> Result<(), StoreError> {
    let sql = "/* rebuild::forget_differences */ DELETE FROM progress_rebuild.differences WHERE tenant_id = $1";
    tx.execute(sql, &[&tenant.0]).await.map(drop)
}

const COUNTED: &str = "/* rebuild::counted */ INSERT INTO progress.activity_counted (tenant_id, since, until)
    SELECT c.tenant_id, s.since, c.position
    FROM progress_rebuild.activity_counted s JOIN progress.projection_cursors c USING (tenant_id) WHERE tenant_id = $1
    ON CONFLICT (tenant_id) DO UPDATE SET since = excluded.since, until = excluded.until";

/// Makes the live rows that differ the same as the shadow's; answers how many live rows went and how many came.
pub async fn replace(tx: &Tx<'_>, tenant: TenantId, effects_version: i32) -> Result<(u64, u64), StoreError> {
    let (mut gone, mut come) = (0, 0);
    for one in &COMPARED {
        let (table, key) = (one.table, one.text("l"));
        let sql = format!(
            "/* rebuild::remove_different */ DELETE FROM progress.{table} l USING progress_rebuild.differences d
             WHERE l.tenant_id = $1 AND d.tenant_id = $1 AND d.noun = '{table}' AND d.key = {key}"
        );
        gone += tx.execute(&sql, &[&tenant.0]).await?;
    }
    for one in &COMPARED {
        let (table, key) = (one.table, one.text("s"));
        let sql = format!(
            "/* rebuild::insert_rebuilt */ INSERT INTO progress.{table} SELECT s.* FROM progress_rebuild.{table} s
             JOIN progress_rebuild.differences d ON d.tenant_id = $1 AND d.noun = '{table}' AND d.key = {key}
             WHERE s.tenant_id = $1"
        );
        come += tx.execute(&sql, &[&tenant.0]).await?;
    }
    tx.execute(COUNTED, &[&tenant.0]).await?;
    let sql = "/* rebuild::rebuilt_cursor */ UPDATE progress.projection_cursors SET effects_version = $2
        WHERE tenant_id = $1 AND effects_version <> $2";
    tx.execute(sql, &[&tenant.0, &effects_version]).await?;
    Ok((gone, come))
}

/// How a tenant's projections stand.
#[derive(Clone, Debug)]
pub struct Standing {
    pub tenant: TenantId,
    pub name: String,
    pub position: Option<DateTime<Utc>>,
    pub effects_version: Option<i32>,
    /// The oldest statement that is not in the projections.
    pub waiting_since: Option<DateTime<Utc>>,
    pub attempts: i64,
    pub open: i64,
    pub completions: i64,
    pub scores: i64,
    pub unsent: i64,
    pub unsent_since: Option<DateTime<Utc>>,
}

impl Store {
    pub async fn projection_standings(&self) -> Result<Vec<Standing>, StoreError> {
        self.run_tx("projection_standings", As::Worker, |tx| {
            Box::pin(async move {
                let sql =
                    "/* rebuild::projection_standings */ SELECT t.tenant_id, t.name, c.position, c.effects_version, s.stored,
                        a.attempts, a.open, r.completions, p.scores, o.unsent, o.since
                    FROM platform.tenants t LEFT JOIN progress.projection_cursors c USING (tenant_id)
                    LEFT JOIN LATERAL (SELECT stored FROM ledger.statements WHERE tenant_id = t.tenant_id
                        AND stored > coalesce(c.position, 'epoch') ORDER BY stored LIMIT 1) s ON true
                    CROSS JOIN LATERAL (SELECT count(*) AS attempts, count(*) FILTER (WHERE state = 'open') AS open
                        FROM progress.attempts WHERE tenant_id = t.tenant_id) a
                    CROSS JOIN LATERAL (SELECT count(*) AS completions FROM progress.completion_records
                        WHERE tenant_id = t.tenant_id) r
                    CROSS JOIN LATERAL (SELECT count(*) AS scores FROM progress.scores WHERE tenant_id = t.tenant_id) p
                    CROSS JOIN LATERAL (SELECT count(*) AS unsent, min(created_at) AS since FROM progress.outbox
                        WHERE tenant_id = t.tenant_id AND published_at IS NULL) o
                    ORDER BY t.name";
                let standing = |row: &tokio_postgres::Row| {
                    Ok(Standing {
                        tenant: TenantId(column(row, "tenant_id")?),
                        name: column(row, "name")?,
                        position: column(row, "position")?,
                        effects_version: column(row, "effects_version")?,
                        waiting_since: column(row, "stored")?,
                        attempts: column(row, "attempts")?,
                        open: column(row, "open")?,
                        completions: column(row, "completions")?,
                        scores: column(row, "scores")?,
                        unsent: column(row, "unsent")?,
                        unsent_since: column(row, "since")?,
                    })
                };
                tx.query(sql, &[]).await?.iter().map(standing).collect()
            })
        })
        .await
    }
}
