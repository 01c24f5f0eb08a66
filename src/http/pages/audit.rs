//! `/admin/audit`: who did what, each entry with its proof.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{self, Data, Path, ServiceConfig},
};
use askama::Template;
use serde_json::json;
use url::form_urlencoded;

use super::{
    Pages,
    form::{Act, Form},
    plain,
    plan::Plan,
    shell::{Shell, answer},
    table::{Cell, Table},
    visitor::{PageError, Visitor},
};
use crate::{
    audit::{AuditError, Finding, Look},
    http::{
        HttpError,
        api::{
            Api,
            audit::entries::{self, within},
        },
    },
    identity::reach,
    model::plan::digest,
    store::platform::{audit::EntryId, audit_log::Recorded},
};

const HERE: &str = "/admin/audit";
/// Entries on a page.
const SIZE: usize = 50;

pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/audit").get(list))
        .service(web::resource("/audit/verify").get(plan_verify).post(verify))
        .service(web::resource("/audit/{id}").get(show))
        .service(web::resource("/audit/{id}/receipt.pdf").get(on_paper));
}

struct Line {
    id: i64,
    at: String,
    tenant: String,
    actor: String,
    action: String,
    subject: String,
    detail: String,
    leaf: Option<i64>,
}

impl Line {
    fn of((entry, leaf): (Recorded, Option<i64>)) -> Self {
        Self {
            id: entry.id.0,
            at: plain::time(entry.at),
            tenant: entry.tenant.map(|tenant| tenant.0.to_string()).unwrap_or_default(),
            actor: entry.actor,
            action: entry.action,
            subject: entry.subject,
            detail: entry.detail.to_string(),
            leaf,
        }
    }
}

#[derive(Template)]
#[template(path = "audit.html", config = "src/http/pages/askama.toml")]
struct List {
    shell: Shell,
    action: String,
    lines: Vec<Line>,
    next: Option<String>,
    /// Of the newest checkpoint: how many entries, when, and by which key.
    signed: Option<(i64, String, String)>,
    /// Whether it is the trail of the whole installation, which can be verified.
    is_whole: bool,
}

async fn list(
    visitor: Visitor,
    pages: Data<Pages>,
    api: Data<Api>,
    req: HttpRequest,
) -> Result<HttpResponse, PageError> {
    let tenant = reach::audit(&visitor.caller)?;
    let given = Form::of_address(&req)?;
    let (action, before) = (given.text("action").to_owned(), given.text("before").parse().ok().map(EntryId));
    let mut found = api.audit.entries(tenant, given.given("action"), before, SIZE as i64 + 1).await?;
    let is_more = found.len() > SIZE;
    found.truncate(SIZE);
    let lines: Vec<Line> = found.into_iter().map(Line::of).collect();
    let next = lines.last().filter(|_| is_more).map(|last| {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("action", &action).append_pair("before", &last.id.to_string());
        format!("{HERE}?{}", query.finish())
    });
    let signed = match api.audit.checkpoint().await? {
        Some(last) => Some((last.size, plain::time(last.signed_at), api.audit.verifier().await?.to_string())),
        None => None,
    };
    Ok(answer(&List {
        shell: Shell::new(&visitor, &pages, HERE, "Audit trail"),
        action,
        lines,
        next,
        signed,
        is_whole: tenant.is_none(),
    })?)
}

#[derive(Template)]
#[template(path = "audit_entry.html", config = "src/http/pages/askama.toml")]
struct Show {
    shell: Shell,
    id: i64,
    receipt: String,
    unproved: String,
}

async fn show(
    visitor: Visitor,
    pages: Data<Pages>,
    api: Data<Api>,
    id: Path<String>,
) -> Result<HttpResponse, PageError> {
    let entry = within(&visitor.caller, &api, &id).await?;
    let (receipt, unproved) = match api.audit.receipt(entry).await {
        Ok(receipt) => (serde_json::to_string_pretty(&receipt).map_err(HttpError::internal)?, String::new()),
        // It has no place in the log yet, or can be opened no more.
        Err(AuditError::Store(error)) => return Err(error.into()),
        Err(error) => (String::new(), error.to_string()),
    };
    let shell = Shell::new(&visitor, &pages, HERE, format!("Entry {entry}"));
    Ok(answer(&Show { shell, id: entry.0, receipt, unproved })?)
}

async fn on_paper(visitor: Visitor, api: Data<Api>, id: Path<String>) -> Result<HttpResponse, PageError> {
    let entry = within(&visitor.caller, &api, &id).await?;
    let receipt = api.audit.receipt(entry).await?;
    Ok(entries::on_paper(&api, visitor.caller.tenant, receipt).await?)
}

/// Who sees the trail of the whole installation.
fn whole(visitor: &Visitor) -> Result<(), HttpError> {
    match reach::audit(&visitor.caller)? {
        None => Ok(()),
        Some(_) => {
            Err(HttpError::Forbidden("the log is the whole installation's: it is verified by its auditors".to_owned()))
        }
    }
}

/// The same whatever was added meanwhile: it is of the whole log.
fn verify_digest() -> String {
    digest(&json!(["audit.verify"]))
}

async fn plan_verify(visitor: Visitor, pages: Data<Pages>, api: Data<Api>) -> Result<HttpResponse, PageError> {
    whole(&visitor)?;
    let size = api.audit.checkpoint().await?.map_or(0, |last| last.size);
    let effect = "The whole log is read again, and compared with its entries, with every checkpoint that was signed and with those that lie \
                  outside. It changes nothing, and takes the longer the more there are.";
    let page = Plan {
        facts: vec![("Entries that are signed", plain::number(size)), ("Key", api.audit.verifier().await?.to_string())],
        digest: verify_digest(),
        back: HERE.to_owned(),
        ..Plan::new(Shell::new(&visitor, &pages, HERE, "Verify the log"), format!("{HERE}/verify"), effect, "verify it")
    };
    Ok(answer(&page)?)
}

#[derive(Template)]
#[template(path = "audit_verified.html", config = "src/http/pages/askama.toml")]
struct Verified {
    shell: Shell,
    is_sound: bool,
    facts: Vec<(&'static str, String)>,
    findings: Table,
}

const FINDING: [&str; 4] = ["Entry", "Place", "What was found", "What to do next"];

async fn verify(act: Act, pages: Data<Pages>, api: Data<Api>) -> Result<HttpResponse, PageError> {
    let Act { visitor, form } = act;
    whole(&visitor)?;
    form.saw(&verify_digest())?;
    let _looking = pages.verifying.try_acquire().map_err(|_| HttpError::Unavailable {
        why: "somebody has this node verify the log just now".to_owned(),
        retry_after: std::time::Duration::from_secs(60),
    })?;
    let report = api.audit.verify(&Look::default()).await?;
    let outside: Vec<String> = report.outside.iter().map(|(place, count)| format!("{count} in {place}")).collect();
    let finding = |one: &Finding| {
        let number = |value: Option<i64>| value.map_or_else(|| "–".to_owned(), plain::number);
        let (entry, place) = (number(one.entry.map(|entry| entry.0)), number(one.index));
        [entry, place, one.what.clone(), one.next.to_owned()].map(Cell::text).into()
    };
    let mut findings = Table::new("Findings", &FINDING, report.findings.iter().map(finding).collect()).cut(200);
    findings.left_out += report.more;
    let count = |value: u64| plain::number(i64::try_from(value).unwrap_or(i64::MAX));
    let page = Verified {
        shell: Shell::new(&visitor, &pages, HERE, "The log, verified"),
        is_sound: report.findings.is_empty(),
        facts: vec![
            ("Entries in the log", plain::number(report.size)),
            ("Compared with their commitments", count(report.entries)),
            ("That nobody can open any more", count(report.sealed)),
            ("Checkpoints", report.checkpoints.to_string()),
            ("Checkpoints found outside", if outside.is_empty() { "none".to_owned() } else { outside.join(", ") }),
        ],
        findings,
    };
    Ok(answer(&page)?)
}
