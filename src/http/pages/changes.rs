//! `/admin/migrations/backfills` and `/admin/migrations/rollouts`: what walks through tables, and what is carried out step by step.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{self, Data, Path, ServiceConfig},
};
use askama::Template;
use serde_json::{Value, json};

use super::{
    Pages,
    form::{Act, Form},
    plain,
    plan::Plan,
    shell::{Shell, answer},
    table::{Cell, Link, Table},
    visitor::{PageError, Visitor, to},
};
use crate::{
    http::HttpError,
    migrate::{backfill::Standing, jobs::Jobs},
    model::plan,
    store::platform::{
        rollouts::{Event, Rollout},
        tellings::Receiver,
    },
};

/// The place in the navigation, and what stands beside each other there.
pub const PLACE: &str = "/admin/migrations";
pub const TABS: [(&str, &str); 3] = [(PLACE, "Migrations"), (BACKFILLS, "Backfills"), (ROLLOUTS, "Rollouts")];
const BACKFILLS: &str = "/admin/migrations/backfills";
const ROLLOUTS: &str = "/admin/migrations/rollouts";
/// Rollouts that are listed, and events of one that are shown.
const MOST: i64 = 50;
const EVENTS: usize = 200;

pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/migrations/backfills").get(backfills))
        .service(web::resource("/migrations/backfills/{act}").get(plan_backfill).post(do_backfill))
        .service(web::resource("/migrations/rollouts").get(rollouts))
        .service(web::resource("/migrations/rollouts/{id}").get(report))
        .service(web::resource("/migrations/rollouts/{id}/{act}").get(plan_rollout).post(do_rollout));
}

#[derive(Template)]
#[template(path = "changes.html", config = "src/http/pages/askama.toml")]
struct List {
    shell: Shell,
    about: &'static str,
    table: Table,
}

fn shell(visitor: &Visitor, pages: &Pages, tab: &str, title: impl Into<String>) -> Shell {
    Shell::new(visitor, pages, PLACE, title).beside(&TABS, tab, "")
}

fn nothing(what: &str) -> HttpError {
    HttpError::NotFound(format!("there is no such {what}"))
}

// Backfills

const BACKFILL: [&str; 7] = ["Backfill", "State", "What it does", "Progress", "Speed", "Verified", "Acts"];

fn backfill(one: &Standing) -> Vec<Cell> {
    let (name, kept) = (one.backfill.name(), one.kept.as_ref());
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    let query = query.append_pair("name", &name).finish();
    let link = |act: &str| Link {
        href: format!("{BACKFILLS}/{act}?{query}"),
        text: format!("{act}…"),
        label: format!("{act} {name}"),
    };
    let mut acts = vec![link("run"), link("speed")];
    let job = kept.and_then(|kept| kept.job);
    acts.extend(job.map(|job| Link {
        href: format!("/admin/jobs/{job}"),
        text: "its job".to_owned(),
        label: format!("The job of {name}: pause, resume, cancel"),
    }));
    let progress = one.job.as_ref().map(|job| super::jobs::Line::of(job).progress);
    let rows =
        kept.and_then(|kept| kept.rows).map(|rows| format!(", {} rows", plain::number(rows))).unwrap_or_default();
    vec![
        Cell::text(name.as_str()),
        Cell::state(one.word()),
        Cell::text(one.backfill.about.as_str()),
        Cell::text(progress.as_deref().unwrap_or("–")),
        Cell::text(format!("{} %", kept.map_or(100, |kept| kept.speed))),
        Cell::text(format!("{}{rows}", plain::maybe(kept.and_then(|kept| kept.verified_at)))),
        Cell::links(acts),
    ]
}

async fn backfills(
    visitor: Visitor,
    pages: Data<Pages>,
    jobs: Data<Jobs>,
    req: HttpRequest,
) -> Result<HttpResponse, PageError> {
    visitor.caller.require_operator()?;
    let all = jobs.backfills().list().await?;
    let page = List {
        shell: shell(&visitor, &pages, BACKFILLS, "Backfills").after(req.query_string()),
        about: "Each walks through a table beside the running work, and gives way when somebody needs it more. It is paused, resumed and \
                cancelled as every job is.",
        table: Table::new("Backfills", &BACKFILL, all.iter().map(backfill).collect()),
    };
    Ok(answer(&page)?)
}

/// A backfill that an act is asked for, with what was seen of it.
async fn wanted(jobs: &Jobs, given: &Form, act: &str) -> Result<(Standing, i32, String), HttpError> {
    if !["run", "speed"].contains(&act) {
        return Err(nothing("page"));
    }
    let all = jobs.backfills().list().await?;
    let found = all.into_iter().find(|one| one.backfill.name() == given.text("name"));
    let found = found.ok_or_else(|| nothing("backfill"))?;
    let speed = found.kept.as_ref().map_or(100, |kept| kept.speed);
    let job = found.job.as_ref().map(|job| (job.id, job.state.name()));
    let digest = plan::digest(&json!([act, found.backfill.name(), found.backfill.checksum, found.word(), job, speed]));
    Ok((found, speed, digest))
}

async fn plan_backfill(
    visitor: Visitor,
    pages: Data<Pages>,
    jobs: Data<Jobs>,
    act: Path<String>,
    req: HttpRequest,
) -> Result<HttpResponse, PageError> {
    visitor.caller.require_operator()?;
    let (found, speed, digest) = wanted(&jobs, &Form::of_address(&req)?, &act).await?;
    let name = found.backfill.name();
    let page = BackfillPlan {
        shell: shell(&visitor, &pages, "", format!("Backfill: {act}")),
        is_speed: *act == "speed",
        is_again: found.word() == "verified",
        about: found.backfill.about.clone(),
        state: found.word(),
        act: act.into_inner(),
        name,
        speed,
        digest,
    };
    Ok(answer(&page)?)
}

#[derive(Template)]
#[template(path = "backfill.html", config = "src/http/pages/askama.toml")]
struct BackfillPlan {
    shell: Shell,
    act: String,
    is_speed: bool,
    /// It was verified, and is walked once more.
    is_again: bool,
    name: String,
    about: String,
    state: &'static str,
    speed: i32,
    digest: String,
}

async fn do_backfill(act: Act, jobs: Data<Jobs>, path: Path<String>) -> Result<HttpResponse, PageError> {
    let Act { visitor, form } = act;
    visitor.caller.require_operator()?;
    let (found, _, digest) = wanted(&jobs, &form, &path).await?;
    form.saw(&digest)?;
    let (name, by) = (found.backfill.name(), visitor.name());
    if *path == "speed" {
        let speed = form.text("speed").parse().unwrap_or(0);
        jobs.backfills().set_speed(&name, speed, &by).await?;
        return Ok(to(&format!("{BACKFILLS}?done=speed")));
    }
    let job = jobs.backfills().start(&name, found.word() == "verified", &by).await?;
    Ok(to(&format!("/admin/jobs/{job}?done=job")))
}

// Rollouts

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

async fn rollouts(visitor: Visitor, pages: Data<Pages>) -> Result<HttpResponse, PageError> {
    visitor.caller.require_operator()?;
    let all = pages.rollouts.look(None, MOST).await?;
    let page = List {
        shell: shell(&visitor, &pages, ROLLOUTS, "Rollouts"),
        about: "The newest ones. One is begun by the command line, from the file of its plan: progress-service rollout start.",
        table: Table::new("Rollouts", &ROLLOUT, all.iter().map(rollout).collect()),
    };
    Ok(answer(&page)?)
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
