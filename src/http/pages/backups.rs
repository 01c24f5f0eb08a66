//! `/admin/backups`: which there are, how old the newest good one is, and jobs that make and verify one.

use actix_web::{
    HttpResponse,
    web::{self, Data, Path, ServiceConfig},
};
use askama::Template;

use super::{
    Pages,
    form::Act,
    plain,
    plan::Plan,
    shell::{Shell, answer},
    table::{Cell, Link, Table},
    visitor::{PageError, Visitor, to},
};
use crate::{
    backup::{
        ask::{self, Asked, MAKE, VERIFY},
        plan::{Kept, last_good},
    },
    http::{
        HttpError,
        api::{Months, admin::partitions::placed_alone},
    },
};

const HERE: &str = "/admin/backups";
/// Backups on a page.
const SIZE: usize = 100;

pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/backups").get(list))
        .service(web::resource("/backups/make").get(plan_make).post(make))
        .service(web::resource("/backups/{id}/verify").get(plan_verify).post(verify));
}

#[derive(Template)]
#[template(path = "backups.html", config = "src/http/pages/askama.toml")]
struct List {
    shell: Shell,
    backups: Table,
    /// When the newest was made that was found good, and how long ago.
    good: Option<(String, String)>,
    /// Why nothing is known.
    wrong: String,
}

const COLUMNS: [&str; 8] = ["Backup", "Found", "Verified", "Kind", "Size", "Statements", "Why", "Acts"];

fn line(Kept { manifest, verified }: &Kept) -> Vec<Cell> {
    let (found, faults) = match verified {
        None => ("not verified", String::new()),
        Some(verified) if verified.is_good() => ("proven", String::new()),
        Some(verified) => ("damaged", format!(": {}", verified.faults.join("; "))),
    };
    let (href, label) = (format!("{HERE}/{}/verify", manifest.id), format!("Verify {}", manifest.id));
    let when = verified.as_ref().map(|verified| plain::time(verified.at));
    let bytes = i64::try_from(manifest.bytes()).unwrap_or(i64::MAX);
    let schema = manifest.schema.as_ref().map(|schema| format!(" of {schema}")).unwrap_or_default();
    vec![
        Cell::text(format!("{}, {}", manifest.id, plain::time(manifest.ended_at))),
        Cell::state(found),
        Cell::text(format!("{}{faults}", when.as_deref().unwrap_or("–"))),
        Cell::text(format!("{}{schema}", manifest.kind.name())),
        Cell::text(plain::bytes(bytes)),
        Cell::text(plain::number(manifest.statements())),
        Cell::text(manifest.reason.as_str()),
        Cell::links(vec![Link { href, text: "Verify…".to_owned(), label }]),
    ]
}

async fn list(visitor: Visitor, pages: Data<Pages>) -> Result<HttpResponse, PageError> {
    visitor.caller.require_operator()?;
    let shell = Shell::new(&visitor, &pages, HERE, "Backups");
    let (kept, wrong) = match kept(&pages).await {
        Ok(kept) => (kept, String::new()),
        Err(why) => (Vec::new(), why),
    };
    let now = pages.clock.now();
    let page = List {
        shell,
        backups: Table::new("Backups", &COLUMNS, kept.iter().rev().map(line).collect()).cut(SIZE),
        good: last_good(&kept).map(|at| (plain::time(at), plain::age(now - at))),
        wrong,
    };
    Ok(answer(&page)?)
}

/// All there are, the oldest first; or why they cannot be seen.
async fn kept(pages: &Pages) -> Result<Vec<Kept>, String> {
    let place = (pages.backups)()?;
    place.list().await.map_err(|error| error.to_string())
}

/// The same for an act, which is nothing without them.
async fn known(pages: &Pages) -> Result<Vec<Kept>, HttpError> {
    let unavailable = |why| HttpError::Unavailable { why, retry_after: std::time::Duration::from_secs(30) };
    kept(pages).await.map_err(unavailable)
}

/// The backup of exactly this id.
fn of(kept: &[Kept], id: &str) -> Result<Asked, HttpError> {
    let found = kept.iter().find(|one| one.manifest.id == id);
    let found = found.ok_or_else(|| HttpError::NotFound("there is no such backup".to_owned()))?;
    Ok(Asked { backup: Some(found.manifest.id.clone()) })
}

async fn plan_make(visitor: Visitor, pages: Data<Pages>) -> Result<HttpResponse, PageError> {
    visitor.caller.require_operator()?;
    let kept = known(&pages).await?;
    let effect = "The whole database is copied, whatever works beside, as the configuration says. It is verified by a job of its own.";
    let page = Plan {
        facts: vec![
            ("Backups there are", kept.len().to_string()),
            ("The newest good one", plain::maybe(last_good(&kept))),
        ],
        digest: ask::planned(MAKE, &kept, &Asked::default()).digest,
        back: HERE.to_owned(),
        ..Plan::new(
            Shell::new(&visitor, &pages, HERE, "A backup of the whole"),
            format!("{HERE}/make"),
            effect,
            "make it",
        )
    };
    Ok(answer(&page)?)
}

async fn plan_verify(visitor: Visitor, pages: Data<Pages>, id: Path<String>) -> Result<HttpResponse, PageError> {
    visitor.caller.require_operator()?;
    let kept = known(&pages).await?;
    let asked = of(&kept, &id)?;
    let effect = "It is brought back to a server of its own, read to its last byte, and compared with what was there when it was made. \
                  That takes the room of the database on the disk of the node that does it.";
    let page = Plan {
        facts: vec![("Backup", id.clone())],
        digest: ask::planned(VERIFY, &kept, &asked).digest,
        back: HERE.to_owned(),
        ..Plan::new(
            Shell::new(&visitor, &pages, HERE, "Verify a backup"),
            format!("{HERE}/{id}/verify"),
            effect,
            "verify it",
        )
    };
    Ok(answer(&page)?)
}

async fn make(act: Act, pages: Data<Pages>, months: Data<Months>) -> Result<HttpResponse, PageError> {
    act.visitor.caller.require_operator()?;
    let kept = known(&pages).await?;
    carry_out(&act, &pages, &months, (MAKE, &kept, &Asked::default())).await
}

async fn verify(
    act: Act,
    pages: Data<Pages>,
    months: Data<Months>,
    id: Path<String>,
) -> Result<HttpResponse, PageError> {
    act.visitor.caller.require_operator()?;
    let kept = known(&pages).await?;
    let asked = of(&kept, &id)?;
    carry_out(&act, &pages, &months, (VERIFY, &kept, &asked)).await
}

async fn carry_out(
    Act { visitor, form }: &Act,
    pages: &Pages,
    months: &Months,
    (kind, kept, asked): (&'static str, &[Kept], &Asked),
) -> Result<HttpResponse, PageError> {
    let planned = ask::planned(kind, kept, asked);
    form.saw(&planned.digest)?;
    let with = (&pages.store, &months.archive.ids);
    let placed = ask::ask_for(with, kind, asked, &planned.digest, &visitor.name()).await?;
    Ok(to(&format!("/admin/jobs/{}?done=job", placed_alone(placed, kind)?)))
}
