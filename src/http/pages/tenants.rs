//! What is done with tenants at `/admin/access`: made, set, suspended and resumed, each behind its plan.

use actix_web::{
    HttpResponse,
    web::{self, Data, Path, ServiceConfig},
};
use serde_json::json;

use super::{
    Pages,
    form::{Act, Form},
    launches::{ACCESS as HERE, beside},
    plan::Plan,
    shell::answer,
    visitor::{PageError, Visitor, to},
};
use crate::{
    http::{HttpError, api::path_id},
    identity::Identity,
    model::{TenantId, plan::digest},
    store::platform::tenants::{Cmi5Settings, Tenant, TenantStatus},
};

pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/access/tenants").post(create))
        .service(web::resource("/access/tenants/plan").post(plan))
        .service(web::resource("/access/settings").post(set))
        .service(web::resource("/access/settings/plan").post(plan_of_settings))
        .service(web::resource("/access/tenants/{id}/{act}").get(ask_status).post(set_status));
}

fn of(tenant: TenantId) -> String {
    format!("{HERE}?tenant={tenant}")
}

fn name_seen(name: &str) -> String {
    digest(&json!(["a tenant", name]))
}

async fn plan(act: Act, pages: Data<Pages>) -> Result<HttpResponse, PageError> {
    let Act { visitor, form } = act;
    visitor.caller.require_operator()?;
    let name = form.text("name").to_owned();
    let effect =
        "A tenant is made, apart from all others and empty. A tenant is never unmade, but it can be suspended.";
    let shell = beside(&visitor, &pages, "", visitor.caller.tenant, "A tenant");
    let page = Plan {
        digest: name_seen(&name),
        hidden: vec![("name", name.clone())],
        facts: vec![("Name", name)],
        back: HERE.to_owned(),
        ..Plan::new(shell, format!("{HERE}/tenants"), effect, "make it")
    };
    Ok(answer(&page)?)
}

async fn create(act: Act, identity: Data<Identity>) -> Result<HttpResponse, PageError> {
    let Act { visitor, form } = act;
    visitor.caller.require_operator()?;
    form.saw(&name_seen(form.text("name")))?;
    let made = identity.create_tenant(&visitor.name(), form.text("name")).await?;
    Ok(to(&of(made.id)))
}

/// What a form wants to be set.
fn wished(form: &Form) -> Cmi5Settings {
    Cmi5Settings { strict: form.text("strict") == "yes", satisfied: form.text("satisfied") == "yes" }
}

/// Of settings as they were shown: who sets them meanwhile makes another plan of it.
fn settings_seen(found: &Tenant, wished: Cmi5Settings) -> String {
    let both = [found.cmi5, wished].map(|cmi5| [cmi5.strict, cmi5.satisfied]);
    digest(&json!([found.id, both]))
}

async fn plan_of_settings(act: Act, pages: Data<Pages>, identity: Data<Identity>) -> Result<HttpResponse, PageError> {
    let Act { visitor, form } = act;
    let (found, wished) = (identity.tenant(visitor.tenant(form.text("tenant"))?).await?, wished(&form));
    let said = |was: bool, is: bool| match (was, is) {
        (false, true) => "no, and from now on yes",
        (true, false) => "yes, and from now on no",
        (true, true) => "yes, as it is",
        (false, false) => "no, as it is",
    };
    let mut hidden = vec![("tenant", found.id.to_string())];
    for (name, is_wished) in [("strict", wished.strict), ("satisfied", wished.satisfied)] {
        hidden.extend(is_wished.then(|| (name, "yes".to_owned())));
    }
    let effect = "It counts for statements that come from now on; what is stored stays as it is.";
    let page = Plan {
        digest: settings_seen(&found, wished),
        hidden,
        back: of(found.id),
        facts: vec![
            ("Tenant", found.name),
            ("Refuses statements that break cmi5's rules", said(found.cmi5.strict, wished.strict).to_owned()),
            ("Computes and sends satisfied", said(found.cmi5.satisfied, wished.satisfied).to_owned()),
        ],
        ..Plan::new(
            beside(&visitor, &pages, "", found.id, "Settings of a tenant"),
            format!("{HERE}/settings"),
            effect,
            "set them",
        )
    };
    Ok(answer(&page)?)
}

async fn set(act: Act, identity: Data<Identity>) -> Result<HttpResponse, PageError> {
    let Act { visitor, form } = act;
    let (found, wished) = (identity.tenant(visitor.tenant(form.text("tenant"))?).await?, wished(&form));
    form.saw(&settings_seen(&found, wished))?;
    identity.set_cmi5(&visitor.name(), found.id, wished).await?;
    Ok(to(&of(found.id)))
}

fn status(act: &str) -> Result<TenantStatus, HttpError> {
    match act {
        "suspend" => Ok(TenantStatus::Suspended),
        "resume" => Ok(TenantStatus::Active),
        _ => Err(HttpError::NotFound("there is no such page".to_owned())),
    }
}

async fn ask_status(
    visitor: Visitor,
    pages: Data<Pages>,
    identity: Data<Identity>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, PageError> {
    visitor.caller.require_operator()?;
    let (id, act) = path.into_inner();
    let (wanted, found) = (status(&act)?, identity.tenant(TenantId(path_id(&id, "tenant")?)).await?);
    let (effect, verb) = match wanted {
        TenantStatus::Suspended => ("Its callers are refused from now on; its data stays.", "suspend"),
        TenantStatus::Active => ("Its callers are let in again.", "resume"),
    };
    let shell = beside(&visitor, &pages, "", found.id, format!("Tenant {}: {verb}", found.name));
    let page = Plan {
        facts: vec![("Tenant", found.name.clone()), ("It is", found.status.name().to_owned())],
        digest: status_seen(&found),
        word: found.name,
        back: HERE.to_owned(),
        ..Plan::new(shell, format!("{HERE}/tenants/{}/{verb}", found.id.0), effect, verb)
    };
    Ok(answer(&page)?)
}

/// Of a tenant as it was shown.
fn status_seen(found: &Tenant) -> String {
    digest(&json!([found.id, found.status.name()]))
}

async fn set_status(
    act: Act,
    identity: Data<Identity>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, PageError> {
    let Act { visitor, form } = act;
    visitor.caller.require_operator()?;
    let (id, act) = path.into_inner();
    let (wanted, found) = (status(&act)?, identity.tenant(TenantId(path_id(&id, "tenant")?)).await?);
    form.saw(&status_seen(&found))?;
    form.confirmed(&found.name)?;
    identity.set_tenant_status(&visitor.name(), found.id, wanted).await?;
    Ok(to(&of(found.id)))
}
