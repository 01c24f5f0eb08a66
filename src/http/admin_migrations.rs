//! `/api/v1/admin/migrations`: the migration runner for operators. Answers in every phase of the service.

use actix_web::{
    HttpResponse,
    web::{self, Bytes, Data, Path, ServiceConfig},
};
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::{HttpError, Problem, caller::Caller};
use crate::{
    migrate::{
        MigrateError,
        jobs::{JobError, Jobs, Order},
        names::Category,
    },
    store::jobs::Job,
    xapi::Violations,
};

const ROOT: &str = "/api/v1/admin/migrations";
/// The version of the documents below, which are those of the command line.
const FORMAT: u32 = 1;

/// Mounts the routes; `Data<Jobs>` has to be among the application's data.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(
        web::scope(ROOT)
            .route("/modules", web::get().to(modules))
            .route("/status", web::get().to(status))
            .route("/verify", web::get().to(verify))
            .route("/run", web::post().to(run))
            .route("/runs/{id}", web::get().to(get_run)),
    );
}

#[derive(Serialize)]
struct Document<T> {
    format: u32,
    kind: &'static str,
    #[serde(flatten)]
    body: T,
}

fn document(kind: &'static str, body: impl Serialize) -> HttpResponse {
    HttpResponse::Ok().json(Document { format: FORMAT, kind, body })
}

async fn modules(caller: Caller, jobs: Data<Jobs>) -> Result<HttpResponse, Problem> {
    caller.require_operator()?;
    let modules: Vec<_> = jobs
        .runner()
        .modules()
        .iter()
        .map(|module| {
            let counts: serde_json::Map<_, _> =
                Category::ALL.iter().map(|c| (c.name().to_owned(), json!(module.of(*c).count()))).collect();
            json!({ "name": module.name, "schema": module.schema, "plugin": module.plugin, "files": counts })
        })
        .collect();
    Ok(document("modules", json!({ "modules": modules })))
}

async fn status(caller: Caller, jobs: Data<Jobs>) -> Result<HttpResponse, Problem> {
    caller.require_operator()?;
    Ok(document("status", jobs.status().await?))
}

async fn verify(caller: Caller, jobs: Data<Jobs>) -> Result<HttpResponse, Problem> {
    caller.require_operator()?;
    Ok(document("verify", jobs.verify().await?))
}

/// Answers 202 with the place where the run can be watched.
async fn run(caller: Caller, jobs: Data<Jobs>, body: Bytes) -> Result<HttpResponse, Problem> {
    caller.require_operator()?;
    let order: Order = match body.trim_ascii() {
        [] => Order::default(),
        text => serde_json::from_slice(text).map_err(|e| Violations::whole("body.invalid", e.to_string()))?,
    };
    let id = jobs.start(&order, &caller.credential.audit_name()).await?;
    let place = format!("{ROOT}/runs/{id}");
    Ok(HttpResponse::Accepted().insert_header(("Location", place.clone())).json(Document {
        format: FORMAT,
        kind: "run",
        body: json!({ "id": id, "state": "running", "href": place }),
    }))
}

async fn get_run(caller: Caller, jobs: Data<Jobs>, id: Path<Uuid>) -> Result<HttpResponse, Problem> {
    caller.require_operator()?;
    let Job { id, state, requested_by, request, progress, outcome, created_at, updated_at, fresh, .. } =
        jobs.get(*id).await?;
    // Nobody touches the row of a run whose process was killed.
    let stalled = state == "running" && !fresh;
    let body = json!({
        "id": id, "state": state, "stalled": stalled, "requested_by": requested_by, "request": request,
        "progress": progress, "outcome": outcome, "created_at": created_at, "updated_at": updated_at,
    });
    Ok(document("run", body))
}

impl From<JobError> for HttpError {
    fn from(error: JobError) -> Self {
        let text = error.to_string();
        match error {
            JobError::Busy => Self::Conflict(text),
            JobError::Unknown(_) | JobError::Migrate(MigrateError::UnknownModule(_)) => Self::NotFound(text),
            JobError::Order(_) => Self::Invalid(Violations::whole("body.invalid", text)),
            JobError::Store(error) | JobError::Migrate(MigrateError::Store(error)) => Self::Store(error),
            JobError::Stopping => Self::Unavailable { why: text, retry_after: std::time::Duration::from_secs(5) },
            JobError::Migrate(_) => Self::Internal(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::ResponseError;

    use super::*;

    #[test]
    fn each_failure_has_its_status() {
        for (error, status) in [
            (JobError::Busy, 409),
            (JobError::Unknown(Uuid::nil()), 404),
            (JobError::Order("no such category".into()), 400),
            (MigrateError::UnknownModule("x".into()).into(), 404),
            (JobError::Stopping, 503),
        ] {
            let shown = format!("{error:?}");
            let response = Problem::from(error).error_response();
            assert_eq!(response.status(), status, "{shown}");
            assert_eq!(response.headers().get("content-type").unwrap(), "application/problem+json", "{shown}");
        }
    }
}
