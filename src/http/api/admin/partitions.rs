//! `/api/v1/admin/partitions`: the months of the ledger, for operators. Each act answers first what it would do, and is done once
//! the digest of that was sent back.

use actix_web::{HttpRequest, HttpResponse, web::Data};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::planned::Planned;
use crate::http::{
    HttpError, Problem,
    api::{
        Api, Months,
        body::{JsonBody, OptionalBody},
        endpoint::endpoints,
        query::Parameters,
    },
    caller::Caller,
    error::ProblemDocument,
};
use crate::{
    archive::plan::coming,
    identity::reach,
    model::{
        partition::{Month, Partition, Weight},
        plan,
        scheme::{self, Scheme},
    },
    partitions::{
        ask,
        change::ChangeError,
        jobs::{Act, CHANGE, DIVIDE, DivideOrder},
        rescheme::{self, ReschemeError},
    },
    store::platform::jobs::Placed,
    xapi::Violations,
};

endpoints! {
    /// Partitions.
    Partitions: list as __path_list, coming_next as __path_coming_next, ensure as __path_ensure, seal as __path_seal,
        detach as __path_detach, attach as __path_attach, rescheme as __path_rescheme,
}

/// A month of the ledger.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Partition)]
struct Shown {
    /// Such as `2026-03`.
    name: String,
    /// `open`, `sealed`, `detached`, `archived`, `attached`, `dropped`, `marked` or `removed`.
    state: &'static str,
    lower: DateTime<Utc>,
    upper: DateTime<Utc>,
    /// How it is divided: `monthly`, `weekly`, `daily` or `tenants-N`.
    scheme: String,
    parts: Vec<String>,
    /// By the database's estimate.
    estimated_rows: i64,
    /// Of its tables.
    bytes: i64,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Partitions)]
struct Listed {
    partitions: Vec<Shown>,
}

/// The months of the ledger, oldest first.
#[utoipa::path(get, path = "/api/v1/admin/partitions", tag = "partitions", operation_id = "listPartitions",
    responses((status = 200, description = "the months", body = Listed)))]
async fn list(caller: Caller, api: Data<Api>, req: HttpRequest) -> Result<HttpResponse, Problem> {
    reach::months(&caller)?;
    Parameters::read(req.query_string(), &[])?;
    let weights = api.store.partition_weights().await.map_err(HttpError::from)?;
    let divided = api.store.divided_months().await.map_err(HttpError::from)?;
    let shown = |(partition, weight): (Partition, Weight)| {
        let scheme = divided.iter().find(|one| partition.bounds == one.month.into()).map(|one| one.scheme);
        let (bounds, scheme) = (partition.bounds, scheme.unwrap_or_default());
        Shown {
            name: bounds.to_string(),
            state: partition.state.name(),
            lower: bounds.lower,
            upper: bounds.upper,
            scheme: scheme.to_string(),
            parts: scheme.parts(Month::of(bounds.lower)).into_iter().map(scheme::name).collect(),
            estimated_rows: weight.rows,
            bytes: weight.bytes,
        }
    };
    Ok(HttpResponse::Ok().json(Listed { partitions: weights.into_iter().map(shown).collect() }))
}

/// What the schedule does next to a month.
#[derive(Serialize, ToSchema)]
#[schema(as = ComingAct)]
struct Coming {
    name: String,
    state: &'static str,
    /// `seal`, `archive` or `drop`.
    act: &'static str,
    at: DateTime<Utc>,
    /// Whether its time has come.
    due: bool,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ComingActs)]
struct Schedule {
    /// Whether there is a schedule; without one months leave by hand alone.
    scheduled: bool,
    coming: Vec<Coming>,
}

/// What the schedule does next to each month, and when.
#[utoipa::path(get, path = "/api/v1/admin/partitions/plan", tag = "partitions", operation_id = "planPartitions",
    responses((status = 200, description = "what comes", body = Schedule)))]
async fn coming_next(
    caller: Caller,
    api: Data<Api>,
    months: Data<Months>,
    req: HttpRequest,
) -> Result<HttpResponse, Problem> {
    reach::months(&caller)?;
    Parameters::read(req.query_string(), &[])?;
    let (standings, now) = (months.archive.standings().await.map_err(HttpError::from)?, api.clock.now());
    let shown = |one: crate::archive::plan::Coming| Coming {
        name: one.month.to_string(),
        state: one.state.name(),
        act: one.act.name(),
        at: one.at,
        due: one.at <= now,
    };
    let coming = coming(&months.schedule, &standings).into_iter().map(shown).collect();
    Ok(HttpResponse::Ok().json(Schedule { scheduled: months.schedule.hot_months.is_some(), coming }))
}

/// Whether it shall be done.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = EnsureOrder)]
struct Ensure {
    /// The digest of the plan that was seen; absent means that it is only planned.
    #[schema(pattern = r"^[0-9a-f]{64}$")]
    plan: Option<String>,
}

/// Makes the partitions that should be there ahead of time and are not. A node does so every hour by itself.
#[utoipa::path(post, path = "/api/v1/admin/partitions/ensure", tag = "partitions", operation_id = "ensurePartitions",
    request_body = Option<Ensure>,
    responses((status = 200, description = "what is missing, or was made", body = Planned),
              (status = 409, description = "the plan is another one by now", body = ProblemDocument,
               content_type = "application/problem+json")))]
async fn ensure(
    caller: Caller,
    api: Data<Api>,
    months: Data<Months>,
    req: HttpRequest,
    body: OptionalBody<Ensure>,
) -> Result<HttpResponse, Problem> {
    reach::months(&caller)?;
    Parameters::read(req.query_string(), &[])?;
    let (missing, planned) = ask::missing(&api.store, &api.clock).await.map_err(HttpError::from)?;
    let planned = Planned::from(planned);
    if planned.is_wanted(body.0.unwrap_or_default().plan.as_deref())? {
        for partition in &missing {
            api.store.ensure_divided(partition.lower, months.scheme).await.map_err(HttpError::from)?;
        }
        return Ok(Planned { already: true, ..planned }.shown());
    }
    Ok(planned.shown())
}

/// Which month, and whether it shall be done.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PartitionOrder)]
struct Order {
    /// Such as `2026-03`.
    #[schema(value_type = String, pattern = r"^[0-9]{4}-(0[1-9]|1[0-2])$")]
    month: Month,
    /// The digest of the plan that was seen; absent means that it is only planned.
    #[schema(pattern = r"^[0-9a-f]{64}$")]
    plan: Option<String>,
}

/// Seals a month that is over: nothing is stored in it any more, and everybody who reads the ledger is past it.
#[utoipa::path(post, path = "/api/v1/admin/partitions/seal", tag = "partitions", operation_id = "sealPartition",
    request_body = Order,
    responses((status = 200, description = "what it would do", body = Planned),
              (status = 202, description = "a job does it", body = Planned),
              (status = 404, description = "there is no such month", body = ProblemDocument, content_type = "application/problem+json"),
              (status = 409, description = "it cannot be done now, or the plan is another one by now", body = ProblemDocument,
               content_type = "application/problem+json")))]
async fn seal(
    caller: Caller,
    months: Data<Months>,
    req: HttpRequest,
    body: JsonBody<Order>,
) -> Result<HttpResponse, Problem> {
    change(&caller, &months, &req, body, Act::Seal).await
}

/// Moves a sealed month out of the queries' way; statements in it are found as before.
#[utoipa::path(post, path = "/api/v1/admin/partitions/detach", tag = "partitions", operation_id = "detachPartition",
    request_body = Order,
    responses((status = 200, description = "what it would do", body = Planned),
              (status = 202, description = "a job does it", body = Planned),
              (status = 404, description = "there is no such month", body = ProblemDocument, content_type = "application/problem+json"),
              (status = 409, description = "it cannot be done now, or the plan is another one by now", body = ProblemDocument,
               content_type = "application/problem+json")))]
async fn detach(
    caller: Caller,
    months: Data<Months>,
    req: HttpRequest,
    body: JsonBody<Order>,
) -> Result<HttpResponse, Problem> {
    change(&caller, &months, &req, body, Act::Detach).await
}

/// Brings a detached month, or an archived one whose table is still here, back; the schedule leaves it there.
#[utoipa::path(post, path = "/api/v1/admin/partitions/attach", tag = "partitions", operation_id = "attachPartition",
    request_body = Order,
    responses((status = 200, description = "what it would do", body = Planned),
              (status = 202, description = "a job does it", body = Planned),
              (status = 404, description = "there is no such month", body = ProblemDocument, content_type = "application/problem+json"),
              (status = 409, description = "it cannot be done now, or the plan is another one by now", body = ProblemDocument,
               content_type = "application/problem+json")))]
async fn attach(
    caller: Caller,
    months: Data<Months>,
    req: HttpRequest,
    body: JsonBody<Order>,
) -> Result<HttpResponse, Problem> {
    change(&caller, &months, &req, body, Act::Attach).await
}

async fn change(
    caller: &Caller,
    months: &Months,
    req: &HttpRequest,
    JsonBody(Order { month, plan: seen }): JsonBody<Order>,
    act: Act,
) -> Result<HttpResponse, Problem> {
    reach::months(caller)?;
    Parameters::read(req.query_string(), &[])?;
    let store = &months.archive.store;
    let looked = ask::look(store, month, act, months.has_brokers).await;
    let planned = Planned::from(looked.map_err(HttpError::from)?);
    if !planned.is_wanted(seen.as_deref())? {
        return Ok(planned.shown());
    }
    let (ids, by) = (&months.archive.ids, caller.credential.audit_name());
    let placed = ask::ask_for((store, ids), month, act, &planned.digest, &by).await.map_err(HttpError::from)?;
    Ok(planned.begun(placed_alone(placed, CHANGE)?))
}

/// How which months are divided.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ReschemeOrder)]
struct Division {
    /// `monthly`, `weekly`, `daily`, or `tenants-N` for N parts by tenant.
    to: String,
    /// Only these, such as `2026-03`; absent means all that can be.
    #[serde(default)]
    #[schema(value_type = Vec<String>, required = false)]
    months: Vec<Month>,
    /// The digest of the plan that was seen; absent means that it is only planned.
    #[schema(pattern = r"^[0-9a-f]{64}$")]
    plan: Option<String>,
}

/// Divides months that nobody writes to any more into weeks, days or groups of tenants, or puts them together again.
#[utoipa::path(post, path = "/api/v1/admin/partitions/rescheme", tag = "partitions", operation_id = "reschemePartitions",
    request_body = Division,
    responses((status = 200, description = "what it would do", body = Planned),
              (status = 202, description = "a job does it", body = Planned),
              (status = 404, description = "there is no such month", body = ProblemDocument, content_type = "application/problem+json"),
              (status = 409, description = "it cannot be done now, or the plan is another one by now", body = ProblemDocument,
               content_type = "application/problem+json")))]
async fn rescheme(
    caller: Caller,
    months: Data<Months>,
    req: HttpRequest,
    JsonBody(wanted): JsonBody<Division>,
) -> Result<HttpResponse, Problem> {
    reach::months(&caller)?;
    Parameters::read(req.query_string(), &[])?;
    let to: Scheme = wanted.to.parse().map_err(|error: String| Violations::whole("api.partitions", error))?;
    let all = months.archive.store.divided_months().await.map_err(HttpError::from)?;
    let found = rescheme::plan(&all, to, &wanted.months).map_err(HttpError::from)?;
    let lines: Vec<Value> = found.iter().map(|one| rescheme::line(one, to)).collect();
    let planned = Planned::from(plan::Planned::of(json!(lines), found.is_empty()));
    if !planned.is_wanted(wanted.plan.as_deref())? {
        return Ok(planned.shown());
    }
    let order = DivideOrder { months: found.iter().map(|one| one.month).collect(), to };
    let (archive, by) = (&months.archive, caller.credential.audit_name());
    let placed = ask::put((&archive.store, &archive.ids), DIVIDE, json!(order), &planned.digest, &by).await;
    Ok(planned.begun(placed_alone(placed.map_err(HttpError::from)?, DIVIDE)?))
}

/// The job that does it; of a kind of which only one is done at a time.
pub fn placed_alone(placed: Placed, kind: &str) -> Result<Uuid, HttpError> {
    match placed {
        Placed::This(id) => Ok(id),
        Placed::Other(other) => {
            Err(HttpError::Conflict(format!("another {kind} is not over yet: it is the job {other}")))
        }
    }
}

impl From<ChangeError> for HttpError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Unknown(_) => Self::NotFound(error.to_string()),
            ChangeError::Store(error) => error.into(),
            _ => Self::Conflict(error.to_string()),
        }
    }
}

impl From<ReschemeError> for HttpError {
    fn from(error: ReschemeError) -> Self {
        match error {
            ReschemeError::Unknown(_) => Self::NotFound(error.to_string()),
            ReschemeError::Store(error) => error.into(),
            _ => Self::Conflict(error.to_string()),
        }
    }
}
