//! The way to an OpenTelemetry collector: OTLP over HTTP, protobuf, and what its answers mean.

use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
    resource::v1::Resource,
};
use reqwest::{
    Client, StatusCode, Url,
    header::{CONTENT_TYPE, HeaderMap, HeaderValue},
};

use crate::model::causes;

/// How long a request may take; a collector that is slower is as good as away.
const ANSWER: Duration = Duration::from_secs(10);

const SERVICE: &str = "progress-service";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Where the collector is, and who tells it.
#[derive(Clone)]
pub struct Collector {
    pub client: Client,
    /// Such as `http://localhost:4318`; what it takes lies below.
    pub endpoint: Url,
    pub headers: HeaderMap,
    /// Which of the nodes this one is.
    pub node: String,
}

/// Why something did not arrive, and whether it may help to send it again.
pub(super) struct Failure {
    pub why: String,
    pub may_pass: bool,
}

impl Collector {
    /// Sends once; answers what it said.
    pub(super) async fn post(&self, path: &str, body: Bytes) -> Result<Bytes, Failure> {
        let url = format!("{}/{path}", self.endpoint.as_str().trim_end_matches('/'));
        let request = self.client.post(url).headers(self.headers.clone()).timeout(ANSWER);
        let request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        // The address may hold a secret.
        let away = |error: reqwest::Error| Failure { why: causes::in_one_line(&error.without_url()), may_pass: true };
        let answer = request.body(body).send().await.map_err(away)?;
        match answer.status() {
            status if status.is_success() => answer.bytes().await.map_err(away),
            status => Err(Failure { why: format!("it answers {status}"), may_pass: may_pass(status) }),
        }
    }

    /// Who is speaking.
    pub(super) fn resource(&self) -> Resource {
        resource(&self.node)
    }
}

pub(super) fn resource(node: &str) -> Resource {
    let of = |name, value: &str| attribute(name, Value::StringValue(value.to_owned()));
    let attributes = vec![of("service.name", SERVICE), of("service.version", VERSION), of("service.instance.id", node)];
    Resource { attributes, ..Default::default() }
}

pub(super) fn scope() -> InstrumentationScope {
    InstrumentationScope { name: SERVICE.to_owned(), version: VERSION.to_owned(), ..Default::default() }
}

pub(super) fn attribute(name: &str, value: Value) -> KeyValue {
    KeyValue { key: name.to_owned(), value: Some(AnyValue { value: Some(value) }), ..Default::default() }
}

/// As the protocol has it: whoever is busy or behind something that is down may take it later.
fn may_pass(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 502 | 503 | 504)
}
