//! `/admin/learners`: attempts, how far a learner is in a course, and the transcript that says so. What the scopes of a credential
//! read over `/api/v1` they read here, and leave the same trail.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header,
    web::{self, Data, Path, ServiceConfig},
};
use askama::Template;
use url::form_urlencoded;

use super::{
    Pages,
    form::Form,
    plain,
    shell::{Shell, answer},
    table::{Cell, SIZE, Table},
    visitor::{PageError, Visitor},
};
use crate::{
    http::api::{
        Api,
        access::{Reach, usual_id},
        attempts::SCOPES,
        enrollments,
    },
    model::Scope,
    store::progress::reads::AttemptFilter,
    transcript::Attempt,
    xapi::language::Languages,
};

const HERE: &str = "/admin/learners";
const OUTCOMES: [&str; 4] = ["passed", "failed", "incomplete", "abandoned"];
const STATES: [&str; 2] = ["open", "closed"];

pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/learners").get(list))
        .service(web::resource("/learners/enrollments/{id}").get(show))
        .service(web::resource("/learners/enrollments/{id}/transcript").get(transcript))
        .service(web::resource("/learners/enrollments/{id}/transcript.pdf").get(on_paper));
}

#[derive(Template)]
#[template(path = "learners.html", config = "src/http/pages/askama.toml")]
struct List {
    shell: Shell,
    user: String,
    enrollment: String,
    outcomes: Vec<(&'static str, bool)>,
    states: Vec<(&'static str, bool)>,
    attempts: Table,
}

const COLUMNS: [&str; 8] = ["Attempt", "State", "Outcome", "Score", "Learner", "Course", "Begun", "Ended"];

fn line(attempt: &Attempt) -> Vec<Cell> {
    let href = format!("{HERE}/enrollments/{}", quoted(&attempt.enrollment_id));
    vec![
        Cell::link(href, format!("{} of {}", attempt.attempt_number, attempt.enrollment_id)),
        Cell::state(if attempt.state == "open" { "open" } else { "closed" }),
        Cell::text(attempt.outcome.as_deref().unwrap_or("–")),
        Cell::text(attempt.score.map_or_else(|| "–".to_owned(), |score| score.to_string())),
        Cell::text(attempt.user_id.as_str()),
        Cell::text(format!("{}, {}", attempt.course_id, attempt.course_version_id)),
        Cell::text(plain::time(attempt.started_at)),
        Cell::text(plain::maybe(attempt.ended_at)),
    ]
}

/// An id as a part of an address: it is whatever a statement called it.
fn quoted(id: &str) -> String {
    form_urlencoded::byte_serialize(id.as_bytes()).collect::<String>().replace('+', "%20")
}

/// One of these, or none.
fn one_of<const N: usize>(names: [&'static str; N], chosen: &str) -> Option<&'static str> {
    names.into_iter().find(|name| *name == chosen)
}

async fn list(
    visitor: Visitor,
    pages: Data<Pages>,
    api: Data<Api>,
    req: HttpRequest,
) -> Result<HttpResponse, PageError> {
    let reach = Reach::of(&visitor.caller, &SCOPES, api.trail.pseudonyms().await?)?;
    let given = Form::of_address(&req)?;
    let users = match (given.given("user").map(usual_id), &reach) {
        (Some(user), reach) => {
            reach.require(&user)?;
            Some(vec![user])
        }
        (None, Reach::Own(ids)) => Some(ids.clone()),
        (None, Reach::Everybody) => None,
    };
    let (outcome, state) = (one_of(OUTCOMES, given.text("outcome")), one_of(STATES, given.text("state")));
    let filter = AttemptFilter {
        enrollment: given.given("enrollment").map(usual_id),
        outcome: outcome.map(str::to_owned),
        state: state.map(str::to_owned),
        users,
        after: given.given("after").map(str::to_owned),
        limit: SIZE as i64 + 1,
    };
    let found = api.store.attempts(visitor.caller.tenant, &filter).await?;
    let shown: Vec<Attempt> = found.into_iter().take(SIZE + 1).map(Attempt::from).collect();
    let mut attempts = Table::new("Attempts", &COLUMNS, shown.iter().take(SIZE).map(line).collect());
    if let Some(last) = shown.get(SIZE - 1).filter(|_| shown.len() > SIZE) {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for name in ["user", "enrollment", "outcome", "state"] {
            if let Some(value) = given.given(name) {
                query.append_pair(name, value);
            }
        }
        attempts.next = Some(format!("{HERE}?{}", query.append_pair("after", &last.id).finish()));
    }
    let page = List {
        shell: Shell::new(&visitor, &pages, HERE, "Learners"),
        user: given.text("user").to_owned(),
        enrollment: given.text("enrollment").to_owned(),
        outcomes: OUTCOMES.map(|name| (name, outcome == Some(name))).to_vec(),
        states: STATES.map(|name| (name, state == Some(name))).to_vec(),
        attempts,
    };
    Ok(answer(&page)?)
}

#[derive(Template)]
#[template(path = "learner.html", config = "src/http/pages/askama.toml")]
struct Show {
    shell: Shell,
    state: &'static str,
    facts: Vec<(&'static str, String)>,
    attempts: Table,
    units: Option<Table>,
    /// Where the transcript is, for who may read transcripts.
    transcript: Option<String>,
}

const UNIT: [&str; 5] = ["Unit", "State", "Satisfied", "Score", "Sessions"];

async fn show(
    visitor: Visitor,
    pages: Data<Pages>,
    api: Data<Api>,
    id: Path<String>,
) -> Result<HttpResponse, PageError> {
    let found = enrollments::progress(&visitor.caller, &api, &id).await?;
    let units = found.units.iter().map(|unit| {
        vec![
            Cell::text(unit.activity_id.as_str()),
            Cell::text(unit.state.as_str()),
            Cell::text(if unit.satisfied { "yes" } else { "no" }),
            Cell::text(unit.score.map_or_else(|| "–".to_owned(), |score| score.to_string())),
            Cell::text(unit.sessions.to_string()),
        ]
    });
    let units: Vec<_> = units.collect();
    let may_read = visitor.caller.scopes.allows(Scope::ApiTranscriptRead);
    let page = Show {
        shell: Shell::new(&visitor, &pages, HERE, "An enrollment"),
        state: found.overall_state.words(),
        facts: vec![
            ("Enrollment", found.enrollment_id.clone()),
            ("Learner", found.user_id.clone()),
            ("Course", found.course_id.clone()),
            ("Version of the course", found.course_version_id.clone()),
            ("Completed", plain::maybe(found.completion.as_ref().map(|one| one.completed_at))),
        ],
        attempts: Table::new("Attempts", &COLUMNS, found.attempts.iter().map(line).collect()).cut(200),
        units: Some(units)
            .filter(|units| !units.is_empty())
            .map(|units| Table::new("Units of cmi5", &UNIT, units).cut(200)),
        transcript: may_read.then(|| format!("{HERE}/enrollments/{}/transcript", quoted(&found.enrollment_id))),
    };
    Ok(answer(&page)?)
}

fn languages(req: &HttpRequest) -> Languages {
    let wanted = req.headers().get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    Languages::parse(wanted.unwrap_or_default())
}

#[derive(Template)]
#[template(path = "transcript.html", config = "src/http/pages/askama.toml")]
struct Shown {
    shell: Shell,
    facts: Vec<(&'static str, String)>,
    attempts: Table,
    pdf: String,
    back: String,
}

async fn transcript(
    visitor: Visitor,
    pages: Data<Pages>,
    api: Data<Api>,
    id: Path<String>,
    req: HttpRequest,
) -> Result<HttpResponse, PageError> {
    let found = enrollments::transcript(&visitor.caller, &api, &id, &languages(&req)).await?;
    let place = format!("{HERE}/enrollments/{}", quoted(&found.enrollment_id));
    let learner = found.learner.name.as_ref().unwrap_or(&found.learner.user_id).clone();
    let course = found.course.title.as_ref().or(found.course.activity_id.as_ref()).unwrap_or(&found.course.course_id);
    let evidence = found.completion.iter().flat_map(|one| &one.evidence_statement_ids).map(ToString::to_string);
    let page = Shown {
        facts: vec![
            ("Learner", learner),
            ("Course", course.clone()),
            ("State", found.overall_state.words().to_owned()),
            ("Completed", plain::maybe(found.completion.as_ref().map(|one| one.completed_at))),
            ("Proven by the statements", evidence.collect::<Vec<_>>().join(", ")),
        ],
        attempts: Table::new("Attempts", &COLUMNS, found.attempts.iter().map(line).collect()).cut(200),
        shell: Shell::new(&visitor, &pages, HERE, "A transcript"),
        pdf: format!("{place}/transcript.pdf"),
        back: place,
    };
    Ok(answer(&page)?)
}

async fn on_paper(
    visitor: Visitor,
    api: Data<Api>,
    id: Path<String>,
    req: HttpRequest,
) -> Result<HttpResponse, PageError> {
    let found = enrollments::transcript(&visitor.caller, &api, &id, &languages(&req)).await?;
    Ok(enrollments::on_paper(&api, visitor.caller.tenant, found).await?)
}
