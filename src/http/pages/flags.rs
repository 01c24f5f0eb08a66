//! `/admin/flags`: what is switched on and set for a tenant, its history, and for operators a change with its plan.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{self, Data, ServiceConfig},
};
use askama::Template;
use serde_json::{Value, json};

use super::{
    Pages,
    form::{Act, Form},
    plain,
    plan::Plan,
    shell::{Shell, answer},
    table::{Cell, Table},
    visitor::{PageError, Visitor, to},
};
use crate::{
    flags::{self, Change, FlagError, Flags, Set, Standing, declared},
    http::HttpError,
    identity::{Identity, reach::Role},
    model::{TenantId, plan},
    store::platform::tenants::Tenant,
};

const HERE: &str = "/admin/flags";
/// Changes that are read of the history.
const MOST: i64 = 500;
const FIELDS: [&str; 4] = ["tenant", "name", "value", "for"];

pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/flags").get(show).post(set)).service(web::resource("/flags/plan").post(plan_of));
}

#[derive(Template)]
#[template(path = "flags.html", config = "src/http/pages/askama.toml")]
struct Show {
    shell: Shell,
    tenant: Tenant,
    flags: Table,
    names: Vec<&'static str>,
    /// Of operators only, who set them.
    history: Option<Table>,
}

const FLAG: [&str; 4] = ["Flag", "Value", "Whose value it is", "What it does"];

fn flag(standing: &Standing) -> Vec<Cell> {
    vec![
        Cell::text(standing.flag.name),
        Cell::text(said(standing.value.as_ref())),
        Cell::text(if standing.from == "default" { "as configured" } else { standing.from }),
        Cell::text(standing.flag.about),
    ]
}

fn said(value: Option<&Value>) -> String {
    value.map_or_else(|| "as configured".to_owned(), declared::written)
}

const CHANGE: [&str; 5] = ["Flag", "Became", "For", "Set", "Why"];

fn change(set: &Set) -> Vec<Cell> {
    vec![
        Cell::text(set.name.as_str()),
        Cell::text(set.value.as_ref().map_or_else(|| "taken back".to_owned(), declared::written)),
        Cell::text(set.tenant.map_or_else(|| "everybody".to_owned(), |tenant| tenant.to_string())),
        Cell::text(format!("{} by {}", plain::time(set.at), set.by)),
        Cell::text(set.reason.as_str()),
    ]
}

async fn show(
    visitor: Visitor,
    pages: Data<Pages>,
    flags: Data<Flags>,
    identity: Data<Identity>,
    req: HttpRequest,
) -> Result<HttpResponse, PageError> {
    let given = Form::of_address(&req)?;
    let tenant = identity.tenant(visitor.tenant(given.text("tenant"))?).await?;
    let standing = flags.standing(Some(tenant.id));
    let place = format!("{HERE}?tenant={}", tenant.id);
    let history = match visitor.role {
        Role::Operator => {
            let made = flags.history(None, None, MOST).await?;
            Some(Table::new("Changes", &CHANGE, made.iter().map(change).collect()).page(&given, "from", &place))
        }
        _ => None,
    };
    let page = Show {
        shell: Shell::new(&visitor, &pages, HERE, "Flags and settings").after(req.query_string()),
        flags: Table::new("Flags", &FLAG, standing.iter().map(flag).collect()),
        names: standing.iter().map(|one| one.flag.name).collect(),
        tenant,
        history,
    };
    Ok(answer(&page)?)
}

/// A change as a form asks for it.
struct Wish {
    tenant: Tenant,
    flag: &'static flags::Flag,
    /// For whom.
    of: Option<TenantId>,
    value: Option<Value>,
    before: Standing,
}

impl Wish {
    async fn of(visitor: &Visitor, flags: &Flags, identity: &Identity, form: &Form) -> Result<Self, HttpError> {
        visitor.caller.require_operator()?;
        let tenant = identity.tenant(visitor.tenant(form.text("tenant"))?).await?;
        let flag = flags::flag(form.text("name"))?;
        let value = form.given("value").map(|text| declared::read(flag, text)).transpose();
        let value = value.map_err(FlagError::Value)?;
        let of = Some(tenant.id).filter(|_| form.text("for") != "everybody");
        let before = flags.standing(of).into_iter().find(|one| one.flag.name == flag.name);
        let before = before.ok_or_else(|| FlagError::Unknown(flag.name.to_owned()))?;
        Ok(Self { tenant, flag, of, value, before })
    }

    fn digest(&self) -> String {
        let Self { flag, of, value, before, .. } = self;
        plan::digest(&json!([flag.name, of, value, before.value, before.from]))
    }
}

async fn plan_of(
    act: Act,
    pages: Data<Pages>,
    flags: Data<Flags>,
    identity: Data<Identity>,
) -> Result<HttpResponse, PageError> {
    let Act { visitor, form } = act;
    let wish = Wish::of(&visitor, &flags, &identity, &form).await?;
    let whose =
        wish.of.map_or_else(|| "every tenant that has none of its own".to_owned(), |_| wish.tenant.name.clone());
    let becomes = wish.value.as_ref().map_or_else(|| "taken back".to_owned(), declared::written);
    let hidden = FIELDS.iter().filter_map(|name| form.given(name).map(|value| (*name, value.to_owned())));
    let page = Plan {
        facts: vec![
            ("Flag", wish.flag.name.to_owned()),
            ("What it does", wish.flag.about.to_owned()),
            ("For", whose),
            ("It is", said(wish.before.value.as_ref())),
            ("It becomes", becomes),
        ],
        hidden: hidden.collect(),
        digest: wish.digest(),
        asks_why: true,
        back: format!("{HERE}?tenant={}", wish.tenant.id),
        ..Plan::new(
            Shell::new(&visitor, &pages, HERE, "A flag"),
            HERE,
            "It counts on every node within a second, and can be set back at any time.",
            "set it",
        )
    };
    Ok(answer(&page)?)
}

async fn set(act: Act, flags: Data<Flags>, identity: Data<Identity>) -> Result<HttpResponse, PageError> {
    let Act { visitor, form } = act;
    let wish = Wish::of(&visitor, &flags, &identity, &form).await?;
    form.saw(&wish.digest())?;
    let place = format!("{HERE}?tenant={}&done=flag", wish.tenant.id);
    let change = Change { name: wish.flag.name, tenant: wish.of, value: wish.value, reason: form.text("reason") };
    flags.set(&change, &visitor.name()).await?;
    Ok(to(&place))
}
