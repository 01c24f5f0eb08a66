//! `/api/v1/admin/migrations`: the migration runner for operators. Answers in every phase of the service.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::http::{
    HttpError, Problem,
    api::{body::OptionalBody, endpoint::endpoints, path::path_id, query::Parameters},
    caller::Caller,
    error::ProblemDocument,
};
use crate::{
    migrate::{
        MigrateError,
        error::check_name,
        jobs::{JobError, Jobs, Order},
        names::Category,
    },
    model::job::State,
    xapi::Violations,
};

endpoints! {
    /// The migration runner.
    Migrations: modules as __path_modules, status as __path_status, verify as __path_verify, run as __path_run,
        get_run as __path_get_run,
}

const ROOT: &str = "/api/v1/admin/migrations";
/// The version of the documents below, which are those of the command line.
const FORMAT: u32 = 1;

/// A document of the runner, as the command line prints it too. What else it holds depends on its kind.
#[derive(Serialize, ToSchema)]
#[schema(as = MigrationDocument)]
struct Document<T> {
    format: u32,
    /// `modules`, `status`, `verify` or `run`.
    kind: &'static str,
    #[serde(flatten)]
    #[schema(value_type = Object)]
    body: T,
}

/// What to run: absent members mean everything, for real, without the gated files.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MigrationOrder)]
#[expect(dead_code, reason = "it describes the order, which the runner reads itself")]
struct Described {
    /// Absent or `all` means every one.
    module: Option<String>,
    #[schema(inline, value_type = Option<CategoryName>)]
    category: Option<String>,
    #[schema(nullable = false)]
    dry_run: Option<bool>,
    /// Confirms the manual gate of release and data files. No check is skipped by it.
    #[schema(nullable = false)]
    force: Option<bool>,
    /// Who approved what is destructive: somebody else than who asks.
    approved_by: Option<String>,
    /// At most so many files.
    #[schema(format = "int64", maximum = 4_294_967_295_i64)]
    steps: Option<u32>,
    /// Failed checks to go past, by name.
    #[schema(nullable = false)]
    r#override: Option<Vec<String>>,
    /// Why those checks are gone past; it stands in the attempts.
    reason: Option<String>,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "it describes the order, which the runner reads itself")]
enum CategoryName {
    Startup,
    Release,
    Seed,
    Data,
}

fn document(kind: &'static str, body: impl Serialize) -> HttpResponse {
    HttpResponse::Ok().json(Document { format: FORMAT, kind, body })
}

/// The module that a request names; `all` and nothing name them all.
fn one_module(req: &HttpRequest) -> Result<Option<String>, HttpError> {
    let given = Parameters::read(req.query_string(), &["module"])?;
    Ok(given.text("module").filter(|name| *name != "all").map(str::to_owned))
}

/// Every module and its files.
#[utoipa::path(get, path = "/api/v1/admin/migrations/modules", tag = "migrations", operation_id = "listModules",
    params(("module" = Option<String>, Query, description = "one module, or `all`")),
    responses((status = 200, description = "the modules", body = Document<Object>),
              (status = 404, description = "there is no such module", body = ProblemDocument,
               content_type = "application/problem+json")))]
async fn modules(caller: Caller, jobs: Data<Jobs>, req: HttpRequest) -> Result<HttpResponse, Problem> {
    caller.require_operator()?;
    let one = one_module(&req)?;
    one.as_deref().map_or(Ok(()), |name| check_name(jobs.runner().modules(), name)).map_err(JobError::from)?;
    let modules: Vec<_> = jobs
        .runner()
        .modules()
        .iter()
        .filter(|module| one.as_deref().is_none_or(|name| name == module.name))
        .map(|module| {
            let counts: serde_json::Map<_, _> =
                Category::ALL.iter().map(|c| (c.name().to_owned(), json!(module.of(*c).count()))).collect();
            json!({ "name": module.name, "schema": module.schema, "plugin": module.plugin, "files": counts })
        })
        .collect();
    Ok(document("modules", json!({ "modules": modules })))
}

/// What is applied and what waits.
#[utoipa::path(get, path = "/api/v1/admin/migrations/status", tag = "migrations", operation_id = "getMigrationStatus",
    params(("module" = Option<String>, Query, description = "one module, or `all`")),
    responses((status = 200, description = "the status", body = Document<Object>),
              (status = 404, description = "there is no such module", body = ProblemDocument,
               content_type = "application/problem+json")))]
async fn status(caller: Caller, jobs: Data<Jobs>, req: HttpRequest) -> Result<HttpResponse, Problem> {
    caller.require_operator()?;
    Ok(document("status", jobs.status(one_module(&req)?).await?))
}

/// History against files, the linter, and the checks after a migration.
#[utoipa::path(get, path = "/api/v1/admin/migrations/verify", tag = "migrations", operation_id = "verifyMigrations",
    params(("module" = Option<String>, Query, description = "one module, or `all`")),
    responses((status = 200, description = "what was found", body = Document<Object>),
              (status = 404, description = "there is no such module", body = ProblemDocument,
               content_type = "application/problem+json")))]
async fn verify(caller: Caller, jobs: Data<Jobs>, req: HttpRequest) -> Result<HttpResponse, Problem> {
    caller.require_operator()?;
    Ok(document("verify", jobs.verify(one_module(&req)?).await?))
}

/// Starts a run. Answers 202 with the place where it can be watched.
#[utoipa::path(post, path = "/api/v1/admin/migrations/runs", tag = "migrations", operation_id = "runMigrations",
    request_body = Option<Described>,
    responses((status = 202, description = "started", body = Document<Object>,
               headers(("Location" = String, description = "where the run can be watched"))),
              (status = 404, description = "there is no such module", body = ProblemDocument,
               content_type = "application/problem+json")))]
async fn run(
    caller: Caller,
    jobs: Data<Jobs>,
    req: HttpRequest,
    body: OptionalBody<Order>,
) -> Result<HttpResponse, Problem> {
    caller.require_operator()?;
    Parameters::read(req.query_string(), &[])?;
    let id = jobs.start(&body.0.unwrap_or_default(), &caller.credential.audit_name()).await?;
    let place = format!("{ROOT}/runs/{id}");
    Ok(HttpResponse::Accepted().insert_header(("Location", place.clone())).json(Document {
        format: FORMAT,
        kind: "run",
        body: json!({ "id": id, "state": "running", "href": place }),
    }))
}

/// A run and how far it has come.
#[utoipa::path(get, path = "/api/v1/admin/migrations/runs/{id}", tag = "migrations", operation_id = "getRun",
    params(("id" = Uuid, Path, description = "the run's id")),
    responses((status = 200, description = "the run", body = Document<Object>)))]
async fn get_run(
    caller: Caller,
    jobs: Data<Jobs>,
    id: Path<String>,
    req: HttpRequest,
) -> Result<HttpResponse, Problem> {
    caller.require_operator()?;
    Parameters::read(req.query_string(), &[])?;
    let job = jobs.get(path_id(&id, "run")?).await?;
    // The words of this document: a run that waits for a node to take it up is on its way, too.
    let state = match job.state {
        State::Succeeded => "succeeded",
        State::Failed | State::Cancelled => "failed",
        State::Queued | State::Running | State::Pausing | State::Paused | State::Cancelling => "running",
    };
    // Nobody touches the row of a run whose process was killed.
    let stalled = state == "running" && !job.is_fresh;
    let body = json!({
        "id": job.id, "state": state, "stalled": stalled, "requested_by": job.requested_by, "request": job.parameters,
        "progress": job.progress, "outcome": job.outcome, "created_at": job.created_at, "updated_at": job.updated_at,
    });
    Ok(document("run", body))
}

impl From<JobError> for HttpError {
    fn from(error: JobError) -> Self {
        let text = error.to_string();
        match error {
            JobError::Busy(_) => Self::Conflict(text),
            JobError::Unknown(_) | JobError::Migrate(MigrateError::UnknownModule { .. }) => Self::NotFound(text),
            JobError::Order(_) | JobError::Migrate(MigrateError::Refused(_)) => {
                Self::Invalid(Violations::whole("body.invalid", text))
            }
            JobError::Store(error) | JobError::Migrate(MigrateError::Store(error)) => Self::Store(error),
            JobError::Stopping => Self::Unavailable { why: text, retry_after: std::time::Duration::from_secs(5) },
            JobError::Migrate(_) => Self::Internal(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::ResponseError;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn each_failure_has_its_status() {
        for (error, status) in [
            (JobError::Busy(Uuid::nil()), 409),
            (JobError::Unknown(Uuid::nil()), 404),
            (JobError::Order("no such category".into()), 400),
            (MigrateError::UnknownModule { name: "x".into(), known: Vec::new() }.into(), 404),
            (MigrateError::Refused("an approval needs a name".into()).into(), 400),
            (JobError::Stopping, 503),
        ] {
            let shown = format!("{error:?}");
            let response = Problem::from(error).error_response();
            assert_eq!(response.status(), status, "{shown}");
            assert_eq!(response.headers().get("content-type").unwrap(), "application/problem+json", "{shown}");
        }
    }
}
