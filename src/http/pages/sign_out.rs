//! `/admin/sign-out`: ends the session here, and leads on to the OpenID provider where that let the person in.
//!
//! The ID token that the provider wants to see again stays with the browser, in a cookie that is sent here alone: nothing of it is kept.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::HeaderName,
    web::{self, Data, ServiceConfig},
};
use askama::Template;

use super::{
    form::Act,
    shell::answer,
    visitor::{PageError, SIGN_IN, cookie, held, hold, to_with, token},
};
use crate::{
    http::HttpError,
    identity::{CredentialRef, Identity},
    model::Secret,
};

const PLACE: &str = "/admin/sign-out";
const COOKIE: &str = "progress_id_token";
/// Browsers keep cookies of 4 KiB. The provider can do without a longer one: it then asks who it is that leaves.
const LONGEST: usize = 3_800;

pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/sign-out").post(sign_out));
}

/// The cookie with what the provider is shown when this person leaves.
pub fn hint(req: &HttpRequest, id_token: Option<&Secret>) -> (HeaderName, String) {
    hold(req, COOKIE, PLACE, id_token.filter(|token| token.expose().len() <= LONGEST), "")
}

/// The way on. A page, as the policy lets a form lead to no other site, wherever the answer to it points.
#[derive(Template)]
#[template(path = "signed_out.html", config = "src/http/pages/askama.toml")]
struct Onward {
    address: String,
    provider: String,
}

async fn sign_out(req: HttpRequest, identity: Data<Identity>, act: Act) -> Result<HttpResponse, PageError> {
    let leaving = &act.visitor.caller.credential;
    if let Some(token) = token(&req) {
        identity.close_session(&token, &leaving.audit_name()).await?;
    }
    let onward = match leaving {
        CredentialRef::Token { .. } => identity.leave(held(&req, COOKIE).as_ref()).await,
        CredentialRef::Key { .. } => None,
    };
    let Some(address) = onward else { return Ok(to_with(SIGN_IN, cookie(&req, None))) };
    let provider = identity.provider().unwrap_or_default().to_owned();
    let mut response = answer(&Onward { address, provider })?;
    for (name, value) in [cookie(&req, None), hint(&req, None)] {
        response.headers_mut().append(name, value.try_into().map_err(HttpError::internal)?);
    }
    Ok(response)
}
