//! What the ledger holds, cell by cell: how many statements of which tenant in which month, and a digest of them that does not depend
//! on their order. By these two copies are compared. Months that lie in the archive alone are not among them.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::store::{
    StoreError,
    door::tx::{Tx, column},
};

/// One tenant's month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figure {
    pub tenant: Uuid,
    pub month: String,
    pub rows: i64,
    /// The sum of 60 bits of each statement's SHA-256.
    pub digest: String,
}

const FIGURES: &str = "/* figures::figures */
    SELECT tenant_id, to_char(stored AT TIME ZONE 'UTC', 'YYYY-MM') AS month, count(*) AS rows,
           sum(('x' || left(encode(sha256(convert_to(
               id::text || (extract(epoch FROM stored) * 1000000)::bigint::text || payload, 'UTF8')), 'hex'), 15))::bit(60)::bigint)::text AS digest
    FROM (SELECT tenant_id, id, stored, payload FROM ledger.statements WHERE stored <= $1 /* bound */
          UNION ALL
          SELECT tenant_id, id, stored, payload FROM ledger.detached_statements WHERE stored <= $1) s
    GROUP BY 1, 2 ORDER BY 1, 2";

/// Everything that was stored up to this moment and is not in the archive alone. Reads every statement.
pub async fn figures(tx: &Tx<'_>, bound: DateTime<Utc>) -> Result<Vec<Figure>, StoreError> {
    let figure = |row: &tokio_postgres::Row| {
        Ok(Figure {
            tenant: column(row, "tenant_id")?,
            month: column(row, "month")?,
            rows: column(row, "rows")?,
            digest: column(row, "digest")?,
        })
    };
    tx.query(FIGURES, &[&bound]).await?.iter().map(figure).collect()
}
