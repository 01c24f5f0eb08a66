//! `jobs`: see long work and steer it. What a service beside does is followed; what none does can be done here.

mod follow;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;
use serde_json::json;
use uuid::Uuid;

use self::follow::follow;
pub(in crate::cli) use self::follow::see_through;
use super::{access::BY, beside::with_database, exit};
use crate::{
    app::Database,
    config::{Config, Loaded},
    http::api::ShownJob,
    model::job::{Act, State},
    store::{
        As, Store,
        platform::jobs::{self, Filter, Job},
    },
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
    /// Print the jobs, the newest first
    List {
        /// Only of this kind, such as migrations.run
        #[arg(long)]
        kind: Option<String>,
        /// Only those that are queued, running, pausing, paused, cancelling, cancelled, succeeded or failed
        #[arg(long, value_parser = state)]
        state: Option<State>,
        /// At most so many
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        most: u32,
    },
    /// Print a job and how far it has come
    Show { id: Uuid },
    /// Watch a job until it is over; exit code 1 when it failed or was cancelled
    Follow { id: Uuid },
    /// Let a job wait once its step has ended
    Pause { id: Uuid },
    /// Let a paused job go on
    Resume {
        id: Uuid,
        /// Watch it until it is over, and do it here where no service does
        #[arg(long)]
        follow: bool,
    },
    /// End a job once its step has ended; what it did stays
    Cancel { id: Uuid },
    /// Do a job that failed or was cancelled again, from its last checkpoint
    Retry {
        id: Uuid,
        /// Watch it until it is over, and do it here where no service does
        #[arg(long)]
        follow: bool,
    },
}

fn state(text: &str) -> Result<State, String> {
    let names = || State::ALL.map(State::name).join(", ");
    State::parse(text).ok_or_else(|| format!("expected one of {}", names()))
}

/// Runs the subcommand over the configured database, which may serve at the same time.
pub async fn run(args: Args, loaded: &Loaded) -> anyhow::Result<ExitCode> {
    with_database(&loaded.config, async |database| {
        let store = Store::open(&database.settings)?;
        with_store(&args, &loaded.config, database, &store).await
    })
    .await
}

async fn with_store(args: &Args, config: &Config, database: &Database, store: &Store) -> anyhow::Result<ExitCode> {
    let json = args.json;
    match args.command {
        Command::List { ref kind, state, most } => {
            let filter = &Filter { kind: kind.clone(), state, before: None };
            let list = store.run_tx("list_jobs", As::Worker, |tx| Box::pin(jobs::list(tx, filter, most.into())));
            list.await?.iter().for_each(|job| print(job, json));
        }
        Command::Show { id } => show(&get(store, id).await?, json),
        Command::Follow { id } => return Ok(code(&follow(store, id, json).await?)),
        Command::Pause { id } => print(&ask(store, id, Act::Pause).await?, json),
        Command::Cancel { id } => print(&ask(store, id, Act::Cancel).await?, json),
        Command::Resume { id, follow } => return asked(config, database, store, (id, Act::Resume, follow), json).await,
        Command::Retry { id, follow } => return asked(config, database, store, (id, Act::Retry, follow), json).await,
    }
    Ok(ExitCode::SUCCESS)
}

async fn asked(
    config: &Config,
    database: &Database,
    store: &Store,
    (id, act, follow): (Uuid, Act, bool),
    json: bool,
) -> anyhow::Result<ExitCode> {
    let job = ask(store, id, act).await?;
    if !follow {
        print(&job, json);
        return Ok(ExitCode::SUCCESS);
    }
    Ok(code(&see_through(config, database, store, id, json).await?))
}

async fn ask(store: &Store, id: Uuid, act: Act) -> anyhow::Result<Job> {
    Ok(store.run_once("ask_job", As::Worker, |tx| Box::pin(jobs::ask(tx, id, act, BY))).await?)
}

async fn get(store: &Store, id: Uuid) -> anyhow::Result<Job> {
    let job = store.run_tx("get_job", As::Worker, |tx| Box::pin(jobs::get(tx, id))).await?;
    job.with_context(|| format!("there is no job {id}; `progress-service jobs list` prints them"))
}

/// What a command that followed a job ends with.
fn code(job: &Job) -> ExitCode {
    if job.state == State::Succeeded { ExitCode::SUCCESS } else { ExitCode::from(exit::FAILED) }
}

fn print(job: &Job, json: bool) {
    if json {
        say!("{}", json!(ShownJob::from(job.clone())));
    } else {
        say!("{}  {:<10}  {:<20}  {}", job.id, job.state.name(), job.kind, words(job));
    }
}

/// How far it has come, or why it failed.
fn words(job: &Job) -> String {
    if let Some(error) = job.error.as_ref().filter(|_| job.state == State::Failed) {
        return error.clone();
    }
    let number = |name: &str| job.progress.get(name).and_then(serde_json::Value::as_u64);
    let text = |name: &str| job.progress.get(name).and_then(serde_json::Value::as_str).unwrap_or_default();
    let stalled = if job.is_stalled() { "no sign of life for half a minute; " } else { "" };
    let far = match (number("done"), number("total")) {
        (Some(done), Some(total)) => format!("{done} of {total} {}", text("unit")),
        (Some(done), None) if done > 0 => format!("{done} {}", text("unit")),
        _ => String::new(),
    };
    let parts = [far.as_str(), text("note")].into_iter().filter(|part| !part.is_empty());
    format!("{stalled}{}", parts.collect::<Vec<_>>().join(", "))
}

fn show(job: &Job, json: bool) {
    print(job, json);
    if json {
        return;
    }
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "nobody".to_owned());
    say!("  asked for by {} at {}, approved by {}", job.requested_by, job.created_at, or_none(&job.approved_by));
    say!("  taken {} times, last sign of life {}", job.attempts, job.updated_at);
    say!("  parameters {}", job.parameters);
    if let Some(outcome) = &job.outcome {
        say!("  outcome {outcome}");
    }
}
