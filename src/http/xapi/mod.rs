//! The xAPI surface: every resource of 1.0.3 and 2.0 on the same handlers, told apart by the version of the request.

mod documents;
mod incoming;
mod lookups;
mod multipart;
mod received;
mod session;
pub mod stamp;
mod statements_read;
mod statements_write;
mod stream;

pub(in crate::http) use self::statements_read::sight;
use std::time::Duration;

use actix_web::{
    HttpRequest, HttpResponse, ResponseError,
    http::{
        Method, StatusCode,
        header::{self, HeaderName, HeaderValue},
    },
    web::{self, Data, Payload, ServiceConfig},
};

use self::incoming::Incoming;
use super::{Budget, HttpError, Work, guard};
use crate::{
    flags::{self, Flags},
    ingest::Ingest,
    model::{Clock, Ids, TenantId},
    query::Reader,
    store::Store,
    telemetry::Traces,
    trail::Trail,
    xapi::{Limits, Version, query::Resource},
};

const VERSION: HeaderName = HeaderName::from_static("x-experience-api-version");
const CONSISTENT_THROUGH: HeaderName = HeaderName::from_static("x-experience-api-consistent-through");
/// How many of the statements of an answer came out of archived months.
pub const ARCHIVED: HeaderName = HeaderName::from_static("x-progress-archived");

/// When to come again where an operator has switched something off.
const SWITCHED_OFF: Duration = Duration::from_secs(30);

/// What the handlers work with.
pub struct Xapi {
    pub ingest: Ingest,
    pub reader: Reader,
    pub store: Store,
    /// Queries that name an agent leave their entry here.
    pub trail: Trail,
    pub limits: Limits,
    /// Statements on a page when the client names no limit.
    pub page_default: usize,
    pub clock: Clock,
    pub ids: Ids,
    pub budget: Budget,
    pub work: Work,
    /// What is set for the caller's tenant.
    pub flags: Flags,
    pub traces: Traces,
}

/// The resources, by their place under the base path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    Statements,
    Documents(Resource),
    Activities,
    Agents,
    About,
}

impl Route {
    /// The methods of the resource, as `Allow` lists them.
    fn methods(self) -> &'static str {
        match self {
            Self::Statements => "GET, HEAD, PUT, POST",
            Self::Documents(_) => "GET, HEAD, PUT, POST, DELETE",
            Self::Activities | Self::Agents | Self::About => "GET, HEAD",
        }
    }
}

const ROUTES: [(&str, Route); 7] = [
    ("/statements", Route::Statements),
    ("/activities/state", Route::Documents(Resource::State)),
    ("/activities/profile", Route::Documents(Resource::ActivityProfile)),
    ("/agents/profile", Route::Documents(Resource::AgentProfile)),
    ("/activities", Route::Activities),
    ("/agents", Route::Agents),
    ("/about", Route::About),
];

/// The version that a path speaks: `/v2` below a base speaks 2.0 only, the base itself negotiates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Path {
    only: Option<Version>,
}

impl Path {
    /// The version in which a request that cannot be understood is refused.
    fn asks(self) -> Version {
        self.only.unwrap_or(Version::V1_0_3)
    }
}

/// Registers every resource under each of the base paths.
pub fn routes(xapi: Data<Xapi>, bases: &[String]) -> impl Fn(&mut ServiceConfig) + Clone + Send + use<> {
    let bases = bases.to_vec();
    move |cfg| {
        cfg.app_data(xapi.clone());
        for base in &bases {
            let base = rooted(base);
            for (suffix, only) in [("/v2", Some(Version::V2_0_0)), ("", None)] {
                for (at, route) in ROUTES {
                    let route = web::route().to(move |req: HttpRequest, body: Payload, xapi: Data<Xapi>| async move {
                        handle(route, Path { only }, &req, body, &xapi).await
                    });
                    cfg.service(web::resource(format!("{base}{suffix}{at}")).route(route));
                }
                let at = format!("{base}{suffix}");
                if !at.is_empty() {
                    let nothing = web::resource([at.clone(), format!("{at}/{{nothing:.*}}")]);
                    cfg.service(nothing.route(web::route().to(nothing_here)));
                }
            }
        }
    }
}

/// A base path as requests begin with it: `/xapi`, or nothing where the resources stand at the root.
fn rooted(base: &str) -> String {
    match base.trim_matches('/') {
        "" => String::new(),
        base => format!("/{base}"),
    }
}

/// What answers below a base where no resource is.
async fn nothing_here() -> HttpResponse {
    HttpError::NotFound("no such resource".to_owned()).error_response()
}

async fn handle(route: Route, path: Path, req: &HttpRequest, body: Payload, xapi: &Xapi) -> HttpResponse {
    let mut version = path.asks();
    let result = if req.method() == Method::OPTIONS {
        Ok(HttpResponse::NoContent().insert_header((header::ALLOW, route.methods())).finish())
    } else {
        match Incoming::read(route, path, req, body, xapi).await {
            Ok(incoming) => {
                version = incoming.version;
                answer(route, incoming, req, xapi).await
            }
            Err(error) => Err(error),
        }
    };
    let mut response = result.unwrap_or_else(|error| error.error_response());
    if response.status() == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(route.methods()));
    }
    response.headers_mut().insert(VERSION, HeaderValue::from_static(version.header()));
    if route == Route::Statements && !response.headers().contains_key(CONSISTENT_THROUGH) {
        // Before the caller is known nothing is asked for a stranger, and "now" would be a lie while others write.
        stamp(&mut response, xapi.reader.known_through());
    }
    response
}

async fn answer(
    route: Route,
    mut incoming: Incoming,
    req: &HttpRequest,
    xapi: &Xapi,
) -> Result<HttpResponse, HttpError> {
    if route == Route::About {
        return lookups::about(&incoming, xapi);
    }
    let caller = match incoming.caller(req).await {
        Err(HttpError::Unauthorized(_)) if guard::is_unproved(req) => return Err(guard::refusal()),
        caller => caller?,
    };
    require_switched_on(&incoming.method, caller.tenant, xapi)?;
    session::require_open(route, &incoming.method, &caller, xapi).await?;
    match (route, &incoming.method) {
        (Route::Statements, &Method::GET) => Ok(statements_read::get(&incoming, &caller, xapi).await),
        (Route::Statements, &Method::PUT) => statements_write::put(incoming, &caller, req, xapi).await,
        (Route::Statements, &Method::POST) => statements_write::post(incoming, &caller, req, xapi).await,
        (Route::Documents(resource), _) => documents::handle(resource, incoming, &caller, xapi).await,
        (Route::Activities, &Method::GET) => lookups::activity(&incoming, &caller, xapi).await,
        (Route::Agents, &Method::GET) => lookups::agent(&incoming, &caller, xapi).await,
        _ => Err(HttpError::Method),
    }
}

/// What an operator has switched off for the tenant comes again later.
fn require_switched_on(method: &Method, tenant: TenantId, xapi: &Xapi) -> Result<(), HttpError> {
    let (flag, what) = match *method {
        Method::GET | Method::HEAD => (&flags::declared::READS, "reading"),
        _ => (&flags::declared::WRITES, "writing"),
    };
    if xapi.flags.is_on(tenant, flag) {
        return Ok(());
    }
    let why = format!("{what} is switched off for this tenant just now ({})", flag.name);
    Err(HttpError::Unavailable { why, retry_after: SWITCHED_OFF })
}

fn stamp(response: &mut HttpResponse, through: chrono::DateTime<chrono::Utc>) {
    let text = through.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    if let Ok(value) = HeaderValue::from_str(&text) {
        response.headers_mut().insert(CONSISTENT_THROUGH, value);
    }
}

/// A time as `Last-Modified` wants it.
fn http_date(moment: chrono::DateTime<chrono::Utc>) -> String {
    moment.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
