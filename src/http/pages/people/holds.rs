//! `/admin/people/holds`: what stands under a hold is not removed, until somebody ends it.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{self, Data, Path, ServiceConfig},
};
use askama::Template;
use serde_json::json;

use super::{
    Whose,
    person::{self, Person},
};
use crate::{
    http::{
        HttpError,
        api::{Api, path_id},
        pages::{
            Pages,
            form::{Act, Form},
            plain,
            plan::Plan,
            shell::{Shell, answer},
            table::{Cell, Link, Table},
            visitor::{PageError, Visitor, to},
        },
    },
    identity::Identity,
    model::plan,
    retention::{Named, NewHold, RetentionError},
    store::ledger::holds::{Hold, Scope},
    xapi::Violations,
};

pub const HERE: &str = "/admin/people/holds";
const RELEASE: &str = "release";
/// Kept for ever, so it stays short.
const LONGEST: usize = 2_000;

pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/people/holds").get(list).post(place))
        .service(web::resource("/people/holds/plan").post(plan_of))
        .service(web::resource("/people/holds/{id}/release").get(ask_release).post(release));
}

#[derive(Template)]
#[template(path = "holds.html", config = "src/http/pages/askama.toml")]
struct List {
    shell: Shell,
    whose: Whose,
    holds: Table,
}

const COLUMNS: [&str; 7] = ["On", "State", "Law", "Why", "Placed", "Ended", "Acts"];

fn line(hold: &Hold, whose: &Whose) -> Vec<Cell> {
    let named = hold.named.as_deref().map(|name| format!(" {name}")).unwrap_or_default();
    let ended = hold.released.as_ref().map(|end| format!("{} by {}: {}", plain::time(end.at), end.by, end.reason));
    let href = whose.place(&format!("{HERE}/{}/release", hold.id));
    let label = format!("Release the hold on {}{named} of {}", hold.scope, plain::time(hold.placed_at));
    let acts = vec![Link { href, text: "Release…".to_owned(), label }];
    vec![
        Cell::text(format!("{}{named}", hold.scope)),
        Cell::state(if ended.is_none() { "stands" } else { "ended" }),
        Cell::text(hold.law.as_str()),
        Cell::text(hold.reason.as_str()),
        Cell::text(format!("{} by {}", plain::time(hold.placed_at), hold.placed_by)),
        Cell::text(ended.as_deref().unwrap_or("–")),
        if ended.is_none() { Cell::links(acts) } else { Cell::default() },
    ]
}

async fn list(
    visitor: Visitor,
    pages: Data<Pages>,
    api: Data<Api>,
    identity: Data<Identity>,
    req: HttpRequest,
) -> Result<HttpResponse, PageError> {
    let given = Form::of_address(&req)?;
    let whose = Whose::of(&visitor, &identity, &given).await?;
    let mut holds = api.retention.holds(Some(whose.id), true).await?;
    holds.sort_by_key(|hold| (hold.released.is_some(), std::cmp::Reverse(hold.placed_at)));
    let rows = holds.iter().map(|hold| line(hold, &whose)).collect();
    let page = List {
        shell: whose.shell(&visitor, &pages, HERE, "Holds").after(req.query_string()),
        holds: Table::new("Holds", &COLUMNS, rows).page(&given, "from", &whose.place(HERE)),
        whose,
    };
    Ok(answer(&page)?)
}

/// What it is to be on, and the law and the reason it is placed for.
async fn wished(api: &Api, whose: &Whose, form: &Form) -> Result<Scope, HttpError> {
    for name in ["reason", "law"] {
        if !(1..=LONGEST).contains(&form.text(name).chars().count()) {
            let why = format!("the field {name} has 1 to {LONGEST} characters");
            return Err(Violations::whole("page.hold", why).into());
        }
    }
    let named = match form.text("scope") {
        "tenant" => Named { whole_tenant: true, ..Named::default() },
        "registration" => Named { registration: form.given("named"), ..Named::default() },
        "course" => Named { course: form.given("named"), ..Named::default() },
        _ => {
            let Person { agents, user } = Person::of(form)?;
            Named { agents: Some(agents), user, ..Named::default() }
        }
    };
    Ok(api.retention.scope(whose.id, named).await?)
}

fn digest(whose: &Whose, scope: &Scope, form: &Form) -> String {
    let named = match scope {
        Scope::Tenant => json!(null),
        Scope::Person(keys) => json!(keys),
        Scope::Registration { key, .. } | Scope::Course { key, .. } => json!(key),
    };
    plan::digest(&json!([whose.id, scope.name(), named, form.text("reason"), form.text("law")]))
}

async fn plan_of(
    act: Act,
    pages: Data<Pages>,
    api: Data<Api>,
    identity: Data<Identity>,
) -> Result<HttpResponse, PageError> {
    let Act { visitor, form } = act;
    let whose = Whose::of(&visitor, &identity, &form).await?;
    let scope = wished(&api, &whose, &form).await?;
    let on = match &scope {
        Scope::Tenant => format!("everything of the tenant {}", whose.name),
        Scope::Person(keys) => format!("one person, by {} keys of their identifiers", keys.len()),
        Scope::Registration { named, .. } => format!("the registration {named}"),
        Scope::Course { named, .. } => format!("the course {named}"),
    };
    let mut hidden = vec![whose.field()];
    let fields = ["scope", "named", "reason", "law"].into_iter().chain(person::FIELDS);
    hidden.extend(fields.filter_map(|name| form.given(name).map(|value| (name, value.to_owned()))));
    let effect =
        "Nothing under it is removed from that moment on, by whatever rule or request, until somebody ends it.";
    let page = Plan {
        facts: vec![
            ("Tenant", whose.name.clone()),
            ("On", on),
            ("Law", form.text("law").to_owned()),
            ("Why", form.text("reason").to_owned()),
        ],
        hidden,
        digest: digest(&whose, &scope, &form),
        back: whose.place(HERE),
        ..Plan::new(whose.shell(&visitor, &pages, "", "A hold"), HERE, effect, "place it")
    };
    Ok(answer(&page)?)
}

async fn place(act: Act, api: Data<Api>, identity: Data<Identity>) -> Result<HttpResponse, PageError> {
    let Act { visitor, form } = act;
    let whose = Whose::of(&visitor, &identity, &form).await?;
    let scope = wished(&api, &whose, &form).await?;
    form.saw(&digest(&whose, &scope, &form))?;
    let new = NewHold { tenant: whose.id, scope, reason: form.text("reason"), law: form.text("law") };
    api.retention.hold(&new, &visitor.name()).await?;
    Ok(to(&format!("{}&done=hold", whose.place(HERE))))
}

/// The hold of this id, if it stands.
async fn standing(api: &Api, whose: &Whose, id: &str) -> Result<Hold, HttpError> {
    let id = path_id(id, "hold")?;
    let found = api.retention.holds(Some(whose.id), false).await?.into_iter().find(|hold| hold.id == id);
    Ok(found.ok_or(RetentionError::NoHold(id))?)
}

fn release_digest(hold: &Hold) -> String {
    plan::digest(&json!([hold.id, RELEASE]))
}

async fn ask_release(
    visitor: Visitor,
    pages: Data<Pages>,
    api: Data<Api>,
    identity: Data<Identity>,
    id: Path<String>,
    req: HttpRequest,
) -> Result<HttpResponse, PageError> {
    let whose = Whose::of(&visitor, &identity, &Form::of_address(&req)?).await?;
    let hold = standing(&api, &whose, &id).await?;
    let effect = "What stands under no other hold is removed by the rules and by erasures that wait for it.";
    let page = Plan {
        facts: vec![
            ("On", format!("{} {}", hold.scope, hold.named.as_deref().unwrap_or_default())),
            ("Law", hold.law.clone()),
            ("Why it was placed", hold.reason.clone()),
            ("Placed", format!("{} by {}", plain::time(hold.placed_at), hold.placed_by)),
        ],
        hidden: vec![whose.field()],
        digest: release_digest(&hold),
        asks_why: true,
        word: RELEASE.to_owned(),
        back: whose.place(HERE),
        ..Plan::new(
            whose.shell(&visitor, &pages, "", "The end of a hold"),
            format!("{HERE}/{}/release", hold.id),
            effect,
            RELEASE,
        )
    };
    Ok(answer(&page)?)
}

async fn release(
    act: Act,
    api: Data<Api>,
    identity: Data<Identity>,
    id: Path<String>,
) -> Result<HttpResponse, PageError> {
    let Act { visitor, form } = act;
    let whose = Whose::of(&visitor, &identity, &form).await?;
    let hold = standing(&api, &whose, &id).await?;
    form.saw(&release_digest(&hold))?;
    form.confirmed(RELEASE)?;
    api.retention.release(whose.id, hold.id, &visitor.name(), form.text("reason")).await?;
    Ok(to(&format!("{}&done=released", whose.place(HERE))))
}
