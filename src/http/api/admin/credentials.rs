//! `/api/v1/admin/credentials`: create, list, rotate, revoke, and the short ones of launches.
//!
//! An administrator manages the credentials of their own tenant; an operator those of every tenant.

use std::time::Duration;

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::http::{
    HttpError, Problem,
    api::{
        Api,
        body::{JsonBody, OptionalBody},
        cursor::Pages,
        described::{ActivityId, AgentGiven, LaunchModeName, LaunchScopeName, MoveOnName, ScopeName},
        endpoint::endpoints,
        path::path_id,
        query::{PAGE_CURSOR, PAGE_SIZE, PageParameters, Parameters, refuse},
        shown::{Page, one_more},
    },
    caller::Caller,
};
use crate::{
    cmi5::{Launch, LaunchMode},
    identity::{
        DEFAULT_LAUNCH, DEFAULT_OVERLAP, Handed, Identity, IdentityError, Issued, Launched, NewCredential, NewLaunch,
    },
    model::{Scope, Scopes, TenantId, attempt::MoveOn, score::Score},
    store::platform::credentials::Credential,
    xapi::{Violations, decimal::Decimal},
};

endpoints! {
    /// Credentials.
    Credentials: list as __path_list, create as __path_create, launch as __path_launch,
        rotate as __path_rotate, revoke as __path_revoke,
}

/// Whose credentials are meant; absent means the caller's own tenant's.
const TENANT: &str = "tenantId";

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewCredential)]
struct Create {
    #[schema(value_type = Vec<ScopeName>, min_items = 1)]
    scopes: Vec<String>,
    /// What it is for; without control characters.
    #[serde(default)]
    #[schema(max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    label: String,
    /// The Agent that statements of this credential have as their authority.
    #[schema(value_type = Option<AgentGiven>)]
    agent: Option<Map<String, Value>>,
    /// In the future; absent means that there is no end.
    expires_at: Option<DateTime<Utc>>,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewLaunch)]
pub struct MakeLaunch {
    pub registration: Uuid,
    /// The learner.
    #[schema(value_type = AgentGiven)]
    pub actor: Map<String, Value>,
    /// Four hours unless told, seven days at most.
    #[schema(maximum = 604_800)]
    pub lifetime_seconds: Option<u64>,
    #[schema(value_type = Option<Vec<LaunchScopeName>>, min_items = 1)]
    pub scopes: Option<Vec<String>>,
    /// The session that the credential is bound to; one is made where an activity is named and no session.
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\x00- \x7f-\x9f\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000][^\x00-\x1f\x7f-\x9f]*$"
    )]
    pub session_id: Option<String>,
    /// The unit that the credential is bound to, by the activity id of the launch.
    #[schema(value_type = Option<ActivityId>)]
    pub activity_id: Option<String>,
    /// What the unit asks for.
    #[schema(value_type = Option<MoveOnName>)]
    pub move_on: Option<String>,
    /// Four decimals are kept.
    #[schema(value_type = Option<f64>, minimum = 0, maximum = 1)]
    pub mastery_score: Option<Number>,
    #[schema(value_type = Option<LaunchModeName>)]
    pub launch_mode: Option<String>,
    /// Whether the secret is to be fetched, once, by the unit (cmi5 8.2): then `fetchUrl` is answered and no `secret`.
    pub fetch: Option<bool>,
}

#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = Rotation)]
struct Rotate {
    /// How long the old secret works on: a day unless told, thirty at most.
    #[schema(maximum = 2_592_000)]
    overlap_seconds: Option<u64>,
}

/// A credential as it is shown. The secret is there in the one answer that makes it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Credential)]
pub struct Shown {
    id: Uuid,
    #[schema(value_type = Uuid)]
    tenant_id: TenantId,
    api_key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    secret: Option<String>,
    scopes: Vec<&'static str>,
    label: String,
    #[schema(required, value_type = Option<Object>)]
    agent: Option<Map<String, Value>>,
    /// Of a launch credential.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    registration: Option<Uuid>,
    /// Of a launch that is bound to a session.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    session_id: Option<String>,
    /// Of a launch that is bound to a unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    activity_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    move_on: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<f64>, minimum = 0, maximum = 1)]
    mastery_score: Option<Score>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    launch_mode: Option<&'static str>,
    /// Where a unit gets its token with a POST, once. In the one answer that makes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    fetch_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    fetch_expires_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    #[schema(required)]
    expires_at: Option<DateTime<Utc>>,
    #[schema(required)]
    previous_secret_valid_until: Option<DateTime<Utc>>,
    #[schema(required)]
    revoked_at: Option<DateTime<Utc>>,
}

impl From<Credential> for Shown {
    fn from(credential: Credential) -> Self {
        let launch = credential.launch.as_ref();
        Self {
            id: credential.id,
            tenant_id: credential.tenant,
            api_key: credential.api_key,
            secret: None,
            scopes: credential.scopes.names(),
            label: credential.label,
            agent: credential.agent,
            registration: launch.map(|launch| launch.registration),
            session_id: launch.and_then(|launch| launch.session.clone()),
            activity_id: launch.and_then(|launch| launch.activity.clone()),
            move_on: launch.and_then(|launch| launch.move_on).map(MoveOn::as_str),
            mastery_score: launch.and_then(|launch| launch.mastery_score),
            launch_mode: launch.and_then(|launch| launch.mode).map(LaunchMode::as_str),
            fetch_url: None,
            fetch_expires_at: None,
            created_at: credential.created_at,
            expires_at: credential.expires_at,
            previous_secret_valid_until: credential.previous_valid_until,
            revoked_at: credential.revoked_at,
        }
    }
}

impl From<Issued> for Shown {
    fn from(issued: Issued) -> Self {
        let secret = issued.secret.expose().to_owned();
        Self { secret: Some(secret), ..Self::from(issued.credential) }
    }
}

/// Makes a credential. Its secret is shown this once.
#[utoipa::path(post, path = "/api/v1/admin/credentials", tag = "credentials", operation_id = "createCredential",
    params(("tenantId" = Option<Uuid>, Query, description = "another tenant's; for operators")),
    request_body = Create, responses((status = 201, description = "made", body = Shown)))]
async fn create(
    caller: Caller,
    identity: Data<Identity>,
    req: HttpRequest,
    body: JsonBody<Create>,
) -> Result<HttpResponse, Problem> {
    let tenant = whose(&caller, &req)?;
    let Create { scopes, label, agent, expires_at } = body.0;
    let new = NewCredential { scopes: parse_scopes(&scopes)?, label, agent, expires_at };
    let issued = identity.create_credential(&caller.credential.audit_name(), tenant, new).await?;
    Ok(HttpResponse::Created().json(Shown::from(issued)))
}

/// Makes a short-lived credential for one learner in one registration, as a cmi5 launch needs it.
#[utoipa::path(post, path = "/api/v1/admin/credentials/launch", tag = "credentials", operation_id = "createLaunch",
    params(("tenantId" = Option<Uuid>, Query, description = "another tenant's; for operators")),
    request_body = MakeLaunch, responses((status = 201, description = "made", body = Shown)))]
async fn launch(
    caller: Caller,
    identity: Data<Identity>,
    api: Data<Api>,
    req: HttpRequest,
    body: JsonBody<MakeLaunch>,
) -> Result<HttpResponse, Problem> {
    let tenant = whose(&caller, &req)?;
    let new = new_launch(body.0)?;
    let Launched { credential, handed } = identity.create_launch(&caller.credential.audit_name(), tenant, new).await?;
    let mut shown = Shown::from(credential);
    match handed {
        Handed::Secret(secret) => shown.secret = Some(secret.expose().to_owned()),
        Handed::Fetch { token, until } => {
            shown.fetch_url = Some(api.fetch_urls.of(&req, &token));
            shown.fetch_expires_at = Some(until);
        }
    }
    Ok(HttpResponse::Created().json(shown))
}

/// The same in the words of whoever makes it.
pub fn new_launch(given: MakeLaunch) -> Result<NewLaunch, HttpError> {
    let unknown = |field: &'static str| move || refuse_field(field, "it is none of the values that are known");
    let move_on = given.move_on.map(|name| MoveOn::named(&name).ok_or_else(unknown("moveOn"))).transpose()?;
    let mode = given.launch_mode.map(|name| LaunchMode::named(&name).ok_or_else(unknown("launchMode"))).transpose()?;
    let launch = Launch {
        session: given.session_id,
        activity: given.activity_id,
        move_on,
        mastery_score: given.mastery_score.map(|number| mastery(&number)).transpose()?,
        mode,
        ..Launch::of(given.registration, given.actor)
    };
    Ok(NewLaunch {
        lifetime: given.lifetime_seconds.map_or(DEFAULT_LAUNCH, Duration::from_secs),
        scopes: given.scopes.as_deref().map(parse_scopes).transpose()?,
        fetch: given.fetch.unwrap_or_default(),
        ..NewLaunch::of(launch)
    })
}

fn mastery(number: &Number) -> Result<Score, HttpError> {
    let is_within =
        Decimal::of("0") <= Decimal::of(number.as_str()) && Decimal::of(number.as_str()) <= Decimal::of("1");
    let score = Score::parse(number.as_str()).filter(|_| is_within);
    score.ok_or_else(|| refuse_field("masteryScore", "expected a number from 0 to 1"))
}

fn refuse_field(field: &'static str, why: &str) -> HttpError {
    IdentityError::Invalid { field, why: why.to_owned() }.into()
}

/// Credentials of a tenant, without their secrets; those of launches are not among them.
#[utoipa::path(get, path = "/api/v1/admin/credentials", tag = "credentials", operation_id = "listCredentials",
    params(("tenantId" = Option<Uuid>, Query, description = "another tenant's; for operators"), PageParameters),
    responses((status = 200, description = "a page of credentials", body = Page<Shown>)))]
async fn list(
    caller: Caller,
    identity: Data<Identity>,
    api: Data<Api>,
    req: HttpRequest,
) -> Result<HttpResponse, Problem> {
    caller.require(Scope::Admin)?;
    let parameters = Parameters::read(req.query_string(), &[TENANT, PAGE_SIZE, PAGE_CURSOR])?;
    let tenant = tenant_of(&caller, &parameters)?;
    let size = parameters.page_size()?;
    let key = api.reader.more_key().await?;
    let pages = Pages { key, tenant: caller.tenant, path: req.path(), parameters: &parameters };
    let after = pages.place()?.map(|place| place.parse::<Uuid>()).transpose();
    let after = after.map_err(|_| refuse(PAGE_CURSOR, "it leads nowhere"))?;
    let found = identity.list_credentials(tenant, after, one_more(size)).await?;
    let found: Vec<Shown> = found.into_iter().map(Shown::from).collect();
    Ok(Page::cut(found, size, |last| pages.link(&last.id.to_string())).answer())
}

/// Gives a credential a new secret; the old one works on for the overlap.
#[utoipa::path(post, path = "/api/v1/admin/credentials/{id}/rotate", tag = "credentials",
    operation_id = "rotateCredential",
    params(
        ("id" = Uuid, Path, description = "the credential's id"),
        ("tenantId" = Option<Uuid>, Query, description = "another tenant's; for operators"),
    ),
    request_body = Option<Rotate>, responses((status = 200, description = "rotated", body = Shown)))]
async fn rotate(
    caller: Caller,
    identity: Data<Identity>,
    id: Path<String>,
    req: HttpRequest,
    body: OptionalBody<Rotate>,
) -> Result<HttpResponse, Problem> {
    let tenant = whose(&caller, &req)?;
    let overlap = body.0.unwrap_or_default().overlap_seconds.map_or(DEFAULT_OVERLAP, Duration::from_secs);
    let id = path_id(&id, "credential")?;
    let issued = identity.rotate_credential(&caller.credential.audit_name(), tenant, id, overlap).await?;
    Ok(HttpResponse::Ok().json(Shown::from(issued)))
}

/// Ends a credential at once.
#[utoipa::path(post, path = "/api/v1/admin/credentials/{id}/revoke", tag = "credentials",
    operation_id = "revokeCredential",
    params(
        ("id" = Uuid, Path, description = "the credential's id"),
        ("tenantId" = Option<Uuid>, Query, description = "another tenant's; for operators"),
    ),
    responses((status = 200, description = "revoked", body = Shown)))]
async fn revoke(
    caller: Caller,
    identity: Data<Identity>,
    id: Path<String>,
    req: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let tenant = whose(&caller, &req)?;
    let id = path_id(&id, "credential")?;
    let credential = identity.revoke_credential(&caller.credential.audit_name(), tenant, id).await?;
    Ok(HttpResponse::Ok().json(Shown::from(credential)))
}

/// The tenant that a request without other parameters is about.
fn whose(caller: &Caller, req: &HttpRequest) -> Result<TenantId, HttpError> {
    caller.require(Scope::Admin)?;
    tenant_of(caller, &Parameters::read(req.query_string(), &[TENANT])?)
}

fn tenant_of(caller: &Caller, parameters: &Parameters) -> Result<TenantId, HttpError> {
    let wanted = parameters.parsed(TENANT, "expected a UUID", |text| text.parse::<Uuid>().ok())?;
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
