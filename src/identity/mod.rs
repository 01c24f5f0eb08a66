//! Who may do what: proves callers by key and secret or by token, and manages the credentials of tenants.
//!
//! Nothing here knows HTTP: an `Authorization` text comes in, a [`Caller`] goes out.

mod basic;
mod bearer;
mod bootstrap;
mod caller;
mod claims;
mod error;
pub mod hash;
mod issuer;
mod jwk;
mod launches;
mod manage;
pub mod reach;
mod sessions;
mod tenancy;

use std::time::Duration;

pub use caller::{Caller, CredentialRef, account};
pub use error::{AuthError, IdentityError};
use issuer::Issuer;
pub use issuer::IssuerSettings;
pub use launches::{DEFAULT_LAUNCH, FetchError, Handed, Launched, NewLaunch};
pub use manage::{DEFAULT_OVERLAP, Issued, NewCredential};
pub use sessions::{IDLE, LONGEST, Seat};

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
    /// Absent means bearer tokens are refused.
    pub issuer: Option<IssuerSettings>,
}

/// The one place that decides who somebody is.
pub struct Identity {
    store: Store,
    clock: Clock,
    ids: Ids,
    keys: basic::Keys,
    tokens: Option<bearer::Tokens>,
    seats: sessions::Seats,
}

impl Identity {
    /// Hashes once, so it takes some tens of milliseconds.
    pub fn new(store: Store, clock: Clock, ids: Ids, settings: IdentitySettings) -> Result<Self, IdentityError> {
        let (home_page, ttl) = (settings.account_home_page, settings.credential_cache);
        let keys = basic::Keys::new(store.clone(), clock.clone(), &ids, home_page, ttl)?;
        let tokens = settings.issuer.map(|issuer| bearer::Tokens::new(issuer, store.clone(), clock.clone(), ttl));
        Ok(Self { store, clock, ids, keys, tokens: tokens.transpose()?, seats: sessions::Seats::default() })
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
            "bearer" => self.tokens.as_ref().ok_or(AuthError::NoIssuer)?.authenticate(rest.trim()).await,
            _ => Err(AuthError::Malformed("expected the scheme Basic or Bearer")),
        }
    }

    /// Forgets every verdict: what this process just changed counts at once.
    fn forget(&self) {
        self.keys.forget();
        if let Some(tokens) = &self.tokens {
            tokens.forget();
        }
    }
}
