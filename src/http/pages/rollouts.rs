//! `/admin/migrations/rollouts`: changes that are carried out step by step: planned and begun, and what became of them.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{self, Data, Path, ServiceConfig},
};
use askama::Template;
use serde_json::{Value, json};

use super::{
    Pages,
    changes::{ROLLOUTS, nothing, shell},
    form::Act,
    plain,
    plan::Plan,
    shell::{Shell, answer},
    table::{Cell, Table},
    visitor::{PageError, Visitor, to},
};
use crate::{
    http::{HttpError, api::query::refuse},
    model::plan,
    rollout::plan::{self as plans, Step, Tell, What},
    store::platform::{
        rollouts::{Event, Rollout},
        tellings::Receiver,
    },
};

/// Rollouts that are listed, and events of one that are shown.
const MOST: i64 = 50;
const EVENTS: usize = 200;
/// What has to be typed before one begins.
const WORD: &str = "begin";

pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/migrations/rollouts").get(rollouts))
        .service(web::resource("/migrations/rollouts/plan").post(plan_new))
        .service(web::resource("/migrations/rollouts/start").post(start))
        .service(web::resource("/migrations/rollouts/{id}").get(report))
        .service(web::resource("/migrations/rollouts/{id}/{act}").get(plan_rollout).post(do_rollout));
}

const ROLLOUT: [&str; 6] = ["Rollout", "State", "Step", "Asked for by", "Begun", "Over"];

fn rollout((one, _): &(Rollout, Vec<Event>)) -> Vec<Cell> {
    vec![
        Cell::link(format!("{ROLLOUTS}/{}", one.id), one.name.as_str()),
        Cell::state(state(&one.state)),
        Cell::text((one.step + 1).to_string()),
        Cell::text(one.asked_by.as_str()),
        Cell::text(plain::time(one.started_at)),
        Cell::text(plain::maybe(one.finished_at)),
    ]
}

fn state(name: &str) -> &'static str {
    let known = ["running", "holding", "paused", "done", "aborted", "rolled_back"];
    known.into_iter().find(|one| *one == name).unwrap_or("unknown")
}

#[derive(Template)]
#[template(path = "rollouts.html", config = "src/http/pages/askama.toml")]
struct List {
    shell: Shell,
    table: Table,
    /// What stands in the form.
    text: String,
}

async fn rollouts(visitor: Visitor, pages: Data<Pages>) -> Result<HttpResponse, PageError> {
    visitor.caller.require_operator()?;
    let all = pages.rollouts.look(None, MOST).await?;
    let page = List {
        shell: shell(&visitor, &pages, ROLLOUTS, "Rollouts"),
        table: Table::new("Rollouts", &ROLLOUT, all.iter().map(rollout).collect()),
        text: String::new(),
    };
    Ok(answer(&page)?)
}

/// A plan that somebody gave, with everything that is wrong with it.
#[derive(Template)]
#[template(path = "rollout_plan.html", config = "src/http/pages/askama.toml")]
struct New {
    shell: Shell,
    facts: Vec<(&'static str, String)>,
    table: Table,
    faults: Vec<String>,
    text: String,
    digest: String,
    word: &'static str,
}

const STEP: [&str; 4] = ["Step", "Kind", "What it does", "Needs"];

fn step(one: &Step) -> Vec<Cell> {
    let does = match &one.what {
        What::Expand { files } => format!("waits until these are applied: {}", files.join(", ")),
        What::Backfill { backfill } => format!("begins {backfill}, and waits until it is verified"),
        What::Compare { compare } => format!("begins {compare}, and waits until no row differs"),
        What::Switch { flag, value, pilots, bake } | What::DualWrite { flag, value, pilots, bake } => {
            let whom = if pilots.is_empty() { "everybody".to_owned() } else { pilots.join(", ") };
            let bake = bake.as_deref().map(|bake| format!(", and watches for {bake}")).unwrap_or_default();
            format!("sets {flag} to {value} for {whom}{bake}")
        }
        What::Contract { files } => {
            format!("waits for an approval and until these are applied: {}; no way back from here", files.join(", "))
        }
    };
    vec![
        Cell::text(one.name.as_str()),
        Cell::text(one.what.name()),
        Cell::text(does),
        Cell::text(if one.needs.is_empty() { "–".to_owned() } else { one.needs.join(", ") }),
    ]
}

async fn plan_new(act: Act, pages: Data<Pages>) -> Result<HttpResponse, PageError> {
    let Act { visitor, form } = act;
    visitor.caller.require_operator()?;
    let text = form.exact("plan").to_owned();
    let read = plans::read(&text);
    let faults = match &read {
        Ok(plan) => pages.rollouts.faults(plan).await?,
        Err(why) => vec![why.clone()],
    };
    let plan = read.ok();
    let steps = plan.as_ref().and_then(|plan| plan.order().ok()).unwrap_or_default();
    let tells = plan.as_ref().and_then(|plan| plan.tell.as_ref()).map(Tell::names).unwrap_or_default();
    let facts = plan.as_ref().map(|plan| {
        let tells = if tells.is_empty() { "nobody".to_owned() } else { tells.join(", ") };
        vec![("Rollout", plan.name.clone()), ("What for", plan.about.clone()), ("Tells", tells)]
    });
    let page = New {
        shell: shell(&visitor, &pages, "", "Rollout: the plan"),
        facts: facts.unwrap_or_default(),
        table: Table::new("Steps, in their order", &STEP, steps.into_iter().map(step).collect()),
        digest: plan.as_ref().map(plan::digest).unwrap_or_default(),
        faults,
        text,
        word: WORD,
    };
    Ok(answer(&page)?)
}

async fn start(act: Act, pages: Data<Pages>) -> Result<HttpResponse, PageError> {
    let Act { visitor, form } = act;
    visitor.caller.require_operator()?;
    let read = plans::read(form.exact("plan")).map_err(|why| refuse("plan", &why))?;
    let digest = plan::digest(&read);
    form.saw(&digest)?;
    form.confirmed(WORD)?;
    let id = pages.rollouts.start(&read, &digest, &visitor.name()).await?;
    Ok(to(&format!("{ROLLOUTS}/{id}?done=start")))
}

async fn found(pages: &Pages, id: &str) -> Result<(Rollout, Vec<Event>), HttpError> {
    let all = pages.rollouts.look(None, MOST).await?;
    all.into_iter().find(|(one, _)| one.id.to_string() == id).ok_or_else(|| nothing("rollout"))
}

/// What may be asked of one in this state.
fn asks_of(state: &str) -> &'static [&'static str] {
    match state {
        "running" => &["pause", "abort"],
        "holding" => &["advance", "pause", "abort"],
        "paused" => &["resume", "abort"],
        _ => &[],
    }
}

#[derive(Template)]
#[template(path = "rollout.html", config = "src/http/pages/askama.toml")]
struct Report {
    shell: Shell,
    id: String,
    state: &'static str,
    acts: &'static [&'static str],
    facts: Vec<(&'static str, String)>,
    events: Table,
    receivers: Table,
    plan: String,
}

const RECEIVER: [&str; 6] = ["Receiver", "State", "Told", "Waiting", "Last", "Why not"];

fn receiver(one: &Receiver) -> Vec<Cell> {
    vec![
        Cell::text(one.name.as_str()),
        Cell::state(one.state()),
        Cell::text(one.count.to_string()),
        Cell::text(one.waiting.to_string()),
        Cell::text(plain::maybe(one.told_at)),
        Cell::text(one.last_error.clone().unwrap_or_else(|| "–".to_owned())),
    ]
}

const EVENT: [&str; 5] = ["At", "Step", "What", "Detail", "By"];

async fn report(
    visitor: Visitor,
    pages: Data<Pages>,
    id: Path<String>,
    req: HttpRequest,
) -> Result<HttpResponse, PageError> {
    visitor.caller.require_operator()?;
    let (one, events) = found(&pages, &id).await?;
    let receivers = pages.rollouts.receivers(one.id).await?;
    let event = |event: &Event| {
        let detail = if event.detail == json!({}) { "–".to_owned() } else { event.detail.to_string() };
        [plain::time(event.at), event.step.clone(), event.what.clone(), detail, event.by.clone()].map(Cell::text).into()
    };
    let page = Report {
        shell: shell(&visitor, &pages, "", format!("Rollout {}", one.name)).after(req.query_string()),
        id: one.id.to_string(),
        state: state(&one.state),
        acts: asks_of(&one.state),
        facts: vec![
            ("Step", (one.step + 1).to_string()),
            ("Because of", one.why.clone().unwrap_or_else(|| "–".to_owned())),
            ("Asked for by", one.asked_by.clone()),
            ("Approved by", one.approved_by.clone().unwrap_or_else(|| "–".to_owned())),
            ("Begun", plain::time(one.started_at)),
            ("Over", plain::maybe(one.finished_at)),
            ("Digest of its plan", one.digest.clone()),
        ],
        receivers: Table::new("Whom it tells", &RECEIVER, receivers.iter().map(receiver).collect()),
        events: Table::new("What it did", &EVENT, events.iter().rev().map(event).collect()).cut(EVENTS),
        plan: pretty(&one.plan),
    };
    Ok(answer(&page)?)
}

fn pretty(value: &Value) -> String {
    format!("{value:#}")
}

/// Of a rollout as it was shown.
fn seen(one: &Rollout, act: &str) -> String {
    plan::digest(&json!([one.id, one.state, one.step, one.acted_at.is_some(), act]))
}

async fn plan_rollout(
    visitor: Visitor,
    pages: Data<Pages>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, PageError> {
    visitor.caller.require_operator()?;
    let (id, act) = path.into_inner();
    let (one, _) = found(&pages, &id).await?;
    let (effect, verb) = match act.as_str() {
        "advance" => (
            "It goes on past what it holds for. Of a contract this is the approval, by somebody else than who began.",
            "advance",
        ),
        "pause" => ("It waits; what is set stays set.", "pause"),
        "resume" => ("It goes on where it waits.", "resume"),
        "abort" => (
            "It is taken back: flags become what they were. That is not possible once a contract was approved.",
            "abort",
        ),
        _ => return Err(nothing("page").into()),
    };
    if !asks_of(&one.state).contains(&verb) {
        return Err(HttpError::Conflict(format!("the rollout {} is {}", one.name, one.state)).into());
    }
    let page = Plan {
        facts: vec![("Rollout", one.name.clone()), ("State", one.state.clone()), ("Step", (one.step + 1).to_string())],
        digest: seen(&one, verb),
        asks_why: verb == "abort",
        word: if matches!(verb, "abort" | "advance") { verb.to_owned() } else { String::new() },
        back: format!("{ROLLOUTS}/{id}"),
        ..Plan::new(
            shell(&visitor, &pages, "", format!("Rollout {}: {verb}", one.name)),
            format!("{ROLLOUTS}/{id}/{verb}"),
            effect,
            verb,
        )
    };
    Ok(answer(&page)?)
}

async fn do_rollout(act: Act, pages: Data<Pages>, path: Path<(String, String)>) -> Result<HttpResponse, PageError> {
    let Act { visitor, form } = act;
    visitor.caller.require_operator()?;
    let (id, act) = path.into_inner();
    let (one, _) = found(&pages, &id).await?;
    form.saw(&seen(&one, &act))?;
    let (desk, by) = (&pages.rollouts, visitor.name());
    match act.as_str() {
        "advance" => {
            form.confirmed("advance")?;
            desk.advance(&one.name, &by).await?
        }
        "pause" => desk.pause(&one.name, &by).await?,
        "resume" => desk.resume(&one.name, &by).await?,
        "abort" => {
            form.confirmed("abort")?;
            desk.abort(&one.name, form.text("reason"), &by).await?
        }
        _ => return Err(nothing("page").into()),
    };
    Ok(to(&format!("{ROLLOUTS}/{id}?done={act}")))
}
