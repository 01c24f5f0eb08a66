//! `/api/v1`: what the platform's other services, its operators and its learners read and do. Every endpoint is
//! described by the annotation of its handler, and mounted from that same description.

pub mod access;
pub mod admin;
pub mod attempts;
pub mod audit;
pub mod body;
mod courses;
pub mod cursor;
pub mod described;
pub mod endpoint;
pub mod enrollments;
mod erasures;
mod exact;
mod format;
mod ofrep;
pub mod openapi;
mod path;
pub mod query;
mod registries;
mod reports;
pub mod retention;
pub mod shown;
pub mod stamp;
mod texts;
pub mod users;
mod zipped;

use actix_web::web::{Data, ServiceConfig};

use self::endpoint::Endpoint;
pub use self::{
    admin::{
        exports::Exports,
        jobs::{Shown as ShownJob, Streams},
    },
    path::path_id,
    stamp::API_VERSION,
};
use super::{Work, fetch::FetchUrls};
use crate::{
    archive::{Archive, plan::Schedule},
    audit::Audit,
    erasure::Erasures,
    model::{Clock, scheme::Scheme},
    query::Reader,
    retention::Retention,
    store::Store,
    trail::Trail,
    transcript::Press,
};

/// What the handlers work with.
pub struct Api {
    pub store: Store,
    pub reader: Reader,
    pub trail: Trail,
    pub audit: Audit,
    pub press: Press,
    pub work: Work,
    pub clock: Clock,
    pub fetch_urls: FetchUrls,
    pub retention: Retention,
    pub erasures: Erasures,
    pub exports: Exports,
}

/// What the handlers of months work with.
pub struct Months {
    pub archive: Archive,
    pub schedule: Schedule,
    /// How new months are divided.
    pub scheme: Scheme,
    /// Whether there are brokers that statements go to.
    pub has_brokers: bool,
}

/// Every endpoint there is.
pub fn endpoints() -> Vec<Endpoint> {
    [
        attempts::Attempts::endpoints(),
        enrollments::Enrollments::endpoints(),
        courses::Courses::endpoints(),
        users::Users::endpoints(),
        erasures::Requests::endpoints(),
        registries::Registries::endpoints(),
        reports::Reports::endpoints(),
        audit::entries::Entries::endpoints(),
        retention::Retention::endpoints(),
        admin::credentials::Credentials::endpoints(),
        admin::tenants::Tenants::endpoints(),
        admin::backfills::BackfillsOfFiles::endpoints(),
        admin::exports::ExportsOfTenants::endpoints(),
        admin::flags::FlagsOfTenants::endpoints(),
        admin::jobs::Jobs::endpoints(),
        admin::migrations::Migrations::endpoints(),
        admin::partitions::Partitions::endpoints(),
        admin::archive::Archive::endpoints(),
        admin::rollouts::Rollouts::endpoints(),
        admin::residency::Moves::endpoints(),
        ofrep::Evaluations::endpoints(),
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
        audit::log::mount(cfg);
    }
}
