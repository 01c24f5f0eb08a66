//! Rules and classes of retention: what a change comes to is shown first, and what a law keeps is shortened by two persons.

use actix_web::{
    HttpResponse,
    web::{self, Data, Path, ServiceConfig},
};
use serde_json::json;

use super::{
    Whose,
    retention::{HERE, LINES, UNIT, unit},
};
use crate::{
    http::{
        HttpError,
        api::{Api, retention::requested},
        pages::{
            Pages,
            form::{Act, Form},
            plain,
            plan::Plan,
            shell::answer,
            table::{Cell, Table},
            visitor::{PageError, Visitor, to},
        },
    },
    identity::Identity,
    model::plan,
    retention::{Change, Effect, Preview, RetentionError, Written},
};

/// What a form of a change holds, and its plan sends back.
const FIELDS: [&str; 8] = ["change", "class", "covers", "course", "starts", "keep", "delete", "everybody"];
const SET: &str = "set";
const SIGN: &str = "sign";
/// Characters of a plan that a page shows.
const LONGEST: usize = 20_000;

pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/people/retention/change/plan").post(plan_of))
        .service(web::resource("/people/retention/change").post(change))
        .service(web::resource("/people/retention/requests/{digest}").get(request).post(sign));
}

/// What is to be changed.
fn wished(visitor: &Visitor, whose: &Whose, form: &Form) -> Result<Change, HttpError> {
    if form.text("change") == "class" {
        return Ok(Change::Class { tenant: whose.id, class: form.text("class").to_owned() });
    }
    let everybody = form.text("everybody") == "yes";
    if everybody {
        visitor.caller.require_operator()?;
    }
    let written = Written {
        class: form.text("class"),
        covers: form.text("covers"),
        course: form.given("course"),
        starts: form.given("starts"),
        keep: form.given("keep"),
        delete: form.given("delete"),
    };
    Ok(Change::Rule(written.rule(whose.id, everybody)?))
}

fn digest(preview: &Preview) -> String {
    plan::digest(&json!([preview.plan, preview.effects]))
}

async fn plan_of(
    act: Act,
    pages: Data<Pages>,
    api: Data<Api>,
    identity: Data<Identity>,
) -> Result<HttpResponse, PageError> {
    let Act { visitor, form } = act;
    let whose = Whose::of(&visitor, &identity, &form).await?;
    let preview = api.retention.preview(wished(&visitor, &whose, &form)?).await?;
    let effect = match &preview.guarded {
        Some(class) => format!(
            "The class {class} is shortened by two persons: where nobody else has signed this yet, it is kept for another person to \
             sign, and nothing changes."
        ),
        None => "What is decided otherwise than before stands below. Nothing is removed by this; what goes is marked by the plan of \
                 retention, and later removed."
            .to_owned(),
    };
    let effects = preview.effects.iter().map(effect_of).collect();
    let mut hidden = vec![whose.field()];
    hidden.extend(FIELDS.iter().filter_map(|name| form.given(name).map(|value| (*name, value.to_owned()))));
    let shell = whose.shell(&visitor, &pages, "", "Retention: a change");
    let page = Plan {
        facts: facts(&form, &whose),
        table: Some(Table::new("What is decided otherwise", &EFFECT, effects).cut(LINES)),
        hidden,
        digest: digest(&preview),
        asks_why: true,
        word: SET.to_owned(),
        back: whose.place(HERE),
        ..Plan::new(shell, format!("{HERE}/change"), effect, SET)
    };
    Ok(answer(&page)?)
}

fn facts(form: &Form, whose: &Whose) -> Vec<(&'static str, String)> {
    let labels = ["", "Class", "Covers", "Course", "Begins when", "Keeps", "Deletes after", "For everybody"];
    let given = FIELDS.iter().zip(labels).skip(1);
    let given = given.filter_map(|(name, label)| form.given(name).map(|value| (label, value.to_owned())));
    [("Tenant", whose.name.clone())].into_iter().chain(given).collect()
}

const EFFECT: [&str; 7] = ["Of", "Then", "Rows", "Bytes", "Decided by", "Up to", "Before"];

fn effect_of(effect: &Effect) -> Vec<Cell> {
    let before = match &effect.before {
        Some(before) => {
            Cell::text(format!("{} ({})", if before.goes() { "goes" } else { "stays" }, before.principle.name()))
        }
        None => Cell::text("–"),
    };
    let mut cells = match (&effect.after, &effect.before) {
        (Some(after), _) => unit(after),
        // What nothing is said of any more is as if there were no rule.
        (None, Some(before)) => [vec![unit(before).swap_remove(0)], vec![Cell::state("stays")]]
            .into_iter()
            .flatten()
            .chain((2..UNIT.len()).map(|_| Cell::text("–")))
            .collect(),
        (None, None) => UNIT.iter().map(|_| Cell::text("–")).collect(),
    };
    cells.push(before);
    cells
}

async fn change(act: Act, api: Data<Api>, identity: Data<Identity>) -> Result<HttpResponse, PageError> {
    let Act { visitor, form } = act;
    let whose = Whose::of(&visitor, &identity, &form).await?;
    let preview = api.retention.preview(wished(&visitor, &whose, &form)?).await?;
    form.saw(&digest(&preview))?;
    form.confirmed(SET)?;
    let signed = match &preview.guarded {
        Some(_) => signed(&api, &preview).await?,
        None => None,
    };
    match api.retention.change(&preview, (form.text("reason"), &visitor.name()), signed.as_deref()).await {
        Ok(()) => Ok(to(&format!("{}&done=rule", whose.place(HERE)))),
        Err(RetentionError::NeedsSignOff { digest, .. }) => {
            Ok(to(&format!("{}&done=asked", whose.place(&format!("{HERE}/requests/{digest}")))))
        }
        Err(error) => Err(error.into()),
    }
}

/// The newest plan of this very change that another person has signed.
async fn signed(api: &Api, preview: &Preview) -> Result<Option<String>, RetentionError> {
    let known = api.retention.requests().await?;
    let is_it = |one: &&crate::store::ledger::retention::Request| {
        one.signed_by.is_some() && one.plan["change"] == preview.plan["change"]
    };
    Ok(known.iter().rfind(is_it).map(|one| one.digest.clone()))
}

async fn request(
    visitor: Visitor,
    pages: Data<Pages>,
    api: Data<Api>,
    identity: Data<Identity>,
    plan: Path<String>,
    req: actix_web::HttpRequest,
) -> Result<HttpResponse, PageError> {
    let given = Form::of_address(&req)?;
    let whose = Whose::of(&visitor, &identity, &given).await?;
    let found = requested(&visitor.caller, &api, whose.id, &plan).await?;
    let text = format!("{:#}", found.plan);
    let shown: String = text.chars().take(LONGEST).collect();
    let cut = if shown.len() < text.len() { "\n… the API has all of it" } else { "" };
    let (effect, verb) = match &found.signed_by {
        Some(by) => (format!("It was signed by {by}. Whoever asked for it can carry it out: by the same change again."), ""),
        None => (
            "It waits for the word of another person than who asked for it. With it the change may be made; nothing is removed yet."
                .to_owned(),
            SIGN,
        ),
    };
    let page = Plan {
        facts: vec![
            ("Asked for by", found.requested_by),
            ("Asked", plain::time(found.requested_at)),
            ("The plan", format!("{shown}{cut}")),
        ],
        hidden: vec![whose.field()],
        digest: found.digest,
        asks_why: true,
        word: SIGN.to_owned(),
        back: whose.place(HERE),
        ..Plan::new(
            whose.shell(&visitor, &pages, "", "Retention: a plan for two persons").after(req.query_string()),
            format!("{HERE}/requests/{plan}"),
            effect,
            verb,
        )
    };
    Ok(answer(&page)?)
}

async fn sign(
    act: Act,
    api: Data<Api>,
    identity: Data<Identity>,
    plan: Path<String>,
) -> Result<HttpResponse, PageError> {
    let Act { visitor, form } = act;
    let whose = Whose::of(&visitor, &identity, &form).await?;
    let found = requested(&visitor.caller, &api, whose.id, &plan).await?;
    form.saw(&found.digest)?;
    form.confirmed(SIGN)?;
    api.retention.sign_off(&found.digest, &visitor.name(), form.text("reason")).await?;
    Ok(to(&format!("{}&done=signed", whose.place(HERE))))
}
