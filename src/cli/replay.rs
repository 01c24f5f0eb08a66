//! `migrations replay`: proves that clean, upgraded and squashed databases are the same.

use std::{path::PathBuf, process::ExitCode};

use clap::Args as ClapArgs;
use serde_json::json;

use super::exit;
use crate::{
    migrate::{
        Module,
        fingerprint::Difference,
        releases::{self, Release},
        replay::{self, Arrival, ReplayReport, Road},
    },
    model::{Ids, Secret},
    store::Endpoint,
};

#[derive(ClapArgs)]
pub struct Args {
    #[command(flatten)]
    scratch: Scratch,
}

/// From where to where, on a server on which databases can be made.
#[derive(ClapArgs)]
pub struct Scratch {
    /// Manifest of the releases to upgrade from, instead of the one in this binary
    #[arg(long)]
    releases: Option<PathBuf>,
    /// URL of a server and a login that may create databases there; absent means the configured owner's
    #[arg(long)]
    server: Option<String>,
}

impl Scratch {
    pub fn releases(&self) -> anyhow::Result<Vec<Release>> {
        Ok(match &self.releases {
            Some(path) => releases::parse(&std::fs::read_to_string(path)?)?,
            None => releases::supported()?,
        })
    }

    /// Walks roads.
    pub async fn walk(&self, roads: &[Road], owner: &Endpoint) -> anyhow::Result<ReplayReport> {
        let server = match &self.server {
            Some(url) => Endpoint { url: Secret::new(url.as_str()), ca_file: owner.ca_file.clone() },
            None => owner.clone(),
        };
        Ok(replay::replay(&server, roads, &Ids::random(), &|road| eprintln!("building: {road}")).await?)
    }
}

/// Runs the proof; exit code 4 when two roads end in different databases.
pub async fn run(args: &Args, json: bool, modules: &[Module], owner: &Endpoint) -> anyhow::Result<ExitCode> {
    let roads = replay::roads(modules, &args.scratch.releases()?)?;
    let report = args.scratch.walk(&roads, owner).await?;
    if json {
        say!("{}", json!({ "format": 1, "kind": "replay", "same": report.same(), "report": report }));
    } else {
        print(&report);
    }
    Ok(if report.same() { ExitCode::SUCCESS } else { ExitCode::from(exit::FOUND) })
}

pub fn print(report: &ReplayReport) {
    say!("clean: {} ({} lines)", report.digest, report.objects);
    for Arrival { road, comparison, .. } in &report.arrivals {
        let order = match comparison.order_only.len() {
            0 => "",
            _ => ", columns in another order",
        };
        say!("{road}: {}{order}", if comparison.same() { "the same" } else { "NOT the same" });
        for difference in &comparison.differences {
            match difference {
                Difference::Left(line) => say!("  only clean: {line}"),
                Difference::Right(line) => say!("  only {road}: {line}"),
            }
        }
    }
}
