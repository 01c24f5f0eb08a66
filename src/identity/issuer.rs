//! The issuer's public keys: found by discovery, fetched with limits, cached, fetched again when they rotate.

use std::{
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use chrono::{DateTime, Utc};
use reqwest::{Client, Response, StatusCode, Url, header::CONTENT_TYPE, redirect::Policy};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::sync::Mutex;

use super::{AuthError, IdentityError, jwk::KeySet};
use crate::{
    model::{Clock, Secret},
    store::door::tls,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const TIMEOUT: Duration = Duration::from_secs(5);
const LARGEST_ANSWER: usize = 256 << 10;
/// How much longer old keys serve while the issuer does not answer.
const GRACE: Duration = Duration::from_secs(3_600);

/// Whose tokens are accepted, and where their keys are.
#[derive(Clone, Debug)]
pub struct IssuerSettings {
    /// The `iss` a token must carry.
    pub issuer: String,
    /// The `aud` a token must name.
    pub audience: String,
    /// Absent means it is discovered from the issuer.
    pub jwks_url: Option<String>,
    /// How long fetched keys are trusted.
    pub cache: Duration,
    /// The least time between two fetches, whatever tokens come in.
    pub pause: Duration,
    pub ca_file: Option<PathBuf>,
    /// Whether keys may come over plain HTTP from another machine.
    pub allow_http: bool,
    /// As which client people sign in to the pages; absent means that they do so with keys only.
    pub client: Option<ClientSettings>,
}

/// What the issuer knows this service as, where people sign in.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    pub id: String,
    /// Absent means a public client.
    pub secret: Option<Secret>,
    /// What it is asked for.
    pub scopes: String,
    /// Where the browser comes back to.
    pub redirect: String,
    /// The same of who signed out there.
    pub signed_out: String,
}

/// The keys of one issuer.
pub struct Issuer {
    settings: IssuerSettings,
    client: Client,
    clock: Clock,
    current: RwLock<Option<Arc<Fetched>>>,
    /// When the last fetch began; held while one is under way.
    attempted: Mutex<Option<DateTime<Utc>>>,
}

struct Fetched {
    at: DateTime<Utc>,
    keys: KeySet,
}

/// What we need of a discovery document.
#[derive(Deserialize)]
pub struct Discovery {
    issuer: String,
    jwks_uri: String,
    pub authorization_endpoint: Option<String>,
    pub token_endpoint: Option<String>,
    pub end_session_endpoint: Option<String>,
    pub token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("{0}")]
    Http(#[from] reqwest::Error),
    #[error("not a URL this may be fetched from: {0}")]
    Url(String),
    #[error("the answer has more than {LARGEST_ANSWER} bytes")]
    TooLarge,
    #[error("the answer cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the discovery document is that of another issuer")]
    OtherIssuer,
    #[error("the discovery document does not say where people sign in and where their codes are redeemed")]
    NoSignIn,
}

impl Issuer {
    pub fn new(settings: IssuerSettings, clock: Clock) -> Result<Self, IdentityError> {
        let config = |why: String| IdentityError::Config(why);
        let tls = tls::client_config(settings.ca_file.as_deref())?;
        // No idle connections: they would belong to whichever server thread fetched last.
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .redirect(Policy::none())
            .pool_max_idle_per_host(0)
            .build()
            .map_err(|e| config(e.to_string()))?;
        let issuer = Self { settings, client, clock, current: RwLock::new(None), attempted: Mutex::new(None) };
        issuer.checked_url(&issuer.start_url()).map_err(|e| config(format!("the issuer's keys: {e}")))?;
        Ok(issuer)
    }

    pub fn settings(&self) -> &IssuerSettings {
        &self.settings
    }

    /// The key a token with this header must be signed with.
    pub async fn key(
        &self,
        kid: Option<&str>,
        algorithm: jsonwebtoken::Algorithm,
    ) -> Result<jsonwebtoken::DecodingKey, AuthError> {
        let now = self.clock.now();
        let before = self.current();
        if let Some(fetched) = before.as_ref().filter(|fetched| age(fetched, now) < self.settings.cache)
            && let Some(key) = fetched.keys.find(kid, algorithm)
        {
            return Ok(key);
        }
        self.refresh(before.as_ref(), now).await;
        let usable = self.current().filter(|fetched| age(fetched, now) < self.settings.cache + GRACE);
        let fetched = usable.ok_or(AuthError::IssuerUnavailable)?;
        fetched.keys.find(kid, algorithm).ok_or(AuthError::Token("it is not signed with a key of the issuer"))
    }

    fn current(&self) -> Option<Arc<Fetched>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Fetches, unless somebody just did or tried to.
    async fn refresh(&self, before: Option<&Arc<Fetched>>, now: DateTime<Utc>) {
        let mut attempted = self.attempted.lock().await;
        let changed = match (before, self.current()) {
            (Some(before), Some(current)) => !Arc::ptr_eq(before, &current),
            (None, current) => current.is_some(),
            (Some(_), None) => false,
        };
        let recently = attempted.is_some_and(|at| (now - at).to_std().is_ok_and(|since| since < self.settings.pause));
        if changed || recently {
            return;
        }
        *attempted = Some(now);
        match self.fetch().await {
            Ok(keys) => {
                let fetched = Arc::new(Fetched { at: now, keys });
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(fetched);
            }
            Err(error) => tracing::warn!(issuer = self.settings.issuer, %error, "the issuer's keys were not fetched"),
        }
    }

    async fn fetch(&self) -> Result<KeySet, FetchError> {
        let keys = match &self.settings.jwks_url {
            Some(keys) => keys.clone(),
            None => self.discover().await?.jwks_uri,
        };
        Ok(KeySet::read(&self.get(&keys).await?))
    }

    /// What the issuer says about itself.
    pub async fn discover(&self) -> Result<Discovery, FetchError> {
        let discovery: Discovery = self.get(&self.discovery_url()).await?;
        if discovery.issuer == self.settings.issuer { Ok(discovery) } else { Err(FetchError::OtherIssuer) }
    }

    fn discovery_url(&self) -> String {
        format!("{}/.well-known/openid-configuration", self.settings.issuer.trim_end_matches('/'))
    }

    fn start_url(&self) -> String {
        self.settings.jwks_url.clone().unwrap_or_else(|| self.discovery_url())
    }

    async fn get<T: DeserializeOwned>(&self, url: &str) -> Result<T, FetchError> {
        let answer = self.client.get(self.checked_url(url)?).send().await?.error_for_status()?;
        Ok(serde_json::from_slice(&Self::body(answer).await?)?)
    }

    /// Sends a form, with a login if there is one; whatever the status is, there is an answer to read.
    pub async fn post(
        &self,
        url: &str,
        form: String,
        login: Option<(String, Secret)>,
    ) -> Result<(StatusCode, Vec<u8>), FetchError> {
        let mut request = self.client.post(self.checked_url(url)?).body(form);
        request =
            request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").header("accept", "application/json");
        if let Some((user, password)) = login {
            request = request.basic_auth(user, Some(password.expose()));
        }
        let answer = request.send().await?;
        Ok((answer.status(), Self::body(answer).await?))
    }

    async fn body(mut answer: Response) -> Result<Vec<u8>, FetchError> {
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            if body.len() + chunk.len() > LARGEST_ANSWER {
                return Err(FetchError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// Keys decide who gets in, so they come over TLS, or from this machine, or as the operator says.
    pub fn checked_url(&self, url: &str) -> Result<Url, FetchError> {
        let parsed = Url::parse(url).map_err(|e| FetchError::Url(e.to_string()))?;
        let is_local = match parsed.host() {
            Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
            Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
            Some(url::Host::Domain(name)) => name == "localhost",
            None => false,
        };
        match parsed.scheme() {
            "https" => Ok(parsed),
            "http" if is_local || self.settings.allow_http => Ok(parsed),
            other => Err(FetchError::Url(format!("{other} to {}", parsed.host_str().unwrap_or("nowhere")))),
        }
    }
}

/// A clock that was set back makes keys old, never young.
fn age(fetched: &Fetched, now: DateTime<Utc>) -> Duration {
    (now - fetched.at).to_std().unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issuer(issuer: &str, jwks_url: Option<&str>, allow_http: bool) -> Result<Issuer, IdentityError> {
        let settings = IssuerSettings {
            issuer: issuer.to_owned(),
            audience: "progress".to_owned(),
            jwks_url: jwks_url.map(str::to_owned),
            cache: Duration::from_secs(600),
            pause: Duration::from_secs(10),
            ca_file: None,
            allow_http,
            client: None,
        };
        Issuer::new(settings, Clock::system())
    }

    #[test]
    fn keys_come_over_tls_or_from_this_machine() {
        for (url, accepted) in [
            ("https://id.example", true),
            ("http://127.0.0.1:1", true),
            ("http://[::1]:1", true),
            ("http://localhost:1", true),
            ("http://id.example", false),
            ("http://localhost.example", false),
            ("file:///etc/passwd", false),
            ("nonsense", false),
        ] {
            assert_eq!(issuer(url, None, false).is_ok(), accepted, "{url}");
        }
        assert!(issuer("http://id.example", None, true).is_ok());
        assert!(issuer("https://id.example", Some("http://id.example/keys"), false).is_err());
    }

    #[test]
    fn discovery_starts_below_the_issuer() {
        let expected = "https://id.example/realm/.well-known/openid-configuration";
        for base in ["https://id.example/realm", "https://id.example/realm/"] {
            assert_eq!(issuer(base, None, false).unwrap().start_url(), expected);
        }
    }
}
