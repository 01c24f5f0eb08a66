//! What pages of other origins may do: call us with an `Authorization` header they hold, and read our own headers. Pages of
//! origins that are listed by name may also let the browser add the credentials it remembers (`withCredentials`).
//!
//! Preflights are answered here, before routes, redirects and authentication. Cookies are never involved.

use std::sync::Arc;

use actix_cors::Cors;
use actix_web::{
    Error,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::header::{self, HeaderValue},
    middleware::Next,
};

/// Headers a page may read beside the few that browsers always show.
const EXPOSED: [&str; 13] = [
    "ETag",
    "Last-Modified",
    "Location",
    "Retry-After",
    "WWW-Authenticate",
    "X-Experience-API-Version",
    "X-Experience-API-Consistent-Through",
    "X-Progress-Archived",
    "X-API-Version",
    "X-Request-Id",
    "Content-Disposition",
    "Deprecation",
    "Sunset",
];
const PREFLIGHT_SECONDS: usize = 7_200;

/// The middleware for these origins; `*` among them means any.
pub fn middleware(origins: &[String]) -> Cors {
    let cors = Cors::default().allow_any_method().allow_any_header().expose_headers(EXPOSED).max_age(PREFLIGHT_SECONDS);
    if origins.iter().any(|origin| origin == "*") {
        return cors.allow_any_origin().send_wildcard();
    }
    origins.iter().fold(cors, |cors, origin| cors.allowed_origin(origin))
}

/// Whether the operator named this origin. `*` lets pages in and names nobody.
pub fn is_listed(origins: &[String], origin: &str) -> bool {
    origins.iter().any(|listed| listed != "*" && listed == origin)
}

/// The middleware around [`middleware()`]: what a listed origin is answered is said to that origin, with credentials.
pub async fn trust_listed(
    origins: Arc<[String]>,
    req: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let origin = req.headers().get(header::ORIGIN).cloned();
    let mut response = next.call(req).await?;
    if let Some(origin) = origin.filter(|origin| origin.to_str().is_ok_and(|text| is_listed(&origins, text))) {
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use actix_web::{
        App, HttpResponse,
        body::MessageBody,
        dev::ServiceResponse,
        http::{Method, StatusCode, header::HeaderMap},
        middleware::{NormalizePath, TrailingSlash, from_fn},
        test::{TestRequest, call_service, init_service},
        web,
    };

    use super::*;

    async fn call(origins: &[&str], request: TestRequest) -> ServiceResponse<impl MessageBody> {
        let origins: Vec<String> = origins.iter().map(|origin| (*origin).to_owned()).collect();
        let app = App::new()
            .wrap(NormalizePath::new(TrailingSlash::Trim))
            .wrap(middleware(&origins))
            .wrap(from_fn(move |req, next| trust_listed(Arc::from(origins.clone()), req, next)))
            .route("/xapi/statements", web::get().to(HttpResponse::Unauthorized));
        call_service(&init_service(app).await, request.to_request()).await
    }

    fn preflight(path: &str, origin: &str) -> TestRequest {
        TestRequest::default()
            .method(Method::OPTIONS)
            .uri(path)
            .insert_header(("Origin", origin))
            .insert_header(("Access-Control-Request-Method", "PUT"))
            .insert_header(("Access-Control-Request-Headers", "authorization,x-experience-api-version,if-match"))
    }

    fn text<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
        headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[actix_web::test]
    async fn a_preflight_is_answered_on_every_path_without_redirect_or_credentials() {
        for path in ["/xapi/statements", "/xapi/statements/", "/xapi/v2/activities/state", "/data/xAPI//about"] {
            let response = call(&["*"], preflight(path, "https://course.example")).await;
            assert_eq!(response.status(), StatusCode::OK, "{path}");
            let headers = response.headers();
            assert_eq!(text(headers, "access-control-allow-origin"), "*");
            assert!(text(headers, "access-control-allow-methods").contains("PUT"));
            let allowed = text(headers, "access-control-allow-headers").to_ascii_lowercase();
            for name in ["authorization", "x-experience-api-version", "if-match"] {
                assert!(allowed.contains(name), "{allowed}");
            }
            assert!(!headers.contains_key("access-control-allow-credentials"));
        }
    }

    #[actix_web::test]
    async fn refusals_too_can_be_read_by_the_page_that_got_them() {
        let request = TestRequest::get().uri("/xapi/statements").insert_header(("Origin", "https://course.example"));
        let response = call(&["*"], request).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(text(response.headers(), "access-control-allow-origin"), "*");
        let exposed = text(response.headers(), "access-control-expose-headers").to_ascii_lowercase();
        for name in ["etag", "last-modified", "x-experience-api-consistent-through", "retry-after"] {
            assert!(exposed.contains(name), "{exposed}");
        }
    }

    #[actix_web::test]
    async fn an_allow_list_lets_in_only_its_origins() {
        let list = ["https://a.example", "https://b.example"];
        let response = call(&list, preflight("/xapi/statements", "https://b.example")).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(text(response.headers(), "access-control-allow-origin"), "https://b.example");
        assert!(text(response.headers(), "vary").contains("Origin"));
        for stranger in ["https://c.example", "https://a.example.evil", "null"] {
            let response = call(&list, preflight("/xapi/statements", stranger)).await;
            assert!(!response.headers().contains_key("access-control-allow-origin"), "{stranger}");
        }
    }

    #[actix_web::test]
    async fn credentials_are_for_origins_that_are_named_and_never_for_a_star() {
        let said = |headers: &HeaderMap| {
            let text = |name| text(headers, name).to_owned();
            (text("access-control-allow-origin"), text("access-control-allow-credentials"))
        };
        let named = "https://lms.example";
        for (list, origin, allowed, credentials) in [
            (&["*"][..], named, "*", ""),
            (&["*", named], named, named, "true"),
            (&["*", named], "https://course.example", "*", ""),
            (&["*", named], "null", "*", ""),
            (&[named], named, named, "true"),
            (&[named], "https://lms.example.evil", "", ""),
            (&[named], "https://LMS.example", "", ""),
        ] {
            let get = TestRequest::get().uri("/xapi/statements").insert_header(("Origin", origin));
            for request in [preflight("/xapi/statements", origin), get] {
                let response = call(list, request).await;
                assert_eq!(said(response.headers()), (allowed.to_owned(), credentials.to_owned()), "{list:?} {origin}");
                assert!(text(response.headers(), "vary").contains("Origin") || allowed.is_empty(), "{list:?} {origin}");
                // With credentials a browser takes no star in these either.
                for name in
                    ["access-control-allow-headers", "access-control-allow-methods", "access-control-expose-headers"]
                {
                    assert_ne!(text(response.headers(), name), "*");
                }
            }
        }
        let list = [named];
        let plain = call(&list, TestRequest::get().uri("/xapi/statements")).await;
        assert_eq!(said(plain.headers()), (String::new(), String::new()), "no browser, no header");
    }
}
