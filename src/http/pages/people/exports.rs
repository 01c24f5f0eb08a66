//! `/admin/exports`: what belongs to a tenant, or a part of it, as a zip to take along.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{self, Data, ServiceConfig},
};
use askama::Template;

use super::Whose;
use crate::{
    http::{
        HttpError,
        api::{
            Api,
            admin::exports::{Chosen, kinds, made, moment},
        },
        pages::{
            Pages,
            form::{Act, Form},
            plain,
            plan::Plan,
            shell::{Shell, answer},
            table::{Cell, Table},
            visitor::{PageError, Visitor},
        },
    },
    identity::Identity,
    transfer::{
        Kind,
        export::Wish,
        outlook::{self, Outlook},
    },
};

pub const HERE: &str = "/admin/exports";

pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/exports").get(ask).post(export)).service(web::resource("/exports/plan").get(plan));
}

/// A kind as somebody chooses it.
struct Choice {
    name: &'static str,
    about: &'static str,
}

impl Choice {
    fn of(kind: Kind) -> Self {
        let about = match kind {
            Kind::Statements => "wherever their month lies",
            Kind::Documents => "state and profiles",
            Kind::Attachments => "their bytes",
            Kind::Attempts => "with those closed by hand",
            Kind::Completions | Kind::Scores => "as the projections made them",
            Kind::Courses => "the structures of cmi5 courses",
            Kind::Registries => "verbs and namespaces",
            Kind::Settings => "what the tenant decides",
            Kind::Credentials => "without their secrets",
        };
        Self { name: kind.name(), about }
    }
}

#[derive(Template)]
#[template(path = "exports.html", config = "src/http/pages/askama.toml")]
struct Ask {
    shell: Shell,
    whose: Whose,
    choices: Vec<Choice>,
}

async fn ask(
    visitor: Visitor,
    pages: Data<Pages>,
    identity: Data<Identity>,
    req: HttpRequest,
) -> Result<HttpResponse, PageError> {
    let whose = Whose::of(&visitor, &identity, &Form::of_address(&req)?).await?;
    let shell = whose.shell(&visitor, &pages, HERE, "Exports");
    Ok(answer(&Ask { shell, whose, choices: Kind::ALL.map(Choice::of).into() })?)
}

/// What the form chooses.
async fn chosen(visitor: &Visitor, identity: &Identity, form: &Form) -> Result<Wish, HttpError> {
    let (tenant, kinds) = (visitor.tenant(form.text("tenant"))?, kinds(form.all("kind"))?);
    let (since, until) = (moment("since", form.given("since"))?, moment("until", form.given("until"))?);
    Chosen { tenant, kinds, since, until }.wish(&visitor.caller, identity).await
}

const MONTHS: [&str; 2] = ["Month", "Statements that stand"];

async fn plan(
    visitor: Visitor,
    pages: Data<Pages>,
    api: Data<Api>,
    identity: Data<Identity>,
    req: HttpRequest,
) -> Result<HttpResponse, PageError> {
    let form = Form::of_address(&req)?;
    let whose = Whose::of(&visitor, &identity, &form).await?;
    let wish = chosen(&visitor, &identity, &form).await?;
    let seen = Outlook::of(&api.store, &wish).await?;
    let kinds: Vec<&str> = wish.kinds.iter().map(|kind| kind.name()).collect();
    let has_statements = wish.kinds.contains(&Kind::Statements);
    let mut facts = vec![("Tenant", whose.name.clone()), ("Kinds", kinds.join(", "))];
    facts.extend(wish.since.map(|since| ("Statements stored after", plain::time(since))));
    facts.extend(wish.until.map(|until| ("Statements stored up to", plain::time(until))));
    if has_statements {
        facts.push(("Statements, about", plain::number(seen.statements())));
        facts.push(("Counted up to", plain::maybe(seen.counted.through)));
    }
    let row = |(month, count): (&_, &i64)| vec![Cell::text(format!("{month}")), Cell::text(plain::number(*count))];
    let months: Vec<Vec<Cell>> = seen.months.iter().rev().map(row).collect();
    let mut hidden = vec![whose.field()];
    hidden.extend(kinds.iter().map(|kind| ("kind", (*kind).to_owned())));
    let times = ["since", "until"].into_iter();
    hidden.extend(times.filter_map(|name| form.given(name).map(|text| (name, text.to_owned()))));
    let effect = "It is sent as a zip while it is made, and nothing of it stays here. It holds personal data: keep it as you keep the ledger. \
                  That you made it stands in the audit trail before its first byte.";
    let page = Plan {
        facts,
        table: has_statements.then(|| Table::new("Statements by month", &MONTHS, months).cut(120)),
        hidden,
        digest: outlook::digest(&wish),
        back: whose.place(HERE),
        ..Plan::new(whose.shell(&visitor, &pages, HERE, "An export"), HERE, effect, "make it")
    };
    Ok(answer(&page)?)
}

async fn export(act: Act, api: Data<Api>, identity: Data<Identity>) -> Result<HttpResponse, PageError> {
    let Act { visitor, form } = act;
    let wish = chosen(&visitor, &identity, &form).await?;
    Ok(made(&api, &visitor.caller, wish, Some(form.text("digest"))).await?)
}
