//! Keys and secrets: checked once with the slow hash, then remembered for a short while.
//!
//! Memory holds fingerprints under a per-process key, never a secret. A flood of wrong secrets is bounded: refusals are
//! remembered too, and few hashes run at once. Keys that are known and keys that are not wait in the same queue for the
//! same work, so that nobody learns from the time of an answer which there are. Who was proved once waits for nothing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use chrono::{DateTime, Utc};
use moka::{future::Cache, sync};
use tokio::sync::Semaphore;

use super::{
    AuthError, Caller, CredentialRef, IdentityError,
    caller::account,
    hash::{self, Fingerprint, Fingerprinter},
};
use crate::{
    model::{Clock, Ids, Secret},
    store::{
        Store,
        platform::{credentials::Found, tenants::TenantStatus},
    },
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

/// Whether there could be such a key. PostgreSQL has no text with NUL in it, so no key has one either.
pub fn is_possible(api_key: &str) -> bool {
    (1..=LONGEST_KEY).contains(&api_key.len()) && !api_key.contains('\0')
}

/// Whether a secret is one that is looked at.
pub fn is_possible_secret(secret: &Secret) -> bool {
    (1..=LONGEST_SECRET).contains(&secret.expose().len())
}

/// Hashes that a refusal costs, whether there is such a key, and one secret to it or two.
const HASHES: usize = 2;

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
    /// Of the changes when the check began.
    generation: u64,
    verdict: Result<Arc<Proven>, AuthError>,
}

impl Checked {
    fn holds(&self, now: DateTime<Utc>, generation: u64, ttl: Duration) -> bool {
        if self.generation != generation {
            return false;
        }
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
    /// How often this process changed what verdicts rest on.
    generation: AtomicU64,
    cache: Cache<Fingerprint, Checked>,
    /// Who was let in, apart from the refusals: no flood of those pushes them out.
    proven: sync::Cache<Fingerprint, Arc<Proven>>,
    lane: Arc<Semaphore>,
    /// Nobody's: what stands in for a hash that is not there.
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
            generation: AtomicU64::new(0),
            cache: Cache::new(REMEMBERED),
            proven: sync::Cache::new(REMEMBERED),
            lane: Arc::new(Semaphore::new(cores.div_ceil(2))),
            decoy_hash: hash::hash(&Secret::new(hex::encode(ids.bytes::<16>())), ids)?,
        })
    }

    /// Forgets every verdict, those to come of checks under way too, so that what this process just changed counts at
    /// once. Who proved a secret need not prove it again: its hash is compared with the one that is stored now.
    pub fn forget(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    /// The caller with this key and secret. Many requests with the same pair wait for one check.
    pub async fn authenticate(&self, api_key: &str, secret: &Secret) -> Result<Caller, AuthError> {
        if !is_possible(api_key) || secret.expose().len() > LONGEST_SECRET {
            return Err(AuthError::Refused);
        }
        let key = self.fingerprints.of(api_key, secret);
        let arrived = self.generation();
        loop {
            let (now, generation, ttl) = (self.clock.now(), self.generation(), self.ttl);
            let check = async { Checked { at: now, generation, verdict: self.check(key, api_key, secret).await } };
            let is_old = |checked: &Checked| !checked.holds(now, generation, ttl);
            let checked = self.cache.entry(key).or_insert_with_if(check, is_old).await.into_value();
            // This may be the verdict of a check under way, which began before a change that this caller came after.
            if checked.generation >= arrived {
                return checked.verdict.map(|proven| proven.caller.clone());
            }
        }
    }

    async fn check(&self, key: Fingerprint, api_key: &str, secret: &Secret) -> Result<Arc<Proven>, AuthError> {
        let found = self.store.find_credential(api_key).await?;
        let now = self.clock.now();
        let (hash, overlap_ends) = self.prove(secret, found.as_ref(), self.proven.get(&key), now).await?;
        let found = found.ok_or(AuthError::Refused)?;
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
        let proven = Arc::new(Proven { caller: self.caller(&found), hash, until });
        self.proven.insert(key, Arc::clone(&proven));
        Ok(proven)
    }

    /// The stored hash that `secret` belongs to, and when it ends if it is the one before a rotation.
    async fn prove(
        &self,
        secret: &Secret,
        found: Option<&Found>,
        before: Option<Arc<Proven>>,
        now: DateTime<Utc>,
    ) -> Result<(String, Option<DateTime<Utc>>), AuthError> {
        let candidates: Vec<(&String, Option<DateTime<Utc>>)> = found.map_or_else(Vec::new, |found| {
            let ends = found.credential.previous_valid_until.filter(|end| now < *end);
            let previous = found.previous_secret_hash.iter().filter(|_| ends.is_some()).map(|hash| (hash, ends));
            std::iter::once((&found.secret_hash, None)).chain(previous).collect()
        });
        // What this process proved against the very same stored hash needs no second proof.
        let again = candidates.iter().find(|(hash, _)| before.as_ref().is_some_and(|proven| proven.hash == **hash));
        if let Some((hash, ends)) = again {
            return Ok(((*hash).clone(), *ends));
        }
        let mut hashes: Vec<String> = candidates.iter().map(|(hash, _)| (*hash).clone()).collect();
        hashes.resize(HASHES, self.decoy_hash.clone());
        // The secret of the decoy was never told to anybody; were it guessed, there is no candidate in its place.
        let proved = self.first_match(secret.clone(), hashes).await?.and_then(|place| candidates.get(place));
        proved.map(|(hash, ends)| ((*hash).clone(), *ends)).ok_or(AuthError::Refused)
    }

    /// The place of the first of these hashes that is the secret's, found when it is this caller's turn.
    async fn first_match(&self, secret: Secret, hashes: Vec<String>) -> Result<Option<usize>, AuthError> {
        let turn = tokio::time::timeout(PATIENCE, Arc::clone(&self.lane).acquire_owned());
        let permit = turn.await.map_err(|_| AuthError::Busy)?.map_err(|_| AuthError::Busy)?;
        let work = move || {
            // The work goes on when the caller is gone, so the permit goes with the work.
            let _permit = permit;
            for (place, hash) in hashes.iter().enumerate() {
                if hash::verify(&secret, hash)? {
                    return Ok(Some(place));
                }
            }
            Ok::<_, IdentityError>(None)
        };
        let found = tokio::task::spawn_blocking(work).await.map_err(|e| AuthError::Hash(e.to_string()))?;
        Ok(found?)
    }

    pub(super) fn caller(&self, found: &Found) -> Caller {
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
        let refused = Checked { at, generation: 1, verdict: Err(AuthError::Refused) };
        assert!(refused.holds(after(4), 1, ttl) && !refused.holds(after(5), 1, ttl));
        assert!(!refused.holds(after(-1), 1, ttl), "a clock set back must not keep a verdict alive");
        assert!(!refused.holds(at, 2, ttl), "what a verdict rests on was changed");
        let busy = Checked { at, generation: 1, verdict: Err(AuthError::Busy) };
        assert!(!busy.holds(at, 1, ttl), "a failure is no verdict");
    }
}
