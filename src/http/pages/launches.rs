//! `/admin/access/launches`: credentials of launches, for one learner in one registration. The secret, or the address that gives it,
//! is shown once, in the answer to the act that made it.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{self, Data, Path, ServiceConfig},
};
use askama::Template;
use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

use super::{
    Pages,
    asked::whose,
    form::{Act, Form},
    once::Once,
    people::Person,
    plain,
    plan::Plan,
    shell::{Shell, answer},
    table::{Cell, Link, SIZE, Table},
    visitor::{PageError, Visitor, to},
};
use crate::{
    cmi5::{Launch, LaunchMode},
    http::{
        HttpError,
        api::{
            Api,
            admin::credentials::{MakeLaunch, new_launch},
            path_id,
        },
    },
    identity::{Handed, Identity, NewLaunch},
    model::{TenantId, attempt::MoveOn, plan::digest},
    store::platform::credentials::Credential,
    xapi::{Violations, keys::Ifi},
};

/// The place in the navigation that these pages belong to.
pub const ACCESS: &str = "/admin/access";
const HERE: &str = "/admin/access/launches";
const TABS: [(&str, &str); 2] = [(ACCESS, "Credentials and tenants"), (HERE, "Launches")];
/// Hours that a launch lasts unless told.
const HOURS: u64 = 4;
/// What a form says of a launch that is to be.
const FIELDS: [&str; 8] = ["identifiers", "registration", "hours", "activity", "moveOn", "mastery", "mode", "fetch"];

pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/access/launches").get(list).post(create))
        .service(web::resource("/access/launches/plan").post(plan))
        .service(web::resource("/access/launches/{id}/revoke").get(ask_revoke).post(revoke));
}

/// The frame of a page of who gets in to a tenant.
pub fn beside(visitor: &Visitor, pages: &Pages, here: &str, tenant: TenantId, title: impl Into<String>) -> Shell {
    Shell::new(visitor, pages, ACCESS, title).beside(&TABS, here, &format!("?tenant={tenant}"))
}

fn back(tenant: TenantId) -> String {
    format!("{HERE}?tenant={tenant}")
}

#[derive(Template)]
#[template(path = "launches.html", config = "src/http/pages/askama.toml")]
struct List {
    shell: Shell,
    tenant: Uuid,
    tenant_name: String,
    registration: String,
    hours: u64,
    move_ons: Vec<&'static str>,
    modes: Vec<&'static str>,
    launches: Table,
}

const COLUMNS: [&str; 8] = ["Learner", "Registration", "Unit", "State", "Key", "Made", "Ends", "Acts"];

fn line(launch: &Credential, now: DateTime<Utc>) -> Vec<Cell> {
    let state = match launch {
        Credential { revoked_at: Some(_), .. } => "revoked",
        Credential { expires_at: Some(end), .. } if *end <= now => "expired",
        _ => "active",
    };
    let revoke = Link {
        href: format!("{HERE}/{}/revoke?tenant={}", launch.id, launch.tenant),
        text: "Revoke…".to_owned(),
        label: format!("Revoke {}", launch.api_key),
    };
    let bound = launch.launch.as_ref();
    let unit = bound.and_then(|bound| bound.activity.as_deref());
    vec![
        Cell::text(learner(launch)),
        Cell::text(bound.map(|bound| bound.registration.to_string()).unwrap_or_default()),
        Cell::text(unit.unwrap_or("–")),
        Cell::state(state),
        Cell::text(launch.api_key.as_str()),
        Cell::text(plain::time(launch.created_at)),
        Cell::text(plain::maybe(launch.expires_at)),
        if state == "active" { Cell::links(vec![revoke]) } else { Cell::default() },
    ]
}

fn learner(launch: &Credential) -> String {
    whose(launch.launch.as_ref().and_then(|launch| Ifi::of(&launch.actor)))
}

/// Where the next page begins, as an address carries it.
fn place(text: &str) -> Option<(DateTime<Utc>, Uuid)> {
    let (at, id) = text.split_once('_')?;
    Some((DateTime::from_timestamp_micros(at.parse().ok()?)?, id.parse().ok()?))
}

async fn list(
    visitor: Visitor,
    pages: Data<Pages>,
    identity: Data<Identity>,
    req: HttpRequest,
) -> Result<HttpResponse, PageError> {
    let given = Form::of_address(&req)?;
    let tenant = identity.tenant(visitor.tenant(given.text("tenant"))?).await?;
    let registration = given.given("registration").map(registration).transpose()?;
    let found = identity.list_launches(tenant.id, registration, place(given.text("after")), SIZE as i64 + 1).await?;
    let now = pages.clock.now();
    let mut launches =
        Table::new("Launches", &COLUMNS, found.iter().take(SIZE).map(|launch| line(launch, now)).collect());
    if let Some(last) = found.get(SIZE - 1).filter(|_| found.len() > SIZE) {
        let of = registration.map(|id| format!("&registration={id}")).unwrap_or_default();
        let after = format!("{}_{}", last.created_at.timestamp_micros(), last.id);
        launches.next = Some(format!("{}{of}&after={after}", back(tenant.id)));
    }
    let page = List {
        shell: beside(&visitor, &pages, HERE, tenant.id, "Launches").after(req.query_string()),
        tenant: tenant.id.0,
        tenant_name: tenant.name,
        registration: registration.map(|id| id.to_string()).unwrap_or_default(),
        hours: HOURS,
        move_ons: MoveOn::ALL.map(MoveOn::as_str).to_vec(),
        modes: LaunchMode::ALL.map(LaunchMode::as_str).to_vec(),
        launches,
    };
    Ok(answer(&page)?)
}

fn refuse(why: &str) -> HttpError {
    Violations::whole("page.launch", why).into()
}

fn registration(text: &str) -> Result<Uuid, HttpError> {
    text.parse().map_err(|_| refuse("a registration is a UUID"))
}

/// The launch that a form asks for, by the rules of the API; refused here already where it cannot be made.
fn wished(form: &Form) -> Result<NewLaunch, HttpError> {
    let mut people = Person::of(form)?.agents;
    let actor = people.pop().filter(|_| people.is_empty()).ok_or_else(|| refuse("a launch is for one learner"))?;
    let hours = form.given("hours").map(|text| text.parse::<u32>().map_err(|_| refuse("hours are a whole number")));
    let mastery =
        form.given("mastery").map(|text| text.parse().map_err(|_| refuse("a mastery score is a number from 0 to 1")));
    let text = |name: &str| form.given(name).map(str::to_owned);
    let new = new_launch(MakeLaunch {
        registration: registration(form.text("registration"))?,
        actor,
        lifetime_seconds: hours.transpose()?.map(|hours| u64::from(hours) * 3_600),
        scopes: None,
        session_id: None,
        activity_id: text("activity"),
        move_on: text("moveOn"),
        mastery_score: mastery.transpose()?,
        launch_mode: text("mode"),
        fetch: Some(form.text("fetch") == "yes"),
    })?;
    new.check()?;
    Ok(new)
}

fn wish_seen(tenant: TenantId, form: &Form) -> String {
    digest(&json!([tenant, FIELDS.map(|name| form.text(name))]))
}

/// What a launch is bound to, as people read it.
fn bindings(launch: &Launch) -> Vec<(&'static str, String)> {
    let mut facts = vec![("Learner", whose(Ifi::of(&launch.actor))), ("Registration", launch.registration.to_string())];
    facts.extend(launch.activity.clone().map(|unit| ("Unit", unit)));
    facts.extend(launch.session.clone().map(|session| ("Session", session)));
    facts.extend(launch.move_on.map(|asked| ("Asks for", asked.as_str().to_owned())));
    facts.extend(launch.mastery_score.map(|score| ("Mastery score", score.to_string())));
    facts.extend(launch.mode.map(|mode| ("Mode", mode.as_str().to_owned())));
    facts
}

async fn plan(act: Act, pages: Data<Pages>, identity: Data<Identity>) -> Result<HttpResponse, PageError> {
    let Act { visitor, form } = act;
    let tenant = identity.tenant(visitor.tenant(form.text("tenant"))?).await?;
    let new = wished(&form)?;
    let (lifetime, scopes) = new.check()?;
    let mut facts = vec![("Tenant", tenant.name.clone())];
    facts.extend(bindings(&new.launch));
    facts.push(("Lasts", plain::age(lifetime)));
    facts.push(("Scopes", scopes.names().join(", ")));
    let effect = match new.fetch {
        true => {
            "A key is made, and an address from which the unit gets its secret with a POST, once and within an hour. The address is shown once."
        }
        false => {
            "A key and its secret are made, and shown once. Whoever has them speaks for the learner in this registration, and reaches nothing else."
        }
    };
    let mut hidden = vec![("tenant", tenant.id.to_string())];
    hidden.extend(FIELDS.into_iter().filter_map(|name| form.given(name).map(|value| (name, value.to_owned()))));
    let page = Plan {
        facts,
        hidden,
        digest: wish_seen(tenant.id, &form),
        back: back(tenant.id),
        ..Plan::new(beside(&visitor, &pages, "", tenant.id, "A launch"), HERE, effect, "make it")
    };
    Ok(answer(&page)?)
}

async fn create(
    act: Act,
    pages: Data<Pages>,
    identity: Data<Identity>,
    api: Data<Api>,
    req: HttpRequest,
) -> Result<HttpResponse, PageError> {
    let Act { visitor, form } = act;
    let tenant = visitor.tenant(form.text("tenant"))?;
    let new = wished(&form)?;
    form.saw(&wish_seen(tenant, &form))?;
    let made = identity.create_launch(&visitor.name(), tenant, new).await?;
    let (name, secret, until) = match &made.handed {
        Handed::Secret(secret) => ("Secret", secret.expose().to_owned(), None),
        Handed::Fetch { token, until } => {
            ("Address to fetch the secret from", api.fetch_urls.of(&req, token), Some(*until))
        }
    };
    let mut facts: Vec<_> = made.credential.launch.as_ref().map(bindings).unwrap_or_default();
    facts.extend(until.map(|until| ("To be fetched until", plain::time(until))));
    facts.push(("Ends", plain::maybe(made.credential.expires_at)));
    let shell = beside(&visitor, &pages, "", tenant, "A launch, this once");
    let key = made.credential.api_key.clone();
    Ok(Once { shell, key, name, secret, facts, back: back(tenant) }.answer()?)
}

/// A launch of the tenant that the address or the form names.
async fn found(visitor: &Visitor, identity: &Identity, given: &Form, id: &str) -> Result<Credential, PageError> {
    Ok(identity.launch(visitor.tenant(given.text("tenant"))?, path_id(id, "launch")?).await?)
}

/// Of a launch as it was shown.
fn seen(found: &Credential) -> String {
    digest(&json!([found.id, found.expires_at, found.revoked_at, "revoke"]))
}

async fn ask_revoke(
    visitor: Visitor,
    pages: Data<Pages>,
    identity: Data<Identity>,
    id: Path<String>,
    req: HttpRequest,
) -> Result<HttpResponse, PageError> {
    let found = found(&visitor, &identity, &Form::of_address(&req)?, &id).await?;
    let mut facts = vec![("Key", found.api_key.clone())];
    facts.extend(found.launch.iter().flat_map(bindings));
    facts.push(("Ends", plain::maybe(found.expires_at)));
    let effect = "The unit that holds it is refused from now on, in the middle of what it does. It cannot be brought back; the \
                  learner can be launched anew.";
    let shell = beside(&visitor, &pages, "", found.tenant, "Revoke a launch");
    let page = Plan {
        facts,
        hidden: vec![("tenant", found.tenant.to_string())],
        digest: seen(&found),
        back: back(found.tenant),
        word: "revoke".to_owned(),
        ..Plan::new(shell, format!("{HERE}/{}/revoke", found.id), effect, "revoke")
    };
    Ok(answer(&page)?)
}

async fn revoke(act: Act, identity: Data<Identity>, id: Path<String>) -> Result<HttpResponse, PageError> {
    let Act { visitor, form } = act;
    let found = found(&visitor, &identity, &form, &id).await?;
    form.saw(&seen(&found))?;
    form.confirmed("revoke")?;
    identity.revoke_credential(&visitor.name(), found.tenant, found.id).await?;
    Ok(to(&format!("{}&done=revoked", back(found.tenant))))
}
