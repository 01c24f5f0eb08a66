//! `/api/v1/attempts`: one, and lists of them.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path},
};

use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::{
    Api,
    access::{Reach, usual_id},
    body::JsonBody,
    cursor::Pages,
    endpoint::endpoints,
    query::{PAGE_CURSOR, PAGE_SIZE, PageParameters, Parameters},
    shown::{Page, one_more},
};
use crate::{
    http::{HttpError, Problem},
    identity::Caller,
    model::{Scope, attempt::Outcome},
    projections::close::{self, CloseError, CloseRequest},
    store::progress::reads::AttemptFilter,
    transcript::Attempt,
    xapi::Violations,
};

endpoints! {
    /// Attempts.
    Attempts: get_attempt as __path_get_attempt, list_attempts as __path_list_attempts,
        close_attempt as __path_close_attempt,
}

/// Attempts and progress are open to whoever may read statements or transcripts.
pub const SCOPES: [Scope; 2] = [Scope::ApiTranscriptRead, Scope::ApiStatementRead];

const ENROLLMENT: &str = "filter[enrollmentId]";
const OUTCOME: &str = "filter[outcome]";
const STATE: &str = "filter[state]";
const USER: &str = "filter[userId]";

/// How an attempt is to end that no statement will close.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Closing {
    /// `failed`, `incomplete` or `abandoned`: an attempt passes by a statement that proves it.
    #[schema(inline, value_type = ByHand, examples("incomplete"))]
    outcome: String,
    /// Kept beside the attempt; not blank.
    #[schema(
        min_length = 1,
        max_length = 1000,
        pattern = r"^[^\x00]*[^\x00\t-\r \x85\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000][^\x00]*$"
    )]
    reason: String,
}

/// Of an attempt that is asked for.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes what `Parameters` reads")]
struct Filters {
    /// Of this enrollment.
    #[param(rename = "filter[enrollmentId]", required = false)]
    enrollment: String,
    #[param(rename = "filter[outcome]", required = false, inline)]
    outcome: OutcomeName,
    #[param(rename = "filter[state]", required = false, inline)]
    state: StateName,
    /// Of this user.
    #[param(rename = "filter[userId]", required = false)]
    user: String,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "it describes what `one_of` takes")]
enum OutcomeName {
    Passed,
    Failed,
    Incomplete,
    Abandoned,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "it describes what `one_of` takes")]
enum StateName {
    Open,
    Closed,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "it describes what a person may decide")]
enum ByHand {
    Failed,
    Incomplete,
    Abandoned,
}

/// One attempt.
#[utoipa::path(get, path = "/api/v1/attempts/{id}", tag = "attempts", operation_id = "getAttempt",
    params(("id" = String, Path, description = "the attempt's id")),
    responses((status = 200, description = "the attempt", body = Attempt)))]
async fn get_attempt(
    caller: Caller,
    api: Data<Api>,
    id: Path<String>,
    req: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let reach = Reach::of(&caller, &SCOPES, api.trail.pseudonyms().await?)?;
    Parameters::read(req.query_string(), &[])?;
    let found =
        api.store.attempt_by_id(caller.tenant, &usual_id(&id)).await?.filter(|attempt| reach.covers(&attempt.user));
    let attempt = found.map(Attempt::from).ok_or_else(|| HttpError::NotFound("there is no such attempt".to_owned()))?;
    Ok(HttpResponse::Ok().json(attempt))
}

/// Attempts in the order of their ids; a learner's token sees its own.
#[utoipa::path(get, path = "/api/v1/attempts", tag = "attempts", operation_id = "listAttempts",
    params(Filters, PageParameters),
    responses((status = 200, description = "a page of attempts", body = Page<Attempt>)))]
async fn list_attempts(caller: Caller, api: Data<Api>, req: HttpRequest) -> Result<HttpResponse, Problem> {
    let reach = Reach::of(&caller, &SCOPES, api.trail.pseudonyms().await?)?;
    let known = [ENROLLMENT, OUTCOME, STATE, USER, PAGE_SIZE, PAGE_CURSOR];
    let parameters = Parameters::read(req.query_string(), &known)?;
    let size = parameters.page_size()?;
    let users = match (parameters.text(USER).map(usual_id), reach) {
        (Some(user), reach) => {
            reach.require(&user)?;
            Some(vec![user])
        }
        (None, Reach::Own(ids)) => Some(ids),
        (None, Reach::Everybody) => None,
    };
    let key = api.reader.more_key().await?;
    let pages = Pages { key, tenant: caller.tenant, path: req.path(), parameters: &parameters };
    let filter = AttemptFilter {
        enrollment: parameters.text(ENROLLMENT).map(usual_id),
        outcome: parameters.one_of(OUTCOME, &["passed", "failed", "incomplete", "abandoned"])?,
        state: parameters.one_of(STATE, &["open", "closed"])?,
        users,
        after: pages.place()?,
        limit: one_more(size),
    };
    let found = api.store.attempts(caller.tenant, &filter).await?;
    let shown: Vec<Attempt> = found.into_iter().map(Attempt::from).collect();
    Ok(Page::cut(shown, size, |last| pages.link(&last.id)).answer())
}

/// Closes an open attempt by hand, in an emergency. The same request again is answered alike. For administrators.
#[utoipa::path(post, path = "/api/v1/attempts/{id}/close", tag = "attempts", operation_id = "closeAttempt",
    params(("id" = String, Path, description = "the attempt's id")), request_body = Closing,
    responses((status = 200, description = "the closed attempt", body = Attempt),
              (status = 202, description = "recorded; the attempt follows once older statements are read",
               body = Attempt)))]
async fn close_attempt(
    caller: Caller,
    api: Data<Api>,
    id: Path<String>,
    req: HttpRequest,
    body: JsonBody<Closing>,
) -> Result<HttpResponse, Problem> {
    caller.require(Scope::Admin)?;
    Parameters::read(req.query_string(), &[])?;
    let Closing { outcome, reason } = body.0;
    let refuse = |what: &str| Problem::from(Violations::whole("api.body", what));
    let by_hand = [Outcome::Failed, Outcome::Incomplete, Outcome::Abandoned];
    let outcome = by_hand.into_iter().find(|known| known.as_str() == outcome);
    let outcome = outcome.ok_or_else(|| refuse("outcome: expected one of failed, incomplete, abandoned"))?;
    if reason.trim().is_empty() || reason.chars().count() > 1_000 {
        return Err(refuse("reason: expected 1 to 1000 characters, not all of them blank"));
    }
    let reason = reason.trim().to_owned();
    let (attempt, by) = (usual_id(&id), caller.credential.audit_name());
    let request = CloseRequest { tenant: caller.tenant, attempt, outcome, by, reason };
    let closed = close::close_attempt(&api.store, &request).await?;
    let found = api.store.attempt_by_id(caller.tenant, &request.attempt).await?;
    let attempt = found.map(Attempt::from).ok_or(CloseError::Unknown)?;
    let mut response = if closed.is_folded { HttpResponse::Ok() } else { HttpResponse::Accepted() };
    Ok(response.json(attempt))
}

impl From<CloseError> for HttpError {
    fn from(error: CloseError) -> Self {
        match error {
            CloseError::Unknown => Self::NotFound(error.to_string()),
            CloseError::Closed(_) => Self::Conflict(error.to_string()),
            CloseError::Passed => Violations::whole("api.body", error.to_string()).into(),
            CloseError::Store(error) => error.into(),
            CloseError::Projection(error) => Self::internal(error),
        }
    }
}
