//! What there is about a person beside their statements, as lines of JSON without the tenant: attempts, completions, scores.

use uuid::Uuid;

use crate::model::TenantId;
use crate::store::{As, Store, StoreError, door::tx::column};

/// Lines that are read at once.
const PAGE: i64 = 500;

/// Of what there are lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lines {
    Attempts,
    Completions,
    Scores,
}

impl Lines {
    fn sql(self) -> &'static str {
        match self {
            Self::Attempts => {
                "/* subject::attempts */ SELECT id AS place, (to_jsonb(a) - 'tenant_id')::text AS line FROM progress.attempts a
                 WHERE tenant_id = $1 AND user_id = $2 AND id > $3 ORDER BY id LIMIT $4"
            }
            Self::Completions => {
                "/* subject::completions */ SELECT attempt_id AS place, (to_jsonb(c) - 'tenant_id')::text AS line
                 FROM progress.completion_records c
                 WHERE tenant_id = $1 AND user_id = $2 AND attempt_id > $3 ORDER BY attempt_id LIMIT $4"
            }
            Self::Scores => {
                "/* subject::scores */ SELECT attempt_id AS place, (to_jsonb(c) - 'tenant_id')::text AS line
                 FROM progress.scores c
                 WHERE tenant_id = $1 AND user_id = $2 AND attempt_id > $3 ORDER BY attempt_id LIMIT $4"
            }
        }
    }
}

/// A document with its content.
#[derive(Clone, Debug)]
pub struct Kept {
    pub kind: String,
    pub document_id: String,
    pub registration: Option<Uuid>,
    pub content_type: String,
    pub content: Vec<u8>,
    pub updated_at: chrono::DateTime<chrono::Utc>,
}

impl Store {
    /// The next lines about a user, with the place after which the ones after them come; none at the end.
    pub async fn subject_lines(
        &self,
        tenant: TenantId,
        user: &str,
        lines: Lines,
        after: &str,
    ) -> Result<Vec<(String, String)>, StoreError> {
        self.run_tx("subject_lines", As::Tenant(tenant), |tx| {
            Box::pin(async move {
                let rows = tx.query(lines.sql(), &[&tenant.0, &user, &after, &PAGE]).await?;
                rows.iter().map(|row| Ok((column(row, "place")?, column(row, "line")?))).collect()
            })
        })
        .await
    }

    /// The documents of these places, by their scope keys.
    pub async fn subject_documents(&self, tenant: TenantId, scopes: &[Uuid]) -> Result<Vec<Kept>, StoreError> {
        self.run_tx("subject_documents", As::Tenant(tenant), |tx| {
            Box::pin(async move {
                let sql = "/* subject::documents */ SELECT kind, document_id, registration, content_type, content, updated_at
                           FROM ledger.documents WHERE tenant_id = $1 AND scope_key = ANY ($2) ORDER BY kind, document_id";
                let kept = |row: &tokio_postgres::Row| {
                    Ok(Kept {
                        kind: column(row, "kind")?,
                        document_id: column(row, "document_id")?,
                        registration: column(row, "registration")?,
                        content_type: column(row, "content_type")?,
                        content: column(row, "content")?,
                        updated_at: column(row, "updated_at")?,
                    })
                };
                tx.query(sql, &[&tenant.0, &scopes]).await?.iter().map(kept).collect()
            })
        })
        .await
    }
}
