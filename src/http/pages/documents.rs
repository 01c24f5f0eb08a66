//! `/admin/documents`: state and profiles, whose and of what, and one of them as it is. For who may read everybody's over xAPI.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{self, Data, Path, ServiceConfig},
};
use askama::Template;
use serde_json::{Map, Value, json};
use url::form_urlencoded;
use uuid::Uuid;

use super::{
    Pages,
    asked::{agent, curl, whose},
    form::Form,
    plain,
    shell::{Shell, answer},
    table::{Cell, SIZE, Table},
    visitor::{PageError, Visitor},
};
use crate::{
    http::{HttpError, api::path_id, xapi::Xapi},
    identity::reach,
    store::{
        As,
        ledger::documents::{self, DocumentKind, Listed},
    },
    xapi::{
        Violations,
        keys::Ifi,
        query::{self, DocumentMethod, DocumentQuery, DocumentScope, Resource},
    },
};

const HERE: &str = "/admin/documents";
/// Documents that are looked at for one page: most may be of another kind or activity.
const LOOKED_AT: usize = 250;
/// Bytes of a document that a page shows.
const SHOWN: i32 = 32 << 10;

pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/documents").get(list)).service(web::resource("/documents/{key}").get(show));
}

#[derive(Template)]
#[template(path = "documents.html", config = "src/http/pages/askama.toml")]
struct List {
    shell: Shell,
    agent: String,
    activity: String,
    kinds: Vec<(&'static str, bool)>,
    wrong: String,
    documents: Table,
}

const COLUMNS: [&str; 7] = ["Document", "Kind", "Of", "Whose", "Registration", "Bytes", "Changed"];

fn line(document: &Listed) -> Vec<Cell> {
    let text = |text: &Option<String>| Cell::text(text.as_deref().unwrap_or("–"));
    vec![
        Cell::link(format!("{HERE}/{}", document.key), document.document_id.as_str()),
        Cell::text(words(&document.kind)),
        text(&document.activity),
        Cell::text(whose(identifier(document))),
        Cell::text(document.registration.map_or_else(|| "–".to_owned(), |registration| registration.to_string())),
        Cell::text(document.length.to_string()),
        Cell::text(plain::time(document.updated_at)),
    ]
}

/// A kind as people say it.
fn words(kind: &str) -> String {
    kind.replace('_', " ")
}

/// The agent of a document. One that was written before its name was kept is known by its key alone.
fn identifier(document: &Listed) -> Option<Ifi> {
    Ifi::of(&serde_json::from_str::<Map<String, Value>>(document.agent.as_ref()?).ok()?)
}

/// What the form names as an agent, by the rules of xAPI.
fn named(text: &str, xapi: &Xapi) -> Result<Option<Ifi>, Violations> {
    if text.is_empty() {
        return Ok(None);
    }
    let given = [("agent".to_owned(), agent(text))];
    match query::documents(Resource::AgentProfile, DocumentMethod::Get, &given, &xapi.limits)? {
        DocumentQuery::Many { scope: DocumentScope::AgentProfile { agent }, .. } => Ok(Some(agent)),
        _ => Ok(None),
    }
}

async fn list(
    visitor: Visitor,
    pages: Data<Pages>,
    xapi: Data<Xapi>,
    req: HttpRequest,
) -> Result<HttpResponse, PageError> {
    reach::every_document(&visitor.caller)?;
    let given = Form::of_address(&req)?;
    let chosen = DocumentKind::ALL.map(DocumentKind::as_str).into_iter().find(|kind| *kind == given.text("kind"));
    let mut page = List {
        shell: Shell::new(&visitor, &pages, HERE, "Documents"),
        agent: given.text("agent").to_owned(),
        activity: given.text("activity").to_owned(),
        kinds: DocumentKind::ALL.map(|kind| (kind.as_str(), chosen == Some(kind.as_str()))).to_vec(),
        wrong: String::new(),
        documents: Table::new("Documents", &COLUMNS, Vec::new()),
    };
    let of = match named(given.text("agent"), &xapi) {
        Ok(of) => of,
        Err(violations) => {
            page.wrong = violations.to_string();
            return Ok(answer(&page)?);
        }
    };
    visitor.note(&xapi.trail, "query.documents", of.as_ref(), json!({ "kind": chosen })).await?;
    let tenant = visitor.caller.tenant;
    let key = of.map(|agent| DocumentScope::AgentProfile { agent }).and_then(|scope| scope.agent_key(tenant.0));
    let after = given.text("after").parse().unwrap_or(Uuid::nil());
    let found = pages
        .store
        .run_tx("page_of_documents", As::Tenant(tenant), |tx| {
            Box::pin(documents::page(tx, tenant, key, after, LOOKED_AT as i64))
        })
        .await?;
    let is_asked = |one: &&Listed| {
        chosen.is_none_or(|kind| one.kind == kind)
            && given.given("activity").is_none_or(|activity| one.activity.as_deref() == Some(activity))
    };
    let shown: Vec<&Listed> = found.iter().filter(is_asked).take(SIZE + 1).collect();
    page.documents.rows = shown.iter().take(SIZE).map(|one| line(one)).collect();
    // It goes on behind the last that is shown, or behind the last that was looked at.
    let last = match shown.get(SIZE - 1).filter(|_| shown.len() > SIZE) {
        Some(last) => Some(last.key),
        None => found.last().filter(|_| found.len() == LOOKED_AT).map(|last| last.key),
    };
    page.documents.next = last.map(|last| {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for name in ["agent", "activity", "kind"] {
            if let Some(value) = given.given(name) {
                query.append_pair(name, value);
            }
        }
        format!("{HERE}?{}", query.append_pair("after", &last.to_string()).finish())
    });
    Ok(answer(&page)?)
}

#[derive(Template)]
#[template(path = "document.html", config = "src/http/pages/askama.toml")]
struct Show {
    shell: Shell,
    facts: Vec<(&'static str, String)>,
    /// The content, where it is a text that is not too long.
    text: Option<String>,
    curl: Option<String>,
}

async fn show(
    visitor: Visitor,
    pages: Data<Pages>,
    xapi: Data<Xapi>,
    key: Path<String>,
    req: HttpRequest,
) -> Result<HttpResponse, PageError> {
    reach::every_document(&visitor.caller)?;
    let (key, tenant) = (path_id(&key, "document")?, visitor.caller.tenant);
    let found = pages
        .store
        .run_tx("find_document", As::Tenant(tenant), |tx| Box::pin(documents::find(tx, tenant, key, SHOWN)))
        .await?;
    let nothing = || HttpError::NotFound(format!("there is no document with the key {key}"));
    let (document, content) = found.ok_or_else(nothing)?;
    let of = identifier(&document);
    visitor.note(&xapi.trail, "read.document", of.as_ref(), json!({ "document": key })).await?;
    let dash = || "–".to_owned();
    let page = Show {
        shell: Shell::new(&visitor, &pages, HERE, document.document_id.as_str()),
        facts: vec![
            ("Kind", words(&document.kind)),
            ("Activity", document.activity.clone().unwrap_or_else(dash)),
            ("Whose", whose(identifier(&document))),
            ("Registration", document.registration.map_or_else(dash, |registration| registration.to_string())),
            ("Type", document.content_type.clone()),
            ("Bytes", document.length.to_string()),
            ("Changed", plain::time(document.updated_at)),
        ],
        text: content.and_then(|content| readable(&content)),
        curl: command(&pages.base(&req), &document),
    };
    Ok(answer(&page)?)
}

/// JSON in lines, another text as it is; `None` for what is no text.
fn readable(content: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(content).ok().filter(|text| !text.contains('\0'))?;
    let json = serde_json::from_str::<Value>(text).ok();
    Some(json.map_or_else(|| text.to_owned(), |json| format!("{json:#}")))
}

/// How xAPI is asked for it; `None` where what it is of was not kept.
fn command(base: &str, document: &Listed) -> Option<String> {
    let (id, agent, activity) = (document.document_id.as_str(), &document.agent, &document.activity);
    let (resource, given) = match document.kind.as_str() {
        "state" => {
            let named = [("activityId", activity.as_deref()?), ("agent", agent.as_deref()?), ("stateId", id)];
            ("activities/state", named.to_vec())
        }
        "activity_profile" => ("activities/profile", vec![("activityId", activity.as_deref()?), ("profileId", id)]),
        "agent_profile" => ("agents/profile", vec![("agent", agent.as_deref()?), ("profileId", id)]),
        _ => return None,
    };
    let registration = document.registration.map(|registration| ("registration".to_owned(), registration.to_string()));
    let given = given.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).chain(registration);
    Some(curl(&format!("{base}/{resource}"), &given.collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn listed(kind: &str, activity: Option<&str>, agent: Option<&str>) -> Listed {
        Listed {
            key: Uuid::nil(),
            kind: kind.to_owned(),
            document_id: "it's".to_owned(),
            registration: Some(Uuid::nil()),
            activity: activity.map(str::to_owned),
            agent: agent.map(str::to_owned),
            content_type: "text/plain".to_owned(),
            length: 1,
            updated_at: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_command_names_all_that_the_document_is_of() {
        let ada = r#"{"mbox":"mailto:ada@example.org"}"#;
        let text = command("http://x/xapi", &listed("state", Some("http://a"), Some(ada))).unwrap();
        for part in
            ["'activityId=http://a'", ada, r"'stateId=it'\''s'", "'registration=", "'http://x/xapi/activities/state'"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert_eq!(command("http://x", &listed("state", Some("http://a"), None)), None, "whose it is was not kept");
    }

    #[test]
    fn whose_it_is_is_said_by_what_identifies_them() {
        let account = r#"{"account":{"homePage":"https://idp.example","name":"ada"}}"#;
        assert_eq!(whose(identifier(&listed("agent_profile", None, Some(account)))), "ada at https://idp.example");
        assert_eq!(whose(identifier(&listed("agent_profile", None, None))), "–");
    }

    #[test]
    fn only_text_is_shown() {
        assert_eq!(readable(b"{\"a\":1}").as_deref(), Some("{\n  \"a\": 1\n}"));
        assert_eq!(readable("süß".as_bytes()).as_deref(), Some("süß"));
        assert_eq!(readable(b"\xff\xfe"), None);
        assert_eq!(readable(b"a\0b"), None);
    }
}
