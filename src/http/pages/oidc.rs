//! `/admin/sign-in/oidc`: to the OpenID provider, and back.

use std::time::Duration;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        StatusCode,
        header::{self, HeaderName},
    },
    web::{self, Data, ServiceConfig},
};

use super::{
    form::Form,
    sign_in, sign_out,
    visitor::{PageError, cookie, held, hold, to_with, token},
};
use crate::{
    http::{HttpError, caller},
    identity::{Answer, Arrival, Identity, SignInError},
    model::Secret,
};

/// Where the provider sends browsers back to.
pub const CALLBACK: &str = "/admin/sign-in/oidc/callback";
const PLACE: &str = "/admin/sign-in/oidc";
/// What a browser holds while its person is at the provider: no longer than the sign-in lasts.
const COOKIE: &str = "progress_sign_in";
const FOR_TEN_MINUTES: &str = "; Max-Age=600";
const SOON: Duration = Duration::from_secs(60);

pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/sign-in/oidc").get(depart))
        .service(web::resource("/sign-in/oidc/callback").get(arrive));
}

/// The cookie of a sign-in; without one it is over.
fn pending(req: &HttpRequest, what: Option<&Secret>) -> (HeaderName, String) {
    hold(req, COOKIE, PLACE, what, FOR_TEN_MINUTES)
}

async fn depart(req: HttpRequest, identity: Data<Identity>) -> Result<HttpResponse, PageError> {
    let next = sign_in::next(&req);
    match identity.depart(&next).await {
        Ok(departure) => Ok(to_with(&departure.address, pending(&req, Some(&departure.held)))),
        Err(error) => Ok(refused(&req, &identity, next, error)?),
    }
}

async fn arrive(req: HttpRequest, identity: Data<Identity>) -> Result<HttpResponse, PageError> {
    let fields = Form::of_address(&req)?;
    let answer = Answer {
        state: fields.exact("state"),
        code: fields.exact("code"),
        error: fields.given("error"),
        issuer: fields.given("iss"),
    };
    let held = held(&req, COOKIE).unwrap_or_default();
    let arrived = Box::pin(identity.arrive(&held, &answer, token(&req).as_ref())).await;
    let mut response = match arrived {
        Ok(Arrival { session, next, id_token }) => {
            let mut response = to_with(&sign_in::own(&next), cookie(&req, Some(&session)));
            if id_token.is_some() {
                add(&mut response, sign_out::hint(&req, id_token.as_ref()))?;
            }
            response
        }
        Err(error) => refused(&req, &identity, String::new(), error)?,
    };
    // However it ended, it has.
    add(&mut response, pending(&req, None))?;
    Ok(response)
}

fn add(response: &mut HttpResponse, (name, value): (HeaderName, String)) -> Result<(), HttpError> {
    response.headers_mut().append(name, value.try_into().map_err(HttpError::internal)?);
    Ok(())
}

/// The page where one signs in, with why the provider's way did not lead in: the other way is beside it.
fn refused(
    req: &HttpRequest,
    identity: &Identity,
    next: String,
    error: SignInError,
) -> Result<HttpResponse, HttpError> {
    let (status, why, wait) = match error {
        SignInError::Auth(error) => {
            let error = caller::refuse(req, error);
            let (status, _, why) = error.said();
            (status, why, error.retry_after())
        }
        error => {
            let status = match error {
                SignInError::NotHere => StatusCode::NOT_FOUND,
                SignInError::Stale => StatusCode::BAD_REQUEST,
                SignInError::Declined => StatusCode::FORBIDDEN,
                SignInError::Misfit => StatusCode::BAD_GATEWAY,
                SignInError::Away | SignInError::Auth(_) => StatusCode::SERVICE_UNAVAILABLE,
            };
            (status, error.to_string(), (status == StatusCode::SERVICE_UNAVAILABLE).then_some(SOON))
        }
    };
    let mut response = sign_in::page(identity, next, why, status)?;
    if let Some(wait) = wait {
        response.headers_mut().insert(header::RETRY_AFTER, wait.as_secs().max(1).into());
    }
    Ok(response)
}
