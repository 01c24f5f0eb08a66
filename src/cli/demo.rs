//! `demo`: a past to look at and to try things with, and its removal.

mod clear;
mod seed;

use std::{process::ExitCode, time::Duration};

use clap::Subcommand;

use super::beside::{cold, with_database};
use crate::{
    config::Loaded,
    model::partition::Month,
    store::{PoolSettings, Store, StoreSettings},
};

/// Whole months are indexed and whole tables read at once here.
const LONGEST: Duration = Duration::from_hours(12);

#[derive(clap::Args)]
pub struct Args {
    /// Print JSON, one object a line
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make tenants with a past: learners, courses, statements over months, documents, attachments
    #[command(after_help = "Example: progress-service demo seed --tenants 2 --statements 300000 --months 12 --apply\n\
                            Broken off, the same command goes on. No event is told of what is made.")]
    Seed(Wanted),
    /// Remove all that `demo seed` has made; the tenants stay, empty
    Clear {
        /// Remove it; without this only the plan is printed
        #[arg(long)]
        apply: bool,
    },
}

#[derive(clap::Args)]
struct Wanted {
    /// Tenants, named demo-1, demo-2 …
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    tenants: u32,
    /// Statements of all tenants together
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    statements: u64,
    /// Months that they spread over
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=600))]
    months: u32,
    /// The last of these months, such as 2026-03; the month before this one, if not given
    #[arg(long)]
    until: Option<Month>,
    /// The same number makes the same past
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Make it; without this only the plan is printed
    #[arg(long)]
    apply: bool,
}

/// Runs the subcommand over the configured database, which may serve at the same time.
pub async fn run(args: Args, loaded: &Loaded) -> anyhow::Result<ExitCode> {
    with_database(&loaded.config, async |database| {
        let settings = &database.settings;
        let patient = PoolSettings { statement_timeout: LONGEST, ..settings.pool.clone() };
        let store = Store::open(&StoreSettings { pool: patient, ..settings.clone() })?;
        match &args.command {
            Command::Seed(wanted) => seed::run(&cold(store, &loaded.config)?, wanted, args.json).await,
            Command::Clear { apply } => clear::run(&store, *apply, args.json).await,
        }
    })
    .await
}
