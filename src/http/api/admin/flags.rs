//! `/api/v1/admin/flags`: what is switched on and set per tenant. Administrators see their own tenant's, operators set.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::http::{
    HttpError, Problem,
    api::{
        body::JsonBody,
        endpoint::endpoints,
        query::{Parameters, refuse},
    },
    caller::Caller,
};
use crate::{
    flags::{self, Change, FlagError, Flags, LONGEST_REASON, Set, Standing, declared},
    identity::Identity,
    model::{Scope, TenantId},
};

endpoints! {
    /// Flags and settings of tenants.
    FlagsOfTenants: list as __path_list, set as __path_set, history as __path_history,
}

/// Changes of a history at most.
const MOST: i64 = 500;

/// A flag as it stands.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Flag)]
struct Shown {
    name: &'static str,
    /// `switch` or `number`.
    kind: &'static str,
    about: &'static str,
    /// `on`, `off` or a whole number; absent: as configured.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    /// Whose value it is: `tenant`, `everybody` or `default`.
    from: &'static str,
}

/// What a tenant has.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Flags)]
struct Listed {
    tenant_id: Uuid,
    data: Vec<Shown>,
}

/// Every flag as it stands for the caller's tenant, or for an operator for the one that `tenantId` names.
#[utoipa::path(get, path = "/api/v1/admin/flags", tag = "flags", operation_id = "listFlags",
    params(("tenantId" = Option<Uuid>, Query, description = "another tenant's; for operators")),
    responses((status = 200, description = "the flags", body = Listed)))]
async fn list(
    caller: Caller,
    flags: Data<Flags>,
    identity: Data<Identity>,
    req: HttpRequest,
) -> Result<HttpResponse, Problem> {
    caller.require(Scope::Admin)?;
    let parameters = Parameters::read(req.query_string(), &["tenantId"])?;
    let named = parameters.parsed("tenantId", "expected a UUID", |text| text.parse().ok())?.map(TenantId);
    let tenant = named.unwrap_or(caller.tenant);
    if tenant != caller.tenant {
        caller.require_operator()?;
        identity.tenant(tenant).await?;
    }
    let data = flags.standing(Some(tenant)).into_iter().map(Shown::from).collect();
    Ok(HttpResponse::Ok().json(Listed { tenant_id: tenant.0, data }))
}

/// What a flag is to be.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = FlagGiven)]
struct Given {
    /// `on`, `off` or a whole number; absent: it is taken back.
    value: Option<String>,
    /// For this tenant; absent: for every tenant that has none of its own.
    tenant_id: Option<Uuid>,
    /// Why; it stands in the history.
    #[schema(min_length = 1, max_length = 2000)]
    reason: String,
}

/// Sets a flag, or takes it back. It counts on every node within a second.
#[utoipa::path(put, path = "/api/v1/admin/flags/{name}", tag = "flags", operation_id = "setFlag",
    params(("name" = String, Path, description = "the flag's name")),
    request_body = Given, responses((status = 200, description = "the change", body = ShownChange)))]
async fn set(
    caller: Caller,
    flags: Data<Flags>,
    name: Path<String>,
    req: HttpRequest,
    body: JsonBody<Given>,
) -> Result<HttpResponse, Problem> {
    caller.require_operator()?;
    Parameters::read(req.query_string(), &[])?;
    let Given { value, tenant_id, reason } = body.0;
    if !(1..=LONGEST_REASON).contains(&reason.trim().chars().count()) || reason.chars().count() > LONGEST_REASON {
        return Err(refuse("reason", &FlagError::Reason.to_string()).into());
    }
    let flag = flags::flag(&name)?;
    let value = value.map(|text| declared::read(flag, &text)).transpose();
    let value = value.map_err(FlagError::Value)?;
    let change = Change { name: flag.name, tenant: tenant_id.map(TenantId), value, reason: &reason };
    let number = flags.set(&change, &caller.credential.audit_name()).await?;
    let made = flags.history(Some(flag.name), None, MOST).await?;
    let made = made.into_iter().find(|made| made.number == number);
    let made = made.ok_or_else(|| HttpError::internal("a flag that was just set is not in the history"))?;
    Ok(HttpResponse::Ok().json(ShownChange::from(made)))
}

/// A change as it was made.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = FlagChange)]
struct ShownChange {
    number: i64,
    name: String,
    /// Absent: everybody.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant_id: Option<Uuid>,
    /// Absent: taken back.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    reason: String,
    set_by: String,
    set_at: DateTime<Utc>,
}

/// Changes.
#[derive(Serialize, ToSchema)]
#[schema(as = FlagChanges)]
struct History {
    data: Vec<ShownChange>,
}

/// The last 500 changes of a flag, the newest first.
#[utoipa::path(get, path = "/api/v1/admin/flags/{name}/history", tag = "flags", operation_id = "getFlagHistory",
    params(("name" = String, Path, description = "the flag's name")),
    responses((status = 200, description = "the changes", body = History)))]
async fn history(
    caller: Caller,
    flags: Data<Flags>,
    name: Path<String>,
    req: HttpRequest,
) -> Result<HttpResponse, Problem> {
    caller.require_operator()?;
    Parameters::read(req.query_string(), &[])?;
    let found = flags.history(Some(&name), None, MOST).await?;
    Ok(HttpResponse::Ok().json(History { data: found.into_iter().map(ShownChange::from).collect() }))
}

impl From<FlagError> for HttpError {
    fn from(error: FlagError) -> Self {
        let text = error.to_string();
        match error {
            FlagError::Unknown(_) | FlagError::NoTenant => Self::NotFound(text),
            FlagError::Value(_) => refuse("value", &text),
            FlagError::Reason => refuse("reason", &text),
            FlagError::Store(error) => Self::Store(error),
        }
    }
}

fn written(value: Option<Value>) -> Option<String> {
    value.as_ref().map(declared::written)
}

impl From<Standing> for Shown {
    fn from(Standing { flag, value, from }: Standing) -> Self {
        Self { name: flag.name, kind: flag.kind.name(), about: flag.about, value: written(value), from }
    }
}

impl From<Set> for ShownChange {
    fn from(set: Set) -> Self {
        Self {
            number: set.number,
            name: set.name,
            tenant_id: set.tenant.map(|tenant| tenant.0),
            value: written(set.value),
            reason: set.reason,
            set_by: set.by,
            set_at: set.at,
        }
    }
}
