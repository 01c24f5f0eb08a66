//! `data`: a tenant's data out and in, what differs, and everything about a person.

mod compare;
mod export;
mod follow;
mod foreign;
mod import;
mod lrsql;
mod pull;
mod subject;
mod validate;

use std::{process::ExitCode, time::Duration};

use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};

use super::beside::{cold, with_database};
use crate::{
    cold::Cold,
    config::Loaded,
    identity::Identity,
    model::{Clock, Ids},
    query::Reader,
    store::{PoolSettings, Store, StoreSettings},
    transfer::past_documents::Documents,
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
    /// Write what belongs to a tenant into a folder or a zip; with --user, everything about a person into a zip
    #[command(after_help = "Example: progress-service data export --tenant acme --output ./acme\n\
                            Broken off, the same command goes on. Statements are looked at up to when it began.")]
    Export(export::Args),
    /// Look at an export, and take it in
    #[command(after_help = "Example: progress-service data import --file ./acme --dry-run\n\
                            Broken off, the same command goes on: what is there is skipped.")]
    Import(import::Args),
    /// Print what differs between two exports, or between an export and now; exit code 4 when something does
    #[command(after_help = "Example: progress-service data compare ./acme --to current")]
    Compare(compare::Args),
    /// Take in what another LRS has, over xAPI
    #[command(
        after_help = "Example: progress-service data pull --endpoint https://lrs.example/xapi --login ./login --tenant acme \
                            --cursor ./acme.cursor --apply"
    )]
    Pull(pull::Args),
    /// Take in what a SQL LRS (lrsql) has, from its PostgreSQL database, which is only read
    #[command(
        after_help = "Example: progress-service data lrsql --database ./lrsql.url --tenant acme --cursor ./acme.cursor --credentials --apply\n\
                            Broken off, the same command goes on. Exit code 4 when something is not the same on both sides."
    )]
    Lrsql(lrsql::Args),
    /// Print where a tenant's data do not hold their own rules; exit code 4 when something was found
    Validate(validate::Args),
    /// Print what could be repaired, and repair it
    #[command(
        after_help = "Repairs what is made of something that is there: ids that the guard lost, references, projections. \
                            Nothing else is changed; a text or a content that is wrong comes back from a backup or an export."
    )]
    Repair(validate::RepairArgs),
}

/// What the subcommands share.
struct Desk<'d> {
    loaded: &'d Loaded,
    store: Store,
    cold: Cold,
    identity: Identity,
    json: bool,
}

impl Desk<'_> {
    fn reader(&self) -> Reader {
        Reader::new(self.cold.clone(), self.loaded.config.xapi.page_bytes.0)
    }
}

/// Runs the subcommand over the configured database, which may serve at the same time.
pub async fn run(args: Args, loaded: &Loaded) -> anyhow::Result<ExitCode> {
    with_database(&loaded.config, async |database| {
        let settings = &database.settings;
        let patient = PoolSettings { statement_timeout: LONGEST, ..settings.pool.clone() };
        let store = Store::open(&StoreSettings { pool: patient, ..settings.clone() })?;
        let identity = database.identity(&loaded.config, Clock::system(), Ids::random())?;
        let cold = cold(store.clone(), &loaded.config)?;
        let desk = Desk { loaded, store, cold, identity, json: args.json };
        let done = match &args.command {
            Command::Export(args) => Box::pin(export::run(&desk, args)).await,
            Command::Import(args) => Box::pin(import::run(&desk, args)).await,
            Command::Compare(args) => Box::pin(compare::run(&desk, args)).await,
            Command::Pull(args) => Box::pin(pull::run(&desk, args)).await,
            Command::Lrsql(args) => Box::pin(lrsql::run(&desk, args)).await,
            Command::Validate(args) => Box::pin(validate::run(&desk, args)).await,
            Command::Repair(args) => Box::pin(validate::repair(&desk, args)).await,
        };
        desk.store.close();
        done
    })
    .await
}

/// A bar for work of which nobody knows how much it is; on a terminal alone.
fn bar() -> anyhow::Result<ProgressBar> {
    let bar = ProgressBar::new_spinner();
    bar.set_style(ProgressStyle::with_template("{spinner} {msg} {human_pos} {per_sec} ({elapsed})")?);
    bar.enable_steady_tick(Duration::from_millis(200));
    Ok(bar)
}

fn print_documents(documents: &Documents) {
    let Documents { read, put, equal, newer, left_out, different } = documents;
    say!(
        "documents    {read} read, {put} of them put: {equal} are equal, {newer} are newer here, {left_out} of people who were erased were left out"
    );
    different.iter().for_each(|name| say!("  different: {name}"));
}
