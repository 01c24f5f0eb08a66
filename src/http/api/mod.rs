//! `/api/v1`: what the platform's other services, its operators and its learners read and do. Every endpoint is
//! described by the annotation of its handler, and mounted from that same description.

pub mod access;
mod admin;
mod attempts;
pub mod body;
mod courses;
pub mod cursor;
pub mod described;
pub mod endpoint;
mod enrollments;
mod exact;
pub mod openapi;
mod path;
pub mod query;
mod registries;
pub mod shown;
pub mod stamp;
mod texts;
mod users;

use actix_web::web::{Data, ServiceConfig};

pub use self::admin::jobs::{Shown as ShownJob, Streams};
use self::endpoint::Endpoint;
use super::{Work, fetch::FetchUrls};
use crate::{model::Clock, query::Reader, store::Store, trail::Trail, transcript::Press};

/// What the handlers work with.
pub struct Api {
    pub store: Store,
    pub reader: Reader,
    pub trail: Trail,
    pub press: Press,
    pub work: Work,
    pub clock: Clock,
    pub fetch_urls: FetchUrls,
}

/// Every endpoint there is.
pub fn endpoints() -> Vec<Endpoint> {
    [
        attempts::Attempts::endpoints(),
        enrollments::Enrollments::endpoints(),
        courses::Courses::endpoints(),
        users::Users::endpoints(),
        registries::Registries::endpoints(),
        admin::credentials::Credentials::endpoints(),
        admin::tenants::Tenants::endpoints(),
        admin::jobs::Jobs::endpoints(),
        admin::migrations::Migrations::endpoints(),
        openapi::Description::endpoints(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Mounts them. Identity, migration jobs and rate limits have to be among the application's data.
pub fn routes(api: Data<Api>) -> impl Fn(&mut ServiceConfig) + Clone + Send + 'static {
    move |cfg| {
        cfg.app_data(api.clone()).app_data(Data::new(api.store.clone()));
        endpoint::mount(cfg, endpoints());
    }
}
