//! What of a tenant goes along to another cell, table by table, row by row and to the byte: read here, put there, compared. Statements
//! have a way of their own (`ledger::carried`).
//!
//! What was changed since the last look is known by the transaction that wrote the row, so that nothing has to be marked.

use uuid::Uuid;

use crate::model::TenantId;
use crate::store::{As, StoreError, Tx, door::tx::column};

pub mod compared;

/// On whose behalf rows of a table are put and taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer {
    Tenant,
    Worker,
    Retention,
}

impl Writer {
    fn of(self, tenant: TenantId) -> As {
        match self {
            Self::Tenant => As::Tenant(tenant),
            Self::Worker => As::Worker,
            Self::Retention => As::Retention(tenant),
        }
    }
}

/// How a table's rows go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By their key: put, or put in the place of what is there.
    ByKey,
    /// Only added, and numbered by each cell for itself: one that is there with the same words is the same.
    Added,
}

/// A table of which something goes along.
#[derive(Clone, Copy, Debug)]
pub struct Carried {
    pub table: &'static str,
    /// By which its rows are told apart, and read in order.
    pub key: &'static [&'static str],
    pub way: Way,
    pub writer: Writer,
    /// Who changes a row that is there, if not who puts it.
    pub changer: Option<Writer>,
    /// What each cell has of its own.
    pub omit: &'static [&'static str],
    /// Which rows, if not all.
    pub only: &'static str,
    /// Bytes that another column has the hash of: they go along, and are not read again to be compared.
    pub hashed: &'static [&'static str],
    /// Rows at once: few where they are large.
    pub most: i64,
}

const fn by_key(table: &'static str, key: &'static [&'static str], writer: Writer) -> Carried {
    Carried { table, key, way: Way::ByKey, writer, changer: None, omit: &[], only: "true", hashed: &[], most: 1_000 }
}

const fn added(
    table: &'static str,
    key: &'static [&'static str],
    omit: &'static [&'static str],
    writer: Writer,
) -> Carried {
    Carried { table, key, way: Way::Added, writer, changer: None, omit, only: "true", hashed: &[], most: 500 }
}

use Writer::{Retention, Tenant, Worker};

/// Every table of which something goes along, in the order in which it does.
pub const TABLES: [Carried; 45] = [
    by_key("platform.tenants", &[], Worker),
    by_key("platform.credentials", &["credential_id"], Worker),
    added("platform.flags", &["number"], &["number"], Worker),
    added("ledger.retention_requests", &["digest"], &[], Retention),
    added("ledger.retention_sign_offs", &["digest"], &[], Retention),
    added("ledger.retention_rules", &["number"], &["number"], Retention),
    added("ledger.retention_assignments", &["number"], &["number"], Retention),
    by_key("ledger.course_ends", &["course_key"], Retention),
    by_key("ledger.holds", &["hold_id"], Retention),
    by_key("ledger.erasure_policies", &[], Worker),
    Carried { omit: &["stamp", "finished", "audit_id"], ..by_key("ledger.erasures", &["id"], Worker) },
    by_key("ledger.erased_identifiers", &["hash", "erasure_id"], Worker),
    by_key("ledger.erased_statements", &["erasure_id", "stored", "id"], Worker),
    by_key("ledger.hidden", &["stored", "id"], Worker),
    added("ledger.hidden_persons", &["erasure_id", "agent_key", "user_id"], &[], Worker),
    by_key("ledger.agents", &["key"], Tenant),
    by_key("ledger.activities", &["key"], Tenant),
    by_key("ledger.verbs_seen", &["key"], Tenant),
    by_key("ledger.attachments", &["sha2"], Tenant),
    Carried { most: 8, hashed: &["content"], ..by_key("ledger.attachment_pieces", &["sha2", "piece"], Tenant) },
    by_key("ledger.attachment_bringers", &["sha2", "authority_key"], Tenant),
    Carried { most: 8, hashed: &["content"], ..by_key("ledger.documents", &["key"], Tenant) },
    Carried { only: "erased", ..by_key("ledger.statement_ids", &["id"], Tenant) },
    Carried { changer: Some(Worker), ..by_key("ledger.refs", &["target_id", "referrer_id"], Tenant) },
    by_key("ledger.reaches", &["referrer_id", "reached_id"], Tenant),
    by_key("progress.courses", &["key"], Tenant),
    by_key("progress.course_units", &["unit_key", "course_key"], Tenant),
    by_key("progress.attempt_names", &["id"], Worker),
    by_key("progress.attempt_statements", &["statement_id"], Worker),
    by_key("progress.attempts", &["id"], Worker),
    by_key("progress.attempt_closures", &["attempt_id"], Worker),
    by_key("progress.silences", &["attempt_id", "last_word"], Worker),
    by_key("progress.completion_records", &["id"], Worker),
    by_key("progress.scores", &["attempt_id"], Worker),
    by_key("progress.anonymous_counts", &["course_id", "course_version_id", "outcome"], Worker),
    by_key("progress.activity", &["day", "verb_key", "course_id"], Worker),
    by_key("progress.activity_due", &["statement_id"], Worker),
    by_key("progress.activity_counted", &[], Worker),
    by_key("progress.learner_days", &["day", "learner"], Worker),
    by_key("progress.satisfied_due", &["attempt_id"], Worker),
    by_key("progress.cmi5_marks", &["key"], Tenant),
    by_key("progress.told_events", &["id"], Worker),
    by_key("progress.inbox", &["source", "event_id"], Worker),
    Carried {
        omit: &["number"],
        only: "kind <> 'residency'",
        ..by_key("progress.saga_requests", &["kind", "request_id"], Worker)
    },
    Carried { omit: &["position"], only: "published_at IS NULL", ..by_key("progress.outbox", &["id"], Worker) },
];

/// Tables with a tenant of which nothing goes along, and why. Those of statements are not among them: they have a way of their own.
pub const LEFT: [(&str, &str); 21] = [
    ("ledger.archived_statements", "a view of objects in the archive"),
    ("ledger.demo_tenants", "tenants that were made to be shown are made, not moved"),
    ("ledger.detached_relations", "go along as those of a month in place"),
    ("ledger.detached_statements", "go along as those of a month in place"),
    ("ledger.links_due", "is empty before the switch"),
    ("ledger.removals", "marks are made anew by the rules that go along"),
    ("ledger.segments", "objects are of the installation that wrote them; what is in them goes along as rows"),
    ("ledger.traces", "are kept for an hour"),
    ("ledger.writings", "objects are of the installation that wrote them"),
    ("platform.audit", "a trail is one installation's; its entries are told again there"),
    ("platform.audit_keys", "belong to the entries of one trail"),
    ("platform.jobs", "work of this installation's nodes"),
    ("platform.moves", "what this is about"),
    ("platform.person_sessions", "who is signed in signs in there again"),
    ("platform.residences", "what this is about"),
    ("platform.rollout_samples", "counts of this installation's nodes"),
    ("platform.sessions", "who is signed in signs in there again"),
    ("progress.forward_refusals", "belong to the forwards of this installation"),
    ("progress.forwards", "where they go is in this installation's configuration; they are made anew there"),
    ("progress.projection_cursors", "goes along when the other cell opens"),
    ("progress.relay_cursors", "goes along when the other cell opens"),
];

/// The columns of a table that go along.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    columns: Vec<String>,
    /// Those of them that may be changed in a row that is there.
    changing: Vec<String>,
}

const SHAPES: &str = "/* carried::shapes */
    SELECT c.n, a.attname::text AS name, has_column_privilege(c.role, a.attrelid, a.attnum, 'UPDATE') AS changes
    FROM unnest($1::text[], $2::text[] /* roles */) WITH ORDINALITY AS c(name, role, n)
    JOIN pg_attribute a ON a.attrelid = c.name::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY c.n, a.attname";

/// What a row of each table has, and who may change what of it; in the order of the tables.
pub async fn shapes(tx: &Tx<'_>, tenant: TenantId) -> Result<Vec<Shape>, StoreError> {
    let role = |of: &Carried| of.changer.unwrap_or(of.writer).of(tenant).role();
    let (names, roles): (Vec<&str>, Vec<&str>) = TABLES.iter().map(|of| (of.table, role(of))).unzip();
    let mut shapes = vec![Shape::default(); TABLES.len()];
    for row in tx.query(SHAPES, &[&names, &roles]).await? {
        let (n, name): (i64, String) = (column(&row, "n")?, column(&row, "name")?);
        let at = usize::try_from(n - 1).unwrap_or_default();
        let (of, shape) = (&TABLES[at], &mut shapes[at]);
        if of.omit.contains(&name.as_str()) {
            continue;
        }
        let is_key = name == "tenant_id" || of.key.contains(&name.as_str());
        if !is_key && column(&row, "changes")? {
            shape.changing.push(name.clone());
        }
        shape.columns.push(name);
    }
    Ok(shapes)
}

impl Shape {
    /// Whether rows of one fit the other; rights may differ.
    pub fn fits(&self, other: &Self) -> bool {
        self.columns == other.columns
    }

    fn list(&self) -> String {
        self.columns.join(", ")
    }
}

impl Carried {
    /// Whether both cells know a row by the same key.
    pub fn is_keyed(&self) -> bool {
        self.way == Way::ByKey && !self.key.is_empty()
    }

    fn keys(&self, prefix: &str) -> String {
        let keys: Vec<String> = self.key.iter().map(|key| format!("{prefix}{key}")).collect();
        keys.join(", ")
    }

    /// Whether a row of one is a row of the other by its key.
    fn same_key(&self, one: &str, other: &str) -> String {
        let same: Vec<String> = self.key.iter().map(|key| format!("{one}{key} = {other}{key}")).collect();
        same.join(" AND ")
    }

    /// The key with its tenant, for the unique index.
    fn unique(&self) -> String {
        let of_tenant = self.table != "platform.credentials";
        let tenant = of_tenant.then_some("tenant_id");
        tenant.into_iter().chain(self.key.iter().copied()).collect::<Vec<_>>().join(", ")
    }
}

/// What has been written since this moment of the server's is to be looked at again: every transaction before it is over.
pub async fn horizon(tx: &Tx<'_>) -> Result<String, StoreError> {
    let sql = "/* carried::horizon */ SELECT (pg_snapshot_xmin(pg_current_snapshot())::text::numeric % 4294967296)::text AS xid";
    column(&tx.query_one(sql, &[]).await?, "xid")
}

/// Which rows, by when they were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written<'a> {
    Ever,
    Since(&'a str),
    Before(&'a str),
}

impl<'a> Written<'a> {
    pub fn since(horizon: Option<&'a str>) -> Self {
        horizon.map_or(Self::Ever, Self::Since)
    }

    /// As a condition on a row `t`, with the horizon as the statement's second parameter.
    fn condition(self) -> (&'static str, Option<&'a str>) {
        match self {
            Self::Ever => ("$2::text IS NULL", None),
            Self::Since(horizon) => ("age(t.xmin) <= age($2::text::xid)", Some(horizon)),
            Self::Before(horizon) => ("age(t.xmin) > age($2::text::xid)", Some(horizon)),
        }
    }
}

/// What is asked of a tenant's rows, and behind which one, where they are read in pages.
struct Ask<'a> {
    tenant: TenantId,
    written: Written<'a>,
    after: Option<&'a str>,
    /// Rows at once; all where that is absent.
    most: Option<i64>,
}

/// The rows that are asked for, each as JSON of what is selected of it. `label` is the statement's, as a comment.
async fn lines(
    tx: &Tx<'_>,
    of: &Carried,
    (label, select): (&str, &str),
    Ask { tenant, written, after, most }: Ask<'_>,
) -> Result<Vec<String>, StoreError> {
    let (table, only, own, given) = (of.table, of.only, of.keys("t."), of.keys("r."));
    let (written, horizon) = written.condition();
    let behind = match most {
        Some(_) => format!(
            "($3::text IS NULL OR ({own}) > (SELECT {given} FROM json_populate_record(NULL::{table}, $3::text::json) r))"
        ),
        None => "$3::text IS NULL".to_owned(),
    };
    let order = if own.is_empty() { String::new() } else { format!("ORDER BY {own}") };
    let limit = most.map_or_else(String::new, |most| format!("LIMIT {most}"));
    let sql = format!(
        "{label} SELECT row_to_json(r)::text AS line FROM (SELECT {select} FROM {table} t
             WHERE t.tenant_id = $1 AND ({only}) AND {written} AND {behind} {order} {limit}) r"
    );
    tx.query(&sql, &[&tenant.0, &horizon, &after]).await?.iter().map(|row| column(row, "line")).collect()
}

/// The next rows after one, each as JSON; all at once where both cells do not know a row by the same key.
pub async fn page(
    tx: &Tx<'_>,
    of: &Carried,
    shape: &Shape,
    (tenant, written): (TenantId, Written<'_>),
    after: Option<&str>,
) -> Result<Vec<String>, StoreError> {
    let most = of.is_keyed().then_some(of.most);
    lines(tx, of, ("/* carried::page */", &shape.list()), Ask { tenant, written, after, most }).await
}

/// Puts rows, and puts them in the place of what is there; answers how many came or changed.
pub async fn put(
    tx: &Tx<'_>,
    of: &Carried,
    shape: &Shape,
    tenant: TenantId,
    lines: &[String],
) -> Result<u64, StoreError> {
    let (table, columns) = (of.table, shape.list());
    let rows = format!("[{}]", lines.join(","));
    let theirs = format!("json_populate_recordset(NULL::{table}, $2::text::json) r WHERE r.tenant_id = $1");
    tx.act_as(of.writer.of(tenant)).await?;
    if of.way == Way::Added {
        let omit: Vec<String> = of.omit.iter().map(|name| format!("'{name}'")).collect();
        let omit = format!("ARRAY[{}]::text[]", omit.join(", "));
        let sql = format!(
            "/* carried::add */ INSERT INTO {table} ({columns}) SELECT {columns} FROM {theirs} AND NOT EXISTS (
                 SELECT FROM {table} x WHERE x.tenant_id = $1 AND to_jsonb(x) - {omit} = to_jsonb(r) - {omit})"
        );
        return tx.execute(&sql, &[&tenant.0, &rows]).await;
    }
    let unique = of.unique();
    let pairs = |prefix: &str| {
        let changing: Vec<String> = shape.changing.iter().map(|name| format!("{prefix}{name}")).collect();
        changing.join(", ")
    };
    let is_one = shape.changing.len() == 1;
    let row = |prefix: &str| if is_one { pairs(prefix) } else { format!("({})", pairs(prefix)) };
    let change = if shape.changing.is_empty() || of.changer.is_some() {
        "DO NOTHING".to_owned()
    } else {
        let (own, old, new) = (row(""), row("t."), row("excluded."));
        format!("DO UPDATE SET {own} = {new} WHERE {old} IS DISTINCT FROM {new}")
    };
    let sql = format!(
        "/* carried::put */ INSERT INTO {table} AS t ({columns}) SELECT {columns} FROM {theirs} ON CONFLICT ({unique}) {change}"
    );
    let mut done = tx.execute(&sql, &[&tenant.0, &rows]).await?;
    if let Some(changer) = of.changer.filter(|_| !shape.changing.is_empty()) {
        tx.act_as(changer.of(tenant)).await?;
        let (own, old, new, same) = (row(""), row("t."), row("r."), of.same_key("t.", "r."));
        let sql = format!(
            "/* carried::change */ UPDATE {table} t SET {own} = {new} FROM {theirs} AND t.tenant_id = $1 AND {same}
               AND {old} IS DISTINCT FROM {new}"
        );
        done += tx.execute(&sql, &[&tenant.0, &rows]).await?;
    }
    Ok(done)
}

const SCHEMA: &str = "/* carried::schema */
    SELECT md5(coalesce(string_agg(n.nspname || '.' || c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod), ','
        ORDER BY n.nspname, c.relname, a.attname), '')) AS sum
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname IN ('platform', 'ledger', 'progress') AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND a.attnum > 0
      AND NOT a.attisdropped AND c.relname !~ '_[0-9]{4}_[0-9]{2}'";

/// What the tables of this cell look like: the same in two cells of one release, whatever months they have.
pub async fn schema(tx: &Tx<'_>) -> Result<String, StoreError> {
    column(&tx.query_one(SCHEMA, &[]).await?, "sum")
}

const TRAIL_TOLD: &str = "/* carried::trail_told */
    SELECT coalesce(max((detail -> 'movedFrom' ->> 'entry')::bigint), 0) AS entry FROM platform.audit
    WHERE tenant_id = $1 /* tenant */ AND detail -> 'movedFrom' ->> 'cell' = $2::text /* cell */";

// What was made over there, and came here by whatever way, is there already.
const TRAIL_PAGE: &str = "/* carried::trail_page */
    SELECT row_to_json(a)::text AS line FROM platform.audit a
    WHERE tenant_id = $1 /* tenant */ AND audit_id > $3 /* after */
      AND NOT jsonb_path_exists(detail, '$.**.movedFrom.cell ? (@ == $there)', jsonb_build_object('there', $2::text /* there */))
    ORDER BY audit_id LIMIT 500";

const TRAIL_TELL: &str = "/* carried::trail_tell */
    INSERT INTO platform.audit (tenant_id, actor, action, subject, detail)
    SELECT r.tenant_id, r.actor, r.action, r.subject, jsonb_build_object('movedFrom',
        jsonb_build_object('cell', $4::text /* cell */, 'move', $2::uuid /* move */, 'entry', r.audit_id, 'at', r.at), 'detail', r.detail)
    FROM json_populate_recordset(NULL::platform.audit, $3::text::json) r WHERE r.tenant_id = $1 /* tenant */ ORDER BY r.audit_id";

/// The last entry of the tenant's trail in that cell that was told again here, by this move or an earlier one.
pub async fn trail_told(tx: &Tx<'_>, tenant: TenantId, cell: &str) -> Result<i64, StoreError> {
    column(&tx.query_one(TRAIL_TOLD, &[&tenant.0, &cell]).await?, "entry")
}

/// The next entries of the tenant's trail, without those that were made in the cell that they would go to.
pub async fn trail_page(tx: &Tx<'_>, (tenant, there): (TenantId, &str), after: i64) -> Result<Vec<String>, StoreError> {
    tx.query(TRAIL_PAGE, &[&tenant.0, &there, &after]).await?.iter().map(|row| column(row, "line")).collect()
}

/// Tells entries of that cell again, each with where and when it was made.
pub async fn trail_tell(
    tx: &Tx<'_>,
    (tenant, of_move, cell): (TenantId, Uuid, &str),
    entries: &[String],
) -> Result<(), StoreError> {
    let entries = format!("[{}]", entries.join(","));
    tx.execute(TRAIL_TELL, &[&tenant.0, &of_move, &entries, &cell]).await.map(drop)
}
