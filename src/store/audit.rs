//! The audit trail of administration: who did what to what. Rows are only ever added, and hold no personal data.

use serde_json::Value;

use super::{StoreError, run_tx::Tx};
use crate::model::TenantId;

/// One entry. The database adds its own time.
#[derive(Clone, Debug)]
pub struct Entry<'e> {
    pub tenant: Option<TenantId>,
    /// A credential's key, a token's pseudonym or the command line: never a person's name.
    pub actor: &'e str,
    pub action: &'static str,
    /// The id of what was acted upon.
    pub subject: String,
    pub detail: Value,
}

const APPEND: &str = "/* audit::append */
    INSERT INTO platform.audit (tenant_id, actor, action, subject, detail)
    VALUES ($1 /* tenant */, $2 /* actor */, $3 /* action */, $4 /* subject */, $5 /* detail */)";

/// Adds an entry in the transaction of the act itself, so that neither stands without the other.
pub async fn append(tx: &Tx<'_>, entry: &Entry<'_>) -> Result<(), StoreError> {
    let tenant = entry.tenant.map(|tenant| tenant.0);
    tx.execute(APPEND, &[&tenant, &entry.actor, &entry.action, &entry.subject, &entry.detail]).await.map(drop)
}
