//! Sessions of people in front of the pages: opened with a key and its secret, ended by signing out, by time, and with the
//! secret that opened them.

use std::time::Duration;

use chrono::{DateTime, Utc};
use moka::sync::Cache;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{AuthError, Caller, CredentialRef, Identity, basic, reach};
use crate::{
    model::Secret,
    store::{
        As, StoreError,
        platform::{
            audit::{self, Entry},
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
        let (former, by) = (former.map(|former| hash(former.expose())), &caller.credential.audit_name());
        let begun = self.store.run_once("begin_session", As::Worker, |tx| {
            Box::pin(async move {
                if let Some(former) = former {
                    sessions::end(tx, &former).await?;
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

    /// Who holds this token, if its session goes on. While the database is away it is who held it before.
    pub async fn seat(&self, token: &Secret) -> Result<Option<Seat>, AuthError> {
        let (held, now) = (hash(token.expose()), self.clock.now());
        let found = self.store.run_tx("find_session", As::Worker, |tx| {
            Box::pin(async move { sessions::find(tx, &held, now, now - IDLE).await })
        });
        let (found, seen) = match found.await {
            Ok(Some(found)) => found,
            Ok(None) => {
                self.seats.known.invalidate(&held);
                return Ok(None);
            }
            Err(error) => {
                let known = self.seats.known.get(&held).filter(|_| error.is_temporary());
                return known.map(|caller| Some(Seat { caller, is_remembered: true })).ok_or_else(|| error.into());
            }
        };
        let is_over = |at: Option<DateTime<Utc>>| at.is_some_and(|at| at <= now);
        if is_over(found.credential.revoked_at) || is_over(found.credential.expires_at) {
            return Ok(None);
        }
        if found.tenant_status == TenantStatus::Suspended {
            return Err(AuthError::Suspended);
        }
        if (now - seen).to_std().is_ok_and(|quiet| quiet >= TOUCHED_EVERY) {
            self.touch(held, now).await;
        }
        let caller = self.keys.caller(&found);
        self.seats.known.insert(held, caller.clone());
        Ok(Some(Seat { caller, is_remembered: false }))
    }

    /// A database that takes no writes still answers: the session then ends a little earlier.
    async fn touch(&self, held: [u8; 32], now: DateTime<Utc>) {
        let touched = self
            .store
            .run_tx("touch_session", As::Worker, |tx| Box::pin(async move { sessions::touch(tx, &held, now).await }));
        if let Err(error) = touched.await {
            tracing::debug!(%error, "that a session is in use could not be noted");
        }
    }

    /// Ends the session; doing so twice is fine.
    pub async fn close_session(&self, token: &Secret, by: &str) -> Result<(), StoreError> {
        let held = hash(token.expose());
        self.seats.known.invalidate(&held);
        let ended = self.store.run_once("end_session", As::Worker, |tx| {
            Box::pin(async move {
                let Some((tenant, credential)) = sessions::end(tx, &held).await? else { return Ok(()) };
                let (subject, detail) = (credential.to_string(), json!({}));
                let entry = Entry { tenant: Some(tenant), actor: by, action: "session.end", subject, detail };
                audit::append(tx, &entry).await.map(drop)
            })
        });
        ended.await
    }
}
