//! An endpoint: one method at one path, as the annotation of its handler describes it.

use std::collections::BTreeMap;

use actix_web::{
    HttpRequest, HttpResponse, Route,
    http::{Method, header},
    web::{self, ServiceConfig},
};
use utoipa::openapi::HttpMethod;

use crate::http::{HttpError, Problem};

/// Where a handler answers.
pub struct Endpoint {
    pub method: Method,
    pub path: String,
    route: fn(Method) -> Route,
}

impl Endpoint {
    /// From a handler's description `P`, and a function that routes a method to that handler.
    pub fn of<P: utoipa::Path>(route: fn(Method) -> Route) -> Self {
        let method = match P::methods().first() {
            Some(HttpMethod::Post) => Method::POST,
            Some(HttpMethod::Put) => Method::PUT,
            Some(HttpMethod::Delete) => Method::DELETE,
            _ => Method::GET,
        };
        Self { method, path: P::path(), route }
    }
}

/// Declares the endpoints of one file: their handlers, each with the description that its annotation made.
macro_rules! endpoints {
    ($(#[$about:meta])* $name:ident: $($handler:ident as $description:ident),+ $(,)?) => {
        $(#[$about])*
        #[derive(utoipa::OpenApi)]
        #[openapi(paths($($handler),+))]
        pub struct $name;

        impl $name {
            pub fn endpoints() -> Vec<$crate::http::api::endpoint::Endpoint> {
                vec![$(
                    $crate::http::api::endpoint::Endpoint::of::<$description>(
                        |method| actix_web::web::method(method).to($handler)),
                )+]
            }
        }
    };
}
pub(crate) use endpoints;

/// Mounts the endpoints, one resource for each path. A method that nobody answers there gets 405 with the ones that
/// somebody does; HEAD is answered as GET.
pub fn mount(cfg: &mut ServiceConfig, endpoints: Vec<Endpoint>) {
    let mut paths: BTreeMap<String, Vec<Endpoint>> = BTreeMap::new();
    for endpoint in endpoints {
        paths.entry(endpoint.path.clone()).or_default().push(endpoint);
    }
    for (path, endpoints) in paths {
        let mut resource = web::resource(path);
        let mut allowed: Vec<&str> = Vec::new();
        for endpoint in &endpoints {
            resource = resource.route((endpoint.route)(endpoint.method.clone()));
            allowed.push(match endpoint.method.as_str() {
                "GET" => "GET, HEAD",
                "PUT" => "PUT",
                "DELETE" => "DELETE",
                _ => "POST",
            });
            if endpoint.method == Method::GET {
                resource = resource.route((endpoint.route)(Method::HEAD));
            }
        }
        let allowed = allowed.join(", ");
        cfg.service(resource.default_service(web::to(move || refuse(allowed.clone()))));
    }
}

async fn refuse(allowed: String) -> HttpResponse {
    let mut response = actix_web::ResponseError::error_response(&Problem(HttpError::Method));
    if let Ok(value) = header::HeaderValue::from_str(&allowed) {
        response.headers_mut().insert(header::ALLOW, value);
    }
    response
}

/// What answers where no endpoint is.
pub async fn nowhere(req: HttpRequest) -> HttpResponse {
    let error = HttpError::NotFound("no such resource".to_owned());
    if req.path() == "/api" || req.path().starts_with("/api/") {
        actix_web::ResponseError::error_response(&Problem(error))
    } else {
        actix_web::ResponseError::error_response(&error)
    }
}
