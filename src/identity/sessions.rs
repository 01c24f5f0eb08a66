//! Sessions of people in front of the pages: opened with a key and its secret, or by the issuer; ended by signing out, by time,
//! and with the secret that opened them.

use std::time::Duration;

use chrono::{DateTime, Utc};
use moka::sync::Cache;
use serde_json::json;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{AuthError, Caller, CredentialRef, Identity, basic, bearer, reach};
use crate::{
    model::{Secret, TenantId},
    store::{
        As, StoreError,
        door::tx::Tx,
        platform::{
            audit::{self, Entry},
            person_sessions::{self, Person},
            sessions::{self, NewSession},
            tenants::TenantStatus,
        },
    },
};

/// How long a session lives.
pub const LONGEST: Duration = Duration::from_secs(12 * 3_600);
/// How long it lives without being used.
pub const IDLE: Duration = Duration::from_secs(30 * 60);
/// How exactly that is kept.
const TOUCHED_EVERY: Duration = Duration::from_secs(60);

/// Tries of one key that fail within [`IMPATIENCE`] before the next ones are refused unseen.
const TRIES: u32 = 10;
const IMPATIENCE: Duration = Duration::from_secs(60);
const REMEMBERED: u64 = 10_000;

/// What the token of a session begins with that the issuer opened: no session is looked for in two places.
const PERSONS: &str = "person-";

/// Who sits in front of the pages.
#[derive(Clone, Debug)]
pub struct Seat {
    pub caller: Caller,
    /// The database could not be asked, and who it is was known before.
    pub is_remembered: bool,
}

/// What a node remembers of sessions.
pub(super) struct Seats {
    /// Of sessions that were there when the database was last asked.
    known: Cache<[u8; 32], Caller>,
    failures: Cache<[u8; 32], u32>,
}

impl Default for Seats {
    fn default() -> Self {
        Self {
            known: Cache::builder().max_capacity(REMEMBERED).time_to_live(IDLE).build(),
            failures: Cache::builder().max_capacity(REMEMBERED).time_to_live(IMPATIENCE).build(),
        }
    }
}

fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}

/// A token as the database knows it.
#[derive(Clone, Copy)]
struct Held {
    hash: [u8; 32],
    is_persons: bool,
}

impl Held {
    fn of(token: &Secret) -> Self {
        Self { hash: hash(token.expose()), is_persons: token.expose().starts_with(PERSONS) }
    }

    /// Ends the session; answers of which tenant it was, and of which credential if there is one behind it.
    async fn end(self, tx: &Tx<'_>) -> Result<Option<(TenantId, Option<Uuid>)>, StoreError> {
        if self.is_persons {
            return Ok(person_sessions::end(tx, &self.hash).await?.map(|tenant| (tenant, None)));
        }
        Ok(sessions::end(tx, &self.hash).await?.map(|(tenant, credential)| (tenant, Some(credential))))
    }
}

/// A session that goes on.
struct Sitting {
    caller: Caller,
    tenant_status: TenantStatus,
    seen_at: DateTime<Utc>,
}

impl Identity {
    /// Opens a session for who shows a key and its secret, and ends the one that `former` opened: what a browser held before
    /// is never what it holds after. The token leaves here once.
    pub async fn open_session(
        &self,
        api_key: &str,
        secret: &Secret,
        former: Option<&Secret>,
    ) -> Result<(Secret, Caller), AuthError> {
        let tried = hash(api_key);
        let failures = self.seats.failures.get(&tried).unwrap_or_default();
        if failures >= TRIES {
            return Err(AuthError::Busy);
        }
        let proved = match basic::is_possible(api_key) {
            true => self.keys.authenticate(api_key, secret).await,
            false => Err(AuthError::Refused),
        };
        if matches!(proved, Err(AuthError::Refused)) {
            self.seats.failures.insert(tried, failures + 1);
        }
        let caller = proved?;
        reach::pages(&caller)?;
        let CredentialRef::Key { id, .. } = &caller.credential else { return Err(AuthError::Refused) };
        let token = Secret::new(hex::encode(self.ids.bytes::<32>()));
        let now = self.clock.now();
        let new = &NewSession {
            token_hash: hash(token.expose()).to_vec(),
            tenant: caller.tenant,
            credential: *id,
            now,
            expires_at: now + LONGEST,
        };
        let (former, by) = (former.map(Held::of), &caller.credential.audit_name());
        let begun = self.store.run_once("begin_session", As::Worker, |tx| {
            Box::pin(async move {
                if let Some(former) = former {
                    former.end(tx).await?;
                }
                let begun = sessions::begin(tx, new).await?;
                let entry = Entry {
                    tenant: Some(new.tenant),
                    actor: by,
                    action: "session.begin",
                    subject: new.credential.to_string(),
                    detail: json!({}),
                };
                audit::append(tx, &entry).await?;
                Ok::<_, StoreError>(begun)
            })
        });
        if begun.await? { Ok((token, caller)) } else { Err(AuthError::Refused) }
    }

    /// The same for somebody whom the issuer let in.
    pub(super) async fn open_person(
        &self,
        person: Person,
        caller: &Caller,
        former: Option<&Secret>,
    ) -> Result<Secret, AuthError> {
        let token = Secret::new(format!("{PERSONS}{}", hex::encode(self.ids.bytes::<32>())));
        let (held, former, now) = (hash(token.expose()), former.map(Held::of), self.clock.now());
        let (person, by) = (&person, &caller.credential.audit_name());
        let begun = self.store.run_once("begin_session", As::Worker, |tx| {
            Box::pin(async move {
                if let Some(former) = former {
                    former.end(tx).await?;
                }
                let begun = person_sessions::begin(tx, &held, person, now, now + LONGEST).await?;
                let (tenant, subject, detail) = (Some(person.tenant), by.clone(), json!({}));
                audit::append(tx, &Entry { tenant, actor: by, action: "session.begin", subject, detail }).await?;
                Ok::<_, StoreError>(begun)
            })
        });
        if begun.await? { Ok(token) } else { Err(AuthError::UnknownTenant(person.tenant)) }
    }

    /// Who holds this token, if its session goes on. While the database is away it is who held it before.
    pub async fn seat(&self, token: &Secret) -> Result<Option<Seat>, AuthError> {
        let (held, now) = (Held::of(token), self.clock.now());
        let found = if held.is_persons { self.persons(held, now).await } else { self.keys_own(held, now).await };
        let Sitting { caller, tenant_status, seen_at } = match found {
            Ok(Some(sitting)) => sitting,
            Ok(None) => {
                self.seats.known.invalidate(&held.hash);
                return Ok(None);
            }
            Err(error) => {
                let known = self.seats.known.get(&held.hash).filter(|_| error.is_temporary());
                return known.map(|caller| Some(Seat { caller, is_remembered: true })).ok_or_else(|| error.into());
            }
        };
        if tenant_status == TenantStatus::Suspended {
            return Err(AuthError::Suspended);
        }
        if (now - seen_at).to_std().is_ok_and(|quiet| quiet >= TOUCHED_EVERY) {
            self.touch(held, now).await;
        }
        self.seats.known.insert(held.hash, caller.clone());
        Ok(Some(Seat { caller, is_remembered: false }))
    }

    /// The session that a key opened, while its credential is good.
    async fn keys_own(&self, held: Held, now: DateTime<Utc>) -> Result<Option<Sitting>, StoreError> {
        let found = self.store.run_tx("find_session", As::Worker, |tx| {
            Box::pin(async move { sessions::find(tx, &held.hash, now, now - IDLE).await })
        });
        let Some((found, seen_at)) = found.await? else { return Ok(None) };
        let is_over = |at: Option<DateTime<Utc>>| at.is_some_and(|at| at <= now);
        if is_over(found.credential.revoked_at) || is_over(found.credential.expires_at) {
            return Ok(None);
        }
        Ok(Some(Sitting { caller: self.keys.caller(&found), tenant_status: found.tenant_status, seen_at }))
    }

    /// The session that the issuer opened, while it is the one that people sign in with.
    async fn persons(&self, held: Held, now: DateTime<Utc>) -> Result<Option<Sitting>, StoreError> {
        let Some((tokens, provider)) = self.tokens.as_ref().zip(self.provider.as_ref()) else { return Ok(None) };
        let issuer = tokens.issuer().settings().issuer.as_str();
        let found = self.store.run_tx("find_session", As::Worker, |tx| {
            Box::pin(async move { person_sessions::find(tx, &held.hash, issuer, now, now - IDLE).await })
        });
        let Some(found) = found.await? else { return Ok(None) };
        let caller = bearer::seated(&found.person, provider.client(), &found.tenant_name);
        Ok(Some(Sitting { caller, tenant_status: found.tenant_status, seen_at: found.seen_at }))
    }

    /// A database that takes no writes still answers: the session then ends a little earlier.
    async fn touch(&self, held: Held, now: DateTime<Utc>) {
        let touched = self.store.run_tx("touch_session", As::Worker, |tx| {
            Box::pin(async move {
                match held.is_persons {
                    true => person_sessions::touch(tx, &held.hash, now).await,
                    false => sessions::touch(tx, &held.hash, now).await,
                }
            })
        });
        if let Err(error) = touched.await {
            tracing::debug!(%error, "that a session is in use could not be noted");
        }
    }

    /// Ends the session; doing so twice is fine.
    pub async fn close_session(&self, token: &Secret, by: &str) -> Result<(), StoreError> {
        let held = Held::of(token);
        self.seats.known.invalidate(&held.hash);
        let ended = self.store.run_once("end_session", As::Worker, |tx| {
            Box::pin(async move {
                let Some((tenant, credential)) = held.end(tx).await? else { return Ok(()) };
                let subject = credential.map_or_else(|| by.to_owned(), |credential| credential.to_string());
                let detail = json!({});
                let entry = Entry { tenant: Some(tenant), actor: by, action: "session.end", subject, detail };
                audit::append(tx, &entry).await.map(drop)
            })
        });
        ended.await
    }
}
