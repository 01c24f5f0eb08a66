//! `/admin/migrations/tried`: every attempt at a migration and how it ended, and who waits for a lock now.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{self, Data, ServiceConfig},
};
use askama::Template;

use super::{
    Pages,
    changes::{TRIED, shell},
    form::Form,
    plain,
    shell::{Shell, answer},
    table::{Cell, Table},
    visitor::{PageError, Visitor},
};
use crate::{
    migrate::{approve::LogLine, jobs::Jobs},
    store::schema::migrations::{blockers, queue::Waiting},
};

pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/migrations/tried").get(tried));
}

#[derive(Template)]
#[template(path = "tried.html", config = "src/http/pages/askama.toml")]
struct Tried {
    shell: Shell,
    waiting: Table,
    attempts: Table,
}

const WAITING: [&str; 5] = ["Who waits", "For", "On", "Since", "Behind"];
const ATTEMPTS: [&str; 8] = ["File", "What", "Outcome", "Begun", "Took", "Made others wait", "By", "What was said"];

fn waiting(one: &Waiting) -> Vec<Cell> {
    let who = if one.wait.application.is_empty() { "an application without a name" } else { &one.wait.application };
    vec![
        Cell::text(format!("process {} ({who})", one.wait.pid)),
        Cell::text(one.wait.mode.as_str()),
        Cell::text(one.wait.on.as_str()),
        Cell::text(format!("{} ms", one.wait.waited_ms)),
        Cell::text(blockers::list(&one.behind)),
    ]
}

fn attempt(line: &LogLine) -> Vec<Cell> {
    let LogLine { module, attempt } = line;
    let took = attempt.finished_at.map(|end| (end - attempt.started_at).num_milliseconds());
    let waited = attempt.waits.as_ref().and_then(|waits| waits["longest_ms"].as_i64());
    let millis = |ms: Option<i64>| ms.map(|ms| format!("{ms} ms")).unwrap_or_default();
    let by = match &attempt.approved_by {
        Some(approver) => format!("{}, approved by {approver}", attempt.done_by),
        None => attempt.done_by.clone(),
    };
    vec![
        Cell::text(format!("{module}/{}", attempt.name)),
        Cell::text(attempt.action.as_str()),
        Cell::text(attempt.outcome.as_deref().unwrap_or("not ended")),
        Cell::text(plain::time(attempt.started_at)),
        Cell::text(millis(took)),
        Cell::text(millis(waited)),
        Cell::text(by),
        Cell::text(attempt.detail.as_deref().unwrap_or_default()),
    ]
}

async fn tried(
    visitor: Visitor,
    pages: Data<Pages>,
    jobs: Data<Jobs>,
    req: HttpRequest,
) -> Result<HttpResponse, PageError> {
    visitor.caller.require_operator()?;
    let given = Form::of_address(&req)?;
    let (attempts, queue) = jobs.tried().await?;
    let page = Tried {
        shell: shell(&visitor, &pages, TRIED, "Tried, and waiting").after(req.query_string()),
        waiting: Table::new("Who waits for a lock", &WAITING, queue.iter().map(waiting).collect()),
        attempts: Table::new("Attempts", &ATTEMPTS, attempts.iter().rev().map(attempt).collect())
            .page(&given, "from", TRIED),
    };
    Ok(answer(&page)?)
}
