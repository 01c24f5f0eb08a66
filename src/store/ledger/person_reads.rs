//! Under which lookup keys the ledger knows a person.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::model::TenantId;
use crate::store::{As, Store, StoreError, door::tx::column};

impl Store {
    /// The keys of this user: of their accounts, whose name is the user's id, at whichever home page; or, where the
    /// id is a pseudonym, of who made the first statement of one of their attempts.
    pub async fn agent_keys(&self, tenant: TenantId, user: &str) -> Result<Vec<Uuid>, StoreError> {
        // The index is of an expression that row security would not trust; hence the worker, and the tenant by name.
        let (sql, wanted) = match Uuid::parse_str(user) {
            Ok(id) if user.len() == 36 => (
                "/* person_reads::agent_keys */ SELECT key FROM ledger.agents
                 WHERE tenant_id = $1 AND lower(replace(substring(ifi from '\"name\":\"([0-9A-Fa-f-]{32,36})\"}}$'), '-', '')) = $2",
                id.simple().to_string(),
            ),
            _ => (
                "/* person_reads::agent_key_of_attempt */ SELECT s.agent_key AS key
                 FROM progress.attempts a
                 JOIN progress.attempt_names n ON n.tenant_id = a.tenant_id AND n.id = a.id
                 JOIN ledger.statements s ON s.tenant_id = n.tenant_id AND s.stored = n.first_stored
                 WHERE a.tenant_id = $1 AND a.user_id = $2 AND s.agent_key IS NOT NULL LIMIT 1",
                user.to_owned(),
            ),
        };
        self.run_tx("agent_keys", As::Worker, |tx| {
            let wanted = wanted.clone();
            Box::pin(async move {
                let rows = tx.query(sql, &[&tenant.0, &wanted]).await?;
                rows.iter().map(|row| column(row, "key")).collect()
            })
        })
        .await
    }

    /// When the first statements of this user's attempts were stored: of those whose months the hot tables do not hold, as
    /// [`Store::agent_keys`] found nothing there.
    pub async fn first_statements(&self, tenant: TenantId, user: &str) -> Result<Vec<DateTime<Utc>>, StoreError> {
        let sql = "/* person_reads::first_statements */ SELECT n.first_stored FROM progress.attempts a
                   JOIN progress.attempt_names n ON n.tenant_id = a.tenant_id AND n.id = a.id
                   WHERE a.tenant_id = $1 AND a.user_id = $2 ORDER BY n.first_stored DESC LIMIT 16";
        self.run_tx("first_statements", As::Worker, |tx| {
            Box::pin(async move {
                let rows = tx.query(sql, &[&tenant.0, &user]).await?;
                rows.iter().map(|row| column(row, "first_stored")).collect()
            })
        })
        .await
    }
}
