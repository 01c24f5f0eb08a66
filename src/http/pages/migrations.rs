//! `/admin/migrations`: what is applied, what waits, and a run with a typed confirmation. Opens in every phase.

use actix_web::{
    HttpResponse,
    web::{self, Data, ServiceConfig},
};
use askama::Template;
use serde_json::json;

use super::{
    Pages,
    changes::TABS,
    form::Act,
    plain,
    shell::{Shell, answer},
    visitor::{PageError, Visitor, to},
};
use crate::{
    migrate::{
        checks::Status,
        jobs::{Jobs, Order},
        names::Category,
        report::{FileStatus, Report, State},
    },
    model::plan,
};

const HERE: &str = "/admin/migrations";
/// What has to be typed before anything is changed.
const WORD: &str = "migrate";

pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/migrations").get(status))
        .service(web::resource("/migrations/verify").get(verify))
        .service(web::resource("/migrations/run").post(run));
}

struct File {
    name: String,
    category: &'static str,
    state: &'static str,
    description: String,
    /// `breaking`, `manual`, its lock: what a person should know before it runs.
    traits: String,
    applied: String,
    by: String,
    took: String,
}

impl File {
    fn of(file: &FileStatus) -> Self {
        let about = file.about.as_ref();
        let is = |word, is_so: Option<bool>| is_so.unwrap_or_default().then_some(word);
        let traits = [
            is("breaking", about.map(|about| about.breaking)),
            is("waits for a person", about.map(|about| about.gated)),
            is("cannot be undone", about.map(|about| !about.reversible)),
            about.and_then(|about| about.lock),
        ];
        Self {
            name: file.name.clone(),
            category: file.category.map(Category::name).unwrap_or_default(),
            state: file.state.name(),
            description: about.map(|about| about.description.clone()).unwrap_or_default(),
            traits: traits.into_iter().flatten().collect::<Vec<_>>().join(", "),
            applied: plain::maybe(file.applied_at),
            by: file.applied_by.clone().unwrap_or_default(),
            took: file.duration_ms.map(|ms| format!("{ms} ms")).unwrap_or_default(),
        }
    }
}

struct Module {
    name: String,
    schema: String,
    applied: usize,
    pending: Vec<File>,
    history: Vec<File>,
}

#[derive(Template)]
#[template(path = "migrations.html", config = "src/http/pages/askama.toml")]
struct Migrations {
    shell: Shell,
    server: String,
    applied: usize,
    pending: usize,
    gated: Vec<String>,
    problems: Vec<String>,
    modules: Vec<Module>,
    categories: Vec<&'static str>,
    digest: String,
    word: &'static str,
}

async fn status(visitor: Visitor, pages: Data<Pages>, jobs: Data<Jobs>) -> Result<HttpResponse, PageError> {
    visitor.caller.require_operator()?;
    let report = jobs.status(None).await?;
    let digest = digest(&report);
    let module = |module: &crate::migrate::report::ModuleStatus| {
        let of = |wanted: bool| {
            module.files.iter().filter(move |file| (file.state == State::Pending) == wanted).map(File::of)
        };
        let mut history: Vec<File> = of(false).collect();
        history.reverse();
        Module {
            name: module.name.clone(),
            schema: module.schema.clone(),
            applied: history.len(),
            pending: of(true).collect(),
            history,
        }
    };
    let page = Migrations {
        shell: Shell::new(&visitor, &pages, HERE, "Migrations").beside(&TABS, HERE, ""),
        modules: report.modules.iter().map(module).collect(),
        server: report.server,
        applied: report.applied,
        pending: report.pending,
        gated: report.gated,
        problems: report.problems.into_iter().map(|problem| problem.message).collect(),
        categories: Category::ALL.iter().map(|category| category.name()).collect(),
        digest,
        word: WORD,
    };
    Ok(answer(&page)?)
}

/// Of what waits, as it was shown.
fn digest(report: &Report) -> String {
    let waits = |file: &&FileStatus| file.state == State::Pending;
    let files = report.modules.iter().map(|module| {
        let pending: Vec<_> = module.files.iter().filter(waits).map(|file| [&file.name, &file.checksum]).collect();
        json!([module.name, pending])
    });
    plan::digest(&files.collect::<Vec<_>>())
}

struct Found {
    name: &'static str,
    status: &'static str,
    message: String,
}

#[derive(Template)]
#[template(path = "verify.html", config = "src/http/pages/askama.toml")]
struct Verify {
    shell: Shell,
    sound: bool,
    problems: Vec<String>,
    checks: Vec<Found>,
}

async fn verify(visitor: Visitor, pages: Data<Pages>, jobs: Data<Jobs>) -> Result<HttpResponse, PageError> {
    visitor.caller.require_operator()?;
    let verification = jobs.verify(None).await?;
    let check = |check: crate::migrate::checks::Check| Found {
        status: match check.status {
            Status::Fail => "fails",
            Status::Warn => "warns",
            Status::Unknown => "cannot be known from here",
            Status::Pass => "fine",
        },
        name: check.name,
        message: [check.found, check.todo].join(" ").trim().to_owned(),
    };
    let page = Verify {
        shell: Shell::new(&visitor, &pages, HERE, "Migrations, verified"),
        sound: verification.sound,
        problems: verification.report.problems.into_iter().map(|problem| problem.message).collect(),
        checks: verification.checks.into_iter().map(check).collect(),
    };
    Ok(answer(&page)?)
}

async fn run(act: Act, jobs: Data<Jobs>) -> Result<HttpResponse, PageError> {
    let Act { visitor, form } = act;
    visitor.caller.require_operator()?;
    let given = |name: &str| form.given(name).map(str::to_owned);
    let order = Order {
        module: given("module"),
        category: given("category"),
        dry_run: form.text("mode") != "run",
        force: form.text("force") == "yes",
        approved_by: given("approved_by"),
        ..Order::default()
    };
    if !order.dry_run {
        let now = digest(&jobs.status(None).await?);
        form.saw(&now)?;
        form.confirmed(WORD)?;
    }
    let id = jobs.start(&order, &visitor.name()).await?;
    Ok(to(&format!("/admin/jobs/{id}?done=run")))
}
