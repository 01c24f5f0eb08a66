//! `/api/v1/attempts`: one, and lists of them.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path},
};

use super::{
    Api,
    access::{Reach, user_id},
    cursor::Pages,
    endpoint::endpoints,
    query::{PAGE_CURSOR, PAGE_SIZE, Parameters},
    shown::{Page, one_more},
};
use crate::{
    http::{HttpError, Problem},
    identity::Caller,
    model::Scope,
    store::progress_reads::AttemptFilter,
    transcript::Attempt,
};

endpoints! {
    /// Attempts.
    Attempts: get_attempt as __path_get_attempt, list_attempts as __path_list_attempts,
}

/// Attempts and progress are open to whoever may read statements or transcripts.
pub(super) const SCOPES: [Scope; 2] = [Scope::ApiTranscriptRead, Scope::ApiStatementRead];

const ENROLLMENT: &str = "filter[enrollmentId]";
const OUTCOME: &str = "filter[outcome]";
const STATE: &str = "filter[state]";
const USER: &str = "filter[userId]";

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
    let reach = Reach::of(&caller, &SCOPES)?;
    Parameters::read(req.query_string(), &[])?;
    let found = api.store.attempt_by_id(caller.tenant, &id).await?.filter(|attempt| reach.covers(&attempt.user));
    let attempt = found.map(Attempt::from).ok_or_else(|| HttpError::NotFound("there is no such attempt".to_owned()))?;
    Ok(HttpResponse::Ok().json(attempt))
}

/// Attempts in the order of their ids; a learner's token sees its own.
#[utoipa::path(get, path = "/api/v1/attempts", tag = "attempts", operation_id = "listAttempts",
    params(
        ("filter[enrollmentId]" = Option<String>, Query, description = "of this enrollment"),
        ("filter[outcome]" = Option<String>, Query, description = "passed, failed, incomplete or abandoned"),
        ("filter[state]" = Option<String>, Query, description = "open or closed"),
        ("filter[userId]" = Option<String>, Query, description = "of this user"),
        ("page[size]" = Option<u32>, Query, description = "1 to 500, 100 unless told"),
        ("page[cursor]" = Option<String>, Query, description = "from links.next of the page before"),
    ),
    responses((status = 200, description = "a page of attempts", body = Page<Attempt>)))]
async fn list_attempts(caller: Caller, api: Data<Api>, req: HttpRequest) -> Result<HttpResponse, Problem> {
    let reach = Reach::of(&caller, &SCOPES)?;
    let known = [ENROLLMENT, OUTCOME, STATE, USER, PAGE_SIZE, PAGE_CURSOR];
    let parameters = Parameters::read(req.query_string(), &known)?;
    let size = parameters.page_size()?;
    let users = match (parameters.text(USER).map(user_id), reach) {
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
        enrollment: parameters.text(ENROLLMENT).map(user_id),
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
