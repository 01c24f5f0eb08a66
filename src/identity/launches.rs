//! Credentials of launches: short, for one learner in one registration, and where the LMS asks for it handed out through a
//! one-time address (cmi5 8.2). The secret behind such an address is made when it is fetched, so nobody holds it before.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::{
    Identity, IdentityError, basic,
    manage::{bounded, check_identified, entry, invalid},
};
use crate::{
    cmi5::Launch,
    model::{Scope, Scopes, Secret, TenantId},
    store::{
        As, StoreError,
        platform::{
            audit,
            credentials::{Credential, Found},
            fetches, launches,
            tenants::TenantStatus,
        },
    },
    xapi::syntax::iri::is_iri,
};

const LONGEST_LAUNCH: Duration = Duration::from_secs(7 * 86_400);
pub const DEFAULT_LAUNCH: Duration = Duration::from_secs(4 * 3_600);
/// How long an address waits for its unit, which is about to be launched.
const LONGEST_FETCH: Duration = Duration::from_secs(3_600);
const LONGEST_SESSION: usize = 200;
const LONGEST_ACTIVITY: usize = 4 << 10;

/// What an assignable unit needs to do its work and no more.
const LAUNCH_SCOPES: [Scope; 4] = [Scope::StatementsWrite, Scope::StatementsReadMine, Scope::State, Scope::Profile];

/// What the LMS decides.
#[derive(Clone, Debug)]
pub struct NewLaunch {
    pub launch: Launch,
    pub lifetime: Duration,
    /// Absent means what a unit needs.
    pub scopes: Option<Scopes>,
    /// Whether the secret is to be fetched.
    pub fetch: bool,
}

impl NewLaunch {
    pub fn of(launch: Launch) -> Self {
        Self { launch, lifetime: DEFAULT_LAUNCH, scopes: None, fetch: false }
    }

    /// How long it would last and what it would let in to, if it can be made at all.
    pub fn check(&self) -> Result<(TimeDelta, Scopes), IdentityError> {
        let lifetime = bounded("lifetimeSeconds", self.lifetime, LONGEST_LAUNCH)?;
        bindings(&self.launch)?;
        let scopes = self.scopes.clone().unwrap_or_else(|| Scopes::new(LAUNCH_SCOPES));
        if let Some(scope) =
            Scope::every().find(|scope| scopes.holds(*scope) && !Scopes::new([Scope::All]).allows(*scope))
        {
            return Err(invalid("scopes", format!("a launch may not have {scope}")));
        }
        Ok((lifetime, scopes))
    }
}

/// How the secret of a launch gets to its unit.
#[derive(Clone, Debug)]
pub enum Handed {
    /// The LMS has it, and hands it on by itself.
    Secret(Secret),
    /// What a fetch URL has to end in, and until when.
    Fetch { token: Secret, until: DateTime<Utc> },
}

/// A launch's credential, and the one way to its secret.
#[derive(Clone, Debug)]
pub struct Launched {
    pub credential: Credential,
    pub handed: Handed,
}

/// Why a fetch URL gives no token, in the words of cmi5 8.2.3.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("the authorization token has already been returned, or the time to fetch it is over")]
    Spent,
    #[error("there is no such fetch URL")]
    Unknown,
    #[error("the token cannot be given right now")]
    Failed(#[source] IdentityError),
}

impl FetchError {
    pub fn code(&self) -> &'static str {
        match self {
            Self::Spent => "1",
            Self::Unknown => "2",
            Self::Failed(_) => "3",
        }
    }
}

impl From<IdentityError> for FetchError {
    fn from(error: IdentityError) -> Self {
        Self::Failed(error)
    }
}

impl From<StoreError> for FetchError {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

impl Identity {
    /// Makes a short-lived credential that speaks for one learner in one registration.
    pub async fn create_launch(&self, by: &str, tenant: TenantId, new: NewLaunch) -> Result<Launched, IdentityError> {
        let (mut launch, fetch) = (new.launch.clone(), new.fetch);
        let (lifetime, scopes) = new.check()?;
        if launch.activity.is_some() {
            launch.session.get_or_insert_with(|| self.ids.uuid().to_string());
        }
        let blank = self.blank(tenant, scopes)?;
        let until = blank.created_at + lifetime;
        let credential = Credential { launch: Some(launch), expires_at: Some(until), ..blank };
        let issued = self.issue(by, "credential.launch", credential).await?;
        let handed = match fetch {
            // The secret that was made with the credential is dropped here: nobody ever has it.
            true => self.offer(&issued.credential, until).await?,
            false => Handed::Secret(issued.secret),
        };
        Ok(Launched { credential: issued.credential, handed })
    }

    /// A tenant's launches, or those of a registration, the newest first, from behind `after`.
    pub async fn list_launches(
        &self,
        tenant: TenantId,
        registration: Option<Uuid>,
        after: Option<launches::Place>,
        limit: i64,
    ) -> Result<Vec<Credential>, IdentityError> {
        let place = after.unwrap_or((DateTime::<Utc>::MAX_UTC, Uuid::max()));
        let list = self.store.run_tx("list_launches", As::Tenant(tenant), |tx| {
            Box::pin(launches::list(tx, tenant, registration, place, limit))
        });
        Ok(list.await?)
    }

    /// One launch of a tenant.
    pub async fn launch(&self, tenant: TenantId, id: Uuid) -> Result<Credential, IdentityError> {
        let get = self.store.run_tx("get_launch", As::Tenant(tenant), |tx| Box::pin(launches::get(tx, tenant, id)));
        get.await?.ok_or(IdentityError::NotFound("launch"))
    }

    async fn offer(&self, credential: &Credential, expires: DateTime<Utc>) -> Result<Handed, IdentityError> {
        let token = Secret::new(format!("{}.{}", credential.api_key, hex::encode(self.ids.bytes::<32>())));
        let (hash, until) = (hash_of(&token), expires.min(self.clock.now() + LONGEST_FETCH));
        let (tenant, id) = (credential.tenant, credential.id);
        let make = self.store.run_tx("make_fetch", As::Tenant(tenant), |tx| {
            let hash = hash.clone();
            Box::pin(async move { Ok::<_, IdentityError>(fetches::make(tx, id, &hash, until).await?) })
        });
        make.await?;
        Ok(Handed::Fetch { token, until })
    }

    /// The token behind a fetch URL, given once: what a unit sends after the word Basic.
    pub async fn fetch(&self, token: &Secret) -> Result<Secret, FetchError> {
        let api_key = token.expose().split_once('.').map(|(key, _)| key).filter(|key| basic::is_possible(key));
        let found = self.store.find_credential(api_key.ok_or(FetchError::Unknown)?).await?;
        let Some(Found { credential, tenant_status, .. }) = found else { return Err(FetchError::Unknown) };
        let (tenant, id, now) = (credential.tenant, credential.id, self.clock.now());
        let look = self.store.run_tx("get_fetch", As::Tenant(tenant), |tx| Box::pin(fetches::get(tx, id)));
        let offer = look.await?.ok_or(FetchError::Unknown)?;
        let is_it = bool::from(hash_of(token).ct_eq(offer.hash.as_slice()));
        if !is_it || tenant_status == TenantStatus::Suspended || credential.revoked_at.is_some() {
            return Err(FetchError::Unknown);
        }
        if offer.fetched_at.is_some() || offer.until <= now || credential.expires_at.is_none_or(|end| end <= now) {
            return Err(FetchError::Spent);
        }
        // Only who holds the token costs the service a slow hash.
        let (secret, hash) = self.fresh_secret().await?;
        let take = self.store.run_once("take_fetch", As::Tenant(tenant), |tx| {
            let (hash, credential) = (hash.clone(), credential.clone());
            Box::pin(async move {
                if !fetches::take(tx, id, &hash, now).await? {
                    return Ok(false);
                }
                let by = format!("key:{}", credential.api_key);
                audit::append(tx, &entry(&by, "credential.fetch", &credential, json!({}))).await?;
                Ok::<_, IdentityError>(true)
            })
        });
        if !take.await? {
            return Err(FetchError::Spent);
        }
        self.forget();
        Ok(Secret::new(STANDARD.encode(format!("{}:{}", credential.api_key, secret.expose()))))
    }
}

/// Refuses what no launch can be bound to.
fn bindings(launch: &Launch) -> Result<(), IdentityError> {
    check_identified("actor", &launch.actor)?;
    if let Some(activity) = &launch.activity
        && !(is_iri(activity) && activity.len() <= LONGEST_ACTIVITY)
    {
        return Err(invalid("activityId", format!("must be an absolute IRI of at most {LONGEST_ACTIVITY} bytes")));
    }
    if let Some(session) = &launch.session
        && (session.trim().is_empty()
            || session.chars().count() > LONGEST_SESSION
            || session.chars().any(char::is_control))
    {
        let why = format!("1 to {LONGEST_SESSION} characters, not all of them blank and none a control character");
        return Err(invalid("sessionId", why));
    }
    Ok(())
}

/// 256 random bits need no slow hash.
fn hash_of(token: &Secret) -> Vec<u8> {
    Sha256::digest(token.expose()).to_vec()
}
