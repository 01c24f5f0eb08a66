//! A document as a line of an export, and back. Pure.

use base64::{Engine, prelude::BASE64_STANDARD};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{
    model::TenantId,
    store::{
        ledger::documents::{Document, DocumentKind, DocumentPlace},
        platform::portable::PortableDocument,
    },
    xapi::{document::etag, keys::Ifi, query::DocumentScope},
};

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    kind: String,
    id: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    activity: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    agent: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    registration: Option<Uuid>,
    content_type: String,
    updated_at: DateTime<Utc>,
    /// These mean something for the same tenant alone.
    key: Uuid,
    scope_key: Uuid,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    agent_key: Option<Uuid>,
    content_base64: String,
}

/// Why a line is no document that can be put.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Wrong {
    #[error("it is no document: {0}")]
    Shape(String),
    #[error(
        "the document {0:?} was written before names were kept: it can be put into the tenant with the same id alone"
    )]
    Unnamed(String),
}

pub fn write(document: &PortableDocument) -> String {
    let line = Line {
        kind: document.kind.clone(),
        id: document.document_id.clone(),
        activity: document.activity.clone(),
        agent: document.agent.as_deref().and_then(|text| serde_json::from_str(text).ok()),
        registration: document.registration,
        content_type: document.content_type.clone(),
        updated_at: document.updated_at,
        key: document.key,
        scope_key: document.scope_key,
        agent_key: document.agent_key,
        content_base64: BASE64_STANDARD.encode(&document.content),
    };
    serde_json::to_string(&line).unwrap_or_default()
}

/// Reads a line for a tenant; with `same` the keys in it are that tenant's.
pub fn read(text: &[u8], tenant: TenantId, same: bool) -> Result<(DocumentPlace, Document), Wrong> {
    let line: Line = serde_json::from_slice(text).map_err(|error| Wrong::Shape(error.to_string()))?;
    let content = BASE64_STANDARD.decode(&line.content_base64).map_err(|error| Wrong::Shape(error.to_string()))?;
    let place = place(&line, tenant, same)?;
    let document = Document {
        content_type: line.content_type,
        length: content.len(),
        etag: etag(&content),
        content: Some(content),
        updated_at: line.updated_at,
    };
    Ok((place, document))
}

fn place(line: &Line, tenant: TenantId, same: bool) -> Result<DocumentPlace, Wrong> {
    let kind = DocumentKind::ALL.into_iter().find(|kind| kind.as_str() == line.kind);
    let kind = kind.ok_or_else(|| Wrong::Shape(format!("unknown kind {:?}", line.kind)))?;
    let agent = line.agent.as_ref().and_then(Ifi::of);
    let scope = match (kind, line.activity.clone(), agent) {
        (DocumentKind::State, Some(activity), Some(agent)) => {
            Some(DocumentScope::State { activity, agent, registration: line.registration })
        }
        (DocumentKind::ActivityProfile, Some(activity), _) => Some(DocumentScope::ActivityProfile { activity }),
        (DocumentKind::AgentProfile, _, Some(agent)) => Some(DocumentScope::AgentProfile { agent }),
        _ => None,
    };
    match scope {
        Some(scope) => Ok(DocumentPlace::of(tenant, &scope, line.id.clone())),
        None if same => Ok(DocumentPlace {
            key: line.key,
            kind,
            scope_key: line.scope_key,
            registration: line.registration,
            document_id: line.id.clone(),
            agent_key: line.agent_key,
            activity: line.activity.clone(),
            agent: None,
        }),
        None => Err(Wrong::Unnamed(line.id.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(activity: Option<&str>) -> PortableDocument {
        PortableDocument {
            key: Uuid::from_u128(1),
            kind: "activity_profile".into(),
            scope_key: Uuid::from_u128(2),
            registration: None,
            document_id: "p".into(),
            content_type: "text/plain".into(),
            content: b"\0\xff".to_vec(),
            etag: String::new(),
            updated_at: DateTime::UNIX_EPOCH,
            agent_key: None,
            activity: activity.map(str::to_owned),
            agent: None,
        }
    }

    #[test]
    fn a_named_document_goes_anywhere_and_an_unnamed_one_home() {
        let tenant = TenantId(Uuid::from_u128(9));
        let named = write(&kept(Some("http://x.example/a")));
        let (place, document) = read(named.as_bytes(), tenant, false).unwrap();
        let scope = DocumentScope::ActivityProfile { activity: "http://x.example/a".into() };
        assert_eq!(place, DocumentPlace::of(tenant, &scope, "p".into()));
        assert_eq!(document.content.as_deref(), Some(&b"\0\xff"[..]));
        let unnamed = write(&kept(None));
        assert_eq!(read(unnamed.as_bytes(), tenant, true).unwrap().0.key, Uuid::from_u128(1));
        assert_eq!(read(unnamed.as_bytes(), tenant, false).unwrap_err(), Wrong::Unnamed("p".into()));
        assert!(matches!(read(b"{}", tenant, true), Err(Wrong::Shape(_))));
    }
}
