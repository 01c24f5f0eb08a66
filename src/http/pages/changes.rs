//! `/admin/migrations/backfills`: what walks through tables beside the running work.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{self, Data, Path, ServiceConfig},
};
use askama::Template;
use serde_json::json;

use super::{
    Pages,
    form::{Act, Form},
    plain,
    shell::{Shell, answer},
    table::{Cell, Link, Table},
    visitor::{PageError, Visitor, to},
};
use crate::{
    http::HttpError,
    migrate::{backfill::Standing, jobs::Jobs},
    model::plan,
};

/// The place in the navigation, and what stands beside each other there.
pub const PLACE: &str = "/admin/migrations";
pub const TABS: [(&str, &str); 4] =
    [(PLACE, "Migrations"), (TRIED, "Tried and waiting"), (BACKFILLS, "Backfills"), (ROLLOUTS, "Rollouts")];
pub const TRIED: &str = "/admin/migrations/tried";
const BACKFILLS: &str = "/admin/migrations/backfills";
pub const ROLLOUTS: &str = "/admin/migrations/rollouts";

pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/migrations/backfills").get(backfills))
        .service(web::resource("/migrations/backfills/{act}").get(plan_backfill).post(do_backfill));
}

#[derive(Template)]
#[template(path = "changes.html", config = "src/http/pages/askama.toml")]
struct List {
    shell: Shell,
    about: &'static str,
    table: Table,
}

pub fn shell(visitor: &Visitor, pages: &Pages, tab: &str, title: impl Into<String>) -> Shell {
    Shell::new(visitor, pages, PLACE, title).beside(&TABS, tab, "")
}

pub fn nothing(what: &str) -> HttpError {
    HttpError::NotFound(format!("there is no such {what}"))
}

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
