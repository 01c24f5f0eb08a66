//! `compat`: the gate that lets contracts and stored formats only be added to. Needs a checkout and no service.
//!
//! The description of the HTTP interface is made by the code; the file of it in the checkout has to be the same.

mod formats;

use std::{path::PathBuf, process::ExitCode};

use clap::Args as ClapArgs;
use serde_json::json;

use super::exit;
use crate::{
    compat::{self, Breach, Finding, Rule},
    http::api::openapi,
};

const OPENAPI: &str = "openapi/v1.json";

#[derive(ClapArgs)]
pub struct Args {
    /// The checkout
    #[arg(long, default_value = ".")]
    root: PathBuf,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    /// When nothing breaks, keep today's contracts as those of this release
    #[arg(long, value_name = "VERSION")]
    release: Option<String>,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let described = serde_json::to_value(openapi::document())?;
    let (releases, mut findings) = compat::check(&args.root)?;
    for (release, samples) in compat::samples(&args.root)? {
        findings.extend(samples.iter().flat_map(|(file, samples)| formats::broken(file, &release, samples)));
    }
    if compat::current(&args.root, OPENAPI)?.is_none_or(|file| file != described) {
        let detail =
            "it is not what the code describes: run `progress-service openapi > schemas/openapi/v1.json`".to_owned();
        let breach = Breach { pointer: String::new(), rule: Rule::Outdated, detail };
        findings.push(Finding { file: OPENAPI.to_owned(), release: "the code".to_owned(), breach });
    }
    tell(args.json, &releases, &findings);
    if !findings.is_empty() {
        return Ok(ExitCode::from(exit::FOUND));
    }
    if let Some(version) = &args.release {
        let files = compat::release(&args.root, version)?;
        if !args.json {
            say!("{} files are kept as those of {version}", files.len());
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn tell(as_json: bool, releases: &[String], findings: &[Finding]) {
    if as_json {
        say!("{}", json!({ "format": 1, "kind": "compat", "releases": releases, "findings": findings }));
        return;
    }
    for finding in findings {
        say!("{finding}");
    }
    let compared = if releases.is_empty() { "no release yet".to_owned() } else { releases.join(", ") };
    say!("compared with {compared}: {} changes that are not additive", findings.len());
}
