//! `backfill`: what walks through tables beside the running work: see it, begin it, and steer it.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;

use super::{access::BY, beside::with_database, exit, jobs::see_through};
use crate::{
    app::Database,
    config::{Config, Loaded},
    migrate::{
        backfill::{Backfills, Standing, Task},
        modules,
    },
    model::{
        Ids,
        job::{Act, State},
    },
    store::{As, Store, platform::jobs},
    telemetry::Metrics,
};

#[derive(clap::Args)]
pub struct Args {
    /// Print JSON, one object a line
    #[arg(long, global = true)]
    json: bool,
    /// Who does it, as the audit trail will know them
    #[arg(long, global = true, default_value = BY)]
    by: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print every backfill and how far it is
    List,
    /// Begin one; a service beside does it, or this command where there is none
    #[command(after_help = "Example: progress-service backfill run shop/DM001_colours --follow")]
    Run {
        /// module/file, with or without .sql
        name: String,
        /// Also when it was verified already
        #[arg(long)]
        again: bool,
        /// Watch it until it is over, and do it here where no service does
        #[arg(long)]
        follow: bool,
    },
    /// Let it wait once its batch has ended, in less than a second
    Pause { name: String },
    /// Let it go on
    Resume { name: String },
    /// End it once its batch has ended; what it did stays
    Cancel { name: String },
    /// Do one that failed or was cancelled again, from its last batch
    Retry {
        name: String,
        /// Watch it until it is over, and do it here where no service does
        #[arg(long)]
        follow: bool,
    },
    /// Set how many parts of a hundred of the time it may work, from its next batch on
    Speed {
        name: String,
        #[arg(value_parser = clap::value_parser!(i32).range(1..=100))]
        percent: i32,
    },
}

/// Runs the subcommand over the configured database, which may serve at the same time.
pub async fn run(args: Args, loaded: &Loaded) -> anyhow::Result<ExitCode> {
    let config = &loaded.config;
    with_database(config, async |database| {
        let store = Store::open(&database.settings)?;
        let files = modules::all(&config.migrations.plugin_dir.0)?;
        let backfills = Backfills::new(&store, &files, &Ids::random(), &Metrics::new()?, None);
        let done = with_backfills(&args, config, database, &store, &backfills).await;
        store.close();
        done
    })
    .await
}

async fn with_backfills(
    args: &Args,
    config: &Config,
    database: &Database,
    store: &Store,
    backfills: &Backfills,
) -> anyhow::Result<ExitCode> {
    let (name, act, follow) = match &args.command {
        Command::List => {
            backfills.list().await?.iter().for_each(|one| print(one, args.json));
            return Ok(ExitCode::SUCCESS);
        }
        Command::Speed { name, percent } => {
            backfills.set_speed(name, *percent, &args.by).await?;
            return shown(backfills, name, args.json).await;
        }
        Command::Run { name, again, follow } => {
            backfills.start(name, *again, &args.by).await?;
            (name, None, *follow)
        }
        Command::Pause { name } => (name, Some(Act::Pause), false),
        Command::Resume { name } => (name, Some(Act::Resume), false),
        Command::Cancel { name } => (name, Some(Act::Cancel), false),
        Command::Retry { name, follow } => (name, Some(Act::Retry), *follow),
    };
    let id = backfills.job(name).await?;
    if let Some(act) = act {
        store.run_once("ask_job", As::Worker, |tx| Box::pin(jobs::ask(tx, id, act, &args.by))).await?;
    }
    if follow {
        let job = see_through(config, database, store, id, args.json).await?;
        return Ok(if job.state == State::Succeeded { ExitCode::SUCCESS } else { ExitCode::from(exit::FAILED) });
    }
    shown(backfills, name, args.json).await
}

async fn shown(backfills: &Backfills, name: &str, json: bool) -> anyhow::Result<ExitCode> {
    let wanted = backfills.named(name)?.name();
    backfills.list().await?.iter().filter(|one| one.backfill.name() == wanted).for_each(|one| print(one, json));
    Ok(ExitCode::SUCCESS)
}

fn print(standing: &Standing, json: bool) {
    let (name, state) = (standing.backfill.name(), standing.word());
    let Standing { backfill, kept, job } = standing;
    let kept = kept.as_ref();
    let speed = kept.map_or(100, |kept| kept.speed);
    if json {
        let line = json!({ "name": name, "kind": backfill.task.name(), "about": backfill.about, "state": state, "speed": speed,
            "jobId": kept.and_then(|kept| kept.job), "progress": job.as_ref().map(|job| &job.progress),
            "error": job.as_ref().and_then(|job| job.error.clone()), "verifiedAt": kept.and_then(|kept| kept.verified_at),
            "rows": kept.and_then(|kept| kept.rows), "changed": kept.and_then(|kept| kept.changed),
            "digest": kept.and_then(|kept| kept.digest.clone()) });
        say!("{line}");
        return;
    }
    say!("{name}  {state}  {}", backfill.about);
    if let Some(job) = job {
        let left = left(job).map(|left| format!(", about {left} left")).unwrap_or_default();
        let number = |name: &str| job.progress.get(name).and_then(serde_json::Value::as_u64).unwrap_or(0);
        let note = job.progress.get("note").and_then(serde_json::Value::as_str).unwrap_or_default();
        say!("  {} of {} rows at {speed} %{left}; {note}", number("done"), number("total"));
        job.error.iter().for_each(|error| say!("  {error}"));
    }
    if let Some((rows, digest)) = kept.and_then(|kept| kept.rows.zip(kept.digest.as_ref())) {
        let word = if backfill.task == Task::Compare { "differs" } else { "remained" };
        say!("  {rows} rows looked at, none {word}, digest {digest}");
    }
}

/// About how long it still takes, by how long it took so far.
fn left(job: &jobs::Job) -> Option<String> {
    let number = |name: &str| job.progress.get(name).and_then(serde_json::Value::as_u64);
    let (done, total, began) = (number("done")?, number("total")?, job.started_at?);
    if job.state.is_over() || done == 0 || done >= total {
        return None;
    }
    let took = (job.updated_at - began).num_seconds().max(1) as f64;
    let seconds = took / done as f64 * (total - done) as f64;
    Some(format!("{:.0} s", seconds.max(1.0)))
}
