//! The issuer as a provider of sign-ins: where it sends people in, what it gives for the code they come back with, and where they
//! sign out.

use std::{sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use reqwest::{StatusCode, Url};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::sync::{Mutex, Semaphore};
use url::form_urlencoded;

use super::{
    AuthError, ClientSettings, Issuer, SignInError,
    issuer::{Discovery, FetchError},
};
use crate::model::Secret;

/// Codes that are redeemed at the same time: who makes some up has the provider asked no faster than so.
const AT_ONCE: usize = 16;
const LONGEST_CODE: usize = 4 << 10;
/// How the secret of a client is shown where the provider does not say which ways it knows (OpenID Connect Discovery, 3).
const BY_LOGIN: &str = "client_secret_basic";

/// What a sign-in is begun and ended with; all three are made of one secret.
pub struct Once {
    pub state: String,
    pub nonce: String,
    /// Of PKCE (RFC 7636).
    pub verifier: String,
}

/// The provider as this client sees it.
pub struct Provider {
    client: ClientSettings,
    known: Mutex<Known>,
    lane: Semaphore,
}

#[derive(Default)]
struct Known {
    /// When discovery was last tried, and when it last went well.
    attempted: Option<DateTime<Utc>>,
    fetched: Option<DateTime<Utc>>,
    endpoints: Option<Arc<Endpoints>>,
}

struct Endpoints {
    authorization: Url,
    token: String,
    /// The client's secret goes into the form; else it is a login.
    is_secret_in_form: bool,
    /// Where people sign out, if the provider lets clients ask for that.
    end_session: Option<Url>,
}

impl Endpoints {
    fn of(discovery: Discovery, issuer: &Issuer) -> Result<Self, FetchError> {
        let ways = discovery.token_endpoint_auth_methods_supported;
        let is_secret_in_form = ways.is_some_and(|ways| !ways.iter().any(|way| way == BY_LOGIN));
        let both = discovery.authorization_endpoint.zip(discovery.token_endpoint);
        let (authorization, token) = both.ok_or(FetchError::NoSignIn)?;
        let authorization = issuer.checked_url(&authorization)?;
        issuer.checked_url(&token)?;
        // One that is not fit to go to takes nobody's sign-in away.
        let end_session = discovery.end_session_endpoint.and_then(|url| issuer.checked_url(&url).ok());
        Ok(Self { authorization, token, is_secret_in_form, end_session })
    }
}

/// What a token endpoint answers (RFC 6749, 5).
#[derive(Deserialize)]
struct Redeemed {
    id_token: Option<String>,
    error: Option<String>,
}

impl Provider {
    pub fn new(client: ClientSettings) -> Self {
        Self { client, known: Mutex::default(), lane: Semaphore::new(AT_ONCE) }
    }

    pub fn client(&self) -> &ClientSettings {
        &self.client
    }

    /// Where the browser goes to sign in.
    pub async fn address(&self, issuer: &Issuer, once: &Once, now: DateTime<Utc>) -> Result<String, SignInError> {
        let mut address = self.endpoints(issuer, now).await?.authorization.clone();
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&once.verifier));
        address.query_pairs_mut().extend_pairs([
            ("response_type", "code"),
            ("client_id", &self.client.id),
            ("redirect_uri", &self.client.redirect),
            ("scope", &self.client.scopes),
            ("state", &once.state),
            ("nonce", &once.nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ]);
        Ok(address.into())
    }

    /// Where the browser goes to sign out (OpenID Connect RP-Initiated Logout); `hint` is the ID token that was signed in with.
    pub async fn leave(&self, issuer: &Issuer, hint: Option<&Secret>, now: DateTime<Utc>) -> Option<String> {
        let mut address = self.endpoints(issuer, now).await.ok()?.end_session.clone()?;
        address
            .query_pairs_mut()
            .append_pair("client_id", &self.client.id)
            .append_pair("post_logout_redirect_uri", &self.client.signed_out)
            .extend_pairs(hint.map(|hint| ("id_token_hint", hint.expose())));
        Some(address.into())
    }

    /// The ID token that the provider gives for this code.
    pub async fn redeem(
        &self,
        issuer: &Issuer,
        code: &str,
        once: &Once,
        now: DateTime<Utc>,
    ) -> Result<String, SignInError> {
        if code.is_empty() || code.len() > LONGEST_CODE {
            return Err(SignInError::Stale);
        }
        let _turn = self.lane.try_acquire().map_err(|_| AuthError::Busy)?;
        let endpoints = self.endpoints(issuer, now).await?;
        let (form, login) = self.request(&endpoints, code, once);
        let (status, body) = issuer.post(&endpoints.token, form, login).await.map_err(|error| {
            tracing::warn!(%error, "a sign-in was not finished: its code was not redeemed");
            SignInError::Away
        })?;
        let said: Result<Redeemed, _> = serde_json::from_slice(&body);
        match said {
            Ok(Redeemed { id_token: Some(token), .. }) if status == StatusCode::OK => Ok(token),
            Ok(Redeemed { error: Some(error), .. }) if error == "invalid_grant" => Err(SignInError::Stale),
            _ if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                tracing::warn!(%status, "a sign-in was not finished: its code was not redeemed");
                Err(SignInError::Away)
            }
            said => {
                let error = said.map_or_else(|error| Some(error.to_string()), |said| said.error);
                let error = error.map(|error| error.chars().take(100).collect::<String>());
                tracing::warn!(%status, ?error, "the issuer gives no ID token for a code: is pages.oidc_… what it knows?");
                Err(SignInError::Misfit)
            }
        }
    }

    /// The form of a redemption, and the login beside it.
    fn request(&self, endpoints: &Endpoints, code: &str, once: &Once) -> (String, Option<(String, Secret)>) {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs([
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.client.redirect),
            ("code_verifier", &once.verifier),
        ]);
        if let Some(secret) = self.client.secret.as_ref().filter(|_| !endpoints.is_secret_in_form) {
            // As RFC 6749, 2.3.1 has it: encoded like a form, then a login.
            let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            return (form.finish(), Some((encoded(&self.client.id), Secret::new(encoded(secret.expose())))));
        }
        form.append_pair("client_id", &self.client.id);
        if let Some(secret) = &self.client.secret {
            form.append_pair("client_secret", secret.expose());
        }
        (form.finish(), None)
    }

    /// What discovery says, not asked for again too soon, whoever begins how many sign-ins.
    async fn endpoints(&self, issuer: &Issuer, now: DateTime<Utc>) -> Result<Arc<Endpoints>, SignInError> {
        let settings = issuer.settings();
        let since = |at: Option<DateTime<Utc>>| at.and_then(|at| (now - at).to_std().ok()).unwrap_or(Duration::MAX);
        let mut known = self.known.lock().await;
        if since(known.fetched) >= settings.cache && since(known.attempted) >= settings.pause {
            known.attempted = Some(now);
            match issuer.discover().await.and_then(|discovery| Endpoints::of(discovery, issuer)) {
                Ok(endpoints) => {
                    known.fetched = Some(now);
                    known.endpoints = Some(Arc::new(endpoints));
                }
                Err(error) => {
                    tracing::warn!(issuer = settings.issuer, %error, "where people sign in was not found out");
                }
            }
        }
        known.endpoints.clone().ok_or(SignInError::Away)
    }
}
