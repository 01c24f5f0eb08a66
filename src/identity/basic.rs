//! Keys and secrets: checked once with the slow hash, then remembered for a short while.
//!
//! Memory holds fingerprints under a per-process key, never a secret. A flood of wrong secrets is bounded three
//! times: refusals are remembered too, few hashes run at once, and unknown keys queue in a lane of their own.

use std::{sync::Arc, time::Duration};

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use chrono::{DateTime, Utc};
use moka::future::Cache;
use tokio::sync::Semaphore;

use super::{
    AuthError, Caller, CredentialRef, IdentityError,
    caller::account,
    hash::{self, Fingerprint, Fingerprinter},
};
use crate::{
    model::{Clock, Ids, Secret},
    store::{Store, credentials::Found, tenants::TenantStatus},
};

const REMEMBERED: u64 = 50_000;
const REFUSAL_TTL: Duration = Duration::from_secs(5);
/// How long a caller waits for its turn at the slow hash before it is told to come back.
const PATIENCE: Duration = Duration::from_secs(3);
const LONGEST_KEY: usize = 200;
const LONGEST_SECRET: usize = 1_024;

/// Senders disagree about the padding of a Basic header; both forms mean the same bytes.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Takes `key:secret` out of the text after the word Basic.
pub fn parse(encoded: &str) -> Result<(String, Secret), AuthError> {
    let bytes = BASE64.decode(encoded.trim()).map_err(|_| AuthError::Malformed("expected base64 after Basic"))?;
    let text = String::from_utf8(bytes).map_err(|_| AuthError::Malformed("expected UTF-8 in the Basic header"))?;
    let (key, secret) = text.split_once(':').ok_or(AuthError::Malformed("expected key:secret in the Basic header"))?;
    Ok((key.to_owned(), Secret::new(secret)))
}

/// A caller whose secret was proved, with the stored hash that proved it.
struct Proven {
    caller: Caller,
    hash: String,
    /// When this proof ends by itself: the credential's expiry or the end of a rotation's overlap.
    until: Option<DateTime<Utc>>,
}

#[derive(Clone)]
struct Checked {
    at: DateTime<Utc>,
    verdict: Result<Arc<Proven>, AuthError>,
}

impl Checked {
    fn holds(&self, now: DateTime<Utc>, ttl: Duration) -> bool {
        let (ttl, until) = match &self.verdict {
            Ok(proven) => (ttl, proven.until),
            Err(error) if error.is_failure() => return false,
            Err(_) => (ttl.min(REFUSAL_TTL), None),
        };
        // A clock that was set back must not keep a verdict alive: a negative age does not hold either.
        (now - self.at).to_std().is_ok_and(|age| age < ttl) && until.is_none_or(|end| now < end)
    }
}

/// Checks keys and secrets.
pub struct Keys {
    store: Store,
    clock: Clock,
    home_page: String,
    ttl: Duration,
    fingerprints: Fingerprinter,
    cache: Cache<Fingerprint, Checked>,
    lane: Arc<Semaphore>,
    decoy_lane: Arc<Semaphore>,
    decoy_hash: String,
}

impl Keys {
    pub fn new(store: Store, clock: Clock, ids: &Ids, home_page: String, ttl: Duration) -> Result<Self, IdentityError> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            store,
            clock,
            home_page,
            ttl,
            fingerprints: Fingerprinter::new(ids)?,
            cache: Cache::new(REMEMBERED),
            lane: Arc::new(Semaphore::new(cores.div_ceil(2))),
            decoy_lane: Arc::new(Semaphore::new(1)),
            decoy_hash: hash::hash(&Secret::new(hex::encode(ids.bytes::<16>())), ids)?,
        })
    }

    /// Forgets every verdict, so that what this process just changed counts at once.
    pub fn forget(&self) {
        self.cache.invalidate_all();
    }

    /// The caller with this key and secret. Many requests with the same pair wait for one check.
    pub async fn authenticate(&self, api_key: &str, secret: &Secret) -> Result<Caller, AuthError> {
        // PostgreSQL has no text with NUL in it, so no key has one either.
        let possible = (1..=LONGEST_KEY).contains(&api_key.len()) && !api_key.contains('\0');
        if !possible || secret.expose().len() > LONGEST_SECRET {
            return Err(AuthError::Refused);
        }
        let (now, ttl) = (self.clock.now(), self.ttl);
        let key = self.fingerprints.of(api_key, secret);
        let known = self.cache.get(&key).await;
        if let Some(checked) = known.as_ref().filter(|checked| checked.holds(now, ttl)) {
            return checked.verdict.clone().map(|proven| proven.caller.clone());
        }
        let before = known.and_then(|checked| checked.verdict.ok());
        let check = async { Checked { at: now, verdict: self.check(api_key, secret, before).await } };
        let entry = self.cache.entry(key).or_insert_with_if(check, |checked| !checked.holds(now, ttl)).await;
        entry.into_value().verdict.map(|proven| proven.caller.clone())
    }

    async fn check(
        &self,
        api_key: &str,
        secret: &Secret,
        before: Option<Arc<Proven>>,
    ) -> Result<Arc<Proven>, AuthError> {
        let Some(found) = self.store.find_credential(api_key).await? else {
            // The same work as for a key that exists, so that the time of the answer tells nothing.
            self.verify(&self.decoy_lane, secret, &self.decoy_hash).await?;
            return Err(AuthError::Refused);
        };
        let now = self.clock.now();
        let (hash, overlap_ends) = self.prove(secret, &found, before, now).await?;
        let credential = &found.credential;
        if credential.revoked_at.is_some_and(|at| at <= now) {
            return Err(AuthError::Revoked);
        }
        if credential.expires_at.is_some_and(|at| at <= now) {
            return Err(AuthError::Expired);
        }
        if found.tenant_status == TenantStatus::Suspended {
            return Err(AuthError::Suspended);
        }
        let until = credential.expires_at.into_iter().chain(overlap_ends).min();
        Ok(Arc::new(Proven { caller: self.caller(&found), hash, until }))
    }

    /// The stored hash that `secret` belongs to, and when it ends if it is the one before a rotation.
    async fn prove(
        &self,
        secret: &Secret,
        found: &Found,
        before: Option<Arc<Proven>>,
        now: DateTime<Utc>,
    ) -> Result<(String, Option<DateTime<Utc>>), AuthError> {
        let ends = found.credential.previous_valid_until.filter(|end| now < *end);
        let previous = found.previous_secret_hash.iter().filter(|_| ends.is_some()).map(|hash| (hash, ends));
        let candidates: Vec<_> = std::iter::once((&found.secret_hash, None)).chain(previous).collect();
        // What this process proved against the very same stored hash needs no second proof.
        let again = candidates.iter().find(|(hash, _)| before.as_ref().is_some_and(|proven| proven.hash == **hash));
        if let Some((hash, ends)) = again {
            return Ok(((*hash).clone(), *ends));
        }
        for (hash, ends) in candidates {
            if self.verify(&self.lane, secret, hash).await? {
                return Ok((hash.clone(), ends));
            }
        }
        Err(AuthError::Refused)
    }

    async fn verify(&self, lane: &Arc<Semaphore>, secret: &Secret, hash: &str) -> Result<bool, AuthError> {
        let turn = tokio::time::timeout(PATIENCE, Arc::clone(lane).acquire_owned());
        let permit = turn.await.map_err(|_| AuthError::Busy)?.map_err(|_| AuthError::Busy)?;
        let (secret, hash) = (secret.clone(), hash.to_owned());
        let work = move || {
            // The work goes on when the caller is gone, so the permit goes with the work.
            let _permit = permit;
            hash::verify(&secret, &hash)
        };
        let verified = tokio::task::spawn_blocking(work).await.map_err(|e| AuthError::Hash(e.to_string()))?;
        Ok(verified?)
    }

    fn caller(&self, found: &Found) -> Caller {
        let credential = &found.credential;
        let authority = credential.agent.clone().unwrap_or_else(|| account(&self.home_page, &credential.api_key));
        Caller {
            tenant: credential.tenant,
            tenant_name: found.tenant_name.as_str().into(),
            authority: Arc::new(authority),
            scopes: credential.scopes.clone(),
            credential: CredentialRef::Key { id: credential.id, api_key: credential.api_key.as_str().into() },
            user: None,
            launch: credential.launch.clone().map(Arc::new),
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn reads_a_basic_header_with_and_without_padding() {
        for encoded in ["a2V5OnM6ZQ==", "a2V5OnM6ZQ"] {
            let (key, secret) = parse(encoded).unwrap();
            assert_eq!((key.as_str(), secret.expose()), ("key", "s:e"));
        }
    }

    #[test]
    fn refuses_what_is_not_key_and_secret() {
        for encoded in ["", "!!!", "a2V5", "/////w=="] {
            assert!(matches!(parse(encoded), Err(AuthError::Malformed(_))), "{encoded:?}");
        }
    }

    #[test]
    fn verdicts_hold_for_their_time_only() {
        let at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let ttl = Duration::from_secs(30);
        let after = |seconds| at + TimeDelta::seconds(seconds);
        let refused = Checked { at, verdict: Err(AuthError::Refused) };
        assert!(refused.holds(after(4), ttl) && !refused.holds(after(5), ttl));
        assert!(!refused.holds(after(-1), ttl), "a clock set back must not keep a verdict alive");
        let busy = Checked { at, verdict: Err(AuthError::Busy) };
        assert!(!busy.holds(at, ttl), "a failure is no verdict");
    }
}
