//! `/admin/access`: credentials of a tenant, and the list of tenants. A secret is shown once, in the answer to the act that made it.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{self, Data, Path, ServiceConfig},
};
use askama::Template;
use serde_json::json;
use uuid::Uuid;

use super::{
    Pages,
    form::{Act, Form},
    launches,
    once::Once,
    plain,
    plan::Plan,
    shell::{Shell, answer},
    visitor::{PageError, Visitor, to},
};
use crate::{
    http::{HttpError, api::path_id},
    identity::{DEFAULT_OVERLAP, Identity, Issued, NewCredential, reach::Role},
    model::{Scope, Scopes, TenantId, plan::digest},
    store::platform::{
        credentials::Credential,
        tenants::{Cmi5Settings, Tenant},
    },
    xapi::Violations,
};

const HERE: &str = launches::ACCESS;
/// Lines on a page.
const SIZE: i64 = 100;

pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/access").get(credentials))
        .service(web::resource("/access/credentials").post(create))
        .service(web::resource("/access/credentials/plan").post(plan))
        .service(web::resource("/access/credentials/{id}/rotate").get(ask_rotate).post(rotate))
        .service(web::resource("/access/credentials/{id}/revoke").get(ask_revoke).post(revoke));
}

struct Key {
    id: Uuid,
    api_key: String,
    label: String,
    scopes: String,
    state: &'static str,
    made: String,
    ends: String,
}

impl Key {
    fn of(credential: &Credential, now: chrono::DateTime<chrono::Utc>) -> Self {
        Self {
            id: credential.id,
            api_key: credential.api_key.clone(),
            label: credential.label.clone(),
            scopes: credential.scopes.names().join(", "),
            state: match credential {
                Credential { revoked_at: Some(_), .. } => "revoked",
                Credential { expires_at: Some(end), .. } if *end <= now => "expired",
                Credential { previous_valid_until: Some(end), .. } if *end > now => "two secrets",
                _ => "active",
            },
            made: plain::time(credential.created_at),
            ends: plain::maybe(credential.expires_at),
        }
    }
}

struct Row {
    id: Uuid,
    name: String,
    status: &'static str,
    made: String,
    is_default: bool,
    is_here: bool,
}

#[derive(Template)]
#[template(path = "access.html", config = "src/http/pages/askama.toml")]
struct Access {
    shell: Shell,
    tenant: Uuid,
    tenant_name: String,
    keys: Vec<Key>,
    next_key: Option<Uuid>,
    scopes: Vec<&'static str>,
    cmi5: Cmi5Settings,
    /// Of operators only.
    tenants: Option<Vec<Row>>,
    next_tenant: Option<String>,
}

async fn credentials(
    visitor: Visitor,
    pages: Data<Pages>,
    identity: Data<Identity>,
    req: HttpRequest,
) -> Result<HttpResponse, PageError> {
    let given = Form::of_address(&req)?;
    let looked_at = identity.tenant(visitor.tenant(given.text("tenant"))?).await?;
    let found = identity.list_credentials(looked_at.id, given.text("after").parse().ok(), SIZE + 1).await?;
    let (most, now) = (SIZE as usize, pages.clock.now());
    let next_key = if found.len() > most { found.get(most - 1).map(|last| last.id) } else { None };
    let (mut tenants, mut next_tenant) = (None, None);
    if visitor.role == Role::Operator {
        let mut list = identity.list_tenants(given.given("from"), SIZE + 1).await?;
        if list.len() > most {
            list.truncate(most);
            next_tenant = list.last().map(|last| last.name.clone());
        }
        tenants = Some(list.iter().map(|tenant| row(tenant, looked_at.id)).collect());
    }
    let page = Access {
        shell: launches::beside(&visitor, &pages, HERE, looked_at.id, "Access").after(req.query_string()),
        tenant: looked_at.id.0,
        tenant_name: looked_at.name,
        keys: found.iter().take(most).map(|credential| Key::of(credential, now)).collect(),
        next_key,
        scopes: Scope::every().map(Scope::name).collect(),
        cmi5: looked_at.cmi5,
        tenants,
        next_tenant,
    };
    Ok(answer(&page)?)
}

fn row(tenant: &Tenant, here: TenantId) -> Row {
    Row {
        id: tenant.id.0,
        name: tenant.name.clone(),
        status: tenant.status.name(),
        made: plain::time(tenant.created_at),
        is_default: tenant.id == TenantId::DEFAULT,
        is_here: tenant.id == here,
    }
}

fn once(visitor: &Visitor, pages: &Pages, issued: &Issued) -> Result<HttpResponse, PageError> {
    let credential = &issued.credential;
    let mut facts = vec![("Scopes", credential.scopes.names().join(", "))];
    facts.extend(credential.previous_valid_until.map(|until| ("The old secret works until", plain::time(until))));
    let page = Once {
        shell: Shell::new(visitor, pages, HERE, "The secret, this once"),
        key: credential.api_key.clone(),
        name: "Secret",
        secret: issued.secret.expose().to_owned(),
        facts,
        back: format!("{HERE}?tenant={}", credential.tenant.0),
    };
    Ok(page.answer()?)
}

/// The credential that a form asks for, and of which tenant.
fn wished(visitor: &Visitor, form: &Form) -> Result<(TenantId, NewCredential), HttpError> {
    let tenant = visitor.tenant(form.text("tenant"))?;
    let scopes = Scopes::parse(&form.all("scope").join(" "));
    let scopes = scopes.map_err(|error| Violations::whole("admin.scopes", error.to_string()))?;
    Ok((tenant, NewCredential { scopes, label: form.text("label").to_owned(), ..NewCredential::default() }))
}

fn wish_seen(tenant: TenantId, new: &NewCredential) -> String {
    digest(&json!([tenant, new.label, new.scopes.names(), "make"]))
}

async fn plan(act: Act, pages: Data<Pages>, identity: Data<Identity>) -> Result<HttpResponse, PageError> {
    let Act { visitor, form } = act;
    let (tenant, new) = wished(&visitor, &form)?;
    identity.check_credential(&new)?;
    let tenant = identity.tenant(tenant).await?;
    let effect = "A key and its secret are made, and shown once. Whoever has them does what the scopes say, until it is revoked.";
    let mut hidden = vec![("tenant", tenant.id.to_string()), ("label", new.label.clone())];
    hidden.extend(new.scopes.names().into_iter().map(|scope| ("scope", scope.to_owned())));
    let shell = launches::beside(&visitor, &pages, "", tenant.id, "A credential");
    let page = Plan {
        digest: wish_seen(tenant.id, &new),
        facts: vec![("Tenant", tenant.name), ("Label", new.label), ("Scopes", new.scopes.names().join(", "))],
        hidden,
        back: format!("{HERE}?tenant={}", tenant.id),
        ..Plan::new(shell, format!("{HERE}/credentials"), effect, "make it")
    };
    Ok(answer(&page)?)
}

async fn create(act: Act, pages: Data<Pages>, identity: Data<Identity>) -> Result<HttpResponse, PageError> {
    let Act { visitor, form } = act;
    let (tenant, new) = wished(&visitor, &form)?;
    form.saw(&wish_seen(tenant, &new))?;
    let issued = identity.create_credential(&visitor.name(), tenant, new).await?;
    once(&visitor, &pages, &issued)
}

/// A credential of the tenant that the address or the form names.
async fn found(visitor: &Visitor, identity: &Identity, given: &Form, id: &str) -> Result<Credential, PageError> {
    let tenant = visitor.tenant(given.text("tenant"))?;
    Ok(identity.credential(tenant, path_id(id, "credential")?).await?)
}

/// Of a credential as it was shown: who rotates or revokes it meanwhile makes another plan of it.
fn seen(found: &Credential, act: &str) -> String {
    digest(&json!([found.id, found.previous_valid_until, found.revoked_at, act]))
}

/// What would become of a credential.
fn planned(
    visitor: &Visitor,
    pages: &Pages,
    found: &Credential,
    title: &str,
    effect: &str,
    verb: &'static str,
) -> Plan {
    let shell = Shell::new(visitor, pages, HERE, title);
    Plan {
        facts: vec![
            ("Key", found.api_key.clone()),
            ("Label", found.label.clone()),
            ("Scopes", found.scopes.names().join(", ")),
        ],
        hidden: vec![("tenant", found.tenant.0.to_string())],
        digest: seen(found, verb),
        back: format!("{HERE}?tenant={}", found.tenant.0),
        ..Plan::new(shell, format!("{HERE}/credentials/{}/{verb}", found.id), effect, verb)
    }
}

async fn ask_rotate(
    visitor: Visitor,
    pages: Data<Pages>,
    identity: Data<Identity>,
    id: Path<String>,
    req: HttpRequest,
) -> Result<HttpResponse, PageError> {
    let found = found(&visitor, &identity, &Form::of_address(&req)?, &id).await?;
    let effect = "A new secret is made and shown once. It works at once, and the one there is now works for a day more; \
                  one from before that works no longer.";
    Ok(answer(&planned(&visitor, &pages, &found, "A new secret", effect, "rotate"))?)
}

async fn rotate(
    act: Act,
    pages: Data<Pages>,
    identity: Data<Identity>,
    id: Path<String>,
) -> Result<HttpResponse, PageError> {
    let Act { visitor, form } = act;
    let found = found(&visitor, &identity, &form, &id).await?;
    form.saw(&seen(&found, "rotate"))?;
    let issued = identity.rotate_credential(&visitor.name(), found.tenant, found.id, DEFAULT_OVERLAP).await?;
    once(&visitor, &pages, &issued)
}

async fn ask_revoke(
    visitor: Visitor,
    pages: Data<Pages>,
    identity: Data<Identity>,
    id: Path<String>,
    req: HttpRequest,
) -> Result<HttpResponse, PageError> {
    let found = found(&visitor, &identity, &Form::of_address(&req)?, &id).await?;
    let effect = "Whoever uses it is refused from now on, and its sessions end. It cannot be brought back.";
    let plan = planned(&visitor, &pages, &found, "Revoke a credential", effect, "revoke");
    Ok(answer(&Plan { word: found.api_key, ..plan })?)
}

async fn revoke(act: Act, identity: Data<Identity>, id: Path<String>) -> Result<HttpResponse, PageError> {
    let Act { visitor, form } = act;
    let found = found(&visitor, &identity, &form, &id).await?;
    form.saw(&seen(&found, "revoke"))?;
    form.confirmed(&found.api_key)?;
    identity.revoke_credential(&visitor.name(), found.tenant, found.id).await?;
    Ok(to(&format!("{HERE}?tenant={}", found.tenant.0)))
}
