//! Signing in to the pages through the issuer (OpenID Connect, authorization code with PKCE): how it is begun, and what is
//! asked of who comes back.
//!
//! What a sign-in is recognised by stays with the browser that began it, in a cookie, so that strangers who begin many leave
//! nothing here. State, nonce and verifier are digests of all of it: who changes a part of it has changed all three.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use moka::sync::Cache;
use sha2::{Digest, Sha256};

use super::{
    AuthError, Identity, SignInError,
    bearer::Tokens,
    provider::{Once, Provider},
    reach,
};
use crate::model::Secret;

/// How long somebody may be away at the provider.
pub const LONGEST: Duration = Duration::from_secs(10 * 60);
const REMEMBERED: u64 = 100_000;

/// Where the browser goes, and what it holds until it comes back.
pub struct Departure {
    pub address: String,
    pub held: Secret,
}

/// Who came back and was let in.
pub struct Arrival {
    pub session: Secret,
    /// Where they wanted to go.
    pub next: String,
    /// What the provider said of them, if it wants to see that again when they sign out; for nobody else.
    pub id_token: Option<Secret>,
}

/// What the provider sends the browser back with.
pub struct Answer<'a> {
    pub state: &'a str,
    pub code: &'a str,
    pub error: Option<&'a str>,
    /// Who says so (RFC 9207), if the provider tells.
    pub issuer: Option<&'a str>,
}

/// The sign-ins that came back to this node, so that none does so twice.
pub(super) struct Spent(Cache<String, ()>);

impl Default for Spent {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(REMEMBERED).time_to_live(LONGEST).build())
    }
}

/// A sign-in under way, as its browser holds it: a secret, since when, and where to go afterwards.
struct Pending<'a> {
    held: &'a str,
    since: DateTime<Utc>,
    next: &'a str,
}

impl<'a> Pending<'a> {
    fn read(held: &'a Secret) -> Option<Self> {
        let held = held.expose();
        let (_, rest) = held.split_once('.')?;
        let (since, next) = rest.split_once('.')?;
        Some(Self { held, since: DateTime::from_timestamp(since.parse().ok()?, 0)?, next })
    }

    fn once(&self) -> Once {
        let derived =
            |what: &str| URL_SAFE_NO_PAD.encode(Sha256::new_with_prefix(what).chain_update(self.held).finalize());
        Once { state: derived("state of "), nonce: derived("nonce of "), verifier: derived("verifier of ") }
    }

    fn is_over(&self, now: DateTime<Utc>) -> bool {
        (now - self.since).to_std().is_ok_and(|since| since >= LONGEST)
    }
}

impl Identity {
    /// Who lets people in to the pages beside the keys, if somebody does.
    pub fn provider(&self) -> Option<&str> {
        let (tokens, _) = self.ways().ok()?;
        let issuer = &tokens.issuer().settings().issuer;
        Some(issuer.split_once("://").map_or(issuer, |(_, rest)| rest.trim_end_matches('/')))
    }

    fn ways(&self) -> Result<(&Tokens, &Provider), SignInError> {
        self.tokens.as_ref().zip(self.provider.as_ref()).ok_or(SignInError::NotHere)
    }

    /// Sends somebody to the provider, who wants to go to `next` afterwards.
    pub async fn depart(&self, next: &str) -> Result<Departure, SignInError> {
        let (tokens, provider) = self.ways()?;
        let now = self.clock.now();
        let held = Secret::new(format!("{}.{}.{next}", hex::encode(self.ids.bytes::<32>()), now.timestamp()));
        let once = Pending::read(&held).ok_or(SignInError::Stale)?.once();
        let address = provider.address(tokens.issuer(), &once, now).await?;
        Ok(Departure { address, held })
    }

    /// Where somebody whom the provider let in signs out of it, too; nowhere if it has no such place, or does not answer.
    pub async fn leave(&self, id_token: Option<&Secret>) -> Option<String> {
        let (tokens, provider) = self.ways().ok()?;
        provider.leave(tokens.issuer(), id_token, self.clock.now()).await
    }

    /// Opens a session for who comes back. `former` is what the browser held before.
    pub async fn arrive(
        &self,
        held: &Secret,
        answer: &Answer<'_>,
        former: Option<&Secret>,
    ) -> Result<Arrival, SignInError> {
        let (tokens, provider) = self.ways()?;
        let (issuer, now) = (tokens.issuer(), self.clock.now());
        let pending = Pending::read(held).filter(|pending| !pending.is_over(now)).ok_or(SignInError::Stale)?;
        let once = pending.once();
        let is_told_by_another = answer.issuer.is_some_and(|told| told != issuer.settings().issuer);
        if is_told_by_another || !Secret::new(once.state.as_str()).matches(answer.state) {
            return Err(SignInError::Stale);
        }
        if !self.spent.0.entry_by_ref(&once.state).or_insert(()).is_fresh() {
            return Err(SignInError::Stale);
        }
        if let Some(error) = answer.error {
            return Err(refusal(error));
        }
        let token = provider.redeem(issuer, answer.code, &once, now).await?;
        let (person, caller) = tokens.identify(&token, provider.client(), &once.nonce).await?;
        reach::pages(&caller).map_err(|error| match error {
            AuthError::Scope(_) => AuthError::Beyond(NO_ROLE.to_owned()),
            other => other,
        })?;
        let session = self.open_person(person, &caller, former).await?;
        let id_token = provider.leave(issuer, None, now).await.map(|_| Secret::new(token));
        Ok(Arrival { session, next: pending.next.to_owned(), id_token })
    }
}

const NO_ROLE: &str = "the provider knows you, but the claims scope and scp of your ID token name nothing that opens these \
                       pages: ask for admin:*, audit:read, or a scope that reads, such as statements/read";

/// What the provider says instead of a code. Anybody may have written it: it is neither shown nor logged but by its name.
fn refusal(error: &str) -> SignInError {
    match error {
        "access_denied" | "login_required" | "consent_required" | "interaction_required" => SignInError::Declined,
        "server_error" | "temporarily_unavailable" => SignInError::Away,
        other => {
            let known = ["invalid_request", "unauthorized_client", "unsupported_response_type", "invalid_scope"];
            let error = known.iter().find(|known| **known == other).unwrap_or(&"another one");
            tracing::warn!(error, "the issuer refuses sign-ins: is pages.oidc_… what it knows?");
            SignInError::Misfit
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(text: &str) -> Secret {
        Secret::new(text)
    }

    #[test]
    fn whoever_changes_a_part_has_changed_what_it_is_recognised_by() {
        let good = held("ab.1900000000./admin/jobs");
        let pending = Pending::read(&good).unwrap();
        assert_eq!(pending.next, "/admin/jobs");
        let once = pending.once();
        for part in [&once.state, &once.nonce, &once.verifier] {
            assert_eq!(part.len(), 43, "PKCE takes 43 to 128 characters");
        }
        assert!(once.state != once.nonce && once.nonce != once.verifier && once.verifier != once.state);
        for other in ["ac.1900000000./admin/jobs", "ab.1900000001./admin/jobs", "ab.1900000000./admin"] {
            let other = held(other);
            let changed = Pending::read(&other).unwrap().once();
            assert!(changed.state != once.state && changed.nonce != once.nonce && changed.verifier != once.verifier);
        }
    }

    #[test]
    fn what_no_browser_of_ours_holds_is_no_sign_in() {
        for text in ["", "ab", "ab.1", "ab.x./admin", "ab.99999999999999999999./admin"] {
            assert!(Pending::read(&held(text)).is_none(), "{text}");
        }
    }

    #[test]
    fn a_sign_in_is_over_after_ten_minutes() {
        let (held, at) = (held("ab.1900000000./admin"), |seconds: i64| {
            DateTime::from_timestamp(1_900_000_000 + seconds, 0).unwrap()
        });
        let pending = Pending::read(&held).unwrap();
        assert!(!pending.is_over(at(599)) && pending.is_over(at(600)));
    }
}
