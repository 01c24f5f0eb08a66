//! `/api/v1/admin/tenants`: create, list, suspend, resume, for operators only; and what a tenant decides for itself.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::http::{
    Problem,
    api::{
        Api,
        body::JsonBody,
        cursor::Pages,
        endpoint::endpoints,
        path::path_id,
        query::{PAGE_CURSOR, PAGE_SIZE, PageParameters, Parameters},
        shown::{Page, one_more},
    },
    caller::Caller,
};
use crate::{
    identity::Identity,
    model::{Scope, TenantId},
    store::platform::tenants::{Cmi5Settings, Tenant, TenantStatus},
};

endpoints! {
    /// Tenants.
    Tenants: list as __path_list, create as __path_create, suspend as __path_suspend, resume as __path_resume,
        get_settings as __path_get_settings, put_settings as __path_put_settings,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewTenant)]
struct Create {
    /// Not blank, and without control characters.
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\x00- \x7f-\x9f\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000][^\x00-\x1f\x7f-\x9f]*$"
    )]
    name: String,
}

/// A tenant as it is shown.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Tenant)]
struct Shown {
    id: Uuid,
    name: String,
    /// `active` or `suspended`.
    status: &'static str,
    created_at: DateTime<Utc>,
    status_changed_at: DateTime<Utc>,
}

/// Makes a tenant.
#[utoipa::path(post, path = "/api/v1/admin/tenants", tag = "tenants", operation_id = "createTenant",
    request_body = Create, responses((status = 201, description = "made", body = Shown)))]
async fn create(
    caller: Caller,
    identity: Data<Identity>,
    req: HttpRequest,
    body: JsonBody<Create>,
) -> Result<HttpResponse, Problem> {
    caller.require_operator()?;
    Parameters::read(req.query_string(), &[])?;
    let tenant = identity.create_tenant(&caller.credential.audit_name(), &body.0.name).await?;
    Ok(HttpResponse::Created().json(Shown::from(tenant)))
}

/// Tenants by their names.
#[utoipa::path(get, path = "/api/v1/admin/tenants", tag = "tenants", operation_id = "listTenants",
    params(PageParameters),
    responses((status = 200, description = "a page of tenants", body = Page<Shown>)))]
async fn list(
    caller: Caller,
    identity: Data<Identity>,
    api: Data<Api>,
    req: HttpRequest,
) -> Result<HttpResponse, Problem> {
    caller.require_operator()?;
    let parameters = Parameters::read(req.query_string(), &[PAGE_SIZE, PAGE_CURSOR])?;
    let size = parameters.page_size()?;
    let key = api.reader.more_key().await?;
    let pages = Pages { key, tenant: caller.tenant, path: req.path(), parameters: &parameters };
    let found = identity.list_tenants(pages.place()?.as_deref(), one_more(size)).await?;
    let found: Vec<Shown> = found.into_iter().map(Shown::from).collect();
    Ok(Page::cut(found, size, |last| pages.link(&last.name)).answer())
}

/// Refuses a tenant's callers from now on; its data stays.
#[utoipa::path(post, path = "/api/v1/admin/tenants/{id}/suspend", tag = "tenants", operation_id = "suspendTenant",
    params(("id" = Uuid, Path, description = "the tenant's id")),
    responses((status = 200, description = "suspended", body = Shown)))]
async fn suspend(
    caller: Caller,
    identity: Data<Identity>,
    id: Path<String>,
    req: HttpRequest,
) -> Result<HttpResponse, Problem> {
    set(&caller, &identity, &id, &req, TenantStatus::Suspended).await
}

/// Lets a tenant's callers in again.
#[utoipa::path(post, path = "/api/v1/admin/tenants/{id}/resume", tag = "tenants", operation_id = "resumeTenant",
    params(("id" = Uuid, Path, description = "the tenant's id")),
    responses((status = 200, description = "active", body = Shown)))]
async fn resume(
    caller: Caller,
    identity: Data<Identity>,
    id: Path<String>,
    req: HttpRequest,
) -> Result<HttpResponse, Problem> {
    set(&caller, &identity, &id, &req, TenantStatus::Active).await
}

/// What a tenant decides for itself.
#[derive(Clone, Copy, Default, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schema(as = TenantSettingsGiven)]
struct GivenSettings {
    /// Whether statements that break cmi5's rules are refused; else they are counted. Absent means no.
    #[schema(value_type = Option<bool>)]
    cmi5_strict: Option<bool>,
    /// Whether `satisfied` is computed and sent for courses whose structure is known. Absent means no.
    #[schema(value_type = Option<bool>)]
    cmi5_satisfied: Option<bool>,
}

/// The settings of a tenant.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TenantSettings)]
struct ShownSettings {
    cmi5_strict: bool,
    cmi5_satisfied: bool,
}

/// What a tenant has decided.
#[utoipa::path(get, path = "/api/v1/admin/tenants/{id}/settings", tag = "tenants",
    operation_id = "getTenantSettings", params(("id" = Uuid, Path, description = "the tenant's id")),
    responses((status = 200, description = "the settings", body = ShownSettings)))]
async fn get_settings(
    caller: Caller,
    identity: Data<Identity>,
    id: Path<String>,
    req: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let id = own_or_operated(&caller, &id, &req)?;
    Ok(HttpResponse::Ok().json(ShownSettings::from(identity.tenant(id).await?)))
}

/// Decides for a tenant; what is left out takes its default. It counts at once, on every node.
#[utoipa::path(put, path = "/api/v1/admin/tenants/{id}/settings", tag = "tenants",
    operation_id = "setTenantSettings", params(("id" = Uuid, Path, description = "the tenant's id")),
    request_body = GivenSettings, responses((status = 200, description = "set", body = ShownSettings)))]
async fn put_settings(
    caller: Caller,
    identity: Data<Identity>,
    id: Path<String>,
    req: HttpRequest,
    body: JsonBody<GivenSettings>,
) -> Result<HttpResponse, Problem> {
    let id = own_or_operated(&caller, &id, &req)?;
    let GivenSettings { cmi5_strict, cmi5_satisfied } = body.0;
    let cmi5 = Cmi5Settings { strict: cmi5_strict.unwrap_or_default(), satisfied: cmi5_satisfied.unwrap_or_default() };
    let tenant = identity.set_cmi5(&caller.credential.audit_name(), id, cmi5).await?;
    Ok(HttpResponse::Ok().json(ShownSettings::from(tenant)))
}

/// An administrator decides for their own tenant, an operator for every one.
fn own_or_operated(caller: &Caller, id: &str, req: &HttpRequest) -> Result<TenantId, Problem> {
    caller.require(Scope::Admin)?;
    Parameters::read(req.query_string(), &[])?;
    let id = TenantId(path_id(id, "tenant")?);
    if id != caller.tenant {
        caller.require_operator()?;
    }
    Ok(id)
}

impl From<Tenant> for ShownSettings {
    fn from(tenant: Tenant) -> Self {
        Self { cmi5_strict: tenant.cmi5.strict, cmi5_satisfied: tenant.cmi5.satisfied }
    }
}

async fn set(
    caller: &Caller,
    identity: &Identity,
    id: &str,
    req: &HttpRequest,
    status: TenantStatus,
) -> Result<HttpResponse, Problem> {
    caller.require_operator()?;
    Parameters::read(req.query_string(), &[])?;
    let id = TenantId(path_id(id, "tenant")?);
    let tenant = identity.set_tenant_status(&caller.credential.audit_name(), id, status).await?;
    Ok(HttpResponse::Ok().json(Shown::from(tenant)))
}

impl From<Tenant> for Shown {
    fn from(tenant: Tenant) -> Self {
        Self {
            id: tenant.id.0,
            name: tenant.name,
            status: tenant.status.name(),
            created_at: tenant.created_at,
            status_changed_at: tenant.status_changed_at,
        }
    }
}
