//! Bodies of `/api/v1`: JSON of a bounded size, refused with a problem that says what does not fit.

use std::{future::Future, pin::Pin};

use actix_web::{Error, FromRequest, HttpRequest, dev::Payload, http::header};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;

use super::texts::escaped_nul;
use crate::{
    http::{HttpError, Problem},
    xapi::Violations,
};

/// Bytes of a body at most; the largest that make sense are a hundredth of it.
pub const LIMIT: usize = 256 << 10;

/// Characters of what is said about a body that does not fit.
const LONGEST_MESSAGE: usize = 300;

/// A body that had to be there.
pub struct JsonBody<T>(pub T);

/// A body that may be left out.
pub struct OptionalBody<T>(pub Option<T>);

type Reading<T> = Pin<Box<dyn Future<Output = Result<T, Error>>>>;

impl<T: DeserializeOwned + 'static> FromRequest for JsonBody<T> {
    type Error = Error;
    type Future = Reading<Self>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (req, payload) = (req.clone(), payload.take());
        Box::pin(async move { Ok(Self(parse(&bytes(&req, payload).await?)?)) })
    }
}

impl<T: DeserializeOwned + 'static> FromRequest for OptionalBody<T> {
    type Error = Error;
    type Future = Reading<Self>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (req, payload) = (req.clone(), payload.take());
        Box::pin(async move {
            let bytes = bytes(&req, payload).await?;
            Ok(Self(if bytes.trim_ascii().is_empty() { None } else { Some(parse(&bytes)?) }))
        })
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    if let Some(place) = escaped_nul(body) {
        let message =
            format!("the body does not fit: byte {place} begins the character U+0000, which no text may hold");
        return Err(Violations::whole("api.body", message).into());
    }
    serde_json::from_slice(body).map_err(|error| {
        // It repeats names from the body, which may be as long as the body.
        let (what, line, column) = (error.to_string(), error.line(), error.column());
        let what = match what.char_indices().nth(LONGEST_MESSAGE) {
            Some((end, _)) => format!("{}… at line {line} column {column}", &what[..end]),
            None => what,
        };
        Violations::whole("api.body", format!("the body does not fit: {what}")).into()
    })
}

async fn bytes(req: &HttpRequest, mut payload: Payload) -> Result<Vec<u8>, Problem> {
    let text = |name: header::HeaderName| req.headers().get(name).and_then(|value| value.to_str().ok());
    let announced = text(header::CONTENT_LENGTH).and_then(|length| length.parse::<usize>().ok());
    if announced.is_some_and(|length| length > LIMIT) {
        return Err(HttpError::TooLarge { what: "the body", limit: LIMIT }.into());
    }
    let mut body = Vec::with_capacity(announced.unwrap_or(0));
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| HttpError::payload(&error, LIMIT))?;
        if body.len() + chunk.len() > LIMIT {
            return Err(HttpError::TooLarge { what: "the body", limit: LIMIT }.into());
        }
        body.extend_from_slice(&chunk);
    }
    let media = text(header::CONTENT_TYPE).unwrap_or("application/json").to_ascii_lowercase();
    let media = media.split(';').next().unwrap_or_default().trim().to_owned();
    if !body.is_empty() && media != "application/json" && !media.ends_with("+json") {
        return Err(HttpError::MediaType(format!("a body is application/json here, not {media:.80}")).into());
    }
    Ok(body)
}
