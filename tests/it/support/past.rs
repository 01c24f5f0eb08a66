//! A past: what was posted just now, as if it had been stored months ago.

use progress_service::model::partition::Month;
use tokio_postgres::Client;

use super::pg::TestDatabase;

/// Moves everything that is stored in the present into the days after the tenth of a month, in its order. Whoever reads the
/// ledger must have read it before.
pub async fn move_into(db: &TestDatabase, month: Month) {
    move_into_by(&db.superuser().await, month).await;
}

/// The same by a superuser's session.
pub async fn move_into_by(superuser: &Client, month: Month) {
    let begin = month.begin().to_rfc3339();
    let sql = format!(
        "SELECT ledger.ensure_month('{begin}'::timestamptz);
         ALTER TABLE ledger.statements DISABLE TRIGGER statements_are_append_only;
         CREATE TEMP TABLE shift AS
             SELECT '{begin}'::timestamptz + interval '10 days' - min(stored) AS by FROM ledger.statements
             WHERE stored > now() - interval '1 day';
         UPDATE ledger.statement_ids SET stored = stored + (SELECT by FROM shift) WHERE stored > now() - interval '1 day';
         UPDATE ledger.refs SET stored = stored + (SELECT by FROM shift) WHERE stored > now() - interval '1 day';
         UPDATE ledger.reaches SET stored = stored + (SELECT by FROM shift) WHERE stored > now() - interval '1 day';
         UPDATE ledger.relations SET stored = stored + (SELECT by FROM shift) WHERE stored > now() - interval '1 day';
         UPDATE ledger.statements SET stored = stored + (SELECT by FROM shift) WHERE stored > now() - interval '1 day';
         DROP TABLE shift;
         ALTER TABLE ledger.statements ENABLE ALWAYS TRIGGER statements_are_append_only;
         ANALYZE ledger.statements, ledger.relations, ledger.statement_ids"
    );
    superuser.batch_execute(&sql).await.unwrap();
}

/// A tenant whose name sorts behind the default one's.
pub const SECOND: &str = "00000000-0000-4000-8000-0000000000aa";

/// Lets a second tenant have what the first has in a month, a second later each.
pub async fn double(db: &TestDatabase, month: Month) {
    let (begin, end) = (month.begin().to_rfc3339(), month.end().to_rfc3339());
    let sql = format!(
        "INSERT INTO platform.tenants (tenant_id, name) VALUES ('{SECOND}', 'second');
         INSERT INTO progress.projection_cursors (tenant_id, position, effects_version) VALUES ('{SECOND}', now(), 1);
         INSERT INTO ledger.statements (tenant_id, id, stored, occurred, verb_key, agent_key, activity_key, registration_key,
                                        refers_to, voiding, converts, payload)
             SELECT '{SECOND}', gen_random_uuid(), stored + interval '1 second', occurred, verb_key, agent_key, activity_key,
                    registration_key, refers_to, voiding, converts, payload
             FROM ledger.statements WHERE stored >= '{begin}' AND stored < '{end}';
         INSERT INTO ledger.relations (tenant_id, key, stored)
             SELECT '{SECOND}', key, stored + interval '1 second' FROM ledger.relations
             WHERE stored >= '{begin}' AND stored < '{end}'"
    );
    db.superuser().await.batch_execute(&sql).await.unwrap();
}

/// Every row of a month, wherever its table is, as text: equal texts are equal bytes.
pub async fn contents(db: &TestDatabase, month: Month) -> Vec<String> {
    let (begin, end) = (month.begin().to_rfc3339(), month.end().to_rfc3339());
    let of = |table: &str, columns: &str| {
        format!("SELECT '{table} ' || row({columns})::text FROM ledger.{table} WHERE stored >= '{begin}' AND stored < '{end}'
                 UNION ALL SELECT '{table} ' || row({columns})::text FROM ledger.detached_{table} WHERE stored >= '{begin}' AND stored < '{end}'")
    };
    let statements = of(
        "statements",
        "tenant_id, id, stored, occurred, verb_key, agent_key, activity_key, registration_key, refers_to, voiding, converts, payload",
    );
    let sql = format!("{statements} UNION ALL {} ORDER BY 1", of("relations", "tenant_id, key, stored"));
    db.superuser().await.query(&sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}
