//! The receipt of an erasure, to keep: what was done, and the proof that the audit trail has it.

use actix_web::{
    HttpResponse,
    http::header,
    web::{self, Data, Path, ServiceConfig},
};

use crate::{
    audit::Receipt,
    http::{
        HttpError,
        api::{Api, audit::entries::on_paper, path_id},
        pages::visitor::{PageError, Visitor},
    },
    identity::IdentityError,
    model::TenantId,
    store::{ledger::erasures::Erasure, platform::audit::EntryId},
};

pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/people/erasures/{id}/receipt.json").get(as_json))
        .service(web::resource("/people/erasures/{id}/receipt.pdf").get(as_pdf));
}

async fn receipt(visitor: &Visitor, api: &Api, id: &str) -> Result<(TenantId, Receipt), PageError> {
    let one = found(visitor, api, id).await?;
    let entry = one.audit_id.filter(|_| one.state.is_over()).ok_or_else(|| {
        HttpError::Conflict(format!(
            "the erasure {} is {}: there is a receipt when it is over",
            one.id,
            one.state.name()
        ))
    })?;
    Ok((one.tenant, api.audit.receipt(EntryId(entry)).await?))
}

async fn as_json(visitor: Visitor, api: Data<Api>, id: Path<String>) -> Result<HttpResponse, PageError> {
    let (_, receipt) = receipt(&visitor, &api, &id).await?;
    let name = (header::CONTENT_DISPOSITION, "attachment; filename=\"receipt.json\"");
    Ok(HttpResponse::Ok().insert_header(name).json(receipt))
}

async fn as_pdf(visitor: Visitor, api: Data<Api>, id: Path<String>) -> Result<HttpResponse, PageError> {
    let (tenant, receipt) = receipt(&visitor, &api, &id).await?;
    Ok(on_paper(&api, tenant, receipt).await?)
}

/// The request of this id; another tenant's is for operators, and to everybody else not there.
pub(super) async fn found(visitor: &Visitor, api: &Api, id: &str) -> Result<Erasure, HttpError> {
    visitor.tenant("")?;
    let found = api.erasures.get(path_id(id, "erasure")?).await?;
    let is_theirs = |one: &Erasure| visitor.tenant(&one.tenant.to_string()).is_ok();
    found.filter(is_theirs).ok_or_else(|| IdentityError::NotFound("erasure").into())
}
