//! The registries of verbs and extension namespaces: common to all tenants, and rows are only ever added.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::model::TenantId;
use crate::store::{
    As, Store, StoreError, Tx,
    door::tx::column,
    platform::audit::{self, Entry},
};

/// A registered verb, or a namespace whose extensions are known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RegistryEntry)]
pub struct Registered {
    pub iri: String,
    /// The verb's name; of a namespace, what it is for.
    pub name: String,
    pub vocabulary: String,
    pub introduced_in: String,
}

/// A verb that a tenant's statements use although no registry knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = UnregisteredVerb)]
pub struct Unregistered {
    pub iri: String,
    pub first_seen_at: DateTime<Utc>,
    /// How many statements use it, counted up to [`COUNTED`].
    pub statements: i64,
    /// Whether there are more than were counted.
    pub and_more: bool,
}

/// Statements counted for each unregistered verb: what an index answers at once.
pub const COUNTED: i64 = 1_000;

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
                "/* registries::list_verbs */ SELECT iri, name, vocabulary, introduced_in FROM progress.verbs ORDER BY iri"
            }
            Self::ExtensionNamespaces => {
                "/* registries::list_extension_namespaces */ SELECT iri, description AS name, vocabulary, introduced_in
                 FROM progress.extension_namespaces ORDER BY iri"
            }
        }
    }

    fn add(self) -> &'static str {
        match self {
            Self::Verbs => {
                "/* registries::add_verb */ INSERT INTO progress.verbs (iri, name, vocabulary, introduced_in)
                 VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING"
            }
            Self::ExtensionNamespaces => {
                "/* registries::add_extension_namespace */ INSERT INTO progress.extension_namespaces
                     (iri, description, vocabulary, introduced_in)
                 VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING"
            }
        }
    }
}

impl Store {
    pub async fn registry(&self, registry: Registry) -> Result<Vec<Registered>, StoreError> {
        self.run_tx("registry", As::Nobody, |tx| Box::pin(list(tx, registry))).await
    }

    /// Adds an entry, with an audit entry in the same transaction; answers false if the IRI is there already.
    pub async fn register(&self, registry: Registry, entry: &Registered, actor: &str) -> Result<bool, StoreError> {
        self.run_once("register", As::Worker, |tx| {
            Box::pin(async move {
                let Registered { iri, name, vocabulary, introduced_in } = entry;
                let added = tx.execute(registry.add(), &[iri, name, vocabulary, introduced_in]).await?;
                if added > 0 {
                    let (action, subject, detail) = ("registry.added", iri.clone(), json!({}));
                    audit::append(tx, &Entry { tenant: None, actor, action, subject, detail }).await?;
                }
                Ok(added > 0)
            })
        })
        .await
    }

    /// Those of the verbs that are registered.
    pub async fn registered_among(&self, verbs: &[&str]) -> Result<HashSet<String>, StoreError> {
        self.run_tx("registered_among", As::Nobody, |tx| {
            Box::pin(async move {
                let sql = "/* registries::registered_among */ SELECT iri FROM progress.verbs WHERE iri = ANY($1)";
                tx.query(sql, &[&verbs]).await?.iter().map(|row| column(row, "iri")).collect()
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
                        "/* registries::unregistered_verbs */ SELECT seen.iri, seen.first_seen_at, used.statements
                         FROM (SELECT key, iri, first_seen_at FROM ledger.verbs_seen s
                               WHERE tenant_id = $1 AND NOT EXISTS (SELECT FROM progress.verbs v WHERE v.iri = s.iri)
                               ORDER BY first_seen_at, iri LIMIT 1000) seen
                         CROSS JOIN LATERAL (SELECT count(*) + coalesce((
                             -- What is archived was counted when it was written.
                             SELECT sum((g.verbs ->> seen.iri)::bigint)::bigint FROM ledger.segments g
                             WHERE g.tenant_id = $1 AND g.state = 'published'
                               AND EXISTS (SELECT FROM ledger.partitions p WHERE p.month = g.month
                                           AND p.state IN ('attached', 'dropped', 'marked'))), 0) AS statements
                             FROM (
                                 (SELECT s.stored FROM ledger.statements s
                                  WHERE s.tenant_id = $1 AND s.verb_key = seen.key LIMIT $2::bigint + 1)
                                 UNION ALL
                                 (SELECT s.stored FROM ledger.detached_statements s
                                  WHERE s.tenant_id = $1 AND s.verb_key = seen.key LIMIT $2::bigint + 1)) one) used
                         ORDER BY seen.first_seen_at, seen.iri",
                        &[&tenant.0, &COUNTED],
                    )
                    .await?;
                rows.iter()
                    .map(|row| {
                        let statements: i64 = column(row, "statements")?;
                        Ok(Unregistered {
                            iri: column(row, "iri")?,
                            first_seen_at: column(row, "first_seen_at")?,
                            statements: statements.min(COUNTED),
                            and_more: statements > COUNTED,
                        })
                    })
                    .collect()
            })
        })
        .await
    }
}

async fn list(tx: &Tx<'_>, registry: Registry) -> Result<Vec<Registered>, StoreError> {
    let rows = tx.query(registry.list(), &[]).await?;
    rows.iter()
        .map(|row| {
            Ok(Registered {
                iri: column(row, "iri")?,
                name: column(row, "name")?,
                vocabulary: column(row, "vocabulary")?,
                introduced_in: column(row, "introduced_in")?,
            })
        })
        .collect()
}
