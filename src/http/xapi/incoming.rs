//! A request as the resources see it: method, parameters and headers, however they were sent.
//!
//! In 1.0.x a browser without PUT and headers may POST a form instead (the alternate request syntax): its fields are
//! then the headers, the parameters and, as `content`, the body.

use std::{collections::HashMap, time::SystemTime};

use actix_web::{
    HttpRequest,
    http::{Method, header},
    web::{Bytes, Payload},
};
use chrono::{DateTime, SubsecRound, Utc};
use futures_util::StreamExt;
use url::form_urlencoded;

use super::{Path, Route, VERSION, Xapi};
use crate::{
    http::{
        HttpError,
        body::{self, Collected},
        budget::{Hold, Holder},
        caller, guard,
    },
    identity::{AuthError, Caller},
    xapi::{Version, Violations},
};

/// Headers that a form field may stand for.
const FORM_HEADERS: [&str; 10] = [
    "authorization",
    "x-experience-api-version",
    "content-type",
    "content-length",
    "if-match",
    "if-none-match",
    "if-modified-since",
    "accept",
    "accept-language",
    "accept-encoding",
];

/// Bytes of a form whose sender is not known.
const STRANGERS_FORM: usize = 256 << 10;

pub(super) struct Incoming {
    pub version: Version,
    /// GET for HEAD too: the server leaves the body out.
    pub method: Method,
    pub given: Vec<(String, String)>,
    pub body: Body,
    /// The path as the client wrote it, without the query: `more` links repeat it.
    pub path: String,
    /// What is held for this request.
    pub hold: Hold,
    headers: HashMap<&'static str, String>,
    /// The caller that a form named before it was read whole, and by which words.
    known: Option<(String, Caller)>,
}

/// A body not read yet, or the one that came in a form.
pub(super) enum Body {
    Stream(Payload),
    Form(Option<String>),
}

/// Bodies are taken as they are: what is packed small may be large, and nobody would know until it is too late.
fn plain(req: &HttpRequest) -> Result<(), HttpError> {
    let encodings = req.headers().get_all(header::CONTENT_ENCODING).filter_map(|value| value.to_str().ok());
    match encodings.flat_map(|value| value.split(',')).map(str::trim).find(|one| !one.eq_ignore_ascii_case("identity"))
    {
        Some(encoding) => {
            Err(HttpError::MediaType(format!("the body must not be encoded: Content-Encoding is {encoding:.40}")))
        }
        None => Ok(()),
    }
}

impl Incoming {
    pub async fn read(
        route: Route,
        path: Path,
        req: &HttpRequest,
        body: Payload,
        xapi: &Xapi,
    ) -> Result<Self, HttpError> {
        plain(req)?;
        let method = if req.method() == Method::HEAD { Method::GET } else { req.method().clone() };
        let mut incoming = Self {
            version: path.asks(),
            method,
            given: parameters(req.query_string())?,
            body: Body::Stream(body),
            path: req.path().to_owned(),
            hold: xapi.budget.hold(Holder::Stranger),
            headers: headers(req)?,
            known: None,
        };
        if incoming.given.iter().any(|(name, _)| name == "method") {
            incoming.unfold(path, req, xapi).await?;
        }
        incoming.version = match incoming.header("x-experience-api-version") {
            Some(text) => negotiate(text, path)?,
            None if route == Route::About => path.asks(),
            None => {
                let wanted = path.asks();
                let message = format!("the header X-Experience-API-Version is missing; send {wanted}");
                return Err(Violations::whole("header.version", message).into());
            }
        };
        Ok(incoming)
    }

    /// Turns the alternate request syntax into the request it stands for.
    async fn unfold(&mut self, path: Path, req: &HttpRequest, xapi: &Xapi) -> Result<(), HttpError> {
        let refuse = |message: &str| HttpError::from(Violations::whole("alternate.syntax", message));
        let gone = "the parameter method belongs to the alternate request syntax, which 2.0 does not have";
        if path.only == Some(Version::V2_0_0) || self.speaks_2() {
            return Err(refuse(gone));
        }
        if self.method != Method::POST {
            return Err(refuse("the alternate request syntax is a POST"));
        }
        let [(_, method)] = self.given.as_slice() else {
            return Err(refuse("method must be the only parameter; all others go into the form"));
        };
        self.method = match method.as_str() {
            "GET" | "HEAD" => Method::GET,
            "PUT" => Method::PUT,
            "POST" => Method::POST,
            "DELETE" => Method::DELETE,
            _ => return Err(refuse("method must be GET, HEAD, PUT, POST or DELETE")),
        };
        if !self.content_type().starts_with("application/x-www-form-urlencoded") {
            return Err(refuse("the form must be of type application/x-www-form-urlencoded"));
        }
        let fields = self.fields(req, xapi).await?;
        if fields.is_empty() {
            return Err(refuse("the form is empty"));
        }
        self.given.clear();
        self.headers.remove("content-type");
        let mut content = None;
        for (name, value) in fields {
            let lower = name.to_ascii_lowercase();
            if name == "content" {
                content = Some(value);
            } else if let Some(header) = FORM_HEADERS.into_iter().find(|header| *header == lower) {
                self.headers.insert(header, value);
            } else {
                self.given.push((name, value));
            }
        }
        if self.speaks_2() {
            return Err(refuse(gone));
        }
        let has_body = matches!(self.method, Method::PUT | Method::POST);
        if has_body && content.is_none() {
            return Err(refuse("the form has no field content"));
        }
        self.headers.entry("content-type").or_insert_with(|| "application/json".to_owned());
        self.hold.shrink_to(content.as_ref().map_or(0, String::len));
        self.body = Body::Form(content);
        Ok(())
    }

    /// Whether the version is known by now, and is 2.0: a form may name it only in one of its fields.
    fn speaks_2(&self) -> bool {
        self.header("x-experience-api-version").and_then(Version::negotiate) == Some(Version::V2_0_0)
    }

    /// The fields of a form. It may say only at its end who sends it, so a stranger's is read as far as
    /// [`STRANGERS_FORM`]: a larger one must have said it by then, in the form or in a header.
    async fn fields(&mut self, req: &HttpRequest, xapi: &Xapi) -> Result<Vec<(String, String)>, HttpError> {
        let limit = xapi.limits.body_bytes;
        if let Some(authorization) = self.header("authorization").map(str::to_owned) {
            self.know(req, authorization).await?;
        }
        // What a stranger announces takes no room before it is there.
        let announced = self.announced().filter(|length| self.known.is_some() || *length > limit);
        let mut form = Collected::new(limit, announced)?;
        let Body::Stream(mut stream) = std::mem::replace(&mut self.body, Body::Form(None)) else {
            return Ok(Vec::new());
        };
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(|error| HttpError::payload(&error, limit))?;
            if self.known.is_none() && form.bytes.len() + chunk.len() > STRANGERS_FORM {
                let what = "a form that does not say in its beginning who sends it";
                let authorization = authorization_within(&form.bytes);
                let authorization = authorization.ok_or(HttpError::TooLarge { what, limit: STRANGERS_FORM })?;
                self.know(req, authorization).await?;
            }
            form.add(&chunk, &mut self.hold)?;
        }
        // Decoded, the fields are as long once more.
        self.hold.grow(form.bytes.len())?;
        let (tenant, size) = (self.known.as_ref().map(|(_, caller)| caller.tenant), form.bytes.len());
        match tenant {
            Some(tenant) => xapi.work.sized(tenant, size, move || decode(&form.bytes)).await?,
            None => decode(&form.bytes),
        }
    }

    /// Finds out who sends this, before more of it is read.
    async fn know(&mut self, req: &HttpRequest, authorization: String) -> Result<(), HttpError> {
        let caller = caller::identify(req, &authorization).await?;
        self.hold.pass_to(Holder::from(&caller));
        self.known = Some((authorization, caller));
        Ok(())
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The content type in lower case, parameters included; empty if absent.
    pub fn content_type(&self) -> String {
        self.header("content-type").unwrap_or_default().trim().to_ascii_lowercase()
    }

    /// The length the body says it has.
    pub fn announced(&self) -> Option<usize> {
        self.header("content-length")?.parse().ok()
    }

    /// Whether what was last modified then is what the client says it has.
    pub fn has_since(&self, modified: DateTime<Utc>) -> bool {
        let since = self.header("if-modified-since").and_then(|date| date.parse::<header::HttpDate>().ok());
        // An ETag knows better than a date with whole seconds.
        self.header("if-none-match").is_none()
            && since.is_some_and(|since| DateTime::<Utc>::from(SystemTime::from(since)) >= modified.trunc_subsecs(0))
    }

    /// Who is asking. From now on what is held is held on their account.
    pub async fn caller(&mut self, req: &HttpRequest) -> Result<Caller, HttpError> {
        let authorization = self.header("authorization").ok_or(AuthError::Missing)?.to_owned();
        if self.known.as_ref().is_none_or(|(known, _)| *known != authorization) {
            self.know(req, authorization).await?;
        }
        self.known.take().map(|(_, caller)| caller).ok_or_else(|| AuthError::Missing.into())
    }

    /// The whole body, refused as soon as it is seen to be larger than `limit`.
    pub async fn take_body(&mut self, limit: usize) -> Result<Bytes, HttpError> {
        match std::mem::replace(&mut self.body, Body::Form(None)) {
            Body::Form(content) => {
                let content = content.unwrap_or_default();
                if content.len() > limit { Err(body::too_large(limit)) } else { Ok(content.into()) }
            }
            Body::Stream(mut stream) => {
                let mut body = Collected::new(limit, self.announced())?;
                while let Some(chunk) = stream.next().await {
                    body.add(&chunk.map_err(|error| HttpError::payload(&error, limit))?, &mut self.hold)?;
                }
                Ok(body.bytes.into())
            }
        }
    }
}

/// The `Authorization` among the whole fields of a form's beginning.
fn authorization_within(form: &[u8]) -> Option<String> {
    let end = form.iter().rposition(|byte| *byte == b'&')?;
    let mut fields = form_urlencoded::parse(&form[..end]);
    fields.find(|(name, _)| name.eq_ignore_ascii_case("authorization")).map(|(_, value)| value.into_owned())
}

fn decode(form: &[u8]) -> Result<Vec<(String, String)>, HttpError> {
    let form = std::str::from_utf8(form).map_err(|_| Violations::whole("alternate.syntax", "the form is not UTF-8"))?;
    parameters(form)
}

fn negotiate(text: &str, path: Path) -> Result<Version, HttpError> {
    let refuse = |message: String| HttpError::from(Violations::whole("header.version", message));
    match (Version::negotiate(text), path.only) {
        (Some(version), None) => Ok(version),
        (Some(version), Some(only)) if version == only => Ok(version),
        (_, Some(only)) => Err(refuse(format!("this path speaks version {only} only"))),
        (None, None) => Err(refuse("the version is not one of 1.0.x and 2.0.x".to_owned())),
    }
}

/// Decoded parameters. A `+` is a space here, as in every form.
fn parameters(encoded: &str) -> Result<Vec<(String, String)>, HttpError> {
    let given: Vec<(String, String)> = form_urlencoded::parse(encoded.as_bytes())
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    // The decoder puts U+FFFD where bytes were no UTF-8; whoever means that character may escape it properly.
    let escaped = |encoded: &str| encoded.as_bytes().windows(9).any(|nine| nine.eq_ignore_ascii_case(b"%EF%BF%BD"));
    let broken = |text: &str| text.contains('\u{FFFD}') && !escaped(encoded);
    match given.iter().find(|(name, value)| broken(name) || broken(value)) {
        Some((name, _)) => {
            let message = format!("the parameter {name:.80} is not UTF-8");
            Err(Violations::whole("query.utf8", message).into())
        }
        None => Ok(given),
    }
}

/// Headers that say what a request means: without them it would mean something else.
const MEANT: [&str; 5] = ["x-experience-api-version", "content-type", "if-match", "if-none-match", "if-modified-since"];

/// The headers that matter, by lower-case name; repeated ones joined as the protocol allows. Credentials that a browser
/// may have added by itself are left out.
fn headers(req: &HttpRequest) -> Result<HashMap<&'static str, String>, HttpError> {
    let wanted = [
        header::AUTHORIZATION,
        VERSION,
        header::CONTENT_TYPE,
        header::CONTENT_LENGTH,
        header::IF_MATCH,
        header::IF_NONE_MATCH,
        header::IF_MODIFIED_SINCE,
        header::ACCEPT_LANGUAGE,
    ];
    let mut headers = HashMap::new();
    for name in FORM_HEADERS.into_iter().filter(|name| wanted.iter().any(|wanted| wanted.as_str() == *name)) {
        if MEANT.contains(&name) && req.headers().get_all(name).any(|value| value.to_str().is_err()) {
            return Err(Violations::whole("header.text", format!("the header {name} is not visible ASCII")).into());
        }
        if name == "authorization" && guard::is_unproved(req) {
            continue;
        }
        let values: Vec<&str> = req.headers().get_all(name).filter_map(|value| value.to_str().ok()).collect();
        if !values.is_empty() {
            headers.insert(name, values.join(", "));
        }
    }
    Ok(headers)
}
