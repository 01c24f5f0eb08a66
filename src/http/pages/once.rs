//! A secret that was just made: shown once, in the answer to the act that made it.

use actix_web::HttpResponse;
use askama::Template;

use super::shell::{Shell, answer};
use crate::http::HttpError;

/// What there is to know, and the one thing that nobody is shown again.
#[derive(Template)]
#[template(path = "secret.html", config = "src/http/pages/askama.toml")]
pub struct Once {
    pub shell: Shell,
    pub key: String,
    /// What it is called.
    pub name: &'static str,
    pub secret: String,
    pub facts: Vec<(&'static str, String)>,
    pub back: String,
}

impl Once {
    pub fn answer(&self) -> Result<HttpResponse, HttpError> {
        answer(self)
    }
}
