//! `/admin/sign-in`.

use actix_web::{
    HttpRequest, HttpResponse,
    http::StatusCode,
    web::{self, Data, ServiceConfig},
};
use askama::Template;
use url::form_urlencoded;

use super::{
    form::Form,
    refusal::ROOT,
    shell::answer,
    visitor::{PageError, SIGN_IN, cookie, to_with, token},
};
use crate::{
    http::{HttpError, edge::is_below},
    identity::{AuthError, Identity},
    model::Secret,
    telemetry::Metrics,
};

pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/sign-in").get(ask).post(sign_in));
}

#[derive(Template)]
#[template(path = "sign_in.html", config = "src/http/pages/askama.toml")]
struct SignIn {
    next: String,
    wrong: String,
    /// Who lets people in beside the keys; empty where nobody does.
    provider: String,
}

/// The page where one signs in, and why one is asked to again.
pub fn page(identity: &Identity, next: String, wrong: String, status: StatusCode) -> Result<HttpResponse, HttpError> {
    let provider = identity.provider().unwrap_or_default().to_owned();
    let mut response = answer(&SignIn { next, wrong, provider })?;
    *response.status_mut() = status;
    Ok(response)
}

async fn ask(req: HttpRequest, identity: Data<Identity>) -> Result<HttpResponse, PageError> {
    Ok(page(&identity, next(&req), String::new(), StatusCode::OK)?)
}

/// Where the address says one wants to go.
pub fn next(req: &HttpRequest) -> String {
    let next = form_urlencoded::parse(req.query_string().as_bytes()).find(|(name, _)| name == "next");
    own(&next.map(|(_, place)| place).unwrap_or_default())
}

/// A place among these pages; what leads elsewhere leads to the first one.
pub fn own(next: &str) -> String {
    let is_plain = next.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-_.".contains(&b))
        && !next.contains("//")
        && !next.contains("..");
    if is_plain && is_below(next, ROOT) && !is_below(next, SIGN_IN) { next.to_owned() } else { ROOT.to_owned() }
}

async fn sign_in(req: HttpRequest, identity: Data<Identity>, form: Form) -> Result<HttpResponse, PageError> {
    let next = own(form.text("next"));
    let secret = Secret::new(form.exact("secret"));
    match identity.open_session(form.text("key"), &secret, token(&req).as_ref()).await {
        Ok((token, _)) => Ok(to_with(&next, cookie(&req, Some(&token)))),
        Err(error @ (AuthError::Refused | AuthError::Expired | AuthError::Revoked | AuthError::Scope(_))) => {
            if let Some(metrics) = req.app_data::<Data<Metrics>>() {
                metrics.auth.refusals.with_label_values(&["wrong"]).inc();
            }
            Ok(page(&identity, next, error.to_string(), StatusCode::UNAUTHORIZED)?)
        }
        Err(AuthError::Busy) => {
            let why = "too many tries with this key failed, or too many secrets are being checked".to_owned();
            Err(HttpError::Unavailable { why, retry_after: std::time::Duration::from_secs(60) }.into())
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_led_elsewhere() {
        for (next, place) in [
            ("/admin/jobs", "/admin/jobs"),
            ("", "/admin"),
            ("https://evil.example", "/admin"),
            ("//evil.example", "/admin"),
            ("/admin//evil", "/admin"),
            ("/admin/../api", "/admin"),
            ("/administrator", "/admin"),
            ("/admin/sign-in", "/admin"),
            ("/admin/sign-in/oidc", "/admin"),
            ("/admin/\r\nX: y", "/admin"),
        ] {
            assert_eq!(own(next), place, "{next:?}");
        }
    }
}
