//! `db`: does the database answer, may the logins do what they have to, is it fit for a migration, are its indexes sound.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::{Args as ClapArgs, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{beside::with_database, exit};
use crate::{
    app::Database,
    config::Loaded,
    migrate::{
        Runner,
        checks::{self, Check, Status},
    },
    model::Clock,
    store::{
        Endpoint,
        door::ddl::Session,
        schema::reindex::{self, Candidate},
    },
};

#[derive(ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    /// Print one JSON document instead of text
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Connect with both logins and tell how long it took
    Ping,
    /// Check that the owner may migrate, and that the service may do no more than it has to
    CheckPermissions,
    /// The checks before a migration or after one; exit code 4 when a line fails
    Check {
        /// Check what a migration left behind, instead of what stands in its way
        #[arg(long)]
        after: bool,
    },
    /// List invalid and bloated indexes, and build them anew beside the running work
    Reindex(ReindexArgs),
}

#[derive(ClapArgs)]
struct ReindexArgs {
    /// Do it; without this only the plan is printed
    #[arg(long)]
    apply: bool,
    /// Indexes smaller than this many MiB are never called bloated
    #[arg(long, default_value_t = 16)]
    smallest: u32,
}

/// Runs the subcommand.
pub async fn run(args: Args, loaded: &Loaded) -> anyhow::Result<ExitCode> {
    with_database(&loaded.config, async |database| answer(&args, loaded, database).await).await
}

async fn answer(args: &Args, loaded: &Loaded, database: &Database) -> anyhow::Result<ExitCode> {
    let runner = database.runner(&loaded.config)?;
    let clock = Clock::system();
    match &args.command {
        Command::Ping => ping(args.json, database).await,
        Command::CheckPermissions => {
            let mut lines = checks::gather_before(&runner, &database.host(&loaded.config), &clock).await?;
            lines.retain(|line| matches!(line.name, "connection" | "permissions" | "group-roles"));
            lines.extend(checks::gather_rights(&runner, &database.settings.service).await?);
            Ok(report(args.json, &lines))
        }
        Command::Check { after: false } => {
            Ok(report(args.json, &checks::gather_before(&runner, &database.host(&loaded.config), &clock).await?))
        }
        Command::Check { after: true } => Ok(report(args.json, &checks::gather_after(&runner, &clock).await?)),
        Command::Reindex(reindex) => rebuild(args.json, reindex, &runner, &database.settings.owner).await,
    }
}

/// Checks beside other work: a line each on standard error, where they never mix with the answer.
pub(super) fn tell(lines: &[Check]) {
    for Check { name, status, found, todo } in lines {
        let todo = if todo.is_empty() { String::new() } else { format!(": {todo}") };
        eprintln!("{:<8} {name}: {found}{todo}", format!("{status:?}").to_lowercase());
    }
}

async fn ping(json: bool, database: &Database) -> anyhow::Result<ExitCode> {
    let mut lines = Vec::new();
    for (login, endpoint) in [("service", &database.settings.service), ("owner", &database.settings.owner)] {
        let started = Instant::now();
        let answer = Session::connect(endpoint).await;
        lines.push((login, answer.map(drop).map_err(|e| e.to_string()), started.elapsed()));
    }
    if json {
        let lines: Vec<_> = lines
            .iter()
            .map(|(login, answer, took)| {
                json!({ "login": login, "answers": answer.is_ok(), "error": answer.as_ref().err(), "ms": took.as_millis() as u64 })
            })
            .collect();
        say!("{}", json!({ "format": 1, "kind": "ping", "logins": lines }));
    } else {
        for (login, answer, took) in &lines {
            match answer {
                Ok(()) => say!("{login}: connected in {} ms", took.as_millis()),
                Err(why) => say!("{login}: {why}"),
            }
        }
    }
    let answers = lines.iter().all(|(_, answer, _)| answer.is_ok());
    Ok(if answers { ExitCode::SUCCESS } else { ExitCode::from(exit::UNREACHABLE) })
}

pub(super) fn report(json: bool, lines: &[Check]) -> ExitCode {
    if json {
        say!("{}", json!({ "format": 1, "kind": "checks", "worst": checks::worst(lines), "checks": lines }));
    } else {
        for line in lines {
            say!("{line}");
        }
    }
    if checks::worst(lines) == Status::Fail { ExitCode::from(exit::FOUND) } else { ExitCode::SUCCESS }
}

async fn rebuild(json: bool, args: &ReindexArgs, runner: &Runner, owner: &Endpoint) -> anyhow::Result<ExitCode> {
    let session = Session::connect(owner).await?;
    let schemas: Vec<String> = runner.modules().iter().map(|module| module.schema.clone()).collect();
    let found = reindex::candidates(&session, &schemas, i64::from(args.smallest) << 20).await?;
    if json {
        say!("{}", json!({ "format": 1, "kind": "reindex", "applied": args.apply, "indexes": found }));
    } else {
        for one in &found {
            say!("{:?}: {} on {}, {} KiB: {}", one.why, one.index, one.table, one.bytes / 1024, reindex::remedy(one));
        }
        say!("{} indexes{}", found.len(), if args.apply || found.is_empty() { "" } else { "; do it with --apply" });
    }
    if args.apply {
        let watcher = Session::connect(owner).await?;
        for (number, one) in (1..).zip(&found) {
            with_bar(&session, &watcher, one, &format!("[{number}/{}] {}", found.len(), one.index)).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Rebuilds one index. The bar shows itself on a terminal only, and on standard error.
async fn with_bar(session: &Session, watcher: &Session, one: &Candidate, label: &str) -> anyhow::Result<()> {
    let style = ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} blocks, {msg} {elapsed}")?;
    let bar = ProgressBar::new(0).with_style(style).with_prefix(label.to_owned());
    let work = reindex::rebuild(session, one);
    tokio::pin!(work);
    let mut tick = tokio::time::interval(Duration::from_millis(200));
    loop {
        tokio::select! {
            done = &mut work => {
                bar.finish_with_message("done");
                return Ok(done?);
            }
            _ = tick.tick() => {
                // Only the bar suffers when its numbers cannot be read.
                if let Ok(Some((phase, blocks, all))) = reindex::progress(watcher).await {
                    bar.set_length(all);
                    bar.set_position(blocks);
                    bar.set_message(phase);
                }
            }
        }
    }
}
