//! The log as C2SP tlog-tiles lays it out, below `/api/v1/audit/log`: `checkpoint`, `tile/L/N[.p/W]`, `tile/entries/N[.p/W]`. What lies
//! there says nothing of anybody: commitments and their hashes.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{self, Data, Path, ServiceConfig},
};

use crate::{
    audit::{AuditError, tiles::Tile},
    http::{HttpError, Problem, api::Api, caller::Caller},
    identity::reach,
};

const ROOT: &str = "/api/v1/audit/log/{path:.*}";

pub fn mount(cfg: &mut ServiceConfig) {
    cfg.service(web::resource(ROOT).route(web::get().to(read)).route(web::head().to(read)));
}

async fn read(caller: Caller, api: Data<Api>, path: Path<String>, req: HttpRequest) -> Result<HttpResponse, Problem> {
    reach::audit(&caller)?;
    super::super::query::Parameters::read(req.query_string(), &[])?;
    if path.as_str() == "checkpoint" {
        let checkpoint = api.audit.checkpoint().await?.ok_or(AuditError::NotSigned)?;
        return Ok(HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(checkpoint.note));
    }
    let nothing = || HttpError::NotFound("the log has no such tile: see checkpoint for how far it goes".to_owned());
    let tile = Tile::read(&path).ok_or_else(nothing)?;
    let bytes = api.audit.tile(&tile).await?.ok_or_else(nothing)?;
    Ok(HttpResponse::Ok().content_type("application/octet-stream").body(bytes))
}
