//! `/admin/statements`: statements by every filter of xAPI, one of them whole, and what was found as CSV. Who sees which is what
//! `GET /statements` says.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header,
    web::{self, Data, Path, ServiceConfig},
};
use askama::Template;
use serde_json::{Map, Value, json};
use url::form_urlencoded;
use uuid::Uuid;

use super::{
    Pages,
    asked::{agent, curl},
    csv, plain,
    shell::{Shell, answer},
    table::{Cell, Table},
    visitor::{PageError, Visitor},
};
use crate::{
    cmi5,
    http::{
        HttpError,
        answer::Unhurried,
        api::path_id,
        csv::{CONTENT_TYPE, named as file},
        xapi::{Xapi, sight},
    },
    model::TenantId,
    query::{Found, Sight, more::More},
    xapi::{
        Violation, Violations,
        format::Stored,
        query::{self, StatementQuery, StatementsQuery},
    },
};

const HERE: &str = "/admin/statements";
/// What the audit trail calls a query about a person, as over xAPI.
const ASKED: &str = "query.statements";
/// Statements on a page.
const SIZE: usize = 25;
/// The filters of the form, as xAPI names them.
const FILTERS: [&str; 9] = [
    "agent",
    "verb",
    "activity",
    "registration",
    "since",
    "until",
    "related_agents",
    "related_activities",
    "ascending",
];

pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/statements").get(list))
        .service(web::resource("/statements.csv").get(export))
        .service(web::resource("/statements/{id}").get(show));
}

/// A statement in a list.
struct Line {
    id: String,
    stored: String,
    actor: String,
    verb: String,
    object: String,
    result: String,
    is_archived: bool,
}

#[derive(Template)]
#[template(path = "statements.html", config = "src/http/pages/askama.toml")]
struct List {
    shell: Shell,
    given: Given,
    lines: Vec<Line>,
    through: String,
    wrong: String,
    next: Option<String>,
    follow: Follow,
    curl: String,
    columns: &'static str,
}

/// Whether the page is loaded again by itself, to show what comes; and where it is otherwise, if it can be.
#[derive(Default)]
struct Follow {
    is_on: bool,
    href: String,
}

impl Follow {
    /// Not of a person, whose every query leaves an entry in the trail; and only where what comes is at the top.
    fn of(given: &Given) -> Self {
        if ["agent", "until", "ascending", "more"].iter().any(|name| !given.text(name).is_empty()) {
            return Self::default();
        }
        let is_on = given.is("follow");
        let query = given.query(Some(("follow", "true")).filter(|_| !is_on));
        Self { is_on, href: format!("{HERE}?{query}") }
    }
}

/// What was typed, to be there again.
#[derive(Default)]
struct Given {
    pairs: Vec<(String, String)>,
}

impl Given {
    fn read(query: &str) -> Self {
        Self { pairs: form_urlencoded::parse(query.as_bytes()).into_owned().collect() }
    }

    fn text(&self, name: &str) -> &str {
        self.pairs.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value.trim())
    }

    fn is(&self, name: &str) -> bool {
        self.text(name) == "true"
    }

    /// As xAPI wants it: what is empty is not asked, and an address of mail is an Agent.
    fn filters(&self, limit: usize) -> Vec<(String, String)> {
        let asked = FILTERS.iter().filter_map(|name| {
            let text = self.text(name);
            let value = match *name {
                "agent" => agent(text),
                _ => text.to_owned(),
            };
            (!value.is_empty()).then(|| ((*name).to_owned(), value))
        });
        asked.chain([("limit".to_owned(), limit.to_string())]).collect()
    }

    /// What was asked, for another form of the page.
    fn asked(&self) -> Vec<(&'static str, &str)> {
        let pair = |name: &&'static str| (*name, self.text(name));
        FILTERS.iter().map(pair).filter(|(_, value)| !value.is_empty()).collect()
    }

    fn query(&self, with: Option<(&str, &str)>) -> String {
        let mut text = form_urlencoded::Serializer::new(String::new());
        for name in FILTERS.iter().filter(|name| !self.text(name).is_empty()) {
            text.append_pair(name, self.text(name));
        }
        if let Some((name, value)) = with {
            text.append_pair(name, value);
        }
        text.finish()
    }
}

fn understood(given: &Given, xapi: &Xapi, limit: usize) -> Result<StatementsQuery, Violations> {
    match query::statements(&given.filters(limit), &xapi.limits)? {
        StatementQuery::Many(many) => Ok(*many),
        StatementQuery::One(_) => Ok(StatementsQuery { limit, ..nothing() }),
    }
}

/// Unreachable through the form, which names no id.
fn nothing() -> StatementsQuery {
    StatementsQuery {
        agent: None,
        verb: None,
        activity: None,
        registration: None,
        related_agents: false,
        related_activities: false,
        since: None,
        until: None,
        limit: SIZE,
        ascending: false,
        format: query::Format::Exact,
        attachments: false,
    }
}

async fn list(
    visitor: Visitor,
    pages: Data<Pages>,
    xapi: Data<Xapi>,
    req: HttpRequest,
) -> Result<HttpResponse, PageError> {
    let sight = sight(&visitor.caller, &xapi).await?;
    let given = Given::read(req.query_string());
    if let Ok(id) = given.text("id").parse::<Uuid>() {
        return Ok(super::visitor::to(&format!("{HERE}/{id}")));
    }
    let base = pages.base(&req);
    let mut page = List {
        shell: Shell::new(&visitor, &pages, HERE, "Statements"),
        lines: Vec::new(),
        through: String::new(),
        wrong: String::new(),
        next: None,
        follow: Follow::of(&given),
        curl: curl(&format!("{base}/statements"), &given.filters(SIZE)),
        columns: csv::COLUMNS,
        given,
    };
    let query = match understood(&page.given, &xapi, SIZE) {
        Ok(query) => query,
        Err(violations) => {
            page.wrong = violations.to_string();
            return Ok(answer(&page)?);
        }
    };
    visitor.note(&xapi.trail, ASKED, query.agent.as_ref(), json!({ "related": query.related_agents })).await?;
    let (tenant, key) = (visitor.caller.tenant, xapi.reader.more_key().await?);
    let after = Some(page.given.text("more")).filter(|token| !token.is_empty());
    let after = after.and_then(|token| More::open(token, key, tenant)).map(|more| more.after);
    let found = xapi.reader.page(tenant, &query, sight, after).await.map_err(HttpError::from)?;
    page.lines = found.value.found.iter().map(line).collect::<Result<_, _>>()?;
    page.through = plain::time(found.through);
    page.next = found.value.next.map(|after| {
        let token = More { given: page.given.filters(SIZE), after }.seal(key, tenant);
        format!("{HERE}?{}", page.given.query(Some(("more", &token))))
    });
    Ok(answer(&page)?)
}

fn document(found: &Found) -> Result<Map<String, Value>, HttpError> {
    let stored = Stored { payload: &found.payload, stored: found.stored, has_timestamp: found.has_timestamp };
    stored.doc().map_err(HttpError::internal)
}

fn line(found: &Found) -> Result<Line, HttpError> {
    let doc = document(found)?;
    let text = |pointer: &str| csv::at(&doc, pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let result = csv::at(&doc, "result.score.scaled").or_else(|| csv::at(&doc, "result.success"));
    Ok(Line {
        id: text("id"),
        stored: plain::time(found.stored),
        actor: who(doc.get("actor")),
        verb: named(doc.get("verb").and_then(|verb| verb.get("display"))).unwrap_or_else(|| text("verb.id")),
        object: named(csv::at(&doc, "object.definition.name")).unwrap_or_else(|| match doc.get("object") {
            Some(object) if object.get("id").is_some() => text("object.id"),
            object => who(object),
        }),
        result: result.map(Value::to_string).unwrap_or_default(),
        is_archived: found.is_archived,
    })
}

/// An agent by its name, else by what identifies it.
fn who(agent: Option<&Value>) -> String {
    let text = |path: &[&str]| {
        let found = path.iter().try_fold(agent?, |value, name| value.get(name))?;
        found.as_str().map(str::to_owned)
    };
    let paths: [&[&str]; 6] =
        [&["name"], &["mbox"], &["account", "name"], &["openid"], &["mbox_sha1sum"], &["objectType"]];
    paths.iter().find_map(|path| text(path)).unwrap_or_default()
}

/// A text of a language map: English where there is one, else the first.
fn named(map: Option<&Value>) -> Option<String> {
    let map = map?.as_object()?;
    let english = ["en", "en-US", "en-GB"].iter().find_map(|language| map.get(*language));
    english.or_else(|| map.values().next())?.as_str().map(str::to_owned)
}

#[derive(Template)]
#[template(path = "statement.html", config = "src/http/pages/askama.toml")]
struct Show {
    shell: Shell,
    json: String,
    is_voided: bool,
    is_archived: bool,
    stored: String,
    /// What it breaks of the rules of cmi5, which its tenant may not insist on; none where it is no statement of cmi5.
    broken: Option<Table>,
    curl: String,
}

const BROKEN: [&str; 3] = ["Rule", "Place", "What is wrong"];

/// By the statement alone, as its sender wrote it: what was said before it, and its launch, are not looked at.
fn broken(tenant: TenantId, found: &Found) -> Result<Option<Table>, HttpError> {
    let doc: Map<String, Value> = serde_json::from_str(&found.payload).map_err(HttpError::internal)?;
    let said = cmi5::read(tenant, None, 0, &doc);
    let line = |one: &Violation| [one.rule, &one.pointer, &one.message].map(Cell::text).into();
    Ok(said.map(|said| Table::new("Broken rules of cmi5", &BROKEN, said.broken.iter().map(line).collect())))
}

async fn show(
    visitor: Visitor,
    pages: Data<Pages>,
    xapi: Data<Xapi>,
    id: Path<String>,
    req: HttpRequest,
) -> Result<HttpResponse, PageError> {
    let id = path_id(&id, "statement")?;
    let sight = sight(&visitor.caller, &xapi).await?;
    let found = xapi.reader.statement(visitor.caller.tenant, id, &sight).await.map_err(HttpError::from)?.value;
    let nothing = || HttpError::NotFound(format!("there is no statement with id {id}"));
    let (found, is_voided) = found.ok_or_else(nothing)?;
    let name = if is_voided { "voidedStatementId" } else { "statementId" };
    let url = format!("{}/statements", pages.base(&req));
    let page = Show {
        shell: Shell::new(&visitor, &pages, HERE, format!("Statement {id}")),
        json: format!("{:#}", Value::Object(document(&found)?)),
        is_voided,
        is_archived: found.is_archived,
        stored: plain::time(found.stored),
        broken: broken(visitor.caller.tenant, &found)?,
        curl: curl(&url, &[(name.to_owned(), id.to_string())]),
    };
    Ok(answer(&page)?)
}

/// Everything that the filters find, as it was when the export began, page by page as the browser takes it.
async fn export(visitor: Visitor, xapi: Data<Xapi>, req: HttpRequest) -> Result<HttpResponse, PageError> {
    let sight: Sight = sight(&visitor.caller, &xapi).await?;
    let given = Given::read(req.query_string());
    let columns = csv::columns(given.text("columns")).map_err(HttpError::from)?;
    let mut query = understood(&given, &xapi, csv::PIECE.min(xapi.limits.page)).map_err(HttpError::from)?;
    visitor.note(&xapi.trail, ASKED, query.agent.as_ref(), json!({ "related": query.related_agents })).await?;
    let now = xapi.reader.consistent_through(visitor.caller.tenant).await?;
    // What is stored meanwhile is not of it: an export ends.
    query.until = Some(query.until.map_or(now, |until| until.min(now)));
    let lines = csv::lines(xapi.reader.clone(), visitor.caller.tenant, query, sight, columns);
    let name = (header::CONTENT_DISPOSITION, file("statements"));
    let mut response = HttpResponse::Ok();
    let mut response = response.content_type(CONTENT_TYPE).insert_header(name).streaming(lines);
    response.extensions_mut().insert(Unhurried);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_mail_is_an_agent_and_what_is_empty_is_not_asked() {
        let given = Given::read("agent=ada%40example.org&verb=&since=2026-01-01T00:00:00Z&nonsense=1");
        let filters = given.filters(25);
        assert_eq!(filters[0], ("agent".to_owned(), r#"{"mbox":"mailto:ada@example.org"}"#.to_owned()));
        assert_eq!(filters.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["agent", "since", "limit"]);
    }

    #[test]
    fn people_and_things_are_called_by_their_names() {
        assert_eq!(who(Some(&json!({ "mbox": "mailto:a@b" }))), "mailto:a@b");
        assert_eq!(who(Some(&json!({ "name": "Ada", "mbox": "mailto:a@b" }))), "Ada");
        assert_eq!(who(Some(&json!({ "account": { "homePage": "x", "name": "n" } }))), "n");
        assert_eq!(who(None), "");
        assert_eq!(named(Some(&json!({ "de": "fertig", "en": "done" }))).as_deref(), Some("done"));
        assert_eq!(named(Some(&json!({ "de": "fertig" }))).as_deref(), Some("fertig"));
    }
}
