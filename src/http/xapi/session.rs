//! The end of a session, in a tenant that holds units to cmi5's rules: the token of a launch is good for no longer (8.2.1).

use actix_web::http::Method;

use super::{Route, Xapi};
use crate::{
    cmi5::{self, rules},
    http::HttpError,
    identity::Caller,
    xapi::Violations,
};

/// Refuses whatever a launch asks for after the end of its session. Statements that it sends are judged where they are
/// stored, one by one.
pub(super) async fn require_open(route: Route, method: &Method, caller: &Caller, xapi: &Xapi) -> Result<(), HttpError> {
    let writes_statements = route == Route::Statements && (method == Method::PUT || method == Method::POST);
    let end = caller.launch.as_ref().and_then(|launch| cmi5::end_of_launch(caller.tenant, launch));
    match end.filter(|_| !writes_statements) {
        Some(end) if xapi.store.is_over(caller.tenant, end).await? => {
            Err(HttpError::Refused(Violations::whole(rules::TERMINATED_LAST, "the session of this credential is over")))
        }
        _ => Ok(()),
    }
}
