//! `/admin/people/retention`: the rules in force, the plan they come to, what is marked and what went.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{self, Data, ServiceConfig},
};
use askama::Template;

use super::Whose;
use crate::{
    http::{
        HttpError,
        api::{Api, query::refuse},
        pages::{
            Pages,
            form::{Act, Form},
            plain,
            plan::Plan,
            shell::{Shell, answer},
            table::{Cell, Table},
            visitor::{PageError, Visitor, to},
        },
    },
    identity::Identity,
    model::retention::{Place, days},
    retention::{Trial, Unit, What, digest},
    store::ledger::{
        removals::Removal,
        retention::{Class, Request, Set},
    },
};

pub const HERE: &str = "/admin/people/retention";
const PLAN: &str = "/admin/people/retention/plan";
/// What has to be typed before anything goes.
const WORD: &str = "remove";
/// Lines of a plan that a page shows.
pub const LINES: usize = 200;

pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/people/retention").get(show))
        .service(web::resource("/people/retention/plan").get(plan))
        .service(web::resource("/people/retention/apply").post(apply));
}

#[derive(Template)]
#[template(path = "retention.html", config = "src/http/pages/askama.toml")]
struct Policy {
    shell: Shell,
    whose: Whose,
    class: String,
    classes: Vec<Class>,
    places: [&'static str; 5],
    rules: Table,
    requests: Table,
    removals: Table,
}

async fn show(
    visitor: Visitor,
    pages: Data<Pages>,
    api: Data<Api>,
    identity: Data<Identity>,
    req: HttpRequest,
) -> Result<HttpResponse, PageError> {
    let given = Form::of_address(&req)?;
    let whose = Whose::of(&visitor, &identity, &given).await?;
    let (classes, rules) = api.retention.policy(Some(whose.id), false).await?;
    let mut requests = api.retention.requests().await?;
    requests.retain(|one| one.tenant.is_none_or(|of| of == whose.id));
    requests.reverse();
    let mut removals = api.retention.removals(Some(whose.id), true).await?;
    removals.reverse();
    let place = whose.place(HERE);
    let page = Policy {
        shell: whose.shell(&visitor, &pages, HERE, "Retention").after(req.query_string()),
        class: api.retention.class_of(whose.id).await?,
        classes,
        places: Place::ALL.map(Place::name),
        rules: Table::new("Rules", &RULE, rules.iter().map(rule).collect()).page(&given, "rules", &place),
        requests: Table::new("Plans for two persons", &REQUEST, requests.iter().map(request).collect())
            .page(&given, "requests", &place),
        removals: Table::new("Removals", &REMOVAL, removals.iter().map(removal).collect())
            .page(&given, "removals", &place),
        whose,
    };
    Ok(answer(&page)?)
}

const RULE: [&str; 8] = ["Covers", "Of", "Course", "Begins when", "Keeps", "Deletes after", "Set", "Why"];

fn rule(one: &Set) -> Vec<Cell> {
    let rule = &one.rule;
    let period = |days: Option<u32>| days.map_or_else(|| "–".to_owned(), |days| format!("{days} days"));
    let of = if rule.tenant.is_some() { "this tenant" } else { "everybody" };
    vec![
        Cell::text(rule.covers.name()),
        Cell::text(format!("{}, {of}", rule.class)),
        Cell::text(rule.course.as_ref().map_or("–", |course| course.id.as_str())),
        Cell::text(rule.starts.name()),
        Cell::text(period(rule.keep)),
        Cell::text(period(rule.delete)),
        Cell::text(format!("{} by {}", plain::time(one.at), one.by)),
        Cell::text(one.reason.as_str()),
    ]
}

const REQUEST: [&str; 4] = ["Plan", "Asked for by", "Asked", "Signed by"];

fn request(one: &Request) -> Vec<Cell> {
    let short: String = one.digest.chars().take(12).collect();
    vec![
        Cell::link(format!("{HERE}/requests/{}", one.digest), short),
        Cell::text(one.requested_by.as_str()),
        Cell::text(plain::time(one.requested_at)),
        Cell::text(one.signed_by.as_deref().unwrap_or("nobody yet")),
    ]
}

const REMOVAL: [&str; 6] = ["Of", "State", "Rows gone", "Marked", "Due", "Decided by"];

fn removal(one: &Removal) -> Vec<Cell> {
    let month = one.of.month.map(|month| format!(" of {month}")).unwrap_or_default();
    let spared = one.spared_by.as_deref().map(|by| format!(", spared by {by}")).unwrap_or_default();
    vec![
        Cell::text(format!("{}{month}", one.of.place.name())),
        Cell::state(one.state.name()),
        Cell::text(plain::number(one.rows)),
        Cell::text(format!("{} by {}", plain::time(one.marked_at), one.marked_by)),
        Cell::text(plain::time(one.due_at)),
        Cell::text(format!("rule {} ({}){spared}", one.rule, one.principle)),
    ]
}

pub const UNIT: [&str; 6] = ["Of", "What becomes of it", "Rows", "Bytes", "Decided by", "Up to"];

/// A line of a plan.
pub fn unit(one: &Unit) -> Vec<Cell> {
    let month = one.month.map(|month| format!(" of {month}")).unwrap_or_default();
    let what = if one.what == What::Segment { "segment" } else { one.place.name() };
    // The one that is only tried has no number yet.
    let rule = one.rule.filter(|rule| *rule > 0).map(|rule| format!(", rule {rule}")).unwrap_or_default();
    let hold = one.hold.map(|hold| format!(", hold {hold}")).unwrap_or_default();
    vec![
        Cell::text(format!("{what}{month}")),
        Cell::state(if one.goes() { "goes" } else { "stays" }),
        Cell::text(plain::number(one.rows)),
        Cell::text(if one.bytes > 0 { plain::bytes(one.bytes) } else { "–".to_owned() }),
        Cell::text(format!("{}{rule}{hold}", one.principle.name())),
        Cell::text(plain::maybe(one.until)),
    ]
}

/// What goes and what stays now; or, with `older`, what if everything older than that went.
async fn plan(
    visitor: Visitor,
    pages: Data<Pages>,
    api: Data<Api>,
    identity: Data<Identity>,
    req: HttpRequest,
) -> Result<HttpResponse, PageError> {
    let given = Form::of_address(&req)?;
    let whose = Whose::of(&visitor, &identity, &given).await?;
    let older = given.given("older").map(days).transpose().map_err(|why| refuse("older", &why))?;
    let plan = api.retention.plan(Some(whose.id), older.map(Trial::OlderThan).as_ref()).await?;
    let waits = api.retention.removals(Some(whose.id), false).await?.len();
    let goes = plan.units.iter().filter(|unit| unit.goes());
    let (lines, rows) = (goes.clone().count(), goes.map(|unit| unit.rows).sum());
    let (effect, verb) = match older {
        Some(days) => (format!("What if everything older than {days} days went. Nothing is done by this plan."), ""),
        None if lines == 0 && waits == 0 => ("Nothing goes by the rules as they are, and nothing is marked.".to_owned(), ""),
        None => (
            "What goes is marked first, and waits for its grace; what was marked long enough ago is removed, and comes back by nothing. \
             What is kept after all is spared."
                .to_owned(),
            "carry it out",
        ),
    };
    let mut units: Vec<&Unit> = plan.units.iter().collect();
    units.sort_by_key(|unit| !unit.goes());
    let page = Plan {
        facts: vec![
            ("Tenant", whose.name.clone()),
            ("Lines that go", lines.to_string()),
            ("Rows that go", plain::number(rows)),
            ("Marked already", waits.to_string()),
        ],
        table: Some(Table::new("What goes and what stays", &UNIT, units.into_iter().map(unit).collect()).cut(LINES)),
        hidden: vec![whose.field()],
        digest: digest(&plan),
        word: WORD.to_owned(),
        back: whose.place(HERE),
        ..Plan::new(whose.shell(&visitor, &pages, PLAN, "Retention: the plan"), format!("{HERE}/apply"), effect, verb)
    };
    Ok(answer(&page)?)
}

async fn apply(act: Act, api: Data<Api>, identity: Data<Identity>) -> Result<HttpResponse, PageError> {
    let Act { visitor, form } = act;
    let whose = Whose::of(&visitor, &identity, &form).await?;
    form.confirmed(WORD)?;
    api.retention
        .apply(Some(whose.id), (Some(form.text("digest")), &visitor.name()), true)
        .await
        .map_err(HttpError::from)?;
    Ok(to(&format!("{}&done=retention", whose.place(HERE))))
}
