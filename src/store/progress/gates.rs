//! What still has to read a month before it may leave: the relay, the projections, the references. Read together, in one
//! transaction, after the bound.

use chrono::{DateTime, Utc};

use crate::store::{
    StoreError,
    door::tx::{Tx, column},
    ledger::statements,
};

/// The first moment that each of them has not been past; `None` where it has been past everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gates {
    /// What is stored from here on may not be visible yet.
    pub bound: DateTime<Utc>,
    /// The first statement that has not gone out as an event.
    pub relay: Option<DateTime<Utc>>,
    /// Whether anything has ever gone out.
    pub has_relayed: bool,
    /// The first statement that attempts, completions and scores do not know.
    pub projections: Option<DateTime<Utc>>,
    /// The first reference that has not been looked at again.
    pub references: Option<DateTime<Utc>>,
    /// The first statement that something new is known to be reached through.
    pub links: Option<DateTime<Utc>>,
}

// Of each tenant the first statement behind its cursor: one step into an index.
const GATES: &str = "/* gates::read */
    SELECT (SELECT min(s.stored) FROM platform.tenants t LEFT JOIN progress.relay_cursors c USING (tenant_id)
            CROSS JOIN LATERAL (
                SELECT stored FROM ledger.statements
                WHERE tenant_id = t.tenant_id AND stored > coalesce(c.position, 'epoch') ORDER BY stored LIMIT 1) s) AS relay,
           EXISTS (SELECT FROM progress.relay_cursors) AS has_relayed,
           (SELECT min(s.stored) FROM platform.tenants t LEFT JOIN progress.projection_cursors c USING (tenant_id)
            CROSS JOIN LATERAL (
                SELECT stored FROM ledger.statements
                WHERE tenant_id = t.tenant_id AND stored > coalesce(c.position, 'epoch') ORDER BY stored LIMIT 1) s) AS projections,
           (SELECT min(stored) FROM ledger.refs WHERE NOT settled) AS refs,
           (SELECT min(i.stored) FROM ledger.links_due d
            JOIN ledger.statement_ids i ON i.tenant_id = d.tenant_id AND i.id = d.statement_id) AS links";

/// How far everything is that reads the ledger on its own.
pub async fn read(tx: &Tx<'_>) -> Result<Gates, StoreError> {
    let bound = statements::safe_bound(tx).await?;
    let row = tx.query_one(GATES, &[]).await?;
    Ok(Gates {
        bound,
        relay: column(&row, "relay")?,
        has_relayed: column(&row, "has_relayed")?,
        projections: column(&row, "projections")?,
        references: column(&row, "refs")?,
        links: column(&row, "links")?,
    })
}
