//! Headers of every answer below a base path: the version of xAPI it speaks, and a content security policy. Also of one that
//! never came to a resource: a service that is not ready, a header that is too large, a preflight.

use std::sync::Arc;

use actix_web::{
    Error,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::header::{self, HeaderValue},
    middleware::Next,
};

use super::{Path, ROUTES, VERSION, rooted};
use crate::{http::edge::is_below, xapi::Version};

/// Where the resources are.
#[derive(Clone, Debug)]
pub struct Bases(Arc<[String]>);

impl Bases {
    pub fn new(bases: &[String]) -> Self {
        Self(bases.iter().map(|base| rooted(base)).collect())
    }

    /// The middleware around everything.
    pub async fn pass(
        self,
        req: ServiceRequest,
        next: Next<impl MessageBody>,
    ) -> Result<ServiceResponse<impl MessageBody>, Error> {
        let version = self.version(&req);
        let mut response = next.call(req).await?;
        if let Some(version) = version {
            let headers = response.headers_mut();
            // What somebody stored never runs here, whatever it calls itself.
            headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox; default-src 'none'"));
            if !headers.contains_key(VERSION) {
                headers.insert(VERSION, HeaderValue::from_static(version.header()));
            }
        }
        Ok(response)
    }

    /// Whether this is an address of xAPI.
    pub fn cover(&self, path: &str) -> bool {
        self.0.iter().any(|base| Path::below(base, path).is_some())
    }

    /// The version of an answer to a request that nobody has read but for its address and headers.
    fn version(&self, req: &ServiceRequest) -> Option<Version> {
        let path = self.0.iter().find_map(|base| Path::below(base, req.path()))?;
        let asked = req.headers().get(VERSION).and_then(|value| Version::negotiate(value.to_str().ok()?));
        Some(path.only.or(asked).unwrap_or(path.asks()))
    }
}

impl Path {
    /// What `path` speaks, if it belongs to the resources at `base`. The root has other tenants too.
    fn below(base: &str, path: &str) -> Option<Self> {
        let rest = path.strip_prefix(base).filter(|_| base.is_empty() || is_below(path, base))?;
        let v2 = rest.strip_prefix("/v2").filter(|_| is_below(rest, "/v2"));
        let at = v2.unwrap_or(rest).trim_end_matches('/');
        let belongs = !base.is_empty() || ROUTES.iter().any(|(route, _)| *route == at);
        belongs.then_some(Self { only: v2.map(|_| Version::V2_0_0) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_speaks_what_its_base_says() {
        let speaks = |base, path| Path::below(base, path).map(|path| path.only);
        for path in ["/xapi", "/xapi/", "/xapi/statements", "/xapi/nothing", "/xapi/v20/about"] {
            assert_eq!(speaks("/xapi", path), Some(None), "{path}");
        }
        for path in ["/xapi/v2", "/xapi/v2/", "/xapi/v2/statements", "/xapi/v2/nothing"] {
            assert_eq!(speaks("/xapi", path), Some(Some(Version::V2_0_0)), "{path}");
        }
        for path in ["/", "/xapis/statements", "/healthz"] {
            assert_eq!(speaks("/xapi", path), None, "{path}");
        }
        assert_eq!(speaks("", "/statements/"), Some(None));
        assert_eq!(speaks("", "/v2/about"), Some(Some(Version::V2_0_0)));
        assert_eq!(speaks("", "/healthz"), None);
    }
}
