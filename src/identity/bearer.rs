//! Bearer tokens: a JWT of the configured issuer, for a tenant that is there and active.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use jsonwebtoken::{Validation, decode, decode_header, errors::ErrorKind};
use moka::sync::Cache;
use serde_json::{Map, Value};

use super::{
    AuthError, Caller, ClientSettings, CredentialRef, IdentityError, Issuer, IssuerSettings,
    caller::token_authority,
    claims::{Accepted, Claims},
    jwk,
};
use crate::{
    model::{Clock, TenantId},
    store::{
        Store,
        platform::{
            person_sessions::Person,
            tenants::{Tenant, TenantStatus},
        },
    },
};

const REMEMBERED_TENANTS: u64 = 10_000;

/// Checks tokens.
pub struct Tokens {
    issuer: Issuer,
    store: Store,
    clock: Clock,
    ttl: Duration,
    /// How often this process changed a tenant.
    generation: AtomicU64,
    /// As of when, and of which generation.
    tenants: Cache<TenantId, (DateTime<Utc>, u64, Arc<Tenant>)>,
}

impl Tokens {
    pub fn new(settings: IssuerSettings, store: Store, clock: Clock, ttl: Duration) -> Result<Self, IdentityError> {
        let issuer = Issuer::new(settings, clock.clone())?;
        Ok(Self { issuer, store, clock, ttl, generation: AtomicU64::new(0), tenants: Cache::new(REMEMBERED_TENANTS) })
    }

    /// Forgets the tenants' states, those that are being read too.
    pub fn forget(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
    }

    /// The caller this token stands for.
    pub async fn authenticate(&self, token: &str) -> Result<Caller, AuthError> {
        let settings = self.issuer.settings();
        let accepted = self.verified(token).await?.accept(settings, self.clock.now())?;
        let tenant = self.active(accepted.tenant).await?;
        Ok(caller(&settings.issuer, accepted, &tenant.name))
    }

    /// Who signs in to the pages with this ID token.
    pub async fn identify(
        &self,
        token: &str,
        client: &ClientSettings,
        nonce: &str,
    ) -> Result<(Person, Caller), AuthError> {
        let issuer = &self.issuer.settings().issuer;
        let accepted = self.verified(token).await?.accept_id(issuer, &client.id, nonce, self.clock.now())?;
        let Accepted { tenant, subject, scopes, .. } = accepted;
        let person = Person { tenant, issuer: issuer.clone(), subject, scopes };
        let tenant = self.active(person.tenant).await?;
        let caller = seated(&person, client, &tenant.name);
        Ok((person, caller))
    }

    pub fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    async fn active(&self, id: TenantId) -> Result<Arc<Tenant>, AuthError> {
        let tenant = self.tenant(id).await?;
        if tenant.status == TenantStatus::Suspended { Err(AuthError::Suspended) } else { Ok(tenant) }
    }

    /// The claims of a token whose signature is the issuer's. Nothing in them has been judged yet.
    async fn verified(&self, token: &str) -> Result<Claims, AuthError> {
        let header = decode_header(token).map_err(|_| AuthError::Token("it is not a JWT with a known algorithm"))?;
        if !jwk::is_accepted(header.alg) {
            return Err(AuthError::Token("its algorithm is not accepted"));
        }
        if has_critical_extensions(token) {
            return Err(AuthError::Token("its header has critical extensions"));
        }
        let key = self.issuer.key(header.kid.as_deref(), header.alg).await?;
        let mut only_the_signature = Validation::new(header.alg);
        only_the_signature.required_spec_claims.clear();
        only_the_signature.validate_exp = false;
        only_the_signature.validate_aud = false;
        let decoded = decode::<Claims>(token, &key, &only_the_signature);
        decoded.map(|data| data.claims).map_err(|error| match error.kind() {
            ErrorKind::Json(_) | ErrorKind::Utf8(_) => AuthError::Token("its claims cannot be read"),
            _ => AuthError::Token("its signature does not verify"),
        })
    }

    async fn tenant(&self, id: TenantId) -> Result<Arc<Tenant>, AuthError> {
        let (now, generation) = (self.clock.now(), self.generation.load(Ordering::SeqCst));
        if let Some((at, of, tenant)) = self.tenants.get(&id)
            && of == generation
            && (now - at).to_std().is_ok_and(|age| age < self.ttl)
        {
            return Ok(tenant);
        }
        let tenant = Arc::new(self.store.tenant(id).await?.ok_or(AuthError::UnknownTenant(id))?);
        self.tenants.insert(id, (now, generation, Arc::clone(&tenant)));
        Ok(tenant)
    }
}

/// Whether the header asks for something that must be understood (RFC 7515, 4.1.11); nothing such is here.
fn has_critical_extensions(token: &str) -> bool {
    let header = token.split('.').next().and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let header: Option<Map<String, Value>> = header.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    header.is_none_or(|header| header.contains_key("crit"))
}

/// The caller that a person is in front of the pages: what they would be with a token that the pages sent for them.
pub fn seated(person: &Person, client: &ClientSettings, tenant_name: &str) -> Caller {
    let Person { tenant, issuer, subject, scopes } = person.clone();
    let user = Some(subject.as_str().into());
    let accepted = Accepted { tenant, subject, application: Some(client.id.clone()), scopes };
    // Never an application, whatever the subject is called.
    Caller { user, ..caller(&issuer, accepted, tenant_name) }
}

fn caller(issuer: &str, accepted: Accepted, tenant_name: &str) -> Caller {
    let Accepted { tenant, subject, application, scopes } = accepted;
    let is_user = application.as_deref() != Some(subject.as_str());
    Caller {
        tenant,
        tenant_name: tenant_name.into(),
        authority: Arc::new(token_authority(issuer, application.as_deref(), &subject)),
        scopes,
        credential: CredentialRef::token(issuer, &subject),
        user: is_user.then(|| subject.as_str().into()),
        launch: None,
    }
}
