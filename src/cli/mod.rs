//! The command line: a file per subcommand. Errors say what to do next; exit codes stand in `docs/operations.md`.

#[macro_use]
mod print;

mod access;
mod archive;
mod audit;
mod backfill;
mod backup;
mod beside;
mod compat;
mod config;
mod courses;
mod credentials;
mod data;
mod db;
mod demo;
mod embedded;
mod emergency;
mod erasure;
mod flags;
mod forward;
mod jobs;
mod metrics;
mod migrations;
mod openapi;
mod partitions;
mod projections;
mod replay;
mod rescheme;
mod residency;
mod retention;
mod rollout;
mod serve;
mod shell;
mod supervisor;
mod system;
mod tenants;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

use crate::{
    config::{ConfigError, Loaded},
    model::causes,
};

/// What the process ends with besides 0 (done) and clap's 2 (wrong usage).
pub mod exit {
    /// The command failed; the message says why.
    pub const FAILED: u8 = 1;
    /// The configuration is not valid.
    pub const CONFIG: u8 = 3;
    /// The command worked and found something that a person should look at.
    pub const FOUND: u8 = 4;
    /// Migrations wait for somebody's word.
    pub const WITHHELD: u8 = 5;
    /// Another migration runner is at work.
    pub const LOCKED: u8 = 6;
    /// The database cannot be reached.
    pub const UNREACHABLE: u8 = 7;
}

#[derive(Parser)]
#[command(name = "progress-service", version, about = "An xAPI Learning Record Store", max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve xAPI and the internal API until a signal comes
    Serve,
    /// Show, check, document and migrate the configuration
    #[command(subcommand)]
    Config(config::Command),
    /// Document the metrics
    #[command(subcommand)]
    Metrics(metrics::Command),
    /// See, check and apply database migrations
    Migrations(migrations::Args),
    /// Look at the database: ping, permissions, checks, indexes
    Db(db::Args),
    /// Carry a plan of changes out, watched, for pilots first, and take it back
    Rollout(rollout::Args),
    /// See and steer what walks through tables beside the running work
    Backfill(backfill::Args),
    /// Look whether the whole is in order
    System(system::Args),
    /// See long work and steer it
    Jobs(jobs::Args),
    /// See the partitions of the ledger, and make those that are missing
    Partitions(partitions::Args),
    /// See the archive, write months into it, bring them back, and look after it
    Archive(archive::Args),
    /// Make backups, verify them, and bring them back
    Backup(Box<backup::Args>),
    /// The short ways back to the last good state
    Emergency(Box<emergency::Args>),
    /// Bring the embedded database to another major version of PostgreSQL, and back
    Embedded(Box<embedded::Args>),
    /// See the audit trail, prove its entries, print receipts, and check all of it
    Audit(audit::Args),
    /// How long what is kept: rules, holds, what goes by them, and what two persons sign
    Retention(Box<retention::Args>),
    /// Erase a person from everything that is kept of a tenant, and see what was done
    Erasure(erasure::Args),
    /// See, check and rebuild attempts, completions and scores
    Projections(projections::Args),
    /// Make tenants with a past to look at and to try things with, and remove them
    Demo(demo::Args),
    /// See and set what is switched on and set per tenant
    Flags(flags::Args),
    /// Create, list, suspend and resume tenants
    Tenants(tenants::Args),
    /// Create, list, rotate and revoke the credentials of a tenant
    Credentials(credentials::Args),
    /// Take a tenant's data out and in, compare and check them; write down everything about a person
    Data(data::Args),
    /// Send a tenant's new statements on to another LRS, and see how far that is
    Forward(forward::Args),
    /// Move a tenant to another cell and back, proven on both sides
    Residency(Box<residency::Args>),
    /// Add and list the structures of a tenant's cmi5 courses
    Courses(courses::Args),
    /// Check that what was released is only added to: events, HTTP interface, stored formats
    Compat(compat::Args),
    /// Print the description of /api/v1 in OpenAPI 3.1
    Openapi,
    /// Print the completions for a shell: bash, zsh, fish, elvish, powershell
    #[command(
        after_help = "Example: progress-service completions bash > ~/.local/share/bash-completion/completions/progress-service"
    )]
    Completions { shell: clap_complete::Shell },
    /// Write a manual page for every command into a folder
    #[command(after_help = "Example: progress-service man ./man && man ./man/progress-service.1")]
    Man { folder: PathBuf },
    /// Print the version
    Version,
}

/// Parses the command line, runs the command and turns its outcome into an exit code.
pub fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Serve => serve::run(),
        Command::Config(command) => config::run(command),
        Command::Metrics(command) => metrics::run(&command),
        Command::Migrations(args) => begin_migrations(args),
        Command::Db(args) => begin_db(args),
        Command::Rollout(args) => begin_rollout(args),
        Command::Backfill(args) => begin_backfill(args),
        Command::System(args) => begin_system(args),
        Command::Jobs(args) => begin_jobs(args),
        Command::Partitions(args) => partitions::run(&args),
        Command::Archive(args) => begin_archive(args),
        Command::Backup(args) => begin_backup(*args),
        Command::Emergency(args) => begin_emergency(*args),
        Command::Embedded(args) => begin_embedded(*args),
        Command::Audit(args) => audit::run(args),
        Command::Retention(args) => begin_retention(*args),
        Command::Erasure(args) => begin_erasure(args),
        Command::Projections(args) => begin_projections(args),
        Command::Demo(args) => begin_demo(args),
        Command::Flags(args) => flags::run(&args),
        Command::Tenants(args) => tenants::run(args),
        Command::Credentials(args) => credentials::run(args),
        Command::Data(args) => begin_data(args),
        Command::Forward(args) => begin_forward(args),
        Command::Residency(args) => begin_residency(*args),
        Command::Courses(args) => courses::run(args),
        Command::Compat(args) => compat::run(&args),
        Command::Openapi => openapi::run(),
        Command::Completions { shell } => Ok(shell::completions::<Cli>(shell)),
        Command::Man { folder } => shell::man::<Cli>(&folder),
        Command::Version => {
            say!("progress-service {}", env!("CARGO_PKG_VERSION"));
            Ok(ExitCode::SUCCESS)
        }
    };
    let code = outcome.unwrap_or_else(|error| {
        eprintln!("error: {}", causes::in_one_line(error.as_ref()));
        let code = if error.is::<ConfigError>() { exit::CONFIG } else { exit::FAILED };
        ExitCode::from(code)
    });
    if print::lost() { ExitCode::from(exit::FAILED) } else { code }
}

fn begin_migrations(args: migrations::Args) -> anyhow::Result<ExitCode> {
    let loaded = begin()?;
    runtime()?.block_on(migrations::run(args, &loaded))
}

fn begin_db(args: db::Args) -> anyhow::Result<ExitCode> {
    let loaded = begin()?;
    runtime()?.block_on(db::run(args, &loaded))
}

fn begin_residency(args: residency::Args) -> anyhow::Result<ExitCode> {
    let loaded = begin()?;
    runtime()?.block_on(residency::run(args, &loaded))
}

fn begin_rollout(args: rollout::Args) -> anyhow::Result<ExitCode> {
    let loaded = begin()?;
    runtime()?.block_on(rollout::run(args, &loaded))
}

fn begin_backfill(args: backfill::Args) -> anyhow::Result<ExitCode> {
    let loaded = begin()?;
    runtime()?.block_on(backfill::run(args, &loaded))
}

fn begin_system(args: system::Args) -> anyhow::Result<ExitCode> {
    let loaded = begin()?;
    runtime()?.block_on(system::run(args, &loaded))
}

fn begin_jobs(args: jobs::Args) -> anyhow::Result<ExitCode> {
    let loaded = begin()?;
    runtime()?.block_on(jobs::run(args, &loaded))
}

fn begin_archive(args: archive::Args) -> anyhow::Result<ExitCode> {
    let loaded = begin()?;
    runtime()?.block_on(archive::run(args, &loaded))
}

fn begin_backup(args: backup::Args) -> anyhow::Result<ExitCode> {
    let loaded = begin()?;
    runtime()?.block_on(Box::pin(backup::run(args, &loaded)))
}

fn begin_emergency(args: emergency::Args) -> anyhow::Result<ExitCode> {
    let loaded = begin()?;
    runtime()?.block_on(Box::pin(emergency::run(args, &loaded)))
}

fn begin_embedded(args: embedded::Args) -> anyhow::Result<ExitCode> {
    let loaded = begin()?;
    runtime()?.block_on(Box::pin(embedded::run(args, &loaded)))
}

fn begin_retention(args: retention::Args) -> anyhow::Result<ExitCode> {
    let loaded = begin()?;
    runtime()?.block_on(retention::run(args, &loaded))
}

fn begin_erasure(args: erasure::Args) -> anyhow::Result<ExitCode> {
    let loaded = begin()?;
    runtime()?.block_on(erasure::run(args, &loaded))
}

fn begin_data(args: data::Args) -> anyhow::Result<ExitCode> {
    let loaded = begin()?;
    runtime()?.block_on(data::run(args, &loaded))
}

fn begin_forward(args: forward::Args) -> anyhow::Result<ExitCode> {
    let loaded = begin()?;
    runtime()?.block_on(forward::run(args, &loaded))
}

fn begin_demo(args: demo::Args) -> anyhow::Result<ExitCode> {
    let loaded = begin()?;
    runtime()?.block_on(demo::run(args, &loaded))
}

fn begin_projections(args: projections::Args) -> anyhow::Result<ExitCode> {
    let loaded = begin()?;
    runtime()?.block_on(projections::run(args, &loaded))
}

/// Loads the configuration and starts logging: how every command begins that does work.
fn begin() -> anyhow::Result<Loaded> {
    let loaded = crate::config::load()?;
    crate::telemetry::logs::init(&loaded.config.service.log, loaded.config.service.log_format)?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    Ok(loaded)
}

/// The main runtime: it drives database connections and background loops; handlers have their own threads.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("main-runtime").build()
}
