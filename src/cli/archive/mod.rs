//! `archive`: a file per verb. What changes something prints its plan with a digest first, and does it as a job when told to.

mod adopt;
mod attach;
mod coming;
mod detach;
mod gc;
mod list;
mod month;
mod verify;

pub(in crate::cli) use self::coming::print as print_plan;

use std::process::ExitCode;

use clap::Subcommand;
use serde::Serialize;
use serde_json::{Value, json};

use super::{access::BY, beside::with_database, exit, jobs::see_through};
use crate::{
    app::{self, Database},
    archive::Archive,
    config::{Config, Loaded},
    model::{
        Clock, Ids,
        job::State,
        partition::Month,
        plan::{digest, must_be_the_one},
    },
    store::{Store, platform::jobs::Job},
    telemetry::Metrics,
};

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
    /// Print what the schedule does next to each month, and when
    Plan,
    /// Write a sealed or detached month into the archive, prove it by reading it back, and publish it
    Run(month::Args),
    /// Drop the table of an archived month, after comparing all of it with its segments
    Drop(month::Args),
    /// Make the table of a month again from its segments
    Restore(month::Args),
    /// Read published segments again, every byte and every row; exit code 4 when one is not as it was written
    Verify {
        /// Only this month, such as 2026-03
        #[arg(long)]
        month: Option<Month>,
    },
    /// Print the segments there are
    List {
        /// Only of this month, such as 2026-03
        #[arg(long)]
        month: Option<Month>,
        /// Also those that were never published or are gone
        #[arg(long)]
        all: bool,
    },
    /// Show what nobody needs any more, by the names that rows and manifests give it; remove it with --apply
    Gc {
        #[command(flatten)]
        apply: Apply,
    },
    /// Let a foreign table answer for a dropped month in people's SQL, through the gateway
    #[command(after_help = "It needs a gateway that runs and the extension postgres_fdw: see docs/gateway.md.")]
    Attach(OfMonth),
    /// Take the foreign table of a month away again; its segments stay
    Detach(OfMonth),
    /// Make the archive this database's own, after it was restored, moved or copied; the one it came from is refused afterwards
    Adopt {
        #[command(flatten)]
        apply: Apply,
    },
}

#[derive(Clone, clap::Args)]
struct OfMonth {
    /// Which month, such as 2026-03
    #[arg(long)]
    month: Month,
    /// Do it; without this it is only told whether it could be done
    #[arg(long)]
    apply: bool,
}

#[derive(Clone, clap::Args)]
struct Apply {
    /// Do it; without this only the plan is printed
    #[arg(long)]
    apply: bool,
    /// Only if the plan still has this digest
    #[arg(long, requires = "apply")]
    plan: Option<String>,
}

/// What every verb works with.
struct Desk<'a> {
    config: &'a Config,
    database: &'a Database,
    store: Store,
    archive: Archive,
    json: bool,
}

/// Runs the subcommand over the configured database, which may serve at the same time.
pub async fn run(args: Args, loaded: &Loaded) -> anyhow::Result<ExitCode> {
    let (config, json) = (&loaded.config, args.json);
    with_database(config, async |database| {
        let store = Store::open(&database.settings)?;
        let archive = app::archive(config, &store, &Clock::system(), &Ids::random(), &Metrics::new()?)?;
        let desk = Desk { config, database, store, archive, json };
        match &args.command {
            Command::Plan => coming::run(&desk).await,
            Command::Run(args) => month::run(&desk, args).await,
            Command::Drop(args) => month::drop(&desk, args).await,
            Command::Restore(args) => month::restore(&desk, args).await,
            Command::Verify { month } => verify::run(&desk, *month).await,
            Command::List { month, all } => list::run(&desk, *month, *all).await,
            Command::Gc { apply } => gc::run(&desk, apply).await,
            Command::Attach(of) => attach::run(&desk, of.month, of.apply).await,
            Command::Detach(of) => detach::run(&desk, of.month, of.apply).await,
            Command::Adopt { apply } => adopt::run(&desk, apply).await,
        }
    })
    .await
}

impl Desk<'_> {
    /// Says what would be done, and does it as a job where that was wanted and the plan is still the one that was seen.
    async fn perform(
        &self,
        kind: &'static str,
        month: Option<Month>,
        plan: &(impl Serialize + Sync),
        apply: &Apply,
    ) -> anyhow::Result<ExitCode> {
        let digest = digest(plan);
        if !apply.apply {
            if self.json {
                say!("{}", json!({ "plan": plan, "digest": digest, "applied": false }));
            } else {
                say!("plan {digest}\nnothing was done; --apply does it");
            }
            return Ok(ExitCode::SUCCESS);
        }
        must_be_the_one(apply.plan.as_deref(), &digest).map_err(anyhow::Error::msg)?;
        let job = self.follow(kind, month, &digest).await?;
        Ok(if job.state == State::Succeeded { ExitCode::SUCCESS } else { ExitCode::from(exit::FAILED) })
    }

    /// Puts a job and watches it to its end.
    async fn follow(&self, kind: &'static str, month: Option<Month>, plan: &str) -> anyhow::Result<Job> {
        let id = self.archive.ask_for(kind, month, plan, BY).await?;
        let done = see_through(self.config, self.database, &self.store, id, self.json).await?;
        if let Some(outcome) = done.outcome.as_ref().filter(|outcome| !self.json && !outcome.is_null()) {
            say!("{}", words(outcome));
        }
        Ok(done)
    }
}

/// An outcome as a line for people.
fn words(outcome: &Value) -> String {
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let object = outcome.as_object().into_iter().flatten();
    object.map(|(name, value)| format!("{name} {}", plain(value))).collect::<Vec<_>>().join(", ")
}

/// A number of bytes for people.
fn bytes(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}
