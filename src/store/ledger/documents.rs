//! State and profile documents.

use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::store::{
    StoreError, Tx,
    door::tx::column,
    ledger::{erased, statements},
};
use crate::{
    model::TenantId,
    xapi::query::{DocumentScope, Resource},
};

/// Where a document stands: everything its row needs beside the content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentPlace {
    /// Hash of the whole name.
    pub key: Uuid,
    pub kind: DocumentKind,
    /// Hash of the place without registration and document id.
    pub scope_key: Uuid,
    pub registration: Option<Uuid>,
    pub document_id: String,
    /// The lookup key of the agent whose it is.
    pub agent_key: Option<Uuid>,
    /// The activity it is of, by its id.
    pub activity: Option<String>,
    /// The agent whose it is, by its identifier as JSON.
    pub agent: Option<String>,
}

impl DocumentPlace {
    pub fn of(tenant: TenantId, scope: &DocumentScope, id: String) -> Self {
        let (activity, agent, registration) = match scope {
            DocumentScope::State { activity, agent, registration } => (Some(activity), Some(agent), *registration),
            DocumentScope::ActivityProfile { activity } => (Some(activity), None, None),
            DocumentScope::AgentProfile { agent } => (None, Some(agent), None),
        };
        let kind = match scope.resource() {
            Resource::State => DocumentKind::State,
            Resource::ActivityProfile => DocumentKind::ActivityProfile,
            Resource::AgentProfile => DocumentKind::AgentProfile,
        };
        Self {
            key: scope.key(tenant.0, &id),
            kind,
            scope_key: scope.scope_key(tenant.0),
            registration,
            document_id: id,
            agent_key: scope.agent_key(tenant.0),
            activity: activity.cloned(),
            agent: agent.map(|agent| Value::Object(agent.to_map()).to_string()),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DocumentKind {
    State,
    ActivityProfile,
    AgentProfile,
}

impl DocumentKind {
    pub const ALL: [Self; 3] = [Self::State, Self::ActivityProfile, Self::AgentProfile];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::ActivityProfile => "activity_profile",
            Self::AgentProfile => "agent_profile",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    pub content_type: String,
    /// Bytes of the content.
    pub length: usize,
    /// Absent if it is longer than was asked for.
    pub content: Option<Vec<u8>>,
    /// SHA-1 of the content in hexadecimal, without quotes.
    pub etag: String,
    pub updated_at: DateTime<Utc>,
}

/// Serialises writers of one document, the first one included: there is no row yet that could be locked.
pub async fn lock(tx: &Tx<'_>, key: Uuid) -> Result<(), StoreError> {
    let (high, _) = key.as_u64_pair();
    tx.execute("/* documents::lock_document */ SELECT pg_advisory_xact_lock($1)", &[&high.cast_signed()])
        .await
        .map(drop)
}

/// A document, with its content if that has no more than `most` bytes. One of somebody who is hidden is not there.
pub async fn get(
    tx: &Tx<'_>,
    tenant: TenantId,
    place: &DocumentPlace,
    most: usize,
) -> Result<Option<Document>, StoreError> {
    let most = i32::try_from(most).unwrap_or(i32::MAX);
    let row = tx
        .query_opt(
            "/* documents::get_document */ SELECT content_type, octet_length(content) AS length,
                 CASE WHEN octet_length(content) <= $3 THEN content END AS content, etag, updated_at
             FROM ledger.documents WHERE tenant_id = $1 AND key = $2
               AND NOT EXISTS (SELECT FROM ledger.hidden_persons h WHERE h.tenant_id = $1 AND h.agent_key = $4)",
            &[&tenant.0, &place.key, &most, &place.agent_key],
        )
        .await?;
    row.map(|row| {
        Ok(Document {
            content_type: column(&row, "content_type")?,
            length: usize::try_from(column::<i32>(&row, "length")?).unwrap_or_default(),
            content: column(&row, "content")?,
            etag: column(&row, "etag")?,
            updated_at: column(&row, "updated_at")?,
        })
    })
    .transpose()
}

/// Writes a document; answers false, and writes nothing, where it is of somebody who is erased on arrival.
pub async fn put(
    tx: &Tx<'_>,
    tenant: TenantId,
    place: &DocumentPlace,
    content_type: &str,
    content: &[u8],
    etag: &str,
) -> Result<bool, StoreError> {
    if is_of_the_erased(tx, tenant, place).await? {
        return Ok(false);
    }
    tx.execute(
        "/* documents::put_document */ INSERT INTO ledger.documents
             (tenant_id, key, kind, scope_key, registration, document_id, content_type, content, etag, agent_key, activity, agent)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
         ON CONFLICT (tenant_id, key) DO UPDATE SET content_type = excluded.content_type,
             content = excluded.content, etag = excluded.etag, updated_at = clock_timestamp(), agent_key = excluded.agent_key,
             activity = excluded.activity, agent = excluded.agent",
        &[
            &tenant.0,
            &place.key,
            &place.kind.as_str(),
            &place.scope_key,
            &place.registration,
            &place.document_id,
            &content_type,
            &content,
            &etag,
            &place.agent_key,
            &place.activity,
            &place.agent,
        ],
    )
    .await
    .map(|_| true)
}

async fn is_of_the_erased(tx: &Tx<'_>, tenant: TenantId, place: &DocumentPlace) -> Result<bool, StoreError> {
    let Some(agent) = place.agent_key else { return Ok(false) };
    // The erasure waits for whoever has asked: see `erased::arriving`.
    statements::now(tx).await?;
    Ok(!erased::arriving(tx, tenant, &[agent]).await?.is_empty())
}

/// Puts a document as it was at another time; one that is there and newer stays. Of two of one moment the one that comes is the
/// later: HTTP tells moments in seconds. Answers whether it was put.
pub async fn put_past(
    tx: &Tx<'_>,
    tenant: TenantId,
    place: &DocumentPlace,
    document: &Document,
) -> Result<bool, StoreError> {
    if is_of_the_erased(tx, tenant, place).await? {
        return Ok(false);
    }
    let put = tx
        .execute(
            "/* documents::put_past */ INSERT INTO ledger.documents AS there
                 (tenant_id, key, kind, scope_key, registration, document_id, content_type, content, etag, updated_at,
                  agent_key, activity, agent)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
             ON CONFLICT (tenant_id, key) DO UPDATE SET content_type = excluded.content_type,
                 content = excluded.content, etag = excluded.etag, updated_at = excluded.updated_at,
                 agent_key = excluded.agent_key, activity = coalesce(excluded.activity, there.activity),
                 agent = coalesce(excluded.agent, there.agent)
                 WHERE there.updated_at < excluded.updated_at
                    OR there.updated_at = excluded.updated_at AND there.etag <> excluded.etag",
            &[
                &tenant.0,
                &place.key,
                &place.kind.as_str(),
                &place.scope_key,
                &place.registration,
                &place.document_id,
                &document.content_type,
                &document.content.as_deref().unwrap_or_default(),
                &document.etag,
                &document.updated_at,
                &place.agent_key,
                &place.activity,
                &place.agent,
            ],
        )
        .await?;
    Ok(put > 0)
}

pub async fn delete(tx: &Tx<'_>, tenant: TenantId, key: Uuid) -> Result<bool, StoreError> {
    let deleted = tx
        .execute(
            "/* documents::delete_document */ DELETE FROM ledger.documents WHERE tenant_id = $1 AND key = $2",
            &[&tenant.0, &key],
        )
        .await?;
    Ok(deleted > 0)
}

/// The ids of the documents in a place, and when the newest of them changed.
pub async fn list(
    tx: &Tx<'_>,
    tenant: TenantId,
    place: &DocumentPlace,
    since: Option<DateTime<Utc>>,
) -> Result<(Vec<String>, Option<DateTime<Utc>>), StoreError> {
    let rows = tx
        .query(
            "/* documents::list_documents */ SELECT document_id, updated_at FROM ledger.documents
             WHERE tenant_id = $1 AND scope_key = $2 AND ($3::uuid IS NULL OR registration = $3)
               AND ($4::timestamptz IS NULL OR updated_at > $4)
               AND NOT EXISTS (SELECT FROM ledger.hidden_persons h WHERE h.tenant_id = $1 AND h.agent_key = $5)
             ORDER BY document_id",
            &[&tenant.0, &place.scope_key, &place.registration, &since, &place.agent_key],
        )
        .await?;
    let mut ids: Vec<String> = rows.iter().map(|row| column(row, "document_id")).collect::<Result<_, _>>()?;
    // The same id may stand under several registrations.
    ids.dedup();
    let mut newest = None;
    for row in &rows {
        newest = newest.max(Some(column(row, "updated_at")?));
    }
    Ok((ids, newest))
}

/// A document as lists show it: all but its content.
#[derive(Clone, Debug)]
pub struct Listed {
    pub key: Uuid,
    pub kind: String,
    pub document_id: String,
    pub registration: Option<Uuid>,
    pub activity: Option<String>,
    /// The agent whose it is, by its identifier as JSON.
    pub agent: Option<String>,
    pub content_type: String,
    /// Bytes of the content.
    pub length: i32,
    pub updated_at: DateTime<Utc>,
}

macro_rules! listed {
    ($condition:literal) => {
        concat!(
            "SELECT key, kind, document_id, registration, activity, agent, content_type, octet_length(content) AS length,
                    updated_at FROM ledger.documents d
             WHERE tenant_id = $1 AND ",
            $condition,
            " AND NOT EXISTS (SELECT FROM ledger.hidden_persons h WHERE h.tenant_id = $1 AND h.agent_key = d.agent_key)"
        )
    };
}

fn listed(row: &Row) -> Result<Listed, StoreError> {
    Ok(Listed {
        key: column(row, "key")?,
        kind: column(row, "kind")?,
        document_id: column(row, "document_id")?,
        registration: column(row, "registration")?,
        activity: column(row, "activity")?,
        agent: column(row, "agent")?,
        content_type: column(row, "content_type")?,
        length: column(row, "length")?,
        updated_at: column(row, "updated_at")?,
    })
}

/// The next documents behind a key, of a tenant or of one agent, in the order of their keys: that is no order that means anything,
/// but every page of it costs the same.
pub async fn page(
    tx: &Tx<'_>,
    tenant: TenantId,
    agent: Option<Uuid>,
    after: Uuid,
    most: i64,
) -> Result<Vec<Listed>, StoreError> {
    const ALL: &str = concat!("/* documents::page */ ", listed!("key > $2"), " ORDER BY key LIMIT $3");
    const OF_AGENT: &str =
        concat!("/* documents::page_of_agent */ ", listed!("key > $2 AND agent_key = $4"), " ORDER BY key LIMIT $3");
    let rows = match agent {
        None => tx.query(ALL, &[&tenant.0, &after, &most]).await?,
        Some(agent) => tx.query(OF_AGENT, &[&tenant.0, &after, &most, &agent]).await?,
    };
    rows.iter().map(listed).collect()
}

/// The document with this key, and its content if that has no more than `most` bytes.
pub async fn find(
    tx: &Tx<'_>,
    tenant: TenantId,
    key: Uuid,
    most: i32,
) -> Result<Option<(Listed, Option<Vec<u8>>)>, StoreError> {
    let Some(row) = tx.query_opt(concat!("/* documents::find */ ", listed!("key = $2")), &[&tenant.0, &key]).await?
    else {
        return Ok(None);
    };
    let sql = "/* documents::small_content */ SELECT content FROM ledger.documents
               WHERE tenant_id = $1 AND key = $2 AND octet_length(content) <= $3";
    let content = tx.query_opt(sql, &[&tenant.0, &key, &most]).await?;
    Ok(Some((listed(&row)?, content.map(|row| column(&row, "content")).transpose()?)))
}

/// Deletes every document of a place, or those of one registration.
pub async fn delete_all(
    tx: &Tx<'_>,
    tenant: TenantId,
    scope_key: Uuid,
    registration: Option<Uuid>,
) -> Result<u64, StoreError> {
    tx.execute(
        "/* documents::delete_documents */ DELETE FROM ledger.documents
         WHERE tenant_id = $1 AND scope_key = $2 AND ($3::uuid IS NULL OR registration = $3)",
        &[&tenant.0, &scope_key, &registration],
    )
    .await
}
