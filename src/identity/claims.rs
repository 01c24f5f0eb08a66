//! What a token says, judged against the configuration and the time; pure, after its signature was verified.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use uuid::Uuid;

use super::{AuthError, IssuerSettings};
use crate::model::{Scope, Scopes, TenantId};

/// How far the issuer's clock may be from ours, in seconds.
const LEEWAY: f64 = 60.0;

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
}

/// The claims as sent.
#[derive(Debug, Deserialize)]
pub struct Claims {
    iss: Option<String>,
    aud: Option<Texts>,
    sub: Option<String>,
    exp: Option<f64>,
    nbf: Option<f64>,
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
    pub fn accept(self, settings: &IssuerSettings, now: DateTime<Utc>) -> Result<Accepted, AuthError> {
        let refuse = |why| Err(AuthError::Token(why));
        let now = now.timestamp_millis() as f64 / 1_000.0;
        if self.iss.as_deref() != Some(settings.issuer.as_str()) {
            return refuse("it is not from the configured issuer");
        }
        if !self.aud.as_ref().is_some_and(|aud| aud.iter().any(|name| name == settings.audience)) {
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
    fn an_application_may_stand_for_itself() {
        let mut claims = with("azp", json!("lms"));
        assert_eq!(accept(claims.clone()).unwrap().application.as_deref(), Some("lms"));
        claims["sub"] = Value::Null;
        assert_eq!(accept(claims).unwrap().subject, "lms");
    }
}
