//! `/admin/people`: what is kept of people and for how long, what holds it, who leaves, what somebody gets who asks for everything, what a tenant
//! takes along, and where it is at home.

mod erasures;
mod export;
mod exports;
mod holds;
mod person;
mod receipts;
mod residency;
mod retention;
mod rules;

use actix_web::{
    HttpResponse,
    web::{self, ServiceConfig},
};

pub use self::person::Person;
use super::{
    Pages,
    form::Form,
    shell::Shell,
    visitor::{PageError, Visitor, to},
};
use crate::{http::HttpError, identity::Identity, model::TenantId};

const HERE: &str = "/admin/people";
const TABS: [(&str, &str); 6] = [
    (retention::HERE, "Retention"),
    (holds::HERE, "Holds"),
    (erasures::HERE, "Erasures"),
    (export::HERE, "Subject access"),
    (exports::HERE, "Exports"),
    (residency::HERE, "Residency"),
];

pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/people").get(first));
    let people = [retention::routes, rules::routes, holds::routes, erasures::routes];
    for part in people.into_iter().chain([export::routes, exports::routes, residency::routes]) {
        part(cfg);
    }
}

async fn first(visitor: Visitor) -> Result<HttpResponse, PageError> {
    visitor.tenant("")?;
    Ok(to(retention::HERE))
}

/// The tenant whose data it is about.
struct Whose {
    id: TenantId,
    name: String,
    /// Whether another one may be looked at.
    is_chosen: bool,
}

impl Whose {
    /// The one that the address or the form names, if this visitor may look at it.
    async fn of(visitor: &Visitor, identity: &Identity, given: &Form) -> Result<Self, HttpError> {
        let tenant = identity.tenant(visitor.tenant(given.text("tenant"))?).await?;
        Ok(Self { id: tenant.id, name: tenant.name, is_chosen: visitor.caller.require_operator().is_ok() })
    }

    /// The address of a page about this tenant.
    fn place(&self, path: &str) -> String {
        format!("{path}?tenant={}", self.id)
    }

    /// The field that says whose it is.
    fn field(&self) -> (&'static str, String) {
        ("tenant", self.id.to_string())
    }

    fn shell(&self, visitor: &Visitor, pages: &Pages, tab: &str, title: impl Into<String>) -> Shell {
        Shell::new(visitor, pages, HERE, title).beside(&TABS, tab, &format!("?tenant={}", self.id))
    }
}
