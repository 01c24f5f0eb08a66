//! A past: what was posted just now, as if it had been stored months ago.

use progress_service::model::partition::Month;

use super::pg::TestDatabase;

/// Moves everything that is stored in the present into the days after the tenth of a month, in its order. Whoever reads the
/// ledger must have read it before.
pub async fn move_into(db: &TestDatabase, month: Month) {
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
    db.superuser().await.batch_execute(&sql).await.unwrap();
}
