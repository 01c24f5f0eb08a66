//! Credentials over their life: create, list, rotate with overlap, revoke. Those of launches are made in `launches`.
//!
//! A secret leaves here once, in the answer to the act that made it. Every act leaves an audit entry.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{Identity, IdentityError, basic, hash};
use crate::{
    model::{Scopes, Secret, TenantId},
    store::{
        As,
        platform::{
            audit::{self, Entry},
            credentials::{self, Credential},
            tenants,
        },
    },
    xapi::{Limits, Version, read},
};

const LONGEST_LABEL: usize = 200;
const LONGEST_AGENT: usize = 8 << 10;
const LONGEST_OVERLAP: Duration = Duration::from_secs(30 * 86_400);
pub const DEFAULT_OVERLAP: Duration = Duration::from_secs(86_400);

/// What the maker of a credential decides.
#[derive(Clone, Debug, Default)]
pub struct NewCredential {
    pub scopes: Scopes,
    pub label: String,
    /// Who it speaks for; absent means the account named by its key.
    pub agent: Option<Map<String, Value>>,
    pub expires_at: Option<DateTime<Utc>>,
}

/// A credential and, this one time, its secret.
#[derive(Clone, Debug)]
pub struct Issued {
    pub credential: Credential,
    pub secret: Secret,
}

impl Identity {
    /// Makes a credential with a random key and secret.
    pub async fn create_credential(
        &self,
        by: &str,
        tenant: TenantId,
        new: NewCredential,
    ) -> Result<Issued, IdentityError> {
        self.check_credential(&new)?;
        let credential = Credential { label: new.label, agent: new.agent, ..self.blank(tenant, new.scopes)? };
        self.issue(by, "credential.create", Credential { expires_at: new.expires_at, ..credential }).await
    }

    /// Makes a credential of a key and a secret that somebody has already, from another system. `None` where the key is taken here.
    pub async fn adopt_credential(
        &self,
        by: &str,
        tenant: TenantId,
        (api_key, secret): (&str, Secret),
        new: NewCredential,
    ) -> Result<Option<Credential>, IdentityError> {
        self.check_credential(&new)?;
        // Who sends it would end the key at its first colon.
        if !basic::is_possible(api_key) || api_key.contains(':') || !basic::is_possible_secret(&secret) {
            return Err(invalid("key", "nobody could sign in with this key and secret".to_owned()));
        }
        let blank = self.blank(tenant, new.scopes)?;
        let api_key = api_key.to_owned();
        let credential =
            Credential { api_key, label: new.label, agent: new.agent, expires_at: new.expires_at, ..blank };
        let hash = self.hash(secret).await?;
        let is_made = self.insert_credential(by, "credential.create", &credential, &hash).await?;
        Ok(is_made.then_some(credential))
    }

    /// Whether what the maker decides can be kept.
    pub fn check_credential(&self, new: &NewCredential) -> Result<(), IdentityError> {
        some(&new.scopes)?;
        if new.label.chars().count() > LONGEST_LABEL || new.label.chars().any(char::is_control) {
            return Err(invalid(
                "label",
                format!("at most {LONGEST_LABEL} characters, none of them a control character"),
            ));
        }
        if new.expires_at.is_some_and(|at| at <= self.clock.now()) {
            return Err(invalid("expiresAt", "must be in the future".to_owned()));
        }
        new.agent.as_ref().map_or(Ok(()), |agent| check_identified("agent", agent))
    }

    /// A tenant's lasting credentials, by id.
    pub async fn list_credentials(
        &self,
        tenant: TenantId,
        after: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<Credential>, IdentityError> {
        let list = self.store.run_tx("list_credentials", As::Tenant(tenant), |tx| {
            Box::pin(async move { Ok::<_, IdentityError>(credentials::list(tx, tenant, after, limit).await?) })
        });
        list.await
    }

    /// One lasting credential of a tenant.
    pub async fn credential(&self, tenant: TenantId, id: Uuid) -> Result<Credential, IdentityError> {
        let get =
            self.store.run_tx("get_credential", As::Tenant(tenant), |tx| Box::pin(credentials::get(tx, tenant, id)));
        get.await?.filter(|found| found.launch.is_none()).ok_or(IdentityError::NotFound("credential"))
    }

    /// Puts a new secret in place; the old one works for `overlap` more, the one before it no longer.
    pub async fn rotate_credential(
        &self,
        by: &str,
        tenant: TenantId,
        id: Uuid,
        overlap: Duration,
    ) -> Result<Issued, IdentityError> {
        let overlap = bounded("overlapSeconds", overlap, LONGEST_OVERLAP)?;
        let (secret, hash) = self.fresh_secret().await?;
        let (by, now) = (by.to_owned(), self.clock.now());
        let rotate = self.store.run_once("rotate_credential", As::Tenant(tenant), |tx| {
            let (by, hash) = (by.clone(), hash.clone());
            Box::pin(async move {
                let mut credential = live(credentials::lock(tx, tenant, id).await?, now)?;
                let ends = now + overlap;
                credentials::rotate(tx, id, &hash, ends).await?;
                let detail = json!({ "previousValidUntil": ends.to_rfc3339() });
                audit::append(tx, &entry(&by, "credential.rotate", &credential, detail)).await?;
                credential.previous_valid_until = Some(ends);
                Ok::<_, IdentityError>(credential)
            })
        });
        let credential = rotate.await?;
        self.forget();
        Ok(Issued { credential, secret })
    }

    /// Ends a credential for good. Doing so twice is fine.
    pub async fn revoke_credential(&self, by: &str, tenant: TenantId, id: Uuid) -> Result<Credential, IdentityError> {
        let (by, now) = (by.to_owned(), self.clock.now());
        let revoke = self.store.run_tx("revoke_credential", As::Tenant(tenant), |tx| {
            let by = by.clone();
            Box::pin(async move {
                let found = credentials::lock(tx, tenant, id).await?;
                let mut credential = found.ok_or(IdentityError::NotFound("credential"))?;
                if credential.revoked_at.is_none() {
                    credentials::revoke(tx, id, now).await?;
                    credential.revoked_at = Some(now);
                    audit::append(tx, &entry(&by, "credential.revoke", &credential, json!({}))).await?;
                }
                Ok::<_, IdentityError>(credential)
            })
        });
        let credential = revoke.await?;
        self.forget();
        Ok(credential)
    }

    /// A credential yet to be filled in, with a key of its own.
    pub(super) fn blank(&self, tenant: TenantId, scopes: Scopes) -> Result<Credential, IdentityError> {
        some(&scopes)?;
        Ok(Credential {
            id: self.ids.uuid(),
            tenant,
            api_key: hex::encode(self.ids.bytes::<16>()),
            scopes,
            label: String::new(),
            agent: None,
            launch: None,
            created_at: self.clock.now(),
            expires_at: None,
            previous_valid_until: None,
            revoked_at: None,
        })
    }

    pub(super) async fn issue(
        &self,
        by: &str,
        action: &'static str,
        credential: Credential,
    ) -> Result<Issued, IdentityError> {
        let (secret, hash) = self.fresh_secret().await?;
        if !self.insert_credential(by, action, &credential, &hash).await? {
            return Err(IdentityError::Conflict("the key is taken"));
        }
        Ok(Issued { credential, secret })
    }

    /// Stores a credential; `false` when its key belongs to somebody already.
    pub(super) async fn insert_credential(
        &self,
        by: &str,
        action: &'static str,
        credential: &Credential,
        hash: &str,
    ) -> Result<bool, IdentityError> {
        let given = Arc::new((by.to_owned(), credential.clone(), hash.to_owned()));
        let (tenant, now) = (credential.tenant, credential.created_at);
        let insert = self.store.run_once("insert_credential", As::Tenant(tenant), |tx| {
            let given = Arc::clone(&given);
            Box::pin(async move {
                let (by, credential, hash) = &*given;
                tenants::get(tx, tenant).await?.ok_or(IdentityError::NotFound("tenant"))?;
                credentials::forget_spent_launches(tx, tenant, now).await?;
                if !credentials::insert(tx, credential, hash).await? {
                    return Ok(false);
                }
                let detail = json!({ "scopes": credential.scopes.names(), "expiresAt": credential.expires_at });
                audit::append(tx, &entry(by, action, credential, detail)).await?;
                Ok::<_, IdentityError>(true)
            })
        });
        let is_made = insert.await?;
        if is_made {
            // Somebody may have tried it before it was there.
            self.forget();
        }
        Ok(is_made)
    }

    /// 256 random bits, and their hash, made off the async threads.
    pub(super) async fn fresh_secret(&self) -> Result<(Secret, String), IdentityError> {
        let secret = Secret::new(hex::encode(self.ids.bytes::<32>()));
        let hash = self.hash(secret.clone()).await?;
        Ok((secret, hash))
    }

    pub(super) async fn hash(&self, secret: Secret) -> Result<String, IdentityError> {
        let ids = self.ids.clone();
        let hashing = tokio::task::spawn_blocking(move || hash::hash(&secret, &ids));
        hashing.await.map_err(|e| IdentityError::Hash(e.to_string()))?
    }
}

pub(super) fn entry<'e>(by: &'e str, action: &'static str, credential: &Credential, detail: Value) -> Entry<'e> {
    Entry { tenant: Some(credential.tenant), actor: by, action, subject: credential.id.to_string(), detail }
}

/// A credential that may do nothing is of no use.
fn some(scopes: &Scopes) -> Result<(), IdentityError> {
    if scopes.names().is_empty() { Err(invalid("scopes", "name at least one".to_owned())) } else { Ok(()) }
}

pub(super) fn invalid(field: &'static str, why: String) -> IdentityError {
    IdentityError::Invalid { field, why }
}

pub(super) fn bounded(field: &'static str, wanted: Duration, most: Duration) -> Result<TimeDelta, IdentityError> {
    let why = || format!("at most {} seconds", most.as_secs());
    if wanted > most {
        return Err(invalid(field, why()));
    }
    TimeDelta::from_std(wanted).map_err(|_| invalid(field, why()))
}

/// Only a credential that still works can get a new secret.
fn live(found: Option<Credential>, now: DateTime<Utc>) -> Result<Credential, IdentityError> {
    let credential = found.ok_or(IdentityError::NotFound("credential"))?;
    if credential.revoked_at.is_some() {
        return Err(IdentityError::Conflict("the credential was revoked"));
    }
    if credential.expires_at.is_some_and(|at| at <= now) {
        return Err(IdentityError::Conflict("the credential has expired"));
    }
    if credential.launch.is_some() {
        return Err(IdentityError::Conflict("a launch credential is not rotated: make a new one"));
    }
    Ok(credential)
}

/// An authority stands in every statement, and a learner in a credential: what is kept is a valid Agent, and not a long one.
pub(super) fn check_identified(field: &'static str, agent: &Map<String, Value>) -> Result<(), IdentityError> {
    let text = Value::Object(agent.clone()).to_string();
    if text.len() > LONGEST_AGENT {
        return Err(invalid(field, format!("at most {LONGEST_AGENT} bytes of JSON")));
    }
    if agent.get("objectType").is_some_and(|kind| kind != "Agent") {
        return Err(invalid(field, "must be an Agent".to_owned()));
    }
    let checked = read::agent(&text, Version::V2_0_0, &Limits::default());
    checked
        .map(drop)
        .map_err(|violations| invalid(field, format!("must be a valid Agent with one identifier: {violations}")))
}
