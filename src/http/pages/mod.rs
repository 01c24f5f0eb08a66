//! The operator's window: pages under `/admin`, made here and shown by any browser; they work without a script, and better
//! with a little of it. A page calls what the API calls, and decides nothing that the rooms below do not decide again.

mod access;
mod alarms;
mod asked;
mod assets;
mod audit;
mod backups;
mod changes;
mod chart;
mod csv;
mod documents;
mod flags;
mod form;
mod history;
mod jobs;
mod launches;
mod learners;
mod migrations;
mod months;
mod oidc;
mod once;
mod overview;
mod people;
mod plain;
mod plan;
pub mod refusal;
mod rollouts;
mod shell;
mod sign_in;
mod sign_out;
mod statements;
mod table;
mod tenants;
mod timeline;
mod tried;
mod visitor;

use std::sync::Arc;

use actix_web::{
    Error, HttpRequest, HttpResponse,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    middleware::{Next, from_fn},
    web::{self, Data, ServiceConfig},
};
use tokio::sync::Semaphore;

use self::visitor::PageError;
pub use self::{history::History, oidc::CALLBACK, visitor::SIGN_IN};
use super::{HttpError, Lifecycle, health::Check};
use crate::{backup::Place, model::Clock, rollout::Desk, store::Store};

/// Opens the place where backups lie, or says why it cannot.
pub type OpenBackups = Arc<dyn Fn() -> Result<Place, String> + Send + Sync>;

/// What the pages are made of.
pub struct Pages {
    pub store: Store,
    pub clock: Clock,
    pub lifecycle: Lifecycle,
    pub checks: Arc<[Check]>,
    pub history: History,
    /// Where people find this service, if it was told.
    pub public_url: Option<String>,
    /// The first base path of xAPI.
    pub xapi: String,
    pub backups: OpenBackups,
    pub rollouts: Desk,
    /// A node verifies the log for one person at a time: it reads everything.
    pub verifying: Semaphore,
}

impl Pages {
    /// Where the resources of xAPI are, as whoever asks would name it.
    fn base(&self, req: &HttpRequest) -> String {
        let info = req.connection_info();
        let here = self.public_url.clone().unwrap_or_else(|| format!("{}://{}", info.scheme(), info.host()));
        format!("{}/{}", here.trim_end_matches('/'), self.xapi.trim_matches('/'))
    }
}

/// Mounts them. Identity, migrations, rate limits and streams have to be among the application's data.
pub fn routes(pages: Data<Pages>) -> impl Fn(&mut ServiceConfig) + Clone + Send + 'static {
    move |cfg| {
        let scope = web::scope(refusal::ROOT).app_data(pages.clone()).wrap(from_fn(shielded));
        let scope = scope
            .configure(assets::routes)
            .configure(sign_in::routes)
            .configure(sign_out::routes)
            .configure(oidc::routes);
        let scope = scope
            .configure(overview::routes)
            .configure(jobs::routes)
            .configure(migrations::routes)
            .configure(tried::routes)
            .configure(changes::routes)
            .configure(rollouts::routes)
            .configure(statements::routes);
        let scope = scope
            .configure(audit::routes)
            .configure(access::routes)
            .configure(launches::routes)
            .configure(tenants::routes)
            .configure(people::routes)
            .configure(months::routes)
            .configure(backups::routes)
            .configure(flags::routes)
            .configure(learners::routes)
            .configure(documents::routes);
        cfg.service(scope.default_service(web::to(nowhere)));
    }
}

async fn nowhere() -> Result<HttpResponse, PageError> {
    Err(HttpError::NotFound("there is no such page".to_owned()).into())
}

/// Every answer has the headers, whoever makes it; and what a page of another origin asks for is not shown to it.
async fn shielded(
    req: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let own = req.app_data::<Data<Pages>>().and_then(|pages| pages.public_url.clone());
    if visitor::is_foreign(req.headers(), req.method(), own.as_deref()) {
        let error = HttpError::Forbidden("this was asked for by a page of another site".to_owned());
        return Ok(req.into_response(refusal::page(&error)));
    }
    let mut response = next.call(req).await?.map_into_boxed_body();
    refusal::shield(response.headers_mut());
    Ok(response)
}
