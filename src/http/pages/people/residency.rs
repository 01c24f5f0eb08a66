//! `/admin/people/residency`: where a tenant is at home, and how it moves to another cell and back.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{self, Data, Path, ServiceConfig},
};
use askama::Template;

use super::Whose;
use crate::{
    http::{
        HttpError,
        api::{
            admin::residency::{begun, not_done, reasoned},
            path_id,
        },
        pages::{
            Pages,
            form::{Act as Sent, Form},
            plain,
            plan::Plan,
            shell::{Shell, answer},
            table::{Cell, Link, Table},
            visitor::{PageError, Visitor, to},
        },
    },
    identity::Identity,
    residency::{Act, Move, OldMonth, Residency},
};

pub const HERE: &str = "/admin/people/residency";
/// Moves on a page.
const MOST: i64 = 50;

pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/people/residency").get(list).post(begin))
        .service(web::resource("/people/residency/plan").get(plan))
        .service(web::resource("/people/residency/{id}").get(show))
        .service(web::resource("/people/residency/{id}/{act}").get(ask).post(order));
}

/// A cell that a tenant can go to.
struct Choice {
    name: String,
    endpoint: String,
}

#[derive(Template)]
#[template(path = "residency.html", config = "src/http/pages/askama.toml")]
struct List {
    shell: Shell,
    whose: Whose,
    standing: &'static str,
    /// The other cell, where there is one, and where that answers.
    other: Option<(String, String)>,
    moves: Table,
    cells: Vec<Choice>,
}

const COLUMNS: [&str; 7] = ["Move", "State", "To", "Why", "Changed", "Writers waited", "Acts"];

/// What can be asked for as a move stands.
fn acts(found: &Move) -> impl Iterator<Item = Act> + '_ {
    let is_open = |act: &Act| match act {
        Act::Purge => act.is_for(found.state).is_ok() || found.state == Act::Switch.end(),
        _ => act.is_for(found.state).is_ok(),
    };
    Act::ALL.into_iter().filter(is_open)
}

fn line(found: &Move, whose: &Whose) -> Vec<Cell> {
    let place = |rest: &str| whose.place(&format!("{HERE}/{}{rest}", found.id));
    let link = |act: Act| Link {
        href: place(&format!("/{}", act.name())),
        text: format!("{}…", act.name()),
        label: format!("{} the move of {}", act.name(), plain::time(found.created_at)),
    };
    let waited = found.frozen_ms.map_or("–".to_owned(), |ms| format!("{} ms", plain::number(ms)));
    let acts = if whose.is_chosen { acts(found).map(link).collect() } else { Vec::new() };
    vec![
        Cell::link(place(""), plain::time(found.created_at)),
        Cell::state(found.state.name()),
        Cell::text(found.cell.as_str()),
        Cell::text(found.reason.as_str()),
        Cell::text(plain::time(found.changed_at)),
        Cell::text(waited),
        Cell::links(acts),
    ]
}

async fn list(
    visitor: Visitor,
    pages: Data<Pages>,
    identity: Data<Identity>,
    residency: Data<Residency>,
    req: HttpRequest,
) -> Result<HttpResponse, PageError> {
    let given = Form::of_address(&req)?;
    let whose = Whose::of(&visitor, &identity, &given).await?;
    let (standing, other) = residency.home(whose.id).await.map_err(not_done)?;
    let found = residency.list(Some(whose.id), MOST).await.map_err(not_done)?;
    let rows = found.iter().map(|one| line(one, &whose)).collect();
    let cell = |(name, endpoint): (&str, &str)| Choice { name: name.to_owned(), endpoint: endpoint.to_owned() };
    let shell = whose.shell(&visitor, &pages, HERE, "Residency");
    let cells = if whose.is_chosen { residency.cells().map(cell).collect() } else { Vec::new() };
    let moves = Table::new("Moves", &COLUMNS, rows);
    Ok(answer(&List { shell, whose, standing: standing.name(), other, moves, cells })?)
}

const MONTHS: [&str; 3] = ["Month that is not in place", "It is", "Statements"];

async fn plan(
    visitor: Visitor,
    pages: Data<Pages>,
    identity: Data<Identity>,
    residency: Data<Residency>,
    req: HttpRequest,
) -> Result<HttpResponse, PageError> {
    visitor.caller.require_operator()?;
    let given = Form::of_address(&req)?;
    let whose = Whose::of(&visitor, &identity, &given).await?;
    let planned = residency.plan(whose.id, given.text("to")).await.map_err(not_done)?;
    let mut facts = vec![
        ("Tenant", planned.name.clone()),
        ("From", planned.from.clone()),
        ("To", format!("{}, which answers at {}", planned.to, planned.endpoint)),
        ("Statements, about", plain::number(planned.statements)),
        ("Months", planned.months.join(", ")),
    ];
    facts.extend(planned.blockers.iter().map(|why| ("In the way", why.clone())));
    facts.extend(planned.stays.iter().map(|what| ("Stays here", what.clone())));
    let row = |one: &OldMonth| {
        vec![Cell::text(one.month.as_str()), Cell::text(one.is), Cell::text(plain::number(one.statements))]
    };
    let effect = "The move is noted, and nothing is done yet: start copies what the tenant has while it works, switch lets its writers wait for a \
                  moment and opens the other cell.";
    let page = Plan {
        facts,
        table: (!planned.old_months.is_empty()).then(|| {
            Table::new("Months that go along", &MONTHS, planned.old_months.iter().map(row).collect()).cut(120)
        }),
        hidden: vec![whose.field(), ("to", planned.to.clone())],
        digest: planned.digest(),
        asks_why: planned.blockers.is_empty(),
        back: whose.place(HERE),
        ..Plan::new(
            whose.shell(&visitor, &pages, HERE, "A move"),
            HERE,
            effect,
            if planned.blockers.is_empty() { "note it" } else { "" },
        )
    };
    Ok(answer(&page)?)
}

async fn begin(sent: Sent, residency: Data<Residency>) -> Result<HttpResponse, PageError> {
    let Sent { visitor, form } = sent;
    visitor.caller.require_operator()?;
    let (tenant, reason) = (visitor.tenant(form.text("tenant"))?, reasoned(form.text("reason"))?);
    let digest = Some(form.text("digest")).filter(|digest| !digest.is_empty());
    let seen = digest.ok_or_else(|| HttpError::Conflict("see the plan first".to_owned()))?;
    let noted = residency.begin((tenant, form.text("to")), Some(seen), (&visitor.name(), &reason)).await;
    let noted = noted.map_err(not_done)?;
    Ok(to(&format!("{HERE}/{}?tenant={tenant}", noted.id)))
}

/// A move of the tenant that this visitor may look at.
async fn found(
    visitor: &Visitor,
    identity: &Identity,
    residency: &Residency,
    (given, id): (&Form, &str),
) -> Result<(Whose, Move), PageError> {
    let whose = Whose::of(visitor, identity, given).await?;
    let found = residency.get(path_id(id, "move")?).await.map_err(not_done)?;
    if found.tenant != whose.id {
        return Err(HttpError::NotFound("there is no such move of this tenant".to_owned()).into());
    }
    Ok((whose, found))
}

#[derive(Template)]
#[template(path = "move.html", config = "src/http/pages/askama.toml")]
struct Show {
    shell: Shell,
    whose: Whose,
    found: Move,
    acts: Vec<&'static str>,
    /// What was found the same in both cells, with counts and digests.
    proof: String,
    back: String,
}

async fn show(
    visitor: Visitor,
    pages: Data<Pages>,
    identity: Data<Identity>,
    residency: Data<Residency>,
    (id, req): (Path<String>, HttpRequest),
) -> Result<HttpResponse, PageError> {
    let given = Form::of_address(&req)?;
    let (whose, found) = found(&visitor, &identity, &residency, (&given, &id)).await?;
    let proof = found.proof.as_ref().and_then(|proof| serde_json::to_string_pretty(proof).ok()).unwrap_or_default();
    let acts = if whose.is_chosen { acts(&found).map(Act::name).collect() } else { Vec::new() };
    let shell = whose.shell(&visitor, &pages, HERE, format!("A move to {}", found.cell));
    Ok(answer(&Show { shell, acts, proof, back: whose.place(HERE), whose, found })?)
}

fn named(act: &str) -> Result<Act, HttpError> {
    Act::named(act).ok_or_else(|| HttpError::NotFound("there is no such act".to_owned()))
}

/// What an act stands for: the move as it was seen.
fn digest(found: &Move, act: Act) -> String {
    crate::model::plan::digest(&(found.id, found.state.name(), &found.purge_asked_by, act.name()))
}

async fn ask(
    visitor: Visitor,
    pages: Data<Pages>,
    identity: Data<Identity>,
    residency: Data<Residency>,
    (path, req): (Path<(String, String)>, HttpRequest),
) -> Result<HttpResponse, PageError> {
    visitor.caller.require_operator()?;
    let ((id, act), given) = (path.into_inner(), Form::of_address(&req)?);
    let (act, (whose, found)) = (named(&act)?, found(&visitor, &identity, &residency, (&given, &id)).await?);
    let does = match act {
        Act::Purge => {
            vec!["What the tenant had is removed here once somebody else agrees; there is no way back.".to_owned()]
        }
        _ => residency.ask(found.id, act).await.map_err(not_done)?.1,
    };
    let mut facts =
        vec![("Tenant", whose.name.clone()), ("To", found.cell.clone()), ("State", found.state.name().to_owned())];
    facts.extend(found.purge_asked_by.iter().map(|by| ("The purge was asked for by", by.clone())));
    let page = Plan {
        facts,
        hidden: vec![whose.field()],
        digest: digest(&found, act),
        // Copying alone disturbs nobody.
        word: if act == Act::Start { String::new() } else { act.name().to_owned() },
        back: whose.place(HERE),
        ..Plan::new(
            whose.shell(&visitor, &pages, HERE, format!("{} a move", act.name())),
            format!("{HERE}/{id}/{}", act.name()),
            does.join(" "),
            act.name(),
        )
    };
    Ok(answer(&page)?)
}

async fn order(
    sent: Sent,
    identity: Data<Identity>,
    residency: Data<Residency>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, PageError> {
    let Sent { visitor, form } = sent;
    visitor.caller.require_operator()?;
    let (id, act) = path.into_inner();
    let (act, (whose, found)) = (named(&act)?, found(&visitor, &identity, &residency, (&form, &id)).await?);
    form.saw(&digest(&found, act))?;
    if act != Act::Start {
        form.confirmed(act.name())?;
    }
    match done(&residency, &found, act, &visitor.name()).await? {
        Some(job) => Ok(to(&format!("/admin/jobs/{job}?done=job"))),
        None => Ok(to(&whose.place(&format!("{HERE}/{}", found.id)))),
    }
}

/// The job that does it; none where somebody else has to agree first.
async fn done(residency: &Residency, found: &Move, act: Act, by: &str) -> Result<Option<uuid::Uuid>, HttpError> {
    if act != Act::Purge {
        return begun(residency.order(found.id, act, by).await.map_err(not_done)?).map(Some);
    }
    if found.purge_asked_by.as_deref().is_some_and(|first| first != by) {
        return begun(residency.approve_purge(found.id, by).await.map_err(not_done)?).map(Some);
    }
    residency.ask_purge(found.id, by).await.map_err(not_done)?;
    Ok(None)
}
