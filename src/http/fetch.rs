//! The fetch URL of a launch (cmi5 8.2): a unit POSTs to it once, from whatever origin, and is given its token.
//!
//! What the address carries is the whole proof: no header is read, and nothing that a browser adds by itself counts.

use actix_web::{
    HttpRequest, HttpResponse, ResponseError,
    http::header,
    web::{self, Data, Path, ServiceConfig},
};
use serde_json::json;

use super::HttpError;
use crate::{
    identity::{FetchError, Identity},
    model::Secret,
};

/// Everything below is a fetch URL.
pub const BASE: &str = "/cmi5/fetch";

/// Where units find this service.
#[derive(Clone, Debug, Default)]
pub struct FetchUrls {
    /// Absent: where the LMS has found it.
    public_url: Option<String>,
}

impl FetchUrls {
    pub fn new(public_url: Option<&str>) -> Self {
        Self { public_url: public_url.map(|url| url.trim_end_matches('/').to_owned()) }
    }

    /// The URL that carries this token.
    pub fn of(&self, req: &HttpRequest, token: &Secret) -> String {
        let info = req.connection_info();
        let base = self.public_url.clone().unwrap_or_else(|| format!("{}://{}", info.scheme(), info.host()));
        format!("{base}{BASE}/{}", token.expose())
    }
}

pub fn routes(cfg: &mut ServiceConfig) {
    let place = web::resource(format!("{BASE}/{{token}}"));
    cfg.service(place.route(web::post().to(fetch)).default_service(web::to(refuse)));
}

/// A GET could be answered out of a cache, so there is none.
async fn refuse() -> HttpResponse {
    let mut response = HttpError::Method.error_response();
    response.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static("POST"));
    response
}

/// The token, or an error in the specification's words: both with 200.
async fn fetch(identity: Data<Identity>, token: Path<String>) -> HttpResponse {
    match identity.fetch(&Secret::new(token.into_inner())).await {
        Ok(token) => HttpResponse::Ok().json(json!({ "auth-token": token.expose() })),
        Err(error) => {
            if let FetchError::Failed(why) = &error {
                tracing::error!(error = %why, "a launch's token could not be given");
            }
            HttpResponse::Ok().json(json!({ "error-code": error.code(), "error-text": error.to_string() }))
        }
    }
}
