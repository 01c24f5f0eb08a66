//! The first credential: given by the operator, or made once when there is none at all.

use super::{Identity, IdentityError, Issued, NewCredential, manage::invalid};
use crate::{
    model::{Scope, Scopes, Secret, TenantId},
    store::{
        As,
        platform::credentials::{self, Credential},
    },
};

const BY: &str = "start";

impl Identity {
    /// Makes the operator's `key:secret` for the default tenant, with every scope, if its key is not there yet.
    /// Answers whether it was made.
    pub async fn ensure_bootstrap(&self, key_and_secret: &Secret) -> Result<bool, IdentityError> {
        let parts =
            key_and_secret.expose().split_once(':').filter(|(key, secret)| !key.is_empty() && !secret.is_empty());
        let (api_key, secret) =
            parts.ok_or_else(|| invalid("bootstrap_credential", "expected key:secret, both non-empty".to_owned()))?;
        let secret = Secret::new(secret);
        if self.store.find_credential(api_key).await?.is_some() {
            if self.keys.authenticate(api_key, &secret).await.is_err() {
                tracing::warn!("the bootstrap credential exists but does not work as configured; it was left as it is");
            }
            return Ok(false);
        }
        let hash = self.hash(secret).await?;
        let blank = self.blank(TenantId::DEFAULT, Scopes::new(Scope::every()))?;
        let new = Credential { api_key: api_key.to_owned(), label: "bootstrap".to_owned(), ..blank };
        // Another node may have been faster: then it is there, which is all that was asked.
        self.insert_credential(BY, "credential.bootstrap", &new, &hash).await
    }

    /// Makes one credential with every scope when the default tenant has none, so that a fresh install can be used.
    pub async fn first_credential(&self) -> Result<Option<Issued>, IdentityError> {
        let any = self.store.run_tx("any_credential", As::Tenant(TenantId::DEFAULT), |tx| {
            Box::pin(async move { Ok::<_, IdentityError>(credentials::any(tx).await?) })
        });
        if any.await? {
            return Ok(None);
        }
        let new = NewCredential {
            scopes: Scopes::new(Scope::every()),
            label: "first start".to_owned(),
            ..NewCredential::default()
        };
        self.create_credential(BY, TenantId::DEFAULT, new).await.map(Some)
    }
}
