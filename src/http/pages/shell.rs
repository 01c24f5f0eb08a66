//! What surrounds every page: where one is, who one is, and as of when.

use actix_web::HttpResponse;
use askama::Template;
use url::form_urlencoded;

use super::{Pages, plain, visitor::Visitor};
use crate::{
    http::{HttpError, api::attempts},
    identity::{Caller, reach},
    model::Scope,
};

/// A place in the navigation.
pub struct Place {
    pub href: &'static str,
    pub label: &'static str,
    pub is_here: bool,
}

/// A page beside this one, of the same place.
pub struct Tab {
    pub href: String,
    pub label: &'static str,
    pub is_here: bool,
}

/// The frame of a page.
pub struct Shell {
    pub title: String,
    pub places: Vec<Place>,
    pub tabs: Vec<Tab>,
    pub tenant: String,
    pub who: String,
    pub role: &'static str,
    pub csrf: String,
    pub as_of: String,
    /// The database does not answer.
    pub is_dark: bool,
    /// What was just done.
    pub notice: &'static str,
}

type MayOpen = fn(&Caller) -> bool;

/// Each with who may open it: the same question as its page asks.
const PLACES: [(&str, &str, MayOpen); 12] = [
    ("/admin", "Overview", |_| true),
    ("/admin/jobs", "Jobs", |caller| reach::jobs(caller).is_ok()),
    ("/admin/months", "Months", |caller| reach::months(caller).is_ok()),
    ("/admin/backups", "Backups", |caller| caller.require_operator().is_ok()),
    ("/admin/migrations", "Migrations", |caller| caller.require_operator().is_ok()),
    ("/admin/statements", "Statements", |caller| reach::statements(caller).is_ok()),
    ("/admin/learners", "Learners", |caller| attempts::SCOPES.iter().any(|scope| caller.scopes.allows(*scope))),
    ("/admin/documents", "Documents", |caller| reach::every_document(caller).is_ok()),
    ("/admin/people", "People and data", |caller| caller.require(Scope::Admin).is_ok()),
    ("/admin/flags", "Flags", |caller| caller.require(Scope::Admin).is_ok()),
    ("/admin/audit", "Audit", |caller| reach::audit(caller).is_ok()),
    ("/admin/access", "Access", |caller| caller.require(Scope::Admin).is_ok()),
];

impl Shell {
    /// The frame around the page at `here`, one of the places.
    pub fn new(visitor: &Visitor, pages: &Pages, here: &str, title: impl Into<String>) -> Self {
        let open = PLACES.iter().filter(|(_, _, may_open)| may_open(&visitor.caller));
        Self {
            title: title.into(),
            places: open.map(|(href, label, _)| Place { href, label, is_here: *href == here }).collect(),
            tabs: Vec::new(),
            tenant: visitor.caller.tenant_name.to_string(),
            who: visitor.caller.credential.audit_name(),
            role: visitor.role.name(),
            csrf: visitor.csrf.clone(),
            as_of: plain::time(pages.clock.now()),
            is_dark: visitor.is_remembered,
            notice: "",
        }
    }

    /// The same with pages beside it, each by its path and name; `query` goes with every one.
    #[must_use]
    pub fn beside(mut self, tabs: &[(&'static str, &'static str)], here: &str, query: &str) -> Self {
        let tab = |(path, label): &(&str, &'static str)| Tab {
            href: format!("{path}{query}"),
            label,
            is_here: *path == here,
        };
        self.tabs = tabs.iter().map(tab).collect();
        self
    }

    /// Tells of what `?done=` in the address says was just done.
    #[must_use]
    pub fn after(mut self, query: &str) -> Self {
        let done = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "done").map(|(_, act)| act);
        let told = |(act, notice): &(&str, &'static str)| (done.as_deref() == Some(*act)).then_some(*notice);
        self.notice = DONE.iter().find_map(told).unwrap_or_default();
        self
    }
}

/// What was done, in the words of the page that one comes back to.
const DONE: [(&str, &str); 21] = [
    ("pause", "It pauses once its step has ended."),
    ("resume", "It goes on."),
    ("cancel", "It is cancelled once its step has ended."),
    ("retry", "It waits for a node to take it up again."),
    ("run", "The run was asked for. This page is its receipt: come back to it at any time."),
    ("job", "It was asked for, and this job does it. This page is its receipt: come back to it at any time."),
    ("ensured", "The months that were missing are there."),
    ("rule", "The rule is in force. What it deletes goes by the plan, and not before."),
    ("retention", "It was done. What was marked waits for its grace; what went stands among the removals."),
    ("signed", "The plan has your word. Whoever asked for it can carry it out now."),
    ("asked", "It is kept as it was shown, and waits for another person's word. Nothing has changed yet."),
    ("erase", "It was asked for. This page is its receipt: come back to it at any time."),
    ("flag", "It counts on every node within a second."),
    ("speed", "It counts from the next batch on."),
    ("start", "It is begun, and nodes do its steps. This page is its receipt: come back to it at any time."),
    ("advance", "It goes on."),
    ("abort", "It was taken back."),
    ("hold", "The hold stands: nothing under it is removed."),
    ("released", "The hold has ended."),
    ("revoked", "It is revoked: whoever holds it is refused from now on."),
    ("policy", "It counts for what is asked from now on."),
];

/// A page as an answer.
pub fn answer(page: &impl Template) -> Result<HttpResponse, HttpError> {
    let text = page.render().map_err(HttpError::internal)?;
    Ok(HttpResponse::Ok().content_type("text/html; charset=utf-8").body(text))
}
