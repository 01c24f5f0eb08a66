//! Reads of the ledger: one statement, a page of them, an activity, a person, an attachment. Never writes.

mod bounds;
pub mod export;
pub mod more;
mod people;
mod read;
mod summary;

use std::{collections::HashSet, sync::Arc};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use tokio::sync::OnceCell;
use uuid::Uuid;

use bounds::Bounds;

pub use crate::store::ledger::{
    pages::{Found, Sight},
    vocabulary::Activity,
};
use crate::{
    cold::Cold,
    model::TenantId,
    store::{
        As, Store, StoreError,
        ledger::{attachments, statements, vocabulary},
    },
    xapi::{
        keys::{self, Ifi},
        verb,
    },
};

/// What a read found, with the time up to which all that was stored is visible, that moment included.
#[derive(Clone, Debug)]
pub struct Consistent<T> {
    pub value: T,
    pub through: DateTime<Utc>,
}

/// A page, and where the next one begins if this one was cut.
#[derive(Clone, Debug)]
pub struct Page {
    pub found: Vec<Found>,
    pub next: Option<DateTime<Utc>>,
}

/// The way to read. Clones share the store.
#[derive(Clone)]
pub struct Reader {
    store: Store,
    cold: Cold,
    /// The bytes at which a page ends, however few its statements.
    page_bytes: usize,
    bounds: Arc<Bounds>,
    signing_key: Arc<OnceCell<Vec<u8>>>,
}

impl Reader {
    pub fn new(cold: Cold, page_bytes: usize) -> Self {
        Self { store: cold.store().clone(), cold, page_bytes, bounds: Arc::default(), signing_key: Arc::default() }
    }

    /// The time up to which everything stored is visible, that moment included.
    pub async fn consistent_through(&self, tenant: TenantId) -> Result<DateTime<Utc>, StoreError> {
        self.catch_up(tenant).await?;
        let seen = self.bounds.seen();
        let ask = self
            .store
            .run_tx("consistent_through", As::Tenant(tenant), |tx| Box::pin(statements::safe_bound_after(tx, seen)));
        Ok(self.bounds.note(ask.await?))
    }

    /// A time that was true before and still is, for answers that read nothing; the epoch before the first read.
    pub fn known_through(&self) -> DateTime<Utc> {
        self.bounds.through()
    }

    /// Where nobody writes the bound would rest: whoever reads after a second lets it go on.
    async fn catch_up(&self, tenant: TenantId) -> Result<(), StoreError> {
        if !self.bounds.is_due() {
            return Ok(());
        }
        self.store.run_tx("catch_up", As::Tenant(tenant), |tx| Box::pin(statements::catch_up(tx))).await
    }

    /// What somebody sees who sees only what is stored under the authority with this key.
    pub fn of_authority(key: Uuid) -> Sight {
        Sight::Authority(statements::authority_form(key))
    }

    pub async fn activity(&self, tenant: TenantId, iri: &str) -> Result<Option<Activity>, StoreError> {
        let key = keys::activity(tenant.0, iri);
        self.store.run_tx("activity", As::Tenant(tenant), |tx| Box::pin(vocabulary::activity(tx, tenant, key))).await
    }

    /// The merged definitions of these activities, by IRI.
    pub async fn definitions(
        &self,
        tenant: TenantId,
        iris: &[&str],
    ) -> Result<Vec<(String, Map<String, Value>)>, StoreError> {
        let keys: Vec<Uuid> = iris.iter().map(|iri| keys::activity(tenant.0, iri)).collect();
        self.store
            .run_tx("definitions", As::Tenant(tenant), |tx| {
                let keys = &keys;
                Box::pin(async move { vocabulary::definitions(tx, tenant, keys).await })
            })
            .await
    }

    /// The canonical displays of those of the verbs of which something is known, by IRI.
    pub async fn displays(
        &self,
        tenant: TenantId,
        iris: &[&str],
    ) -> Result<Vec<(String, Map<String, Value>)>, StoreError> {
        let verbs: Vec<(Uuid, &str)> = iris.iter().map(|iri| (keys::verb(tenant.0, iri), *iri)).collect();
        let known = self
            .store
            .run_tx("displays", As::Tenant(tenant), |tx| {
                let verbs = &verbs;
                Box::pin(async move { vocabulary::displays(tx, tenant, verbs).await })
            })
            .await?;
        let display = |(iri, gathered, name): (String, _, Option<String>)| {
            Some((iri, verb::canonical(gathered, name.as_deref())?))
        };
        Ok(known.into_iter().filter_map(display).collect())
    }

    /// The names an agent was seen under.
    pub async fn names(&self, tenant: TenantId, agent: &Ifi) -> Result<Vec<String>, StoreError> {
        let key = keys::agent(tenant.0, agent);
        let names = self
            .store
            .run_tx("agent_names", As::Tenant(tenant), |tx| Box::pin(vocabulary::agent_names(tx, tenant, key)))
            .await?;
        Ok(names.unwrap_or_default())
    }

    /// Those of the pairs of a content's hash and an authority where that content was brought under that authority.
    pub async fn brought(
        &self,
        tenant: TenantId,
        pairs: &[(Vec<u8>, Uuid)],
    ) -> Result<HashSet<(Vec<u8>, Uuid)>, StoreError> {
        if pairs.is_empty() {
            return Ok(HashSet::new());
        }
        self.store
            .run_tx("brought", As::Tenant(tenant), |tx| {
                Box::pin(async move { attachments::brought(tx, tenant, pairs).await })
            })
            .await
    }

    /// The length of an attachment's content, if it is here.
    pub async fn attachment_length(&self, tenant: TenantId, sha2: &[u8]) -> Result<Option<i64>, StoreError> {
        self.store
            .run_tx("attachment_length", As::Tenant(tenant), |tx| {
                Box::pin(async move { attachments::length(tx, tenant, sha2).await })
            })
            .await
    }

    /// One piece of an attachment's content; `None` after the last.
    pub async fn attachment_piece(
        &self,
        tenant: TenantId,
        sha2: &[u8],
        piece: i32,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        self.store
            .run_tx("attachment_piece", As::Tenant(tenant), |tx| {
                Box::pin(async move { attachments::read_piece(tx, tenant, sha2, piece).await })
            })
            .await
    }

    /// The key that signs `more` links.
    pub async fn more_key(&self) -> Result<&[u8], StoreError> {
        self.signing_key.get_or_try_init(|| self.store.signing_key("more")).await.map(Vec::as_slice)
    }
}
