//! Months of the past: statements that were posted just now are spread over a month, and months are sealed, detached, archived,
//! dropped and brought back as the service does it, in segments of small parts.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use progress_service::{
    model::{
        TenantId,
        partition::{Change, Month},
    },
    objects::{
        Objects,
        segment::{Manifest, Owner, Place, Row, Segment, Sizes, Writing},
    },
    partitions::change::{self, Wish},
    store::ledger::fills::{FullRow, Parents},
};
use tokio_postgres::Client;
use uuid::Uuid;

use super::{
    background,
    patience::PATIENCE,
    pg::TestDatabase,
    segments::{archive, scan},
};

/// Many row groups and pages of few statements.
pub const SMALL: Sizes =
    Sizes { part_bytes: 60 << 10, group_rows: 40, group_bytes: 8 << 20, page_bytes: 4 << 10, page_rows: 10 };

/// Spreads what was stored in the last day over a whole month, in its order: the first statement at its first moment, the last
/// at its last. The projections must not have read it yet.
pub async fn spread(db: &TestDatabase, month: Month) {
    let (begin, end) = (month.begin().to_rfc3339(), month.end().to_rfc3339());
    let mut sql = format!(
        "SELECT ledger.ensure_month('{begin}'::timestamptz);
         ALTER TABLE ledger.statements DISABLE TRIGGER statements_are_append_only;
         CREATE TEMP TABLE moved AS
             SELECT old, CASE WHEN n = total THEN '{end}'::timestamptz - interval '1 microsecond'
                 ELSE '{begin}'::timestamptz + (n - 1) * (('{end}'::timestamptz - '{begin}'::timestamptz) / total) END AS new
             FROM (SELECT stored AS old, row_number() OVER (ORDER BY stored) AS n, count(*) OVER () AS total
                   FROM ledger.statements WHERE stored > now() - interval '1 day') counted;
         CREATE INDEX ON moved (old); ANALYZE moved;"
    );
    for table in ["statement_ids", "refs", "reaches", "relations", "statements"] {
        sql += &format!("UPDATE ledger.{table} t SET stored = m.new FROM moved m WHERE t.stored = m.old;");
    }
    sql += "DROP TABLE moved;
        ALTER TABLE ledger.statements ENABLE ALWAYS TRIGGER statements_are_append_only;
        ANALYZE ledger.statements, ledger.relations, ledger.statement_ids, ledger.refs, ledger.reaches";
    db.superuser().await.batch_execute(&sql).await.unwrap();
}

/// Changes the state of a month as the service does.
async fn change(db: &TestDatabase, month: Month, change: Change) {
    let store = db.store();
    let wish = Wish { month, change, has_brokers: false, by: "a test", patience: PATIENCE };
    let changing = async move { change::make(&store, &wish).await };
    let changed = background::runtime().spawn(changing).await.unwrap();
    assert!(changed.unwrap_or_else(|error| panic!("{month}: {error}")), "{month} was there already");
}

pub async fn seal(db: &TestDatabase, month: Month) {
    change(db, month, Change::Seal).await;
}

pub async fn detach(db: &TestDatabase, month: Month) {
    change(db, month, Change::Detach).await;
}

pub async fn attach(db: &TestDatabase, month: Month) {
    change(db, month, Change::Attach).await;
}

/// Writes the segments of a detached month, a revision each tenant, and says that they are published.
pub async fn publish(db: &TestDatabase, objects: &Objects, month: Month, revision: u32) {
    let client = db.superuser().await;
    let owner = client.query_one("SELECT installation_id, epoch FROM platform.this_installation()", &[]).await.unwrap();
    let owner = Owner { installation: owner.get(0), epoch: owner.get::<_, i64>(1).unsigned_abs() };
    for tenant in tenants(&client, month).await {
        let place = Place { tenant, month, revision };
        let rows = rows(&client, tenant, month).await;
        let writing = Writing {
            place,
            owner,
            id: Uuid::from_u128(u128::from(revision) + 1),
            retention_class: "standard".to_owned(),
            erasure_stamp: 0,
            written_at: DateTime::UNIX_EPOCH,
        };
        let done = archive(objects, writing, &rows, SMALL).await.unwrap();
        note(&client, done.manifest()).await;
    }
}

async fn note(client: &Client, manifest: &Manifest) {
    let Manifest { place, owner, summary, verbs, parts, .. } = manifest;
    client
        .execute(
            "UPDATE ledger.segments SET state = 'marked' WHERE tenant_id = $1 AND month = $2::text::date AND state = 'published'",
            &[&place.tenant.0, &format!("{}-01", place.month)],
        )
        .await
        .unwrap();
    let bytes: u64 = parts.iter().map(|part| part.bytes).sum();
    client
        .execute(
            "INSERT INTO ledger.segments (tenant_id, month, revision, state, installation_id, epoch, retention_class, rows, bytes,
                 first_stored, last_stored, digest, verbs)
             VALUES ($1, $2::text::date, $3, 'published', $4, $5, 'standard', $6, $7, $8, $9, $10, $11)",
            &[
                &place.tenant.0,
                &format!("{}-01", place.month),
                &i32::try_from(place.revision).unwrap(),
                &owner.installation,
                &i64::try_from(owner.epoch).unwrap(),
                &i64::try_from(summary.rows).unwrap(),
                &i64::try_from(bytes).unwrap(),
                &summary.first_stored,
                &summary.last_stored,
                &summary.digest,
                &serde_json::to_value(verbs).unwrap(),
            ],
        )
        .await
        .unwrap();
}

/// Says that a detached month is archived: all of it is published. Its table is still here.
pub async fn archived(db: &TestDatabase, month: Month) {
    change(db, month, Change::Archive).await;
}

/// Drops the table of an archived month.
pub async fn drop_table(db: &TestDatabase, month: Month) {
    change(db, month, Change::Drop).await;
}

/// The whole way out of the database of one month.
pub async fn away(db: &TestDatabase, objects: &Objects, month: Month) {
    seal(db, month).await;
    detach(db, month).await;
    publish(db, objects, month, 0).await;
    archived(db, month).await;
    drop_table(db, month).await;
}

/// Makes the table of a dropped month again, out of its segments.
pub async fn restore(db: &TestDatabase, objects: &Objects, month: Month, revision: u32) {
    let client = db.superuser().await;
    let named = "SELECT tenant_id FROM ledger.segments WHERE month = $1::text::date AND state = 'published'";
    let mut all = Vec::new();
    for row in client.query(named, &[&format!("{month}-01")]).await.unwrap() {
        let place = Place { tenant: TenantId(row.get(0)), month, revision };
        let manifest = Manifest::read(objects, &place).await.unwrap();
        all.extend(scan(&Segment::open(objects, manifest, None).unwrap()).await.unwrap());
    }
    let store = db.store();
    let filling = async move {
        let fill = store.begin_month(month, Parents::Detached).await.unwrap();
        let rows: Vec<FullRow<'_>> = all.iter().map(full).collect();
        store.copy_into_month(&fill, &rows).await.unwrap();
        store.index_month(&fill).await.unwrap();
        store.finish_month(&fill).await.unwrap();
    };
    background::runtime().spawn(filling).await.unwrap();
}

pub fn full(row: &Row) -> FullRow<'_> {
    FullRow {
        tenant: row.tenant,
        id: row.id,
        stored: row.stored,
        occurred: row.occurred,
        verb_key: row.verb_key,
        agent_key: row.agent_key,
        activity_key: row.activity_key,
        registration_key: row.registration_key,
        refers_to: row.refers_to,
        voiding: row.voiding,
        converts: row.converts,
        payload: &row.payload,
        relations: &row.relations,
    }
}

async fn tenants(client: &Client, month: Month) -> Vec<TenantId> {
    let sql = "SELECT DISTINCT tenant_id FROM ledger.detached_statements WHERE stored >= $1 AND stored < $2";
    let rows = client.query(sql, &[&month.begin(), &month.end()]).await.unwrap();
    rows.iter().map(|row| TenantId(row.get(0))).collect()
}

/// The rows of a detached month as a segment has them.
async fn rows(client: &Client, tenant: TenantId, month: Month) -> Vec<Row> {
    let within: [&(dyn tokio_postgres::types::ToSql + Sync); 3] = [&tenant.0, &month.begin(), &month.end()];
    let related = "SELECT stored, array_agg(key ORDER BY key) AS keys FROM ledger.detached_relations
                   WHERE tenant_id = $1 AND stored >= $2 AND stored < $3 GROUP BY stored";
    let related: HashMap<DateTime<Utc>, Vec<Uuid>> =
        client.query(related, &within).await.unwrap().iter().map(|row| (row.get(0), row.get(1))).collect();
    let sql = "SELECT s.id, s.stored, s.occurred, s.verb_key, s.agent_key, s.activity_key, s.registration_key, s.refers_to,
                      s.voiding, s.converts, s.payload,
                      (SELECT r.voids_only_of FROM ledger.refs r WHERE r.tenant_id = $1 AND r.referrer_id = s.id) AS only_of,
                      (SELECT min(r.referrer_id::text)::uuid FROM ledger.refs r
                       WHERE r.tenant_id = $1 AND r.target_id = s.id AND r.voids AND r.voids_only_of IS NULL) AS voided_by
               FROM ledger.detached_statements s
               WHERE s.tenant_id = $1 AND s.stored >= $2 AND s.stored < $3 ORDER BY s.stored";
    let row = |row: &tokio_postgres::Row| {
        let stored = row.get("stored");
        Row {
            tenant,
            id: row.get("id"),
            stored,
            occurred: row.get("occurred"),
            verb_key: row.get("verb_key"),
            agent_key: row.get("agent_key"),
            activity_key: row.get("activity_key"),
            registration_key: row.get("registration_key"),
            refers_to: row.get("refers_to"),
            voiding: row.get("voiding"),
            voids_only_of: row.get("only_of"),
            voided_by: row.get("voided_by"),
            converts: row.get("converts"),
            relations: related.get(&stored).cloned().unwrap_or_default(),
            payload: row.get("payload"),
        }
    };
    client.query(sql, &within).await.unwrap().iter().map(row).collect()
}
