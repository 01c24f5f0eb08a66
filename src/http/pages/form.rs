//! Forms: what a page sends back. One that acts is taken only with the token that its session gave it.

use std::{future::Future, pin::Pin};

use actix_web::{FromRequest, HttpRequest, dev::Payload, http::header, web::Data};
use futures_util::StreamExt;
use subtle::ConstantTimeEq;
use url::form_urlencoded;

use super::visitor::{PageError, Visitor, visitor};
use crate::{
    http::{Budget, HttpError, body::Collected, budget::Holder},
    model::plan,
    xapi::Violations,
};

/// Bytes of a form at most.
const LIMIT: usize = 64 << 10;
const TYPE: &str = "application/x-www-form-urlencoded";

/// The fields of a form.
pub struct Form(Vec<(String, String)>);

impl Form {
    /// A field without the space around it; empty when it is not there.
    pub fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value.trim())
    }

    /// Every value of a field that may be there more than once.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|(field, _)| field == name).map(|(_, value)| value.trim()).collect()
    }

    /// A secret is taken as it is.
    pub fn exact(&self, name: &str) -> &str {
        self.0.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value)
    }

    /// The fields of the address, which anybody may have written.
    pub fn of_address(req: &HttpRequest) -> Result<Self, HttpError> {
        Self::of(req.query_string().as_bytes())
    }

    /// The fields of a text that is written as forms are.
    pub fn of(text: &[u8]) -> Result<Self, HttpError> {
        let fields: Vec<(String, String)> = form_urlencoded::parse(text).into_owned().collect();
        if fields.iter().any(|(_, value)| value.contains('\0')) {
            return Err(Violations::whole("page.form", "a field holds the character U+0000, which no text may").into());
        }
        Ok(Self(fields))
    }

    /// The same field, where something stands in it.
    pub fn given(&self, name: &str) -> Option<&str> {
        Some(self.text(name)).filter(|text| !text.is_empty())
    }

    /// Refuses unless the plan is still the one that the page showed.
    pub fn saw(&self, now: &str) -> Result<(), HttpError> {
        plan::must_be_the_one(Some(self.text("digest")), now).map_err(HttpError::Conflict)
    }

    /// Refuses unless somebody typed the word that the page asked for.
    pub fn confirmed(&self, word: &str) -> Result<(), HttpError> {
        if self.text("confirm") == word {
            return Ok(());
        }
        Err(Violations::whole("page.confirm", format!("type {word} to confirm")).into())
    }
}

impl FromRequest for Form {
    type Error = PageError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, PageError>>>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (req, payload) = (req.clone(), payload.take());
        Box::pin(async move { Ok(read(&req, payload, Holder::Stranger).await?) })
    }
}

/// A form that does something, of somebody who signed in and has it from a page of that session.
pub struct Act {
    pub visitor: Visitor,
    pub form: Form,
}

impl FromRequest for Act {
    type Error = PageError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, PageError>>>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (req, payload) = (req.clone(), payload.take());
        Box::pin(async move {
            let visitor = visitor(&req).await?;
            let form = read(&req, payload, Holder::from(&visitor.caller)).await?;
            if !bool::from(form.exact("csrf").as_bytes().ct_eq(visitor.csrf.as_bytes())) {
                let why = "this form is not of a page of your session: load the page again and send it from there";
                return Err(HttpError::Forbidden(why.to_owned()).into());
            }
            Ok(Self { visitor, form })
        })
    }
}

async fn read(req: &HttpRequest, mut payload: Payload, holder: Holder) -> Result<Form, HttpError> {
    let media = req.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !media.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case(TYPE)) {
        return Err(HttpError::MediaType(format!("a form is {TYPE} here")));
    }
    let budget = req.app_data::<Data<Budget>>().ok_or_else(|| HttpError::internal("no budget is set up"))?;
    let mut room = budget.hold(holder);
    let mut body = Collected::new(LIMIT, None)?;
    while let Some(chunk) = payload.next().await {
        body.add(&chunk.map_err(|error| HttpError::payload(&error, LIMIT))?, &mut room)?;
    }
    Form::of(&body.bytes)
}
