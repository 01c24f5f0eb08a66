//! Bodies of `/api/v1`: one JSON object of a bounded size, refused with a problem that says what does not fit.
//!
//! What is read from a body has to be an object with each of its members once: serde by itself would also fill a struct
//! from an array, by the order of its fields.

use std::{future::Future, pin::Pin};

use actix_web::{
    Error, FromRequest, HttpRequest,
    dev::Payload,
    http::header,
    web::{self, Data},
};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::texts::escaped_nul;
use crate::{
    http::{Budget, HttpError, Problem, body::Collected, budget::Holder},
    identity::Caller,
    xapi::{Limits, Violations, json},
};

/// Bytes of a body at most; the largest that make sense are a hundredth of it.
pub const LIMIT: usize = 256 << 10;

/// Characters of what is said about a body that does not fit.
const LONGEST_MESSAGE: usize = 300;

/// Levels of nesting; the deepest that makes sense is an Agent's account.
const DEEPEST: usize = 16;

/// Up to here every whole number has a floating one of its own.
const LARGEST_WHOLE: f64 = 9_007_199_254_740_991.0;

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

/// Bytes of a text of XML at most: a course of several thousand units.
const XML_LIMIT: usize = 4 << 20;

/// A text of XML, taken on the account of a caller who may send one.
pub async fn xml(req: &HttpRequest, payload: web::Payload, caller: &Caller) -> Result<String, Problem> {
    let media = media_type(req).unwrap_or_default();
    if !["application/xml", "text/xml"].contains(&media.as_str()) {
        return Err(HttpError::MediaType(format!("a body is application/xml here, not {media:.80}")).into());
    }
    let body = collected(req, payload.into_inner(), XML_LIMIT, Holder::from(caller)).await?;
    String::from_utf8(body).map_err(|_| refuse("XML is in UTF-8 here"))
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    if let Some(place) = escaped_nul(body) {
        return Err(refuse(&format!("byte {place} begins the character U+0000, which no text may hold")));
    }
    let limits = Limits { depth: DEEPEST, ..Limits::default() };
    let Value::Object(mut members) = json::parse(body, &limits).map_err(HttpError::from)? else {
        return Err(refuse("expected a JSON object"));
    };
    members.values_mut().for_each(make_whole);
    // It repeats names from the body, which may be as long as the body.
    T::deserialize(Value::Object(members)).map_err(|error| refuse(&shortened(error.to_string())))
}

fn refuse(why: &str) -> Problem {
    Violations::whole("api.body", format!("the body does not fit: {why}")).into()
}

fn shortened(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(LONGEST_MESSAGE) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// JSON knows one kind of number: `3.0` and `3e0` are as whole as `3`.
fn make_whole(value: &mut Value) {
    let Value::Number(number) = value else { return };
    if number.is_i64() || number.is_u64() {
        return;
    }
    if let Some(exact) = number.as_f64().filter(|number| number.fract() == 0.0 && number.abs() <= LARGEST_WHOLE) {
        *value = Value::from(exact as i64);
    }
}

/// The whole body, up to `limit` bytes.
async fn collected(req: &HttpRequest, mut payload: Payload, limit: usize, holder: Holder) -> Result<Vec<u8>, Problem> {
    let announced = header_text(req, &header::CONTENT_LENGTH).and_then(|length| length.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(HttpError::TooLarge { what: "the body", limit }.into());
    }
    let budget = req.app_data::<Data<Budget>>().ok_or_else(|| HttpError::internal("no budget is set up"))?;
    let mut room = budget.hold(holder);
    let mut body = Collected::new(limit, None)?;
    while let Some(chunk) = payload.next().await {
        body.add(&chunk.map_err(|error| HttpError::payload(&error, limit))?, &mut room)?;
    }
    Ok(body.bytes)
}

fn header_text<'r>(req: &'r HttpRequest, name: &header::HeaderName) -> Option<&'r str> {
    req.headers().get(name).and_then(|value| value.to_str().ok())
}

/// The media type of the body, without its parameters.
fn media_type(req: &HttpRequest) -> Option<String> {
    let text = header_text(req, &header::CONTENT_TYPE)?.to_ascii_lowercase();
    text.split(';').next().map(|essence| essence.trim().to_owned())
}

async fn bytes(req: &HttpRequest, payload: Payload) -> Result<Vec<u8>, Problem> {
    // Nobody has looked yet who sends it.
    let body = collected(req, payload, LIMIT, Holder::Stranger).await?;
    let media = media_type(req).unwrap_or_else(|| "application/json".to_owned());
    if !body.is_empty() && media != "application/json" && !media.ends_with("+json") {
        return Err(HttpError::MediaType(format!("a body is application/json here, not {media:.80}")).into());
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Order {
        name: Option<String>,
        steps: Option<u64>,
        force: bool,
    }

    fn why(body: &str) -> String {
        match parse::<Order>(body.as_bytes()) {
            Err(Problem(HttpError::Invalid(violations))) => violations.to_string(),
            Err(other) => panic!("{other:?}"),
            Ok(read) => panic!("{body} was read as {read:?}"),
        }
    }

    #[test]
    fn a_body_is_an_object_and_nothing_that_could_be_read_as_one() {
        for body in ["[]", r#"["a", 1, true]"#, "null", "true", "7", r#""a""#] {
            assert!(why(body).contains("expected a JSON object"), "{body}: {}", why(body));
        }
    }

    #[test]
    fn each_member_is_known_stands_once_and_has_a_value_that_fits() {
        for (body, named) in [
            (r#"{"steps": 1, "steps": 2}"#, "steps"),
            (r#"{"name": "a", "colour": "red"}"#, "colour"),
            (r#"{"force": null}"#, "null"),
            (r#"{"force": 1}"#, "boolean"),
            (r#"{"steps": 1.5}"#, "does not fit"),
            (r#"{"steps": -1.0}"#, "does not fit"),
            (r#"{"steps": "1"}"#, "string"),
            (r#"{"steps": 1} {}"#, "nothing more"),
            (r#"{"name": "a\u0000b"}"#, "U+0000"),
            (r#"{"name": [{"a\u0000b": 1}]}"#, "U+0000"),
            (r#"{"name": {"$serde_json::private::RawValue": "x"}}"#, "reserved"),
        ] {
            assert!(why(body).contains(named), "{body}: {}", why(body));
        }
        let long = format!(r#"{{"{}": 1}}"#, "x".repeat(10_000));
        assert!(why(&long).chars().count() < 400);
    }

    #[test]
    fn whole_numbers_are_whole_however_they_are_written() {
        for steps in ["3", "3.0", "3e0", "0.3e1"] {
            let read: Order = parse(format!(r#"{{"steps": {steps}, "name": null}}"#).as_bytes()).unwrap();
            assert_eq!(read, Order { steps: Some(3), ..Order::default() }, "{steps}");
        }
    }
}
