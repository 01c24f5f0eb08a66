//! `/admin/jobs`: long work to watch and to steer. What is asked of a job is shown first, with the digest of what was seen.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{self, Data, Path, ServiceConfig},
};
use askama::Template;
use chrono::DateTime;
use serde_json::{Value, json};
use url::form_urlencoded;
use uuid::Uuid;

use super::{
    Pages,
    form::{Act, Form},
    plain,
    plan::Plan,
    shell::{Shell, answer},
    visitor::{PageError, Visitor, to},
};
use crate::{
    http::{
        HttpError,
        api::{Streams, path_id},
    },
    identity::reach,
    model::{
        job::{self, State, Verdict},
        plan,
    },
    store::{
        As, Store,
        platform::jobs::{self, AskError, Filter, Job},
    },
};

const HERE: &str = "/admin/jobs";
/// Jobs on a page.
const SIZE: usize = 50;
/// What may be asked, the harmless first.
const ACTS: [job::Act; 4] = [job::Act::Resume, job::Act::Pause, job::Act::Retry, job::Act::Cancel];

pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/jobs").get(list))
        .service(web::resource("/jobs/{id}").get(show))
        .service(web::resource("/jobs/{id}/events").get(events))
        .service(web::resource("/jobs/{id}/{act}").get(plan_of).post(act));
}

/// A job in a list.
pub struct Line {
    pub id: Uuid,
    pub kind: String,
    pub state: &'static str,
    pub stalled: bool,
    pub progress: String,
    /// From 0 to 100, where somebody knows the whole.
    pub share: Option<u64>,
    pub by: String,
    pub asked: String,
    pub ended: String,
}

impl Line {
    pub fn of(job: &Job) -> Self {
        let number = |name: &str| job.progress.get(name).and_then(Value::as_u64);
        let text = |name: &str| job.progress.get(name).and_then(Value::as_str).unwrap_or_default();
        let (done, total) = (number("done"), number("total").filter(|total| *total > 0));
        let progress = match (done, total) {
            (Some(done), Some(total)) => format!("{done} of {total} {}", text("unit")),
            (Some(done), None) => format!("{done} {}", text("unit")),
            _ => "–".to_owned(),
        };
        Self {
            id: job.id,
            kind: job.kind.clone(),
            state: job.state.name(),
            stalled: job.is_stalled(),
            progress,
            share: done.zip(total).map(|(done, total)| (100 * done / total).min(100)),
            by: job.requested_by.clone(),
            asked: plain::time(job.created_at),
            ended: plain::maybe(job.finished_at),
        }
    }
}

#[derive(Template)]
#[template(path = "jobs.html", config = "src/http/pages/askama.toml")]
struct List {
    shell: Shell,
    lines: Vec<Line>,
    states: Vec<(&'static str, bool)>,
    kind: String,
    /// The address of the next page.
    next: Option<String>,
}

async fn list(visitor: Visitor, pages: Data<Pages>, req: HttpRequest) -> Result<HttpResponse, PageError> {
    reach::jobs(&visitor.caller)?;
    let given = Form::of_address(&req)?;
    let (kind, state) = (given.text("kind").to_owned(), State::parse(given.text("state")));
    let before = read_place(given.text("before"));
    let filter = &Filter { kind: given.given("kind").map(str::to_owned), state, before };
    let most = SIZE as i64 + 1;
    let found = pages.store.run_tx("list_jobs", As::Worker, |tx| Box::pin(jobs::list(tx, filter, most))).await?;
    let last = if found.len() > SIZE { found.get(SIZE - 1) } else { None };
    let next = last.map(|last| {
        let place = format!("{} {}", last.created_at.timestamp_micros(), last.id);
        let mut query = form_urlencoded::Serializer::new(String::new());
        query
            .append_pair("kind", &kind)
            .append_pair("state", state.map_or("", State::name))
            .append_pair("before", &place);
        format!("{HERE}?{}", query.finish())
    });
    let lines = found.iter().take(SIZE).map(Line::of).collect();
    let states = State::ALL.map(|one| (one.name(), Some(one) == state)).to_vec();
    Ok(answer(&List { shell: Shell::new(&visitor, &pages, HERE, "Jobs"), lines, states, kind, next })?)
}

/// Where a page goes on; what is no place begins at the start.
fn read_place(text: &str) -> Option<(DateTime<chrono::Utc>, Uuid)> {
    let (micros, id) = text.split_once(' ')?;
    Some((DateTime::from_timestamp_micros(micros.parse().ok()?)?, id.parse().ok()?))
}

#[derive(Template)]
#[template(path = "job.html", config = "src/http/pages/askama.toml")]
struct Show {
    shell: Shell,
    line: Line,
    /// What may be asked of it now.
    acts: Vec<&'static str>,
    is_over: bool,
    error: String,
    attempts: i32,
    started: String,
    heartbeat: String,
    approved_by: String,
    digest: String,
    note: String,
    parameters: String,
    outcome: String,
}

async fn show(
    visitor: Visitor,
    pages: Data<Pages>,
    id: Path<String>,
    req: HttpRequest,
) -> Result<HttpResponse, PageError> {
    reach::jobs(&visitor.caller)?;
    let job = find(&pages.store, path_id(&id, "job")?).await?;
    let acts = ACTS.into_iter().filter(|act| job.state.on(*act) == Verdict::Done);
    let shell = Shell::new(&visitor, &pages, HERE, format!("Job {}", job.kind)).after(req.query_string());
    let page = Show {
        shell,
        line: Line::of(&job),
        acts: acts.map(job::Act::name).collect(),
        is_over: job.state.is_over(),
        error: job.error.unwrap_or_default(),
        attempts: job.attempts,
        started: plain::maybe(job.started_at),
        heartbeat: plain::time(job.updated_at),
        approved_by: job.approved_by.unwrap_or_default(),
        digest: job.plan_digest.unwrap_or_default(),
        note: job.progress.get("note").and_then(Value::as_str).unwrap_or_default().to_owned(),
        parameters: pretty(&job.parameters),
        outcome: job.outcome.as_ref().map(pretty).unwrap_or_default(),
    };
    Ok(answer(&page)?)
}

fn pretty(value: &Value) -> String {
    format!("{value:#}")
}

async fn find(store: &Store, id: Uuid) -> Result<Job, HttpError> {
    let found = store.run_tx("get_job", As::Worker, |tx| Box::pin(jobs::get(tx, id))).await?;
    found.ok_or_else(|| AskError::Unknown(id).into())
}

/// The job as it goes on, for a page that has a script.
async fn events(
    visitor: Visitor,
    pages: Data<Pages>,
    streams: Data<Streams>,
    id: Path<String>,
) -> Result<HttpResponse, PageError> {
    reach::jobs(&visitor.caller)?;
    let job = find(&pages.store, path_id(&id, "job")?).await?;
    Ok(streams.follow(pages.store.clone(), job)?)
}

async fn plan_of(
    visitor: Visitor,
    pages: Data<Pages>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, PageError> {
    reach::jobs(&visitor.caller)?;
    let (id, act) = path.into_inner();
    let (act, job) = (known(&act)?, find(&pages.store, path_id(&id, "job")?).await?);
    if job.state.on(act) == Verdict::Refused {
        return Err(AskError::Refused { state: job.state, act }.into());
    }
    let effect = match act {
        job::Act::Pause => {
            "The step that runs ends first. Nothing is lost, and it goes on from there when it is resumed."
        }
        job::Act::Resume => "It goes on where it stopped.",
        job::Act::Cancel => "The step that runs ends first, and then the job is over. What it did stays done.",
        job::Act::Retry => "It is done again, from its last checkpoint.",
    };
    let line = Line::of(&job);
    let shell = Shell::new(&visitor, &pages, HERE, format!("Job {}: {}", job.kind, act.name()));
    let page = Plan {
        facts: vec![
            ("Job", format!("{} {}", line.kind, line.id)),
            ("State", line.state.to_owned()),
            ("Progress", line.progress),
        ],
        digest: digest(&job, act),
        word: word(act).to_owned(),
        back: format!("{HERE}/{}", job.id),
        ..Plan::new(shell, format!("{HERE}/{}/{}", job.id, act.name()), effect, act.name())
    };
    Ok(answer(&page)?)
}

fn known(name: &str) -> Result<job::Act, HttpError> {
    let unknown = || HttpError::NotFound("there is no such page".to_owned());
    ACTS.into_iter().find(|act| act.name() == name).ok_or_else(unknown)
}

/// A job that is cancelled may have to begin again.
fn word(act: job::Act) -> &'static str {
    if act == job::Act::Cancel { "cancel" } else { "" }
}

/// Of what was shown: another state is another plan.
fn digest(job: &Job, act: job::Act) -> String {
    plan::digest(&json!([job.id, job.state.name(), job.attempts, act.name()]))
}

async fn act(act_of: Act, pages: Data<Pages>, path: Path<(String, String)>) -> Result<HttpResponse, PageError> {
    let Act { visitor, form } = act_of;
    reach::jobs(&visitor.caller)?;
    let (id, act) = path.into_inner();
    let (act, id) = (known(&act)?, path_id(&id, "job")?);
    let job = find(&pages.store, id).await?;
    form.saw(&digest(&job, act))?;
    let word = word(act);
    if !word.is_empty() {
        form.confirmed(word)?;
    }
    let by = &visitor.name();
    pages.store.run_once("ask_job", As::Worker, |tx| Box::pin(jobs::ask(tx, id, act, by))).await?;
    Ok(to(&format!("{HERE}/{id}?done={}", act.name())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_back_and_nothing_else_is() {
        assert!(read_place(&format!("1795249444225209 {}", Uuid::nil())).is_some());
        assert_eq!(read_place("yesterday"), None);
        assert_eq!(read_place(""), None);
    }

    #[test]
    fn what_is_not_an_act_is_no_page() {
        assert!(known("pause").is_ok() && known("events").is_err() && known("Pause").is_err());
    }
}
