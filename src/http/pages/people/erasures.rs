//! `/admin/people/erasures`: one person leaves everything that is kept of a tenant. Who it is about stands in no address and no log.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{self, Data, Path, ServiceConfig},
};
use askama::Template;
use serde_json::{Value, json};

use super::{
    Whose,
    person::{self, Person},
    receipts,
};
use crate::{
    erasure::{
        plan::{Outcome, Plan as Found, Statements},
        request::Request,
    },
    http::{
        HttpError,
        api::Api,
        pages::{
            Pages,
            form::{Act, Form},
            plain,
            plan::Plan,
            shell::{Shell, answer},
            table::{Cell, SIZE, Table},
            visitor::{PageError, Visitor, to},
        },
    },
    identity::Identity,
    model::{
        erasure::{Arrivals, Mentions, OnHold, Policy, State},
        plan,
    },
    store::{
        As,
        ledger::erasures::{self, Erasure},
    },
    xapi::Violations,
};

pub const HERE: &str = "/admin/people/erasures";
const WORD: &str = "erase";
/// What a tenant decides, and a request may decide otherwise.
const DECISIONS: [&str; 3] = ["mentions", "arrivals", "onHold"];

pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/people/erasures").get(list).post(request))
        .service(web::resource("/people/erasures/plan").post(plan_of))
        .service(web::resource("/people/erasures/policy/plan").post(plan_of_policy))
        .service(web::resource("/people/erasures/policy").post(decide))
        .service(web::resource("/people/erasures/{id}").get(show))
        .service(web::resource("/people/erasures/{id}/run").get(ask_run).post(run))
        .configure(receipts::routes);
}

#[derive(Template)]
#[template(path = "erasures.html", config = "src/http/pages/askama.toml")]
struct List {
    shell: Shell,
    whose: Whose,
    requests: Table,
    policy: Policy,
    mentions: &'static [Mentions],
    arrivals: &'static [Arrivals],
    on_hold: &'static [OnHold],
}

const COLUMNS: [&str; 6] = ["Request", "State", "Asked for by", "Asked", "Over", "Because of"];

fn line(one: &Erasure) -> Vec<Cell> {
    vec![
        Cell::link(format!("{HERE}/{}", one.id), one.id.to_string()),
        Cell::state(one.state.name()),
        Cell::text(one.requested_by.as_str()),
        Cell::text(plain::time(one.requested_at)),
        Cell::text(plain::maybe(one.finished_at)),
        Cell::text(one.reason.as_deref().unwrap_or("–")),
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
    let (tenant, before, most) = (whose.id, given.text("before").parse().ok(), SIZE as i64 + 1);
    let asked = api.store.run_tx("list_erasures", As::Worker, |tx| Box::pin(erasures::page(tx, tenant, before, most)));
    let found = asked.await?;
    let mut requests = Table::new("Requests", &COLUMNS, found.iter().take(SIZE).map(line).collect());
    if let Some(last) = found.get(SIZE - 1).filter(|_| found.len() > SIZE) {
        requests.next = Some(format!("{}&before={}", whose.place(HERE), last.stamp));
    }
    let page = List {
        shell: whose.shell(&visitor, &pages, HERE, "Erasures").after(req.query_string()),
        policy: api.erasures.policy(whose.id).await?,
        requests,
        mentions: Mentions::ALL,
        arrivals: Arrivals::ALL,
        on_hold: OnHold::ALL,
        whose,
    };
    Ok(answer(&page)?)
}

/// What this request decides; the rest is as the tenant has it.
fn decided(form: &Form, policy: Policy) -> Result<Policy, HttpError> {
    let policy = policy.but(form.given("mentions"), form.given("arrivals"), form.given("onHold"));
    policy.map_err(|why| Violations::whole("page.erasure", why).into())
}

async fn plan_of(
    act: Act,
    pages: Data<Pages>,
    api: Data<Api>,
    identity: Data<Identity>,
) -> Result<HttpResponse, PageError> {
    let Act { visitor, form } = act;
    let whose = Whose::of(&visitor, &identity, &form).await?;
    let subject = Person::of(&form)?.subject()?;
    let policy = Some(decided(&form, api.erasures.policy(whose.id).await?)?);
    let request =
        Request { tenant: whose.id, subject: &subject, policy, by: &visitor.name(), saga_request: None, seen: None };
    let found = api.erasures.look(&request).await?;
    let effect = match found.outcome() {
        Outcome::Erased => {
            "From the moment it is asked for, nobody is shown anything of this person; then it is removed, place by place. It cannot be \
             brought back."
        }
        Outcome::Queued => {
            "A law stands against it: everything of this person is hidden, and removed once the law lets it be. What is removed cannot \
             be brought back."
        }
        Outcome::Refused => "A law stands against it: the request is recorded, and refused.",
    };
    let mut hidden = vec![whose.field()];
    let fields = person::FIELDS.into_iter().chain(DECISIONS);
    hidden.extend(fields.filter_map(|name| form.given(name).map(|value| (name, value.to_owned()))));
    let page = Plan {
        facts: facts(&found, &whose),
        table: Some(Table::new("What there is, place by place", &PLACE, places(&found))),
        hidden,
        digest: found.digest(),
        word: WORD.to_owned(),
        back: whose.place(HERE),
        ..Plan::new(whose.shell(&visitor, &pages, "", "An erasure: the plan"), HERE, effect, WORD)
    };
    Ok(answer(&page)?)
}

fn facts(found: &Found, whose: &Whose) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("Tenant", whose.name.clone()),
        ("Statements that mention them", found.policy.mentions.name().to_owned()),
        ("What comes later", found.policy.arrivals.name().to_owned()),
    ];
    facts.extend(found.aliases.iter().map(|alias| ("Theirs as well", alias.to_string())));
    facts.extend(found.laws.iter().map(|law| ("Kept by", format!("{}: {}", law.law, law.reason))));
    facts.extend(found.remarks.iter().map(|remark| ("Note", remark.clone())));
    facts
}

const PLACE: [&str; 3] = ["Place", "Theirs", "Mention them"];

fn places(plan: &Found) -> Vec<Vec<Cell>> {
    let number = |count: u64| Cell::text(plain::number(i64::try_from(count).unwrap_or(i64::MAX)));
    let statements = plan.found.statements().map(|(place, Statements { own, mentions })| {
        vec![Cell::text(format!("statements, {place}")), number(own), number(mentions)]
    });
    let beside = plan.found.beside().map(|(place, count)| vec![Cell::text(place), number(count), Cell::text("–")]);
    statements.into_iter().chain(beside).collect()
}

async fn request(act: Act, api: Data<Api>, identity: Data<Identity>) -> Result<HttpResponse, PageError> {
    let Act { visitor, form } = act;
    let whose = Whose::of(&visitor, &identity, &form).await?;
    form.confirmed(WORD)?;
    let subject = Person::of(&form)?.subject()?;
    let policy = Some(decided(&form, api.erasures.policy(whose.id).await?)?);
    let (by, seen) = (visitor.name(), Some(form.text("digest")));
    let request = Request { tenant: whose.id, subject: &subject, policy, by: &by, saga_request: None, seen };
    let done = api.erasures.request(&request).await?;
    Ok(to(&format!("{HERE}/{}?done=erase", done.id)))
}

#[derive(Template)]
#[template(path = "erasure.html", config = "src/http/pages/askama.toml")]
struct Show {
    shell: Shell,
    id: String,
    tenant: String,
    state: &'static str,
    is_going_on: bool,
    may_go_on: bool,
    facts: Vec<(&'static str, String)>,
    counts: Vec<(String, String)>,
    has_receipt: bool,
    remains: String,
}

async fn show(
    visitor: Visitor,
    pages: Data<Pages>,
    api: Data<Api>,
    identity: Data<Identity>,
    id: Path<String>,
    req: HttpRequest,
) -> Result<HttpResponse, PageError> {
    let one = receipts::found(&visitor, &api, &id).await?;
    let tenant = one.tenant.to_string();
    let whose = Whose::of(&visitor, &identity, &Form::of(format!("tenant={tenant}").as_bytes())?).await?;
    let months: Vec<String> = one.months.iter().map(ToString::to_string).collect();
    let counts = one.counts.as_object().into_iter().flatten();
    let page = Show {
        shell: whose.shell(&visitor, &pages, "", "An erasure").after(req.query_string()),
        id: one.id.to_string(),
        tenant,
        state: one.state.name(),
        is_going_on: matches!(one.state, State::Requested | State::Hidden),
        may_go_on: !one.state.is_over(),
        facts: vec![
            ("Tenant", whose.name),
            ("Asked for by", one.requested_by.clone()),
            ("Asked", plain::time(one.requested_at)),
            ("Hidden", plain::maybe(one.hidden_at)),
            ("Over", plain::maybe(one.finished_at)),
            ("Because of", one.reason.clone().unwrap_or_else(|| "–".to_owned())),
            ("Statements that mention them", one.policy.mentions.name().to_owned()),
            ("What comes later", one.policy.arrivals.name().to_owned()),
            ("Months", if months.is_empty() { "–".to_owned() } else { months.join(", ") }),
        ],
        counts: counts.map(|(place, count)| (place.clone(), text(count))).collect(),
        has_receipt: one.state.is_over() && one.audit_id.is_some(),
        remains: if one.state == State::Erased { format!("{:#}", api.erasures.remains(&one)) } else { String::new() },
    };
    Ok(answer(&page)?)
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn run_digest(one: &Erasure) -> String {
    plan::digest(&json!([one.id, one.state, "run"]))
}

async fn ask_run(
    visitor: Visitor,
    pages: Data<Pages>,
    api: Data<Api>,
    id: Path<String>,
) -> Result<HttpResponse, PageError> {
    let one = receipts::found(&visitor, &api, &id).await?;
    let effect = "A job goes on with it: the law is asked again, and where nothing stands against it any more, everything of the person \
                  is removed. It cannot be brought back.";
    let place = format!("{HERE}/{}", one.id);
    let verb = if one.state.is_over() { "" } else { "go on" };
    let page = Plan {
        facts: vec![("Request", one.id.to_string()), ("State", one.state.name().to_owned())],
        digest: run_digest(&one),
        word: WORD.to_owned(),
        back: place.clone(),
        ..Plan::new(
            Shell::new(&visitor, &pages, super::HERE, "Go on with an erasure"),
            format!("{place}/run"),
            effect,
            verb,
        )
    };
    Ok(answer(&page)?)
}

async fn run(act: Act, api: Data<Api>, id: Path<String>) -> Result<HttpResponse, PageError> {
    let Act { visitor, form } = act;
    let one = receipts::found(&visitor, &api, &id).await?;
    form.saw(&run_digest(&one))?;
    form.confirmed(WORD)?;
    if one.state.is_over() {
        return Err(HttpError::Conflict(format!("the erasure {} is over", one.id)).into());
    }
    api.erasures.go_on(one.tenant, one.id, &visitor.name()).await?;
    Ok(to(&format!("{HERE}/{}?done=erase", one.id)))
}

fn policy_digest(whose: &Whose, before: Policy, after: Policy) -> String {
    plan::digest(&json!([whose.id, before, after]))
}

async fn plan_of_policy(
    act: Act,
    pages: Data<Pages>,
    api: Data<Api>,
    identity: Data<Identity>,
) -> Result<HttpResponse, PageError> {
    let Act { visitor, form } = act;
    let whose = Whose::of(&visitor, &identity, &form).await?;
    let before = api.erasures.policy(whose.id).await?;
    let after = decided(&form, before)?;
    let effect =
        "It counts for erasures that are asked for from now on; those that were asked for stay as they were decided.";
    let mut hidden = vec![whose.field()];
    hidden.extend(DECISIONS.into_iter().filter_map(|name| form.given(name).map(|value| (name, value.to_owned()))));
    let page = Plan {
        facts: vec![
            ("Tenant", whose.name.clone()),
            ("Statements that mention them", format!("{} → {}", before.mentions.name(), after.mentions.name())),
            ("What comes later", format!("{} → {}", before.arrivals.name(), after.arrivals.name())),
        ],
        hidden,
        digest: policy_digest(&whose, before, after),
        back: whose.place(HERE),
        ..Plan::new(
            whose.shell(&visitor, &pages, "", "What the tenant decides"),
            format!("{HERE}/policy"),
            effect,
            "decide",
        )
    };
    Ok(answer(&page)?)
}

async fn decide(act: Act, api: Data<Api>, identity: Data<Identity>) -> Result<HttpResponse, PageError> {
    let Act { visitor, form } = act;
    let whose = Whose::of(&visitor, &identity, &form).await?;
    let before = api.erasures.policy(whose.id).await?;
    let after = decided(&form, before)?;
    form.saw(&policy_digest(&whose, before, after))?;
    api.erasures.decide(whose.id, after, &visitor.name()).await?;
    Ok(to(&format!("{}&done=policy", whose.place(HERE))))
}
