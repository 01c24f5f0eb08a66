//! What one person did, newest first, and under which lookup keys the ledger knows them.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::model::TenantId;
use crate::store::{
    As, Store, StoreError,
    door::tx::column,
    ledger::{pages::Found, voids::voids_at},
    platform::audit::{self, Reading},
};

/// One page of a person's statements.
#[derive(Clone, Debug)]
pub struct StatementPage {
    /// As attempts know them.
    pub user: String,
    /// `stored` of the last statement on the page before.
    pub before: Option<DateTime<Utc>>,
    pub limit: i64,
    /// The page ends with the statement that reaches so many bytes.
    pub bytes: i64,
}

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

    /// A page of what this person did. With `reading` the read leaves an entry, or does not happen.
    pub async fn statements_of(
        &self,
        tenant: TenantId,
        page: &StatementPage,
        reading: Option<&Reading>,
    ) -> Result<Vec<Found>, StoreError> {
        let keys = self.agent_keys(tenant, &page.user).await?;
        self.run("statements_of", As::Tenant(tenant), Reading::repeats(reading), |tx| {
            let (keys, page, reading) = (keys.clone(), page.clone(), reading.cloned());
            Box::pin(async move {
                let rows = tx
                    .query(
                        concat!("/* person_reads::statements_of */ SELECT stored, has_timestamp, payload FROM (
                         SELECT s.*, sum(octet_length(s.payload)) OVER (ORDER BY s.stored DESC) - octet_length(s.payload) AS before
                         FROM unnest($2::uuid[]) AS own (key) CROSS JOIN LATERAL (
                             SELECT s.stored, s.occurred IS NOT NULL AS has_timestamp, s.payload
                             FROM ledger.statements s
                             WHERE s.tenant_id = $1 AND s.agent_key = own.key AND s.stored < coalesce($3::timestamptz, 'infinity')
                               AND (s.voiding OR NOT EXISTS (
                                   SELECT FROM ledger.refs v
                                   WHERE v.tenant_id = s.tenant_id AND v.target_id = s.id AND ", voids_at!("s.stored"), "))
                             ORDER BY s.stored DESC LIMIT $4) s
                         ORDER BY s.stored DESC LIMIT $4) page
                         WHERE before < $5 ORDER BY stored DESC"),
                        &[&tenant.0, &keys, &page.before, &page.limit, &page.bytes],
                    )
                    .await?;
                if let Some(reading) = reading {
                    audit::append(tx, &reading.entry(tenant, &page.user, rows.len())).await?;
                }
                let found = |row: &tokio_postgres::Row| {
                    Ok(Found {
                        stored: column(row, "stored")?,
                        has_timestamp: column(row, "has_timestamp")?,
                        payload: column(row, "payload")?,
                    })
                };
                rows.iter().map(found).collect()
            })
        })
        .await
    }
}
