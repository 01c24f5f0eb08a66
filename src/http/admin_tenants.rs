//! `/api/v1/admin/tenants`: create, list, suspend, resume. For operators only.

use actix_web::{
    HttpResponse,
    web::{self, Bytes, Data, Path, Query, ServiceConfig},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Problem,
    admin_credentials::{LARGEST_PAGE, PAGE, json_body, path_id},
    caller::Caller,
};
use crate::{
    identity::Identity,
    model::TenantId,
    store::tenants::{Tenant, TenantStatus},
};

const PATH: &str = "/api/v1/admin/tenants";

pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource(PATH).route(web::get().to(list)).route(web::post().to(create)))
        .service(web::resource(format!("{PATH}/{{id}}/suspend")).route(web::post().to(suspend)))
        .service(web::resource(format!("{PATH}/{{id}}/resume")).route(web::post().to(resume)));
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    name: String,
}

#[derive(Deserialize)]
struct Page {
    after: Option<String>,
    limit: Option<i64>,
}

async fn create(caller: Caller, identity: Data<Identity>, body: Bytes) -> Result<HttpResponse, Problem> {
    caller.require_operator()?;
    let Create { name } = json_body(&body)?;
    let tenant = identity.create_tenant(&caller.credential.audit_name(), &name).await?;
    Ok(HttpResponse::Created().json(shown(&tenant)))
}

async fn list(caller: Caller, identity: Data<Identity>, page: Query<Page>) -> Result<HttpResponse, Problem> {
    caller.require_operator()?;
    let limit = page.limit.unwrap_or(PAGE).clamp(1, LARGEST_PAGE);
    let after = page.after.as_deref().filter(|name| !name.contains('\0'));
    let found = identity.list_tenants(after, limit).await?;
    let next = found.last().filter(|_| found.len() as i64 == limit).map(|last| &last.name);
    let data: Vec<Value> = found.iter().map(shown).collect();
    Ok(HttpResponse::Ok().json(json!({ "data": data, "next": next })))
}

async fn suspend(caller: Caller, identity: Data<Identity>, id: Path<String>) -> Result<HttpResponse, Problem> {
    set(&caller, &identity, &id, TenantStatus::Suspended).await
}

async fn resume(caller: Caller, identity: Data<Identity>, id: Path<String>) -> Result<HttpResponse, Problem> {
    set(&caller, &identity, &id, TenantStatus::Active).await
}

async fn set(caller: &Caller, identity: &Identity, id: &str, status: TenantStatus) -> Result<HttpResponse, Problem> {
    caller.require_operator()?;
    let id = TenantId(path_id(id, "tenant")?);
    let tenant = identity.set_tenant_status(&caller.credential.audit_name(), id, status).await?;
    Ok(HttpResponse::Ok().json(shown(&tenant)))
}

fn shown(tenant: &Tenant) -> Value {
    json!({
        "id": tenant.id,
        "name": tenant.name,
        "status": tenant.status.name(),
        "createdAt": tenant.created_at,
        "statusChangedAt": tenant.status_changed_at,
    })
}
