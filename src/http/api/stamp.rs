//! What every answer below `/api` carries: the version it speaks, and a warning where a path is on its way out.

use std::sync::Arc;

use actix_web::{
    Error,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::{
        Uri,
        header::{HeaderMap, HeaderName, HeaderValue},
        uri::PathAndQuery,
    },
    middleware::Next,
};
use chrono::{DateTime, Months};
use prometheus::IntCounterVec;

const VERSION: HeaderName = HeaderName::from_static("x-api-version");
const DEPRECATION: HeaderName = HeaderName::from_static("deprecation");
const SUNSET: HeaderName = HeaderName::from_static("sunset");
const LINK: HeaderName = HeaderName::from_static("link");

/// The version of `/api/v1`: the second number grows with what is added, the first would be another path.
pub const API_VERSION: &str = "1.0";

/// A path that has a new name. Until its end it is answered as the new one, with headers that say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renamed {
    /// Beginning of the old path, whole segments.
    pub old: &'static str,
    pub new: &'static str,
    /// When it was renamed, in seconds of Unix time (RFC 9745).
    pub since: i64,
    /// How many months it stays.
    pub months: u32,
}

/// How long an old name stays unless there is a reason for another time.
pub const MONTHS: u32 = 6;

/// Paths with new names. To rename one: change its endpoint, and let a line stand here until its sunset; the description shows the
/// old name as deprecated by itself.
pub const RENAMED: &[Renamed] = &[
    // A run is begun where runs are: 2026-11-28.
    Renamed {
        old: "/api/v1/admin/migrations/run",
        new: "/api/v1/admin/migrations/runs",
        since: 1_795_824_000,
        months: MONTHS,
    },
];

impl Renamed {
    /// When it goes, as an HTTP date (RFC 8594).
    pub fn sunset(&self) -> Option<String> {
        let gone = DateTime::from_timestamp(self.since, 0)?.checked_add_months(Months::new(self.months))?;
        Some(gone.format("%a, %d %b %Y %H:%M:%S GMT").to_string())
    }

    /// The path as it is called now, if this is its old name.
    fn renew(&self, path: &str) -> Option<String> {
        let rest = path.strip_prefix(self.old)?;
        (rest.is_empty() || rest.starts_with('/')).then(|| format!("{}{rest}", self.new))
    }

    fn warn(&self, headers: &mut HeaderMap, now: &str) {
        let link = format!("<{now}>; rel=\"successor-version\"");
        let sunset = self.sunset().unwrap_or_default();
        for (name, value) in [(DEPRECATION, format!("@{}", self.since)), (SUNSET, sunset), (LINK, link)] {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
    }
}

/// The middleware around everything: `renamed` is [`RENAMED`], but for tests. Who still calls by an old name is counted.
pub async fn pass(
    renamed: Arc<[Renamed]>,
    asked: IntCounterVec,
    mut req: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let path = req.path();
    if !(path == "/api" || path.starts_with("/api/")) {
        return next.call(req).await;
    }
    let found = renamed.iter().find_map(|one| one.renew(path).map(|new| (*one, new)));
    if let Some((_, new)) = &found {
        redirect_inside(&mut req, new);
    }
    let mut response = next.call(req).await?;
    let headers = response.headers_mut();
    headers.insert(VERSION, HeaderValue::from_static(API_VERSION));
    if let Some((renamed, new)) = found {
        renamed.warn(headers, &new);
        asked.with_label_values(&[renamed.old]).inc();
    }
    Ok(response)
}

/// Routes the request as if it had asked for `path`.
fn redirect_inside(req: &mut ServiceRequest, path: &str) {
    let query = req.uri().query().map_or_else(String::new, |query| format!("?{query}"));
    let Ok(target) = PathAndQuery::try_from(format!("{path}{query}")) else { return };
    let mut parts = req.uri().clone().into_parts();
    parts.path_and_query = Some(target);
    if let Ok(uri) = Uri::from_parts(parts) {
        req.match_info_mut().get_mut().update(&uri);
        req.head_mut().uri = uri;
    }
}

#[cfg(test)]
mod tests {
    use actix_web::{App, HttpRequest, HttpResponse, middleware::from_fn, test, web};

    use super::*;

    const OLD: Renamed = Renamed { old: "/api/v1/tries", new: "/api/v1/attempts", since: 1_767_225_600, months: 12 };

    async fn ask(path: &str) -> (u16, HeaderMap, String) {
        let metrics = crate::telemetry::Metrics::new().unwrap();
        let asked = metrics.http.old_names.clone();
        let renamed: Arc<[Renamed]> = Arc::from([OLD]);
        let echo = |req: HttpRequest| async move {
            HttpResponse::Ok().body(format!("{}?{} {}", req.path(), req.query_string(), &req.match_info()["id"]))
        };
        let app = test::init_service(
            App::new()
                .wrap(from_fn(move |req, next| pass(renamed.clone(), asked.clone(), req, next)))
                .route("/api/v1/attempts/{id}", web::get().to(echo)),
        )
        .await;
        let response = test::call_service(&app, test::TestRequest::get().uri(path).to_request()).await;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = String::from_utf8(test::read_body(response).await.to_vec()).unwrap();
        (status, headers, body)
    }

    #[actix_web::test]
    async fn an_old_name_is_answered_as_the_new_one_and_says_when_it_goes() {
        let (status, headers, body) = ask("/api/v1/tries/7%2F8?a=b").await;
        assert_eq!((status, body.as_str()), (200, "/api/v1/attempts/7%2F8?a=b 7%2F8"));
        assert_eq!(headers.get("deprecation").unwrap(), "@1767225600");
        assert_eq!(headers.get("sunset").unwrap(), "Fri, 01 Jan 2027 00:00:00 GMT");
        assert_eq!(headers.get("link").unwrap(), "</api/v1/attempts/7%2F8>; rel=\"successor-version\"");
        assert_eq!(headers.get("x-api-version").unwrap(), API_VERSION);
    }

    #[actix_web::test]
    async fn every_old_name_leads_to_an_endpoint_is_none_and_stays_for_half_a_year() {
        let endpoints = crate::http::api::endpoints();
        for renamed in RENAMED {
            assert!(endpoints.iter().any(|endpoint| endpoint.path == renamed.new), "{} leads nowhere", renamed.old);
            assert!(!endpoints.iter().any(|endpoint| endpoint.path == renamed.old), "{}", renamed.old);
            assert!(renamed.months >= MONTHS, "{}", renamed.old);
        }
        assert_eq!(RENAMED[0].sunset().unwrap(), "Fri, 28 May 2027 00:00:00 GMT");
    }

    #[actix_web::test]
    async fn every_answer_says_its_version_and_only_old_names_warn() {
        for path in ["/api/v1/attempts/7", "/api/v1/nothing", "/api", "/api/v1/triess/7"] {
            let (_, headers, _) = ask(path).await;
            assert_eq!(headers.get("x-api-version").unwrap(), API_VERSION, "{path}");
            assert!(!headers.contains_key("deprecation"), "{path}");
        }
        assert!(!ask("/apiary").await.1.contains_key("x-api-version"));
    }
}
