//! Who looks at a page: the holder of a session, and what is refused before anything is shown.

use std::{future::Future, pin::Pin};

use actix_web::{
    FromRequest, HttpRequest, HttpResponse, ResponseError,
    body::BoxBody,
    dev::Payload,
    http::{
        Method, StatusCode,
        header::{self, HeaderMap, HeaderName},
    },
    web::Data,
};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Pages, refusal};
use crate::{
    http::{HttpError, api::path_id, caller::admit},
    identity::{Caller, Identity, Seat, reach, reach::Role},
    model::{Scope, Secret, TenantId},
    trail::Trail,
    xapi::keys::Ifi,
};

const COOKIE: &str = "progress_session";
pub const SIGN_IN: &str = "/admin/sign-in";

/// Somebody who signed in.
pub struct Visitor {
    pub caller: Caller,
    pub role: Role,
    /// What every form of this session carries.
    pub csrf: String,
    /// The database does not answer: who this is was known before.
    pub is_remembered: bool,
}

impl Visitor {
    /// The tenant that is looked at: an operator's choice, else one's own. The same rule as `?tenantId=` of the API.
    pub fn tenant(&self, named: &str) -> Result<TenantId, HttpError> {
        self.caller.require(Scope::Admin)?;
        if named.is_empty() {
            return Ok(self.caller.tenant);
        }
        let named = TenantId(path_id(named, "tenant")?);
        if named != self.caller.tenant {
            self.caller.require_operator()?;
        }
        Ok(named)
    }

    /// As whom the audit trail knows them.
    pub fn name(&self) -> String {
        self.caller.credential.audit_name()
    }

    /// A look at what is a person's leaves its entry, as over xAPI: without it there is no answer.
    pub async fn note(
        &self,
        trail: &Trail,
        action: &'static str,
        agent: Option<&Ifi>,
        detail: Value,
    ) -> Result<(), PageError> {
        let Some(agent) = agent else { return Ok(()) };
        Ok(trail.note(self.caller.tenant, self.name(), action, agent, detail).await?)
    }
}

/// Why a page is not shown.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// Nobody is signed in; where to go afterwards.
    #[error("sign in first")]
    SignIn { next: String },
    #[error(transparent)]
    Refused(HttpError),
}

impl<E: Into<HttpError>> From<E> for PageError {
    fn from(error: E) -> Self {
        Self::Refused(error.into())
    }
}

impl ResponseError for PageError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::SignIn { .. } => StatusCode::SEE_OTHER,
            Self::Refused(error) => error.status_code(),
        }
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        match self {
            Self::SignIn { next } => to(&format!("{SIGN_IN}?next={next}")),
            Self::Refused(error) => refusal::page(error),
        }
    }
}

/// Sends the browser elsewhere.
pub fn to(place: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((header::LOCATION, place)).finish()
}

/// The same, with what the browser is to hold from now on.
pub fn to_with(place: &str, held: (HeaderName, String)) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((header::LOCATION, place)).insert_header(held).finish()
}

impl FromRequest for Visitor {
    type Error = PageError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, PageError>>>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let req = req.clone();
        Box::pin(async move { visitor(&req).await })
    }
}

/// Whoever holds the session of this request.
pub async fn visitor(req: &HttpRequest) -> Result<Visitor, PageError> {
    let identity = req.app_data::<Data<Identity>>().ok_or_else(|| HttpError::internal("no identity is set up"))?;
    let away = || {
        let place = if req.method() == Method::GET { req.uri().path() } else { refusal::ROOT };
        PageError::SignIn { next: place.to_owned() }
    };
    let token = token(req).ok_or_else(away)?;
    let Seat { caller, is_remembered } = identity.seat(&token).await?.ok_or_else(away)?;
    let role = reach::pages(&caller)?;
    admit(req, &caller)?;
    Ok(Visitor { caller, role, csrf: csrf(&token), is_remembered })
}

/// The token that this browser holds.
pub fn token(req: &HttpRequest) -> Option<Secret> {
    held(req, COOKIE)
}

/// What this browser holds under a name.
pub fn held(req: &HttpRequest, wanted: &str) -> Option<Secret> {
    let texts = req.headers().get_all(header::COOKIE).filter_map(|value| value.to_str().ok());
    let mut pairs = texts.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(name, value)| *name == wanted && !value.is_empty())?;
    Some(Secret::new(value))
}

/// What proves that a form is of a page of this session: whoever made another page cannot know the token it is made of.
fn csrf(token: &Secret) -> String {
    hex::encode(Sha256::new_with_prefix("form of ").chain_update(token.expose()).finalize())
}

/// What a browser is told to hold for a session; without a token, to hold nothing any more. No script sees it, and no page of
/// another site has it sent but by a link.
pub fn cookie(req: &HttpRequest, token: Option<&Secret>) -> (HeaderName, String) {
    hold(req, COOKIE, refusal::ROOT, token, "")
}

/// The same of any name and place, with how long it is held.
pub fn hold(req: &HttpRequest, name: &str, path: &str, what: Option<&Secret>, how_long: &str) -> (HeaderName, String) {
    let value = what.map_or("", Secret::expose);
    let told = req.app_data::<Data<Pages>>().and_then(|pages| pages.public_url.clone());
    let is_secure = req.connection_info().scheme() == "https" || told.is_some_and(|url| url.starts_with("https:"));
    let (secure, end) =
        (if is_secure { "; Secure" } else { "" }, if what.is_none() { "; Max-Age=0" } else { how_long });
    (header::SET_COOKIE, format!("{name}={value}; Path={path}; HttpOnly; SameSite=Lax{secure}{end}"))
}

/// Whether a browser says that a page of another origin made it ask. Nobody is listed here: what `limits.cors_origins` names
/// may use the API with keys, and has no business among these pages. To follow a link from elsewhere is fine.
pub fn is_foreign(headers: &HeaderMap, method: &Method, own: Option<&str>) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let authority = |url: &str| url.split_once("://").map(|(_, rest)| rest.trim_end_matches('/').to_ascii_lowercase());
    let host = text("host").unwrap_or_default().to_ascii_lowercase();
    let is_own = |origin: &str| {
        let from = authority(origin);
        from.is_some() && (from.as_deref() == Some(&host) || from == own.and_then(authority))
    };
    if text("origin").is_some_and(|origin| !is_own(origin)) {
        return true;
    }
    match text("sec-fetch-site") {
        None | Some("same-origin" | "none") => false,
        Some(_) => method != Method::GET && method != Method::HEAD || text("sec-fetch-mode") != Some("navigate"),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    #[test]
    fn only_a_link_leads_here_from_elsewhere() {
        for (method, given, own, foreign) in [
            (Method::GET, &[][..], None, false),
            (Method::POST, &[("host", "lrs.example"), ("origin", "https://lrs.example")], None, false),
            (Method::POST, &[("host", "inside:8080"), ("origin", "https://lrs.example")], None, true),
            (
                Method::POST,
                &[("host", "inside:8080"), ("origin", "https://LRS.example")],
                Some("https://lrs.example/"),
                false,
            ),
            (Method::POST, &[("host", "lrs.example"), ("origin", "null")], None, true),
            (Method::GET, &[("host", "lrs.example"), ("origin", "https://evil.example")], None, true),
            (Method::GET, &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")], None, false),
            (Method::GET, &[("sec-fetch-site", "same-site"), ("sec-fetch-mode", "cors")], None, true),
            (Method::POST, &[("sec-fetch-site", "same-site"), ("sec-fetch-mode", "navigate")], None, true),
            (Method::POST, &[("sec-fetch-site", "same-origin")], None, false),
        ] {
            let pair = |(name, value): &(&'static str, &'static str)| {
                (HeaderName::from_static(name), HeaderValue::from_static(value))
            };
            let headers: HeaderMap = given.iter().map(pair).collect();
            assert_eq!(is_foreign(&headers, &method, own), foreign, "{method} {given:?}");
        }
    }

    #[test]
    fn a_form_is_proved_by_what_only_its_session_knows() {
        let (one, other) = (Secret::new("the token of one"), Secret::new("the token of another"));
        assert_eq!(csrf(&one), csrf(&one));
        assert_ne!(csrf(&one), csrf(&other));
        assert!(!csrf(&one).contains(one.expose()), "a page does not show the token itself");
    }
}
