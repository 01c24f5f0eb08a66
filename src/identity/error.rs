//! Why somebody was not let in, and what can go wrong while finding out.

use std::sync::Arc;

use crate::{
    model::{Scope, TenantId},
    store::{StoreError, door::error::AsStoreError},
    xapi::Violations,
};

/// The answer to "who is this?" when it is not a caller.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AuthError {
    #[error("this needs credentials: send an Authorization header")]
    Missing,
    #[error("the Authorization header cannot be read: {0}")]
    Malformed(&'static str),
    /// One answer for an unknown key and a wrong secret, so that neither can be told from the other.
    #[error("the key or the secret is wrong")]
    Refused,
    #[error("the credential has expired")]
    Expired,
    #[error("the credential was revoked")]
    Revoked,
    #[error("the token is not accepted: {0}")]
    Token(&'static str),
    #[error("bearer tokens are not accepted here: no issuer is configured")]
    NoIssuer,
    #[error("tenant {0} is not known here")]
    UnknownTenant(TenantId),
    #[error("the tenant is suspended: ask the operator of this service")]
    Suspended,
    #[error("X-Tenant-Id is not the tenant of the credential")]
    TenantMismatch,
    #[error("the credential lacks the scope {0}")]
    Scope(Scope),
    #[error("this needs an operator: a credential of the default tenant with admin:*")]
    NotOperator,
    /// A rule of `reach` is in the way.
    #[error("{0}")]
    Beyond(String),
    /// What was sent is not what a launch is bound to; each violation names its rule.
    #[error("{0}")]
    Against(Violations),
    #[error("too many secrets are being checked right now")]
    Busy,
    #[error("the token issuer's keys cannot be fetched right now")]
    IssuerUnavailable,
    #[error(transparent)]
    Store(Arc<StoreError>),
    #[error("a secret could not be checked: {0}")]
    Hash(String),
}

impl AuthError {
    /// Whether this says nothing about the caller, so that the next try may well end differently.
    pub fn is_failure(&self) -> bool {
        matches!(self, Self::Busy | Self::IssuerUnavailable | Self::Store(_) | Self::Hash(_))
    }
}

impl From<StoreError> for AuthError {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}

/// Why somebody who comes back from the provider is not let in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    #[error("people sign in here with keys only: no pages.oidc_client_id is configured")]
    NotHere,
    #[error(
        "this sign-in was not begun in this browser, or more than ten minutes ago, or it is over already: begin it again"
    )]
    Stale,
    #[error("the provider did not let you in, or you did not agree to it")]
    Declined,
    #[error("the provider does not answer right now: try again in a minute, or sign in with a key")]
    Away,
    #[error("the provider and this service do not fit together: the log of the service says why")]
    Misfit,
    #[error(transparent)]
    Auth(#[from] AuthError),
}

/// Why an act on credentials or tenants was not done.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("no such {0}")]
    NotFound(&'static str),
    #[error("{0}")]
    Conflict(&'static str),
    #[error("{field}: {why}")]
    Invalid { field: &'static str, why: String },
    #[error("invalid identity configuration: {0}")]
    Config(String),
    #[error("a secret could not be hashed or compared: {0}")]
    Hash(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AsStoreError for IdentityError {
    fn as_store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) => Some(error),
            _ => None,
        }
    }
}

impl From<IdentityError> for AuthError {
    fn from(error: IdentityError) -> Self {
        match error {
            IdentityError::Store(error) => error.into(),
            other => Self::Hash(other.to_string()),
        }
    }
}
