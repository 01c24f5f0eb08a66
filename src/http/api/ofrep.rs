//! `/api/v1/ofrep/v1`: the flags of a tenant for clients of OpenFeature, by its Remote Evaluation Protocol. A provider of theirs is given
//! `…/api/v1` as its base. Nothing of it asks the database.

use actix_web::{
    HttpRequest, HttpResponse, ResponseError,
    body::{BoxBody, MessageBody},
    web::{Data, Path},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    body::JsonBody,
    endpoint::endpoints,
    query::{Parameters, refuse},
};
use crate::{
    flags::{Flags, Standing, declared},
    http::{HttpError, Problem, caller::Caller},
    identity::Identity,
    model::{Scope, TenantId},
};

endpoints! {
    /// Flags as clients of OpenFeature ask for them.
    Evaluations: one as __path_one, all as __path_all,
}

/// For whom a flag is asked.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = FlagContext)]
struct Asked {
    /// Its `targetingKey` is the id of a tenant; absent: the caller's own. Whatever else is in it plays no part.
    #[schema(value_type = Option<Object>)]
    context: Option<Map<String, Value>>,
}

/// What a flag holds.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = FlagHeld)]
enum Held {
    Switch(bool),
    Number(u64),
}

impl Held {
    fn read(value: &Value) -> Option<Self> {
        value.as_bool().map(Self::Switch).or_else(|| value.as_u64().map(Self::Number))
    }
}

/// A flag as it stands.
#[derive(Serialize, ToSchema)]
#[schema(as = FlagEvaluated)]
struct Evaluated {
    key: &'static str,
    /// A boolean or a whole number; absent: as configured, and a client goes by its own default.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Held>,
    /// `TARGETING_MATCH`: the tenant's own; `STATIC`: everybody's; `DEFAULT`: nobody has set it.
    reason: &'static str,
    /// The value in a word.
    variant: String,
}

/// Every flag.
#[derive(Serialize, ToSchema)]
#[schema(as = FlagsEvaluated)]
struct All {
    flags: Vec<Evaluated>,
}

impl From<Standing> for Evaluated {
    fn from(Standing { flag, value, from }: Standing) -> Self {
        let reason = match from {
            "tenant" => "TARGETING_MATCH",
            "everybody" => "STATIC",
            _ => "DEFAULT",
        };
        let variant = value.as_ref().map_or_else(|| "configured".to_owned(), declared::written);
        Self { key: flag.name, value: value.as_ref().and_then(Held::read), reason, variant }
    }
}

/// One flag for a tenant, as OpenFeature's Remote Evaluation Protocol has it.
#[utoipa::path(post, path = "/api/v1/ofrep/v1/evaluate/flags/{key}", tag = "flags", operation_id = "evaluateFlag",
    params(("key" = String, Path, description = "the flag's name")),
    request_body = Asked, responses((status = 200, description = "the flag", body = Evaluated)))]
async fn one(
    caller: Caller,
    (flags, identity): (Data<Flags>, Data<Identity>),
    key: Path<String>,
    req: HttpRequest,
    body: JsonBody<Asked>,
) -> Result<HttpResponse, Problem> {
    let found = standing(&caller, &flags, &identity, &req, body.0).await;
    let found = found.and_then(|all| {
        let is_it = |one: &Standing| one.flag.name == *key;
        all.into_iter().find(is_it).ok_or_else(|| HttpError::NotFound(format!("there is no flag {:.80?}", *key)))
    });
    Ok(match found {
        Ok(one) => HttpResponse::Ok().json(Evaluated::from(one)),
        Err(error) => told(error, Some(&key)),
    })
}

/// Every flag for a tenant, as OpenFeature's Remote Evaluation Protocol has it.
#[utoipa::path(post, path = "/api/v1/ofrep/v1/evaluate/flags", tag = "flags", operation_id = "evaluateFlags",
    request_body = Asked, responses((status = 200, description = "the flags", body = All)))]
async fn all(
    caller: Caller,
    (flags, identity): (Data<Flags>, Data<Identity>),
    req: HttpRequest,
    body: JsonBody<Asked>,
) -> Result<HttpResponse, Problem> {
    Ok(match standing(&caller, &flags, &identity, &req, body.0).await {
        Ok(all) => HttpResponse::Ok().json(All { flags: all.into_iter().map(Evaluated::from).collect() }),
        Err(error) => told(error, None),
    })
}

/// Every flag for whom it is asked: an administrator sees their own tenant's, an operator any.
async fn standing(
    caller: &Caller,
    flags: &Flags,
    identity: &Identity,
    req: &HttpRequest,
    asked: Asked,
) -> Result<Vec<Standing>, HttpError> {
    caller.require(Scope::Admin)?;
    Parameters::read(req.query_string(), &[])?;
    let tenant = match asked.context.unwrap_or_default().get("targetingKey") {
        None => caller.tenant,
        Some(key) => key
            .as_str()
            .and_then(|key| key.parse::<Uuid>().ok())
            .map(TenantId)
            .ok_or_else(|| refuse("context/targetingKey", "expected the id of a tenant"))?,
    };
    if tenant != caller.tenant {
        caller.require_operator()?;
        identity.tenant(tenant).await?;
    }
    Ok(flags.standing(Some(tenant)))
}

/// A problem with the members that clients of OpenFeature look for.
fn told(error: HttpError, key: Option<&str>) -> HttpResponse {
    let code = match error {
        HttpError::NotFound(_) => "FLAG_NOT_FOUND",
        HttpError::Invalid(_) => "INVALID_CONTEXT",
        _ => "GENERAL",
    };
    let (head, body) = Problem(error).error_response().into_parts();
    let body = body.try_into_bytes().ok().and_then(|body| serde_json::from_slice::<Map<_, _>>(&body).ok());
    let mut members = body.unwrap_or_default();
    members.extend(key.map(|key| ("key".to_owned(), json!(key))));
    members.insert("errorCode".to_owned(), json!(code));
    members.insert("errorDetails".to_owned(), members.get("detail").cloned().unwrap_or_default());
    head.set_body(BoxBody::new(Value::Object(members).to_string()))
}
