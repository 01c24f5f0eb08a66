//! What a token says, judged against the configuration and the time; pure, after its signature was verified.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::{AuthError, IssuerSettings};
use crate::model::{Scope, Scopes, TenantId};

/// How far the issuer's clock may be from ours, in seconds.
const LEEWAY: f64 = 60.0;
/// What OpenID Connect allows a subject.
const LONGEST_SUBJECT: usize = 255;

/// A claim that issuers send as text or as a list of texts.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Texts {
    One(String),
    Many(Vec<String>),
}

impl Texts {
    fn iter(&self) -> impl Iterator<Item = &str> {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Many(texts) => texts.as_slice(),
        }
        .iter()
        .map(String::as_str)
    }

    fn has(&self, wanted: &str) -> bool {
        self.iter().any(|text| text == wanted)
    }
}

/// The claims as sent.
#[derive(Debug, Deserialize)]
pub struct Claims {
    iss: Option<String>,
    aud: Option<Texts>,
    sub: Option<String>,
    exp: Option<f64>,
    nbf: Option<f64>,
    iat: Option<f64>,
    nonce: Option<String>,
    tid: Option<String>,
    scope: Option<Texts>,
    scp: Option<Texts>,
    azp: Option<String>,
    client_id: Option<String>,
}

/// The claims once every one of them was accepted.
#[derive(Debug, PartialEq, Eq)]
pub struct Accepted {
    pub tenant: TenantId,
    pub subject: String,
    pub application: Option<String>,
    pub scopes: Scopes,
}

impl Claims {
    /// Those of a bearer token.
    pub fn accept(self, settings: &IssuerSettings, now: DateTime<Utc>) -> Result<Accepted, AuthError> {
        self.judge(&settings.issuer, &settings.audience, seconds(now))?;
        self.named()
    }

    /// Those of an ID token: for this client, and of the sign-in that `nonce` was made for.
    pub fn accept_id(self, issuer: &str, client: &str, nonce: &str, now: DateTime<Utc>) -> Result<Accepted, AuthError> {
        let refuse = |why| Err(AuthError::Token(why));
        let now = seconds(now);
        self.judge(issuer, client, now)?;
        let is_for_one = self.aud.as_ref().is_some_and(|aud| aud.iter().count() == 1);
        if self.azp.as_deref().map_or(!is_for_one, |azp| azp != client) {
            return refuse("it was issued to another application");
        }
        match self.iat {
            None => return refuse("it does not say when it was issued"),
            Some(iat) if now < iat - LEEWAY => return refuse("it was issued later than now"),
            Some(_) => {}
        }
        if !self.nonce.as_ref().is_some_and(|told| bool::from(told.as_bytes().ct_eq(nonce.as_bytes()))) {
            return refuse("it is not of this sign-in: its nonce is another");
        }
        if self.sub.as_ref().is_none_or(|sub| sub.is_empty() || sub.len() > LONGEST_SUBJECT) {
            return refuse("its claim sub names nobody");
        }
        self.named()
    }

    /// From whom it is, to whom, and when.
    fn judge(&self, issuer: &str, audience: &str, now: f64) -> Result<(), AuthError> {
        let refuse = |why| Err(AuthError::Token(why));
        if self.iss.as_deref() != Some(issuer) {
            return refuse("it is not from the configured issuer");
        }
        if !self.aud.as_ref().is_some_and(|aud| aud.has(audience)) {
            return refuse("it is meant for another audience");
        }
        match self.exp {
            None => return refuse("it has no expiry"),
            Some(exp) if now >= exp + LEEWAY => return refuse("it has expired"),
            Some(_) => {}
        }
        if self.nbf.is_some_and(|nbf| now < nbf - LEEWAY) {
            return refuse("it is not valid yet");
        }
        Ok(())
    }

    /// Whom it names, and what they may.
    fn named(self) -> Result<Accepted, AuthError> {
        let refuse = |why| Err(AuthError::Token(why));
        let Some(tenant) = self.tid.as_deref().and_then(|tid| tid.parse::<Uuid>().ok()) else {
            return refuse("its claim tid names no tenant");
        };
        let scopes = self.scopes();
        let application = self.client_id.or(self.azp).filter(|name| !name.is_empty());
        let names = [&self.sub, &application];
        if names.into_iter().flatten().any(|name| name.chars().any(char::is_control)) {
            return refuse("its subject or application holds a control character");
        }
        match self.sub.filter(|sub| !sub.is_empty()).or_else(|| application.clone()) {
            None => refuse("it names no subject"),
            Some(subject) => Ok(Accepted { tenant: TenantId(tenant), subject, application, scopes }),
        }
    }

    /// The scopes we know. Issuers add their own, which mean nothing here; and next to `openid` the name
    /// `profile` means a person's profile, not the profile documents of xAPI.
    fn scopes(&self) -> Scopes {
        let claims = self.scope.iter().chain(&self.scp);
        let names: Vec<&str> = claims.flat_map(Texts::iter).flat_map(str::split_whitespace).collect();
        let is_openid = names.contains(&"openid");
        let known = names.into_iter().filter_map(|name| name.parse::<Scope>().ok());
        Scopes::new(known.filter(|scope| !(is_openid && *scope == Scope::Profile)))
    }
}

fn seconds(at: DateTime<Utc>) -> f64 {
    at.timestamp_millis() as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;

    const NOW: i64 = 1_900_000_000;
    const TENANT: &str = "00000000-0000-4000-8000-000000000001";

    fn settings() -> IssuerSettings {
        IssuerSettings {
            issuer: "https://id.example".to_owned(),
            audience: "progress".to_owned(),
            jwks_url: None,
            cache: Duration::from_secs(600),
            pause: Duration::from_secs(10),
            ca_file: None,
            allow_http: false,
            client: None,
        }
    }

    fn good() -> Value {
        json!({ "iss": "https://id.example", "aud": "progress", "sub": "ada", "exp": NOW + 300, "tid": TENANT,
                "scope": "statements/write state" })
    }

    fn accept(claims: Value) -> Result<Accepted, AuthError> {
        let claims: Claims = serde_json::from_value(claims).unwrap();
        claims.accept(&settings(), DateTime::from_timestamp(NOW, 0).unwrap())
    }

    fn with(name: &str, value: Value) -> Value {
        let mut claims = good();
        claims[name] = value;
        claims
    }

    #[test]
    fn a_good_token_names_tenant_subject_and_scopes() {
        let accepted = accept(good()).unwrap();
        assert_eq!(accepted.tenant, TenantId::DEFAULT);
        assert_eq!((accepted.subject.as_str(), accepted.application), ("ada", None));
        assert_eq!(accepted.scopes.names(), ["statements/write", "state"]);
    }

    #[test]
    fn each_claim_that_is_wrong_or_missing_refuses() {
        for (name, value) in [
            ("iss", json!("https://id.example/")),
            ("iss", Value::Null),
            ("aud", json!("other")),
            ("aud", json!(["other"])),
            ("aud", Value::Null),
            ("exp", json!(NOW - 60)),
            ("exp", Value::Null),
            ("nbf", json!(NOW + 61)),
            ("tid", json!("acme")),
            ("tid", Value::Null),
            ("sub", json!("")),
            ("sub", json!("a\0b")),
            ("azp", json!("a\r\nb")),
        ] {
            let shown = format!("{name}: {value}");
            assert!(matches!(accept(with(name, value)), Err(AuthError::Token(_))), "{shown}");
        }
    }

    #[test]
    fn clocks_may_differ_by_a_minute_and_times_may_have_fractions() {
        assert!(accept(with("exp", json!(NOW - 59))).is_ok());
        assert!(accept(with("nbf", json!(NOW + 60))).is_ok());
        assert!(accept(with("exp", json!(1_900_000_000.5))).is_ok());
    }

    #[test]
    fn audience_and_scopes_may_be_lists() {
        let mut claims = with("aud", json!(["other", "progress"]));
        claims["scp"] = json!(["define", "unheard/of"]);
        assert_eq!(accept(claims).unwrap().scopes.names(), ["statements/write", "state", "define"]);
    }

    #[test]
    fn the_profile_scope_of_openid_is_not_that_of_xapi() {
        assert_eq!(accept(with("scope", json!("openid profile state"))).unwrap().scopes.names(), ["state"]);
        assert_eq!(accept(with("scope", json!("profile"))).unwrap().scopes.names(), ["profile"]);
    }

    #[test]
    fn an_id_token_is_for_this_client_and_of_this_sign_in() {
        let id = |name: &str, value: Value| {
            let mut claims = with("aud", json!("pages"));
            claims["iat"] = json!(NOW);
            claims["nonce"] = json!("once");
            claims[name] = value;
            let claims: Claims = serde_json::from_value(claims).unwrap();
            claims.accept_id("https://id.example", "pages", "once", DateTime::from_timestamp(NOW, 0).unwrap())
        };
        for (name, value) in [("sub", json!("ada")), ("azp", json!("pages")), ("iat", json!(NOW + 60))] {
            assert_eq!(id(name, value.clone()).unwrap().subject, "ada", "{name}: {value}");
        }
        for (name, value) in [
            ("iss", json!("https://other.example")),
            ("aud", json!("progress")),
            ("aud", json!(["pages", "progress"])),
            ("azp", json!("lms")),
            ("exp", json!(NOW - 60)),
            ("iat", Value::Null),
            ("iat", json!(NOW + 61)),
            ("nonce", json!("twice")),
            ("nonce", Value::Null),
            ("sub", Value::Null),
            ("sub", json!("")),
            ("sub", json!("a".repeat(256))),
            ("tid", Value::Null),
        ] {
            assert!(matches!(id(name, value.clone()), Err(AuthError::Token(_))), "{name}: {value}");
        }
    }

    #[test]
    fn an_application_may_stand_for_itself() {
        let mut claims = with("azp", json!("lms"));
        assert_eq!(accept(claims.clone()).unwrap().application.as_deref(), Some("lms"));
        claims["sub"] = Value::Null;
        assert_eq!(accept(claims).unwrap().subject, "lms");
    }
}
