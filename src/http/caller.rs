//! From a request to its [`Caller`], and from a refusal to an error with a status.

use std::{future::Future, pin::Pin, time::Duration};

use actix_web::{Error, FromRequest, HttpMessage, HttpRequest, dev::Payload, http::header, web::Data};
use uuid::Uuid;

use super::{HttpError, Problem, RateLimits, budget::Holder};
pub use crate::identity::Caller;
use crate::{
    flags::{
        Flags,
        declared::RATE,
        residence::{Admission, Residences, admission},
    },
    identity::{AuthError, Identity},
    telemetry::Metrics,
};

const TENANT_HEADER: &str = "X-Tenant-Id";

impl FromRequest for Caller {
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Error>>>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let req = req.clone();
        Box::pin(async move {
            let caller = match req.headers().get(header::AUTHORIZATION).map(header::HeaderValue::to_str) {
                None => Err(refuse(&req, AuthError::Missing)),
                Some(Err(_)) => Err(refuse(&req, AuthError::Malformed("expected visible ASCII"))),
                Some(Ok(authorization)) => identify(&req, authorization).await,
            };
            let in_api = req.path().starts_with("/api/");
            caller.map_err(|error| if in_api { Problem(error).into() } else { error.into() })
        })
    }
}

/// The caller behind `authorization`, which the alternate request syntax carries as a form field.
pub async fn identify(req: &HttpRequest, authorization: &str) -> Result<Caller, HttpError> {
    let identity = req.app_data::<Data<Identity>>().ok_or_else(|| HttpError::internal("no identity is set up"))?;
    let caller = identity.authenticate(authorization).await.map_err(|error| refuse(req, error))?;
    if let Some(wanted) = req.headers().get(TENANT_HEADER) {
        let wanted = wanted.to_str().ok().and_then(|text| text.trim().parse::<Uuid>().ok());
        if wanted != Some(caller.tenant.0) {
            return Err(refuse(req, AuthError::TenantMismatch));
        }
    }
    admit(req, &caller)?;
    Ok(caller)
}

/// Counts a request of who is known; refuses it beyond the rate, and holds what it takes on its caller's account.
pub fn admit(req: &HttpRequest, caller: &Caller) -> Result<(), HttpError> {
    be_at_home(req, caller)?;
    if let Some(limits) = req.app_data::<Data<RateLimits>>() {
        let own = req.app_data::<Data<Flags>>().and_then(|flags| flags.number(caller.tenant, &RATE));
        limits.check(&caller.credential, own)?;
    }
    req.extensions_mut().insert(Holder::from(caller));
    Ok(())
}

/// Begins no request of a tenant that is served elsewhere, or nowhere for a moment.
fn be_at_home(req: &HttpRequest, caller: &Caller) -> Result<(), HttpError> {
    let Some(residence) = req.app_data::<Data<Residences>>().and_then(|known| known.of(caller.tenant)) else {
        return Ok(());
    };
    match admission(residence.standing, req.method().is_safe()) {
        Admission::Come => Ok(()),
        Admission::Later => {
            let why = "the tenant moves to another cell just now".to_owned();
            Err(HttpError::Unavailable { why, retry_after: Duration::from_secs(1) })
        }
        Admission::Elsewhere => Err(HttpError::Moved { cell: residence.cell, endpoint: residence.endpoint }),
    }
}

/// Counts who is not let in: a wrong secret that is tried a thousand times should be seen by somebody.
pub fn refuse(req: &HttpRequest, error: AuthError) -> HttpError {
    if let Some(metrics) = req.app_data::<Data<Metrics>>() {
        metrics.auth.refusals.with_label_values(&[reason(&error)]).inc();
    }
    error.into()
}

fn reason(error: &AuthError) -> &'static str {
    match error {
        AuthError::Missing => "missing",
        AuthError::Malformed(_) => "malformed",
        AuthError::Refused => "wrong",
        AuthError::Expired => "expired",
        AuthError::Revoked => "revoked",
        AuthError::Token(_) | AuthError::NoIssuer => "token",
        AuthError::UnknownTenant(_) | AuthError::Suspended | AuthError::TenantMismatch => "tenant",
        AuthError::Scope(_) | AuthError::NotOperator | AuthError::Beyond(_) | AuthError::Against(_) => "scope",
        AuthError::Busy | AuthError::IssuerUnavailable | AuthError::Store(_) | AuthError::Hash(_) => "unavailable",
    }
}

impl From<AuthError> for HttpError {
    fn from(error: AuthError) -> Self {
        let text = error.to_string();
        match error {
            AuthError::Against(violations) => Self::Refused(violations),
            AuthError::Missing
            | AuthError::Malformed(_)
            | AuthError::Refused
            | AuthError::Expired
            | AuthError::Revoked
            | AuthError::NoIssuer => Self::Unauthorized(text),
            AuthError::Token(_) => Self::Token(text),
            AuthError::UnknownTenant(_)
            | AuthError::Suspended
            | AuthError::TenantMismatch
            | AuthError::Scope(_)
            | AuthError::NotOperator
            | AuthError::Beyond(_) => Self::Forbidden(text),
            AuthError::Busy | AuthError::IssuerUnavailable => {
                Self::Unavailable { why: text, retry_after: Duration::from_secs(1) }
            }
            AuthError::Store(error) if error.is_temporary() => {
                tracing::warn!(%error, "a caller could not be checked");
                let why = "callers cannot be checked right now".to_owned();
                Self::Unavailable { why, retry_after: Duration::from_secs(1) }
            }
            AuthError::Store(_) | AuthError::Hash(_) => Self::Internal(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::ResponseError;

    use super::*;
    use crate::{model::Scope, store::StoreError};

    #[test]
    fn refusals_have_the_status_that_clients_act_on() {
        let cases = [
            (AuthError::Missing, 401),
            (AuthError::Malformed("x"), 401),
            (AuthError::Refused, 401),
            (AuthError::Token("x"), 401),
            (AuthError::Scope(Scope::State), 403),
            (AuthError::Suspended, 403),
            (AuthError::Busy, 503),
            (StoreError::Busy.into(), 503),
            (StoreError::Config(String::new()).into(), 500),
        ];
        for (error, status) in cases {
            let shown = format!("{error:?}");
            let response = HttpError::from(error).error_response();
            assert_eq!(response.status(), status, "{shown}");
            let headers = response.headers();
            assert_eq!(headers.contains_key(header::WWW_AUTHENTICATE), status == 401, "{shown}");
            assert_eq!(headers.contains_key(header::RETRY_AFTER), status == 503, "{shown}");
        }
    }

    #[test]
    fn a_missing_scope_is_named_in_the_answer() {
        assert!(HttpError::from(AuthError::Scope(Scope::StatementsWrite)).to_string().contains("statements/write"));
    }
}
