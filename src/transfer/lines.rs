//! What belongs to a tenant beside statements, line by line, as an export has it.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{document, kind};
use crate::{
    model::TenantId,
    store::{As, Store, StoreError, ledger::attachments, progress::registries::Registry},
};

/// Bytes of documents that are in memory together, about.
const BYTES: u64 = 8 << 20;

/// Whose lines: of all of a tenant, or of one learner.
#[derive(Clone, Debug)]
pub struct Whose {
    pub tenant: TenantId,
    /// The learner as attempts know them, and the keys of their agents.
    pub learner: Option<(String, Vec<Uuid>)>,
}

impl Whose {
    pub fn all(tenant: TenantId) -> Self {
        Self { tenant, learner: None }
    }
}

/// Lines of a file, a page at a time.
pub struct Pages {
    store: Store,
    whose: Whose,
    file: &'static str,
    place: String,
    key: Uuid,
    waiting: Vec<(Uuid, u64)>,
    is_over: bool,
}

impl Pages {
    pub fn of(store: &Store, whose: &Whose, file: &'static str) -> Self {
        let (store, whose) = (store.clone(), whose.clone());
        Self { store, whose, file, place: String::new(), key: Uuid::nil(), waiting: Vec::new(), is_over: false }
    }

    /// The next lines; none at the end.
    pub async fn next(&mut self) -> Result<Vec<String>, StoreError> {
        if self.is_over {
            return Ok(Vec::new());
        }
        if let Some(rows) = kind::rows(self.file) {
            let learner = self.whose.learner.as_ref().map(|(learner, _)| learner.as_str());
            let page = self.store.portable_rows(self.whose.tenant, rows, &self.place, learner).await?;
            if let Some((last, _)) = page.last() {
                self.place.clone_from(last);
            }
            return Ok(page.into_iter().map(|(_, line)| line).collect());
        }
        if self.file == "documents.ndjson" {
            return self.documents().await;
        }
        self.is_over = true;
        match self.file {
            "registries.ndjson" => registries(&self.store).await,
            "settings.ndjson" => settings(&self.store, self.whose.tenant).await,
            _ => Ok(Vec::new()),
        }
    }

    async fn documents(&mut self) -> Result<Vec<String>, StoreError> {
        if self.waiting.is_empty() {
            let people = self.whose.learner.as_ref().map(|(_, people)| people.as_slice());
            self.waiting = self.store.portable_heads(self.whose.tenant, self.key, people).await?;
        }
        let (mut bytes, mut keys) = (0, Vec::new());
        for (key, length) in &self.waiting {
            if !keys.is_empty() && bytes + length > BYTES {
                break;
            }
            bytes += length;
            keys.push(*key);
        }
        self.waiting.drain(..keys.len());
        let Some(last) = keys.last() else { return Ok(Vec::new()) };
        self.key = *last;
        let found = self.store.portable_documents(self.whose.tenant, &keys).await?;
        // One that was deleted meanwhile is no end.
        if found.is_empty() {
            Box::pin(self.documents()).await
        } else {
            Ok(found.iter().map(document::write).collect())
        }
    }
}

async fn registries(store: &Store) -> Result<Vec<String>, StoreError> {
    let mut lines = Vec::new();
    for (name, registry) in [("verbs", Registry::Verbs), ("extensionNamespaces", Registry::ExtensionNamespaces)] {
        for entry in store.registry(registry).await? {
            let mut line = Map::from_iter([("registry".to_owned(), Value::from(name))]);
            if let Ok(Value::Object(said)) = serde_json::to_value(&entry) {
                line.extend(said);
            }
            lines.push(Value::Object(line).to_string());
        }
    }
    Ok(lines)
}

async fn settings(store: &Store, tenant: TenantId) -> Result<Vec<String>, StoreError> {
    let found = store.tenant(tenant).await?;
    let line = |tenant: crate::store::platform::tenants::Tenant| {
        json!({ "cmi5Strict": tenant.cmi5.strict, "cmi5Satisfied": tenant.cmi5.satisfied }).to_string()
    };
    Ok(found.into_iter().map(line).collect())
}

/// The bytes of an attachment, piece by piece; `None` behind the last.
pub async fn attachment_piece(
    store: &Store,
    tenant: TenantId,
    sha2: &[u8],
    piece: i32,
) -> Result<Option<Vec<u8>>, StoreError> {
    store
        .run_tx("attachment_piece", As::Tenant(tenant), |tx| Box::pin(attachments::read_piece(tx, tenant, sha2, piece)))
        .await
}
