//! `/api/v1/audit/entries` and what proves them.

use std::time::Duration;

use actix_web::{
    HttpRequest, HttpResponse,
    http::header,
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
        Api,
        body::JsonBody,
        cursor::Pages,
        endpoint::endpoints,
        query::{PAGE_CURSOR, PAGE_SIZE, PageParameters, Parameters},
        shown::{Page, one_more},
    },
    caller::Caller,
};
use crate::{
    audit::{AuditError, Proof, Receipt},
    identity::reach,
    model::TenantId,
    store::platform::{
        audit::EntryId,
        audit_log::{Recorded, checkpoints::Anchor},
    },
    transcript::PrintError,
};

endpoints! {
    /// The audit trail.
    Entries: list as __path_list, proof as __path_proof, receipt as __path_receipt, checkpoint as __path_checkpoint,
        anchors as __path_anchors, cosign as __path_cosign,
}

const ACTION: &str = "filter[action]";
const FORMAT: &str = "format";

/// How a receipt is asked for.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "it describes what `Parameters` reads")]
enum Format {
    Json,
    Pdf,
}

/// An entry of the trail.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AuditEntry)]
struct Shown {
    id: i64,
    at: DateTime<Utc>,
    /// Null for what was done to the whole installation.
    #[schema(required)]
    tenant_id: Option<Uuid>,
    /// A credential's key, a token's pseudonym, or the command line: no personal data.
    actor: String,
    action: String,
    subject: String,
    #[schema(value_type = Object)]
    detail: Value,
    /// Its place in the log; null for the second or so until it has one.
    #[schema(required)]
    leaf_index: Option<i64>,
}

/// The newest checkpoint, and the key that proves it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AuditCheckpoint)]
struct Signed {
    tree_size: i64,
    /// In base64.
    root_hash: String,
    signed_at: DateTime<Utc>,
    /// A signed note (C2SP tlog-checkpoint).
    checkpoint: String,
    /// The public key, as `name+id+key`.
    verifier: String,
}

/// A place outside of the database where a checkpoint lies.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AuditAnchor)]
struct Outside {
    tree_size: i64,
    /// `objects`, `kafka`, or `witness:` and its name.
    place: String,
    anchored_at: DateTime<Utc>,
    #[schema(value_type = Object)]
    detail: Value,
}

/// A checkpoint with the signature of a witness under it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AuditCosignature)]
struct Cosigned {
    checkpoint: String,
}

/// Entries, the newest first: those of the caller's tenant, and for auditors of the default tenant those of everybody.
#[utoipa::path(get, path = "/api/v1/audit/entries", tag = "audit", operation_id = "listAuditEntries",
    params(PageParameters, ("filter[action]" = Option<String>, Query, description = "only of this act, such as tenant.create")),
    responses((status = 200, description = "a page of entries", body = Page<Shown>)))]
async fn list(caller: Caller, api: Data<Api>, req: HttpRequest) -> Result<HttpResponse, Problem> {
    let tenant = reach::audit(&caller)?;
    let parameters = Parameters::read(req.query_string(), &[PAGE_SIZE, PAGE_CURSOR, ACTION])?;
    let size = parameters.page_size()?;
    let key = api.reader.more_key().await?;
    let pages = Pages { key, tenant: caller.tenant, path: req.path(), parameters: &parameters };
    let before = pages.place()?.and_then(|place| place.parse().ok()).map(EntryId);
    let found = api.audit.entries(tenant, parameters.text(ACTION), before, one_more(size)).await?;
    let found: Vec<Shown> = found.into_iter().map(Shown::from).collect();
    Ok(Page::cut(found, size, |last| pages.link(&last.id.to_string())).answer())
}

/// That an entry is in the log: its commitment, the hashes up to the root, and the signed checkpoint.
#[utoipa::path(get, path = "/api/v1/audit/entries/{id}/proof", tag = "audit", operation_id = "getAuditProof",
    params(("id" = i64, Path, description = "the entry's id")),
    responses((status = 200, description = "the proof", body = Proof),
              (status = 409, description = "the entry cannot be proven any more", body = crate::http::error::ProblemDocument, content_type = "application/problem+json")))]
async fn proof(caller: Caller, api: Data<Api>, id: Path<String>, req: HttpRequest) -> Result<HttpResponse, Problem> {
    Parameters::read(req.query_string(), &[])?;
    let entry = within(&caller, &api, &id).await?;
    Ok(HttpResponse::Ok().json(api.audit.proof(entry).await?))
}

/// An entry with all that is needed to check it without this service.
#[utoipa::path(get, path = "/api/v1/audit/entries/{id}/receipt", tag = "audit", operation_id = "getAuditReceipt",
    params(("id" = i64, Path, description = "the entry's id"),
           ("format" = inline(Option<Format>), Query, description = "json or pdf; json by default")),
    responses((status = 200, description = "the receipt, as JSON or PDF",
               content((Receipt = "application/json"), (Vec<u8> = "application/pdf"))),
              (status = 409, description = "the entry cannot be opened any more", body = crate::http::error::ProblemDocument, content_type = "application/problem+json")))]
async fn receipt(caller: Caller, api: Data<Api>, id: Path<String>, req: HttpRequest) -> Result<HttpResponse, Problem> {
    let parameters = Parameters::read(req.query_string(), &[FORMAT])?;
    let is_pdf = parameters.one_of(FORMAT, &["json", "pdf"])?.as_deref() == Some("pdf");
    let entry = within(&caller, &api, &id).await?;
    let receipt = api.audit.receipt(entry).await?;
    if !is_pdf {
        return Ok(HttpResponse::Ok().json(receipt));
    }
    Ok(on_paper(&api, caller.tenant, receipt).await?)
}

/// A receipt as a PDF.
pub async fn on_paper(api: &Api, tenant: TenantId, receipt: Receipt) -> Result<HttpResponse, HttpError> {
    let named = format!("inline; filename=\"receipt-{}.pdf\"", receipt.entry()["id"]);
    let press = api.press.clone();
    let printed = api.work.run(tenant, move || press.print_receipt(&receipt)).await?;
    let pdf = printed.map_err(|error| match error {
        PrintError::Late(_) => HttpError::Unavailable { why: error.to_string(), retry_after: Duration::from_secs(5) },
        PrintError::Document(_) => HttpError::internal(error),
    })?;
    let name = (header::CONTENT_DISPOSITION, named);
    Ok(HttpResponse::Ok().content_type("application/pdf").insert_header(name).body(pdf))
}

/// The newest checkpoint.
#[utoipa::path(get, path = "/api/v1/audit/checkpoint", tag = "audit", operation_id = "getAuditCheckpoint",
    responses((status = 200, description = "the checkpoint", body = Signed),
              (status = 409, description = "nothing was signed yet", body = crate::http::error::ProblemDocument, content_type = "application/problem+json")))]
async fn checkpoint(caller: Caller, api: Data<Api>, req: HttpRequest) -> Result<HttpResponse, Problem> {
    reach::audit(&caller)?;
    Parameters::read(req.query_string(), &[])?;
    let last = api.audit.checkpoint().await?.ok_or(AuditError::NotSigned)?;
    let verifier = api.audit.verifier().await?.to_string();
    Ok(HttpResponse::Ok().json(Signed {
        tree_size: last.size,
        root_hash: crate::audit::base64(&last.root),
        signed_at: last.signed_at,
        checkpoint: last.note,
        verifier,
    }))
}

/// Where checkpoints lie outside of the database, the newest first.
#[utoipa::path(get, path = "/api/v1/audit/anchors", tag = "audit", operation_id = "listAuditAnchors",
    params(PageParameters), responses((status = 200, description = "a page of anchors", body = Page<Outside>)))]
async fn anchors(caller: Caller, api: Data<Api>, req: HttpRequest) -> Result<HttpResponse, Problem> {
    reach::audit(&caller)?;
    let parameters = Parameters::read(req.query_string(), &[PAGE_SIZE, PAGE_CURSOR])?;
    let size = parameters.page_size()?;
    let key = api.reader.more_key().await?;
    let pages = Pages { key, tenant: caller.tenant, path: req.path(), parameters: &parameters };
    let place = pages.place()?;
    let before = place.as_deref().and_then(|place| {
        let (size, name) = place.split_once('/')?;
        Some((size.parse().ok()?, name))
    });
    let found = api.audit.anchors(before, one_more(size)).await?;
    let found: Vec<Outside> = found.into_iter().map(Outside::from).collect();
    Ok(Page::cut(found, size, |last| pages.link(&format!("{}/{}", last.tree_size, last.place))).answer())
}

/// Keeps the signature of a witness under a checkpoint, where `audit.witnesses` names its key.
#[utoipa::path(post, path = "/api/v1/audit/cosignatures", tag = "audit", operation_id = "addAuditCosignature",
    request_body = Cosigned, responses((status = 201, description = "it is kept", body = Outside)))]
async fn cosign(
    caller: Caller,
    api: Data<Api>,
    req: HttpRequest,
    body: JsonBody<Cosigned>,
) -> Result<HttpResponse, Problem> {
    reach::audit(&caller)?;
    Parameters::read(req.query_string(), &[])?;
    let kept = api.audit.cosign(&body.0.checkpoint).await?;
    Ok(HttpResponse::Created().json(Outside::from(kept)))
}

/// The entry of this id, if this caller may see it.
pub async fn within(caller: &Caller, api: &Api, id: &str) -> Result<EntryId, HttpError> {
    let tenant = reach::audit(caller)?;
    let nothing = || HttpError::NotFound("there is no such entry in the audit trail".to_owned());
    let entry = EntryId(id.parse().ok().filter(|id: &i64| *id > 0).ok_or_else(nothing)?);
    if api.audit.has(tenant, entry).await? { Ok(entry) } else { Err(nothing()) }
}

impl From<(Recorded, Option<i64>)> for Shown {
    fn from((entry, leaf_index): (Recorded, Option<i64>)) -> Self {
        let Recorded { id, at, tenant, actor, action, subject, detail } = entry;
        Self { id: id.0, at, tenant_id: tenant.map(|tenant| tenant.0), actor, action, subject, detail, leaf_index }
    }
}

impl From<Anchor> for Outside {
    fn from(anchor: Anchor) -> Self {
        Self { tree_size: anchor.size, place: anchor.place, anchored_at: anchor.at, detail: anchor.detail }
    }
}
