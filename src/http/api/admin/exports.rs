//! `/api/v1/admin/exports`: what belongs to a tenant, or a part of it, as a zip that is sent while it is made. Nothing of it stays here.

use std::{sync::Arc, time::Duration};

use actix_web::{HttpRequest, HttpResponse, web::Data};
use chrono::{DateTime, Datelike, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::http::{
    HttpError, Problem,
    api::{
        Api,
        body::JsonBody,
        endpoint::endpoints,
        query::{Parameters, refuse},
        zipped::zipped,
    },
    caller::Caller,
};
use crate::{
    cold::Cold,
    identity::{Identity, reach},
    model::{TenantId, plan::must_be_the_one},
    transfer::{
        Kind, TransferError,
        export::{self, AHEAD, Wish},
        import::note,
        outlook::{self, Outlook},
    },
};

endpoints! {
    /// Exports of tenants.
    ExportsOfTenants: look as __path_look, make as __path_make,
}

/// So many are made by a node at once: each reads for as long as it takes.
const AT_ONCE: usize = 2;
/// When who found no place may come again.
const COME_BACK: Duration = Duration::from_secs(60);

/// What makes them.
#[derive(Clone)]
pub struct Exports {
    cold: Cold,
    places: Arc<Semaphore>,
    /// The main runtime: reading and packing would hold up those of the listener.
    runtime: Handle,
}

impl Exports {
    /// On the current runtime, which must be the main one.
    pub fn new(cold: &Cold) -> Self {
        Self { cold: cold.clone(), places: Arc::new(Semaphore::new(AT_ONCE)), runtime: Handle::current() }
    }

    /// A place for one.
    pub fn place(&self) -> Result<OwnedSemaphorePermit, HttpError> {
        Arc::clone(&self.places).try_acquire_owned().map_err(|_| HttpError::Unavailable {
            why: format!("this node makes {AT_ONCE} exports already: come again when one of them has ended"),
            retry_after: COME_BACK,
        })
    }
}

/// What somebody wants to have in an export.
pub struct Chosen {
    pub tenant: TenantId,
    pub kinds: Vec<Kind>,
    pub since: Option<DateTime<Utc>>,
    pub until: Option<DateTime<Utc>>,
}

impl Chosen {
    /// The same as a wish, if this caller may have it and it makes sense.
    pub async fn wish(self, caller: &Caller, identity: &Identity) -> Result<Wish, HttpError> {
        let Self { tenant, kinds, since, until } = self;
        reach::exports(caller, tenant)?;
        if kinds.is_empty() {
            return Err(refuse("kinds", "choose at least one"));
        }
        if since.zip(until).is_some_and(|(since, until)| since >= until) {
            return Err(refuse("until", "it has to be later than `since`"));
        }
        let name = identity.tenant(tenant).await?.name;
        Ok(Wish { kinds, since, until, ..Wish::all(tenant, &name) })
    }
}

/// The kinds that are named, each once and in their order.
pub fn kinds<'n>(names: impl IntoIterator<Item = &'n str>) -> Result<Vec<Kind>, HttpError> {
    let unknown = |name: &str| {
        let known = Kind::ALL.map(Kind::name).join(", ");
        refuse("kinds", &format!("{name:.40?} is none of {known}"))
    };
    let mut kinds: Vec<Kind> =
        names.into_iter().map(|name| Kind::parse(name).ok_or_else(|| unknown(name))).collect::<Result<_, _>>()?;
    kinds.sort_unstable();
    kinds.dedup();
    Ok(kinds)
}

/// A moment as somebody writes it, if there is one.
pub fn moment(name: &str, text: Option<&str>) -> Result<Option<DateTime<Utc>>, HttpError> {
    let wrong = || refuse(name, "expected a moment such as 2026-01-31T00:00:00Z");
    // Beyond these years the database knows no moment.
    let known = |at: &DateTime<Utc>| (1..=9999).contains(&at.year());
    text.map(|text| text.parse().ok().filter(known).ok_or_else(wrong)).transpose()
}

/// The export as an answer, if the plan that was seen is still the one; that it was made stands in the trail before its first byte.
pub async fn made(api: &Api, caller: &Caller, wish: Wish, seen: Option<&str>) -> Result<HttpResponse, HttpError> {
    must_be_the_one(seen, &outlook::digest(&wish)).map_err(HttpError::Conflict)?;
    let place = api.exports.place()?;
    let kinds: Vec<&str> = wish.kinds.iter().map(|kind| kind.name()).collect();
    let detail = json!({ "kinds": kinds, "since": wish.since, "until": wish.until, "sent": true });
    note(&api.store, wish.tenant, &caller.credential.audit_name(), "data.export", &detail).await?;
    let (to, from) = mpsc::channel(AHEAD);
    let (cold, now, name) = (api.exports.cold.clone(), api.clock.now(), file(&wish.name));
    let work = api.exports.runtime.spawn(async move {
        let _place = place;
        Box::pin(export::send(&cold, &wish, now, &to)).await.map(drop)
    });
    zipped(from, work, &name).await
}

/// A name of a file that every system takes.
fn file(tenant: &str) -> String {
    let safe = |letter: char| if letter.is_ascii_alphanumeric() || letter == '-' { letter } else { '_' };
    format!("export-{}", tenant.chars().take(60).map(safe).collect::<String>())
}

impl From<TransferError> for HttpError {
    fn from(error: TransferError) -> Self {
        match error {
            TransferError::Store(error) => error.into(),
            TransferError::Cold(error) => error.into(),
            error => Self::internal(error),
        }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewExport)]
struct Given {
    /// Whose data; absent means the caller's own tenant. Another one is for operators.
    tenant_id: Option<Uuid>,
    /// Which kinds; absent means all of them.
    #[schema(value_type = Option<Vec<ExportKind>>, min_items = 1)]
    kinds: Option<Vec<String>>,
    /// Only statements that were stored after this, and the attachments that these name.
    #[schema(value_type = Option<DateTime<Utc>>)]
    since: Option<String>,
    /// And not after this.
    #[schema(value_type = Option<DateTime<Utc>>)]
    until: Option<String>,
    /// Make it only if the plan still has this digest.
    #[schema(pattern = r"^[0-9a-f]{64}$")]
    plan: Option<String>,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "it describes what `kinds` reads")]
enum ExportKind {
    Statements,
    Documents,
    Attachments,
    Attempts,
    Completions,
    Scores,
    Courses,
    Registries,
    Settings,
    Credentials,
}

impl Given {
    async fn wish(&self, caller: &Caller, identity: &Identity) -> Result<Wish, HttpError> {
        let kinds = match &self.kinds {
            Some(names) => kinds(names.iter().map(String::as_str))?,
            None => Kind::ALL.to_vec(),
        };
        let tenant = self.tenant_id.map_or(caller.tenant, TenantId);
        let (since, until) = (moment("since", self.since.as_deref())?, moment("until", self.until.as_deref())?);
        Chosen { tenant, kinds, since, until }.wish(caller, identity).await
    }
}

/// What an export would have in it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ExportPlan)]
struct Plan {
    tenant_id: Uuid,
    kinds: Vec<&'static str>,
    /// How many statements there are, about: those that stand, by counts that are kept. Voided ones and those that void come beside them.
    statements: i64,
    months: Vec<MonthOfPlan>,
    /// Up to where these counts go; absent where nothing was counted yet, or no statements are wanted.
    #[schema(required)]
    counted_through: Option<DateTime<Utc>>,
    /// Sent back as `plan`, the export is made if it is of the same.
    digest: String,
}

/// The statements of one month.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ExportMonth)]
struct MonthOfPlan {
    month: String,
    statements: i64,
}

/// What an export of a tenant would have in it. Nothing is read but counts.
#[utoipa::path(post, path = "/api/v1/admin/exports/plan", tag = "exports", operation_id = "planExport",
    request_body = Given, responses((status = 200, description = "the plan", body = Plan)))]
async fn look(
    caller: Caller,
    api: Data<Api>,
    identity: Data<Identity>,
    req: HttpRequest,
    body: JsonBody<Given>,
) -> Result<HttpResponse, Problem> {
    Parameters::read(req.query_string(), &[])?;
    let wish = body.0.wish(&caller, &identity).await?;
    let digest = outlook::digest(&wish);
    must_be_the_one(body.0.plan.as_deref(), &digest).map_err(HttpError::Conflict)?;
    let seen = Outlook::of(&api.store, &wish).await?;
    Ok(HttpResponse::Ok().json(Plan {
        tenant_id: wish.tenant.0,
        kinds: wish.kinds.iter().map(|kind| kind.name()).collect(),
        statements: seen.statements(),
        months: seen
            .months
            .iter()
            .map(|(month, statements)| MonthOfPlan { month: month.to_string(), statements: *statements })
            .collect(),
        counted_through: seen.counted.through,
        digest,
    }))
}

/// Makes an export of a tenant: a zip as `data export --zip` writes it, which `data import` and `data compare` read. For administrators.
#[utoipa::path(post, path = "/api/v1/admin/exports", tag = "exports", operation_id = "exportTenant",
    request_body = Given,
    responses((status = 200, description = "the export", content_type = "application/zip", body = Vec<u8>)))]
async fn make(
    caller: Caller,
    api: Data<Api>,
    identity: Data<Identity>,
    req: HttpRequest,
    body: JsonBody<Given>,
) -> Result<HttpResponse, Problem> {
    Parameters::read(req.query_string(), &[])?;
    let wish = body.0.wish(&caller, &identity).await?;
    Ok(made(&api, &caller, wish, body.0.plan.as_deref()).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_gives_its_file_a_name_that_every_system_takes() {
        assert_eq!(file("acme-1"), "export-acme-1");
        assert_eq!(file("../Ärzte \"x\"\r\n"), "export-____rzte__x___");
        assert_eq!(file(&"a".repeat(200)).len(), 67);
    }

    #[test]
    fn kinds_are_taken_once_and_in_their_order() {
        assert_eq!(kinds(["documents", "statements", "documents"]).unwrap(), [Kind::Statements, Kind::Documents]);
        assert!(kinds(["statements", "Statements"]).is_err());
    }
}
