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
mod provider;
pub mod reach;
mod sessions;
mod sign_in;
mod tenancy;

use std::time::Duration;

pub use caller::{Caller, CredentialRef, account};
pub use error::{AuthError, IdentityError, SignInError};
use issuer::Issuer;
pub use issuer::{ClientSettings, IssuerSettings};
pub use launches::{DEFAULT_LAUNCH, FetchError, Handed, Launched, NewLaunch};
pub use manage::{DEFAULT_OVERLAP, Issued, NewCredential};
pub use sessions::{IDLE, LONGEST, Seat};
pub use sign_in::{Answer, Arrival, Departure};

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
    provider: Option<provider::Provider>,
    seats: sessions::Seats,
    spent: sign_in::Spent,
}

impl Identity {
    /// Hashes once, so it takes some tens of milliseconds.
    pub fn new(store: Store, clock: Clock, ids: Ids, settings: IdentitySettings) -> Result<Self, IdentityError> {
        let (home_page, ttl) = (settings.account_home_page, settings.credential_cache);
        let keys = basic::Keys::new(store.clone(), clock.clone(), &ids, home_page, ttl)?;
        let client = settings.issuer.as_ref().and_then(|issuer| issuer.client.clone());
        let provider = client.map(provider::Provider::new);
        let tokens = settings.issuer.map(|issuer| bearer::Tokens::new(issuer, store.clone(), clock.clone(), ttl));
        let (tokens, seats, spent) = (tokens.transpose()?, sessions::Seats::default(), sign_in::Spent::default());
        Ok(Self { store, clock, ids, keys, tokens, provider, seats, spent })
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
