//! Rows beside the statements that go by their age: documents, and attachments that nobody names any more.
//!
//! Removing runs as [`crate::store::As::Retention`], after [`super::holds::standing`] in the same transaction.

use chrono::{DateTime, Utc};

use crate::model::{TenantId, retention::Place};
use crate::store::{
    StoreError,
    door::tx::{Tx, column},
    platform::leases,
};

/// Attachments that nobody names: neither a statement in the tables, nor one of an archived month that could know them.
const FORGOTTEN: &str = "a.tenant_id = $1 AND a.stored_at <= $2
    AND NOT EXISTS (SELECT FROM ledger.segments g WHERE g.tenant_id = $1 AND g.state = 'published' AND g.last_stored >= a.stored_at)
    AND NOT EXISTS (SELECT FROM ledger.statements s WHERE s.tenant_id = $1 AND s.stored >= a.stored_at - interval '1 hour'
                    AND strpos(lower(s.payload), encode(a.sha2, 'hex')) > 0)
    AND NOT EXISTS (SELECT FROM ledger.detached_statements s WHERE s.tenant_id = $1 AND s.stored >= a.stored_at - interval '1 hour'
                    AND strpos(lower(s.payload), encode(a.sha2, 'hex')) > 0)";

/// How many rows of a place are there that are so old; of another place than these, none.
pub async fn count(tx: &Tx<'_>, tenant: TenantId, place: Place, until: DateTime<Utc>) -> Result<i64, StoreError> {
    let sql = match place {
        Place::Documents => {
            "/* aged::documents */ SELECT count(*) AS rows FROM ledger.documents WHERE tenant_id = $1 AND updated_at <= $2"
                .to_owned()
        }
        Place::Attachments => {
            format!("/* aged::attachments */ SELECT count(*) AS rows FROM ledger.attachments a WHERE {FORGOTTEN}")
        }
        Place::Attempts => "/* aged::attempts */ SELECT count(*) AS rows FROM progress.attempts
                            WHERE tenant_id = $1 AND state = 'closed' AND ended_at <= $2"
            .to_owned(),
        Place::Events => "/* aged::events */ SELECT count(*) AS rows FROM progress.outbox
                          WHERE tenant_id = $1 AND published_at <= $2"
            .to_owned(),
        Place::Statements => return Ok(0),
    };
    column(&tx.query_one(&sql, &[&tenant.0, &until]).await?, "rows")
}

/// Removes at most so many; answers how many they were.
pub async fn remove_some(
    tx: &Tx<'_>,
    tenant: TenantId,
    place: Place,
    until: DateTime<Utc>,
    most: i64,
) -> Result<i64, StoreError> {
    leases::check(tx).await?;
    let sql = match place {
        Place::Documents => "/* aged::remove_documents */ DELETE FROM ledger.documents d USING (
                SELECT key FROM ledger.documents WHERE tenant_id = $1 AND updated_at <= $2 LIMIT $3) old
            WHERE d.tenant_id = $1 AND d.key = old.key"
            .to_owned(),
        Place::Attachments => format!(
            "/* aged::remove_attachments */ WITH old AS (
                SELECT a.sha2 FROM ledger.attachments a WHERE {FORGOTTEN} LIMIT $3),
             pieces AS (DELETE FROM ledger.attachment_pieces p USING old WHERE p.tenant_id = $1 AND p.sha2 = old.sha2),
             bringers AS (DELETE FROM ledger.attachment_bringers b USING old WHERE b.tenant_id = $1 AND b.sha2 = old.sha2)
             DELETE FROM ledger.attachments a USING old WHERE a.tenant_id = $1 AND a.sha2 = old.sha2"
        ),
        // The name of an attempt stays: its number is never given twice.
        Place::Attempts => "/* aged::remove_attempts */ WITH old AS (
                SELECT id FROM progress.attempts WHERE tenant_id = $1 AND state = 'closed' AND ended_at <= $2 LIMIT $3),
             said AS (DELETE FROM progress.attempt_statements s USING old WHERE s.tenant_id = $1 AND s.attempt_id = old.id),
             done AS (DELETE FROM progress.completion_records c USING old WHERE c.tenant_id = $1 AND c.attempt_id = old.id),
             scored AS (DELETE FROM progress.scores c USING old WHERE c.tenant_id = $1 AND c.attempt_id = old.id),
             closed AS (DELETE FROM progress.attempt_closures c USING old WHERE c.tenant_id = $1 AND c.attempt_id = old.id),
             silent AS (DELETE FROM progress.silences c USING old WHERE c.tenant_id = $1 AND c.attempt_id = old.id)
             DELETE FROM progress.attempts a USING old WHERE a.tenant_id = $1 AND a.id = old.id"
            .to_owned(),
        Place::Events => "/* aged::remove_events */ DELETE FROM progress.outbox o USING (
                SELECT id FROM progress.outbox WHERE tenant_id = $1 AND published_at <= $2 LIMIT $3) old
            WHERE o.tenant_id = $1 AND o.id = old.id"
            .to_owned(),
        Place::Statements => return Ok(0),
    };
    let gone = tx.execute(&sql, &[&tenant.0, &until, &most]).await?;
    Ok(i64::try_from(gone).unwrap_or(i64::MAX))
}
