//! Statements of the service's own: read, prepared and stored as anybody's are.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{Ingest, IngestError, Submission};
use crate::{
    cmi5,
    model::TenantId,
    telemetry::Span,
    xapi::{Author, Limits, Version, prepare, read},
};

/// Stores a statement, which has an id. One that cannot be stored as it is cannot the next time either: the log says why,
/// and an error is only what may pass.
pub async fn say(
    ingest: &Ingest,
    tenant: TenantId,
    authority: &Map<String, Value>,
    statement: &Value,
    now: DateTime<Utc>,
) -> Result<(), IngestError> {
    let version = Version::V1_0_3;
    let batch = match read::statements(statement.to_string().as_bytes(), version, &Limits::default()) {
        Ok(batch) => batch,
        Err(violations) => {
            tracing::error!(%violations, %tenant, "a statement of our own is none");
            return Ok(());
        }
    };
    let said = batch.statements.iter().filter_map(|statement| cmi5::read(tenant, None, 0, statement.doc())).collect();
    let author = Author::new(tenant.0, authority, version);
    let statements = batch.statements.into_iter().map(|one| prepare(one, &author, Uuid::nil, now)).collect();
    let submission = Submission { tenant, statements, said, attachments: Vec::new(), span: Span::none() };
    match ingest.submit(submission).await {
        // Another node said it just now.
        Ok(_) | Err(IngestError::Conflict { .. }) => Ok(()),
        Err(IngestError::Against(violations)) => {
            tracing::warn!(%violations, %tenant, "a statement of our own breaks a rule that its tenant asks for");
            Ok(())
        }
        Err(IngestError::Failed(error)) => {
            tracing::error!(%error, %tenant, "a statement of our own cannot be stored");
            Ok(())
        }
        Err(error) => Err(error),
    }
}
