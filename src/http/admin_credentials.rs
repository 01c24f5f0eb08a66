//! `/api/v1/admin/credentials`: create, list, rotate, revoke, and the short ones of launches.
//!
//! An administrator manages the credentials of their own tenant; an operator those of every tenant.

use std::time::Duration;

use actix_web::{
    HttpResponse,
    http::header,
    web::{self, Bytes, Data, Path, Query, QueryConfig, ServiceConfig},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{HttpError, Problem, caller::Caller};
use crate::{
    identity::{DEFAULT_LAUNCH, DEFAULT_OVERLAP, Identity, IdentityError, Issued, NewCredential},
    model::{Scope, Scopes, TenantId},
    store::credentials::{Credential, Launch},
    xapi::Violations,
};

const PATH: &str = "/api/v1/admin/credentials";
pub(super) const PAGE: i64 = 100;
pub(super) const LARGEST_PAGE: i64 = 500;

pub fn routes(cfg: &mut ServiceConfig) {
    let id = format!("{PATH}/{{id}}");
    let queries = QueryConfig::default()
        .error_handler(|error, _| Problem(Violations::whole("admin.query", error.to_string()).into()).into());
    cfg.app_data(queries)
        .service(web::resource(PATH).route(web::get().to(list)).route(web::post().to(create)))
        .service(web::resource(format!("{PATH}/launch")).route(web::post().to(launch)))
        .service(web::resource(format!("{id}/rotate")).route(web::post().to(rotate)))
        .service(web::resource(format!("{id}/revoke")).route(web::post().to(revoke)));
}

/// Whose credentials are meant; absent means the caller's own tenant's.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Whose {
    tenant_id: Option<Uuid>,
    after: Option<Uuid>,
    limit: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Create {
    scopes: Vec<String>,
    #[serde(default)]
    label: String,
    agent: Option<Map<String, Value>>,
    expires_at: Option<DateTime<Utc>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct MakeLaunch {
    registration: Uuid,
    actor: Map<String, Value>,
    lifetime_seconds: Option<u64>,
    scopes: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Rotate {
    overlap_seconds: Option<u64>,
}

/// A credential as it is shown. The secret is there in the one answer that makes it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shown<'c> {
    id: Uuid,
    tenant_id: TenantId,
    api_key: &'c str,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<&'c str>,
    scopes: Vec<&'static str>,
    label: &'c str,
    agent: &'c Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    registration: Option<Uuid>,
    created_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    previous_secret_valid_until: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
}

impl<'c> From<&'c Credential> for Shown<'c> {
    fn from(credential: &'c Credential) -> Self {
        Self {
            id: credential.id,
            tenant_id: credential.tenant,
            api_key: &credential.api_key,
            secret: None,
            scopes: credential.scopes.names(),
            label: &credential.label,
            agent: &credential.agent,
            registration: credential.launch.as_ref().map(|launch| launch.registration),
            created_at: credential.created_at,
            expires_at: credential.expires_at,
            previous_secret_valid_until: credential.previous_valid_until,
            revoked_at: credential.revoked_at,
        }
    }
}

impl<'c> From<&'c Issued> for Shown<'c> {
    fn from(issued: &'c Issued) -> Self {
        Self { secret: Some(issued.secret.expose()), ..Self::from(&issued.credential) }
    }
}

async fn create(
    caller: Caller,
    identity: Data<Identity>,
    whose: Query<Whose>,
    body: Bytes,
) -> Result<HttpResponse, Problem> {
    let tenant = tenant_of(&caller, whose.tenant_id)?;
    let Create { scopes, label, agent, expires_at } = json_body(&body)?;
    let new = NewCredential { scopes: parse_scopes(&scopes)?, label, agent, expires_at };
    let issued = identity.create_credential(&caller.credential.audit_name(), tenant, new).await?;
    Ok(secret_answer(HttpResponse::Created(), &issued))
}

async fn launch(
    caller: Caller,
    identity: Data<Identity>,
    whose: Query<Whose>,
    body: Bytes,
) -> Result<HttpResponse, Problem> {
    let tenant = tenant_of(&caller, whose.tenant_id)?;
    let MakeLaunch { registration, actor, lifetime_seconds, scopes } = json_body(&body)?;
    let lifetime = lifetime_seconds.map_or(DEFAULT_LAUNCH, Duration::from_secs);
    let scopes = scopes.as_deref().map(parse_scopes).transpose()?;
    let (by, launch) = (caller.credential.audit_name(), Launch { registration, actor });
    let issued = identity.create_launch(&by, tenant, launch, lifetime, scopes).await?;
    Ok(secret_answer(HttpResponse::Created(), &issued))
}

async fn list(caller: Caller, identity: Data<Identity>, whose: Query<Whose>) -> Result<HttpResponse, Problem> {
    let tenant = tenant_of(&caller, whose.tenant_id)?;
    let limit = whose.limit.unwrap_or(PAGE).clamp(1, LARGEST_PAGE);
    let found = identity.list_credentials(tenant, whose.after, limit).await?;
    let next = found.last().filter(|_| found.len() as i64 == limit).map(|last| last.id);
    let data: Vec<Shown> = found.iter().map(Shown::from).collect();
    Ok(HttpResponse::Ok().json(json!({ "data": data, "next": next })))
}

async fn rotate(
    caller: Caller,
    identity: Data<Identity>,
    whose: Query<Whose>,
    id: Path<String>,
    body: Bytes,
) -> Result<HttpResponse, Problem> {
    let tenant = tenant_of(&caller, whose.tenant_id)?;
    let wanted: Rotate = if body.is_empty() { Rotate::default() } else { json_body(&body)? };
    let overlap = wanted.overlap_seconds.map_or(DEFAULT_OVERLAP, Duration::from_secs);
    let id = path_id(&id, "credential")?;
    let issued = identity.rotate_credential(&caller.credential.audit_name(), tenant, id, overlap).await?;
    Ok(secret_answer(HttpResponse::Ok(), &issued))
}

async fn revoke(
    caller: Caller,
    identity: Data<Identity>,
    whose: Query<Whose>,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    let tenant = tenant_of(&caller, whose.tenant_id)?;
    let id = path_id(&id, "credential")?;
    let credential = identity.revoke_credential(&caller.credential.audit_name(), tenant, id).await?;
    Ok(HttpResponse::Ok().json(Shown::from(&credential)))
}

/// No cache on the way may keep a secret.
fn secret_answer(mut response: actix_web::HttpResponseBuilder, issued: &Issued) -> HttpResponse {
    response.insert_header((header::CACHE_CONTROL, "no-store")).json(Shown::from(issued))
}

fn tenant_of(caller: &Caller, wanted: Option<Uuid>) -> Result<TenantId, HttpError> {
    caller.require(Scope::Admin)?;
    match wanted.map(TenantId) {
        Some(other) if other != caller.tenant => {
            caller.require_operator()?;
            Ok(other)
        }
        _ => Ok(caller.tenant),
    }
}

fn parse_scopes(names: &[String]) -> Result<Scopes, HttpError> {
    let scopes: Result<Vec<Scope>, _> = names.iter().map(|name| name.parse()).collect();
    scopes.map(Scopes::new).map_err(|e| Violations::whole("admin.scopes", e.to_string()).into())
}

pub(super) fn json_body<T: DeserializeOwned>(body: &[u8]) -> Result<T, HttpError> {
    serde_json::from_slice(body)
        .map_err(|e| Violations::whole("admin.body", format!("the body does not fit: {e}")).into())
}

/// Something that is no id names nothing.
pub(super) fn path_id(text: &str, what: &'static str) -> Result<Uuid, HttpError> {
    text.parse().map_err(|_| IdentityError::NotFound(what).into())
}

impl From<IdentityError> for HttpError {
    fn from(error: IdentityError) -> Self {
        match error {
            IdentityError::NotFound(_) => Self::NotFound(error.to_string()),
            IdentityError::Conflict(why) => Self::Conflict(why.to_owned()),
            IdentityError::Invalid { .. } => Violations::whole("admin.field", error.to_string()).into(),
            IdentityError::Store(error) => error.into(),
            IdentityError::Config(why) | IdentityError::Hash(why) => Self::Internal(why),
        }
    }
}
