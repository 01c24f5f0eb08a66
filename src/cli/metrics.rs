//! `metrics`: what each metric under `/metrics` is.

use std::process::ExitCode;

use clap::Subcommand;

use super::print;
use crate::telemetry::Metrics;

#[derive(Subcommand)]
pub enum Command {
    /// Print the documentation of all metrics as Markdown
    Docs,
}

pub fn run(command: &Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Docs => print::text(&Metrics::new()?.markdown()),
    }
    Ok(ExitCode::SUCCESS)
}
