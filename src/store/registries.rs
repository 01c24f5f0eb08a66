//! The registries of verbs and extension namespaces: common to all tenants, and rows are only ever added.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{As, Store, StoreError, Tx, run_tx::column};
use crate::model::TenantId;

/// A registered verb, or a namespace whose extensions are known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    pub iri: String,
    /// The verb's name; of a namespace, what it is for.
    pub name: String,
    pub vocabulary: String,
    pub introduced_in: String,
}

/// A verb that a tenant's statements use although no registry knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unregistered {
    pub iri: String,
    pub first_seen_at: DateTime<Utc>,
}

/// Which registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registry {
    Verbs,
    ExtensionNamespaces,
}

impl Registry {
    fn list(self) -> &'static str {
        match self {
            Self::Verbs => {
                "/* list_verbs */ SELECT iri, name, vocabulary, introduced_in FROM progress.verbs ORDER BY iri"
            }
            Self::ExtensionNamespaces => {
                "/* list_extension_namespaces */ SELECT iri, description AS name, vocabulary, introduced_in
                 FROM progress.extension_namespaces ORDER BY iri"
            }
        }
    }

    fn add(self) -> &'static str {
        match self {
            Self::Verbs => {
                "/* add_verb */ INSERT INTO progress.verbs (iri, name, vocabulary, introduced_in)
                 VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING"
            }
            Self::ExtensionNamespaces => {
                "/* add_extension_namespace */ INSERT INTO progress.extension_namespaces
                     (iri, description, vocabulary, introduced_in)
                 VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING"
            }
        }
    }
}

impl Store {
    pub async fn registry(&self, registry: Registry) -> Result<Vec<Entry>, StoreError> {
        self.run_tx("registry", As::Nobody, |tx| Box::pin(list(tx, registry))).await
    }

    /// Adds an entry, with an audit entry in the same transaction; answers false if the IRI is there already.
    pub async fn register(&self, registry: Registry, entry: &Entry, actor: &str) -> Result<bool, StoreError> {
        self.run_tx("register", As::Worker, |tx| {
            Box::pin(async move {
                let Entry { iri, name, vocabulary, introduced_in } = entry;
                let added = tx.execute(registry.add(), &[iri, name, vocabulary, introduced_in]).await?;
                if added > 0 {
                    let sql = "/* audit_registration */ INSERT INTO platform.audit (actor, action, subject)
                               VALUES ($1, 'registry.added', $2)";
                    tx.execute(sql, &[&actor, iri]).await?;
                }
                Ok(added > 0)
            })
        })
        .await
    }

    /// The verbs of the tenant's statements that are not registered, oldest first.
    pub async fn unregistered_verbs(&self, tenant: TenantId) -> Result<Vec<Unregistered>, StoreError> {
        self.run_tx("unregistered_verbs", As::Tenant(tenant), |tx| {
            Box::pin(async move {
                let rows = tx
                    .query(
                        "/* unregistered_verbs */ SELECT seen.iri, seen.first_seen_at FROM ledger.verbs_seen seen
                         WHERE seen.tenant_id = $1 AND NOT EXISTS (SELECT FROM progress.verbs v WHERE v.iri = seen.iri)
                         ORDER BY seen.first_seen_at, seen.iri LIMIT 1000",
                        &[&tenant.0],
                    )
                    .await?;
                rows.iter()
                    .map(|row| {
                        Ok(Unregistered { iri: column(row, "iri")?, first_seen_at: column(row, "first_seen_at")? })
                    })
                    .collect()
            })
        })
        .await
    }
}

async fn list(tx: &Tx<'_>, registry: Registry) -> Result<Vec<Entry>, StoreError> {
    let rows = tx.query(registry.list(), &[]).await?;
    rows.iter()
        .map(|row| {
            Ok(Entry {
                iri: column(row, "iri")?,
                name: column(row, "name")?,
                vocabulary: column(row, "vocabulary")?,
                introduced_in: column(row, "introduced_in")?,
            })
        })
        .collect()
}
