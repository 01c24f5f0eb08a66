//! What would be done, and is done once its digest was sent back: the form that the acts on months share.

use actix_web::HttpResponse;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    http::HttpError,
    model::plan::{self, must_be_the_one},
};

/// What would be, or is being, done.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = MonthsPlanned)]
pub struct Planned {
    /// What would be done, as the command line shows it.
    pub plan: Value,
    /// Sent back as `plan` it is done, if it is still the same.
    pub digest: String,
    /// Whether there is nothing to do.
    pub already: bool,
    /// The job that does it: absent where it was only planned, or nothing is to be done.
    #[schema(required)]
    pub job_id: Option<Uuid>,
}

impl From<plan::Planned> for Planned {
    fn from(planned: plan::Planned) -> Self {
        Self { plan: planned.plan, digest: planned.digest, already: planned.is_idle, job_id: None }
    }
}

impl Planned {
    /// Whether it shall be done: the digest that was sent is that of this plan, and something is to be done.
    pub fn is_wanted(&self, seen: Option<&str>) -> Result<bool, HttpError> {
        must_be_the_one(seen, &self.digest).map_err(HttpError::Conflict)?;
        Ok(seen.is_some() && !self.already)
    }

    pub fn shown(self) -> HttpResponse {
        HttpResponse::Ok().json(self)
    }

    /// A job does it.
    pub fn begun(self, job: Uuid) -> HttpResponse {
        let place = format!("/api/v1/admin/jobs/{job}");
        HttpResponse::Accepted().insert_header(("Location", place)).json(Self { job_id: Some(job), ..self })
    }
}
