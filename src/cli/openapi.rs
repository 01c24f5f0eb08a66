//! `openapi`: the description of `/api/v1`, as the service itself gives it. What a release said is kept in
//! `schemas/openapi/`.

use std::process::ExitCode;

use crate::http::api::openapi;

pub fn run() -> anyhow::Result<ExitCode> {
    say!("{}", serde_json::to_string_pretty(&openapi::document())?);
    Ok(ExitCode::SUCCESS)
}
