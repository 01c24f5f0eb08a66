//! Commands of other services as requests that are taken up, worked on and answered.

use crate::model::TenantId;
use crate::store::{StoreError, Tx, door::tx::column, platform::leases};

/// A command that is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub tenant: TenantId,
    pub request: String,
    /// As it came.
    pub data: String,
    pub source: String,
    pub event: String,
}

const IN_STATE: &str = "/* sagas::in_state */
    SELECT tenant_id, request_id, data, source, event_id FROM progress.saga_requests
    WHERE kind = $1 /* kind */ AND state = $2 /* state */ ORDER BY number LIMIT 100";

/// The oldest commands of a kind in a state: `recorded` where nobody has taken them up.
pub async fn in_state(tx: &Tx<'_>, kind: &str, state: &str) -> Result<Vec<Asked>, StoreError> {
    let rows = tx.query(IN_STATE, &[&kind, &state]).await?;
    let asked = |row: &tokio_postgres::Row| {
        Ok(Asked {
            tenant: TenantId(column(row, "tenant_id")?),
            request: column(row, "request_id")?,
            data: column(row, "data")?,
            source: column(row, "source")?,
            event: column(row, "event_id")?,
        })
    };
    rows.iter().map(asked).collect()
}

const SETTLE: &str = "/* sagas::settle */
    UPDATE progress.saga_requests SET state = $4 /* state */, updated_at = clock_timestamp(),
        data = CASE WHEN $4 IN ('completed', 'failed') THEN '{}' ELSE data END
    WHERE tenant_id = $1 /* tenant */ AND kind = $2 /* kind */ AND request_id = $3 /* request */
    RETURNING source, event_id";

/// Says how far a command is; what it said goes with its end. Answers by which event it came.
pub async fn settle(
    tx: &Tx<'_>,
    (tenant, kind): (TenantId, &str),
    request: &str,
    state: &str,
) -> Result<Option<(String, String)>, StoreError> {
    leases::check(tx).await?;
    let row = tx.query_opt(SETTLE, &[&tenant.0, &kind, &request, &state]).await?;
    row.map(|row| Ok((column(&row, "source")?, column(&row, "event_id")?))).transpose()
}
