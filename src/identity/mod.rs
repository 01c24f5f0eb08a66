//! Who may do what: proves callers by key and secret or by token, and manages the credentials of tenants.
//!
//! Nothing here knows HTTP: an `Authorization` text comes in, a [`Caller`] goes out.

mod basic;
mod bootstrap;
mod caller;
mod error;
mod hash;
mod manage;
mod tenancy;

use std::time::Duration;

pub use caller::{Caller, CredentialRef};
pub use error::{AuthError, IdentityError};
pub use manage::{DEFAULT_LAUNCH, DEFAULT_OVERLAP, Issued, NewCredential};

use crate::{
    model::{Clock, Ids},
    store::Store,
};

/// Longer than any header a client sends in good faith.
const LONGEST_HEADER: usize = 16 << 10;

/// What the configuration says about identity.
#[derive(Clone, Debug)]
pub struct IdentitySettings {
    /// `account.homePage` of the Agent a credential without its own speaks for.
    pub account_home_page: String,
    /// How long a checked secret is remembered, and so how long a revoked one may still work on another node.
    pub credential_cache: Duration,
}

/// The one place that decides who somebody is.
pub struct Identity {
    store: Store,
    clock: Clock,
    ids: Ids,
    keys: basic::Keys,
}

impl Identity {
    /// Hashes once, so it takes some tens of milliseconds.
    pub fn new(store: Store, clock: Clock, ids: Ids, settings: IdentitySettings) -> Result<Self, IdentityError> {
        let (home_page, ttl) = (settings.account_home_page, settings.credential_cache);
        let keys = basic::Keys::new(store.clone(), clock.clone(), &ids, home_page, ttl)?;
        Ok(Self { store, clock, ids, keys })
    }

    /// The caller behind the value of an `Authorization` header, wherever that value came from.
    pub async fn authenticate(&self, authorization: &str) -> Result<Caller, AuthError> {
        if authorization.len() > LONGEST_HEADER {
            return Err(AuthError::Malformed("it is too long"));
        }
        let (scheme, rest) =
            authorization.trim().split_once(' ').ok_or(AuthError::Malformed("expected a scheme and a value"))?;
        match scheme.to_ascii_lowercase().as_str() {
            "basic" => {
                let (api_key, secret) = basic::parse(rest)?;
                self.keys.authenticate(&api_key, &secret).await
            }
            _ => Err(AuthError::Malformed("expected the scheme Basic or Bearer")),
        }
    }
}
