//! `migrations`: what is applied, what would be, and everything an operator may do about it.
//!
//! Whatever destroys or rewrites prints its plan and needs `--apply`. Exit codes stand in `docs/migrations.md`.

mod change;
mod evidence;
mod print;

use std::process::ExitCode;

use clap::{Args as ClapArgs, Subcommand};

use super::{db, exit, replay};
use crate::{
    app::{Database, backups::BeforeRelease},
    config::{self, Loaded, PathList, Setting},
    migrate::{
        Event, MigrateError, Request, Runner, Wish,
        checked::{self, Ending},
        checks::{self, Host, Overrides},
        error,
        lint::{self, Review},
        modules::{self, Module},
        names::Category,
        stale,
    },
    model::{Clock, Ids},
    store::{Store, schema::migrations::blockers},
};

#[derive(ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    /// Folders with more modules, separated by `:`, instead of those in the configuration
    #[arg(long, global = true, value_parser = PathList::parse)]
    plugin_dir: Option<PathList>,
    /// Print one JSON document instead of text
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// List the modules and how many files of each category they have
    Modules,
    /// Show every file: applied, pending, superseded, tampered, removed, newer
    Status {
        #[command(flatten)]
        one: OneModule,
    },
    /// Compare files and history, and lint the files; exit code 4 when something is wrong
    Verify {
        #[command(flatten)]
        one: OneModule,
    },
    /// Apply pending files: startup and seed by themselves, release and data with --force
    #[command(alias = "up")]
    Run(RunArgs),
    /// Undo the files applied last
    Down(change::DownArgs),
    /// Write a new file and its rollback script, with the next free number
    Create(change::CreateArgs),
    /// Check and lint the files without a database
    Validate {
        #[command(flatten)]
        one: OneModule,
    },
    /// Show everything that was tried, and how it ended
    Logs {
        #[command(flatten)]
        one: OneModule,
    },
    /// Record a person's word about a file: approve it, or settle one that stopped half-way
    Force(change::ForceArgs),
    /// Write a squash of many files, or record the squashes this database already contains
    Baseline(change::BaselineArgs),
    /// Prove on scratch databases that clean, upgraded and squashed installs are the same
    Replay(replay::Args),
    /// Write what a cutover has to leave into a folder: status, snapshot, dry run, upgrades, replay, checks; compared with an earlier one
    Evidence(evidence::Args),
    /// Take over the history of another migration tool
    Adopt(change::AdoptArgs),
}

#[derive(ClapArgs)]
struct OneModule {
    /// One module, or `all`
    #[arg(long, default_value = "all")]
    module: String,
}

impl OneModule {
    fn name(&self) -> Option<String> {
        (self.module != "all").then(|| self.module.clone())
    }
}

#[derive(ClapArgs)]
struct RunArgs {
    #[command(flatten)]
    one: OneModule,
    /// Only these categories: startup, release, seed, data
    #[arg(long, value_parser = category)]
    category: Vec<Category>,
    /// Execute in a transaction that is rolled back; report locks and times
    #[arg(long)]
    dry_run: bool,
    /// Confirm the manual gate of release and data files; no check is skipped
    #[arg(long)]
    force: bool,
    /// Apply at most so many files
    #[arg(long)]
    steps: Option<usize>,
    /// Who approved the destructive files among them: somebody else than who runs this
    #[arg(long)]
    approved_by: Option<String>,
    /// Make no backup of the embedded database first, as is done by itself before a release's files
    #[arg(long)]
    no_backup: bool,
    /// Go past this failed check; needs --reason
    #[arg(long = "override", value_name = "CHECK")]
    overrides: Vec<String>,
    /// Why a failed check is gone past; stands in the attempts
    #[arg(long)]
    reason: Option<String>,
    /// Who runs this; stands in the history
    #[arg(long, default_value = "cli")]
    by: String,
}

fn category(text: &str) -> Result<Category, String> {
    Category::parse(text).ok_or_else(|| "one of startup, release, seed, data".to_owned())
}

/// Runs the subcommand.
pub async fn run(args: Args, loaded: &Loaded) -> anyhow::Result<ExitCode> {
    let directories = args.plugin_dir.as_ref().unwrap_or(&loaded.config.migrations.plugin_dir);
    let out = Output { json: args.json };
    let modules = match modules::all(&directories.0) {
        Ok(modules) => modules,
        Err(error) => return Ok(out.error(&error.into())),
    };
    let stale = stale::stale(&config::working_directory()?);
    stale.iter().for_each(|line| eprintln!("warning: {line}"));
    match args.command {
        Command::Modules => out.modules(&modules),
        Command::Validate { one } => {
            return Ok(validate(out, &modules, &one, &stale).unwrap_or_else(|error| out.error(&error)));
        }
        Command::Create(create) => return change::create(out, &create, &modules),
        Command::Baseline(change::BaselineArgs { through: Some(through), squash, .. }) => {
            return change::squash(out, &modules, (&through, &squash), &loaded.config).await;
        }
        Command::Replay(args) => {
            let database = Database::join(&loaded.config, &Clock::system(), &Ids::random()).await?;
            database.own_sessions().await?;
            let code = replay::run(&args, out.json, &modules, &database.settings.owner).await;
            database.close().await;
            return code;
        }
        Command::Evidence(args) => {
            let database = Database::join(&loaded.config, &Clock::system(), &Ids::random()).await?;
            database.own_sessions().await?;
            let runner = database.runner_of(modules, &loaded.config);
            let code = evidence::run(out, &args, &runner, &database.settings.owner).await;
            database.close().await;
            return code;
        }
        command => {
            let database = Database::join(&loaded.config, &Clock::system(), &Ids::random()).await?;
            database.own_sessions().await?;
            let runner = database.runner_of(modules, &loaded.config);
            let host = database.host(&loaded.config);
            keep_first(&command, loaded, &database, &runner).await?;
            let code = with_database(out, command, &runner, &host, &stale).await;
            database.close().await;
            return Ok(code.unwrap_or_else(|error| out.error(&error)));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What is there is kept before a release's files change it.
async fn keep_first(command: &Command, loaded: &Loaded, database: &Database, runner: &Runner) -> anyhow::Result<()> {
    let Command::Run(args) = command else { return Ok(()) };
    if !args.force || args.dry_run || args.no_backup || runner.status_of(None).await?.gated.is_empty() {
        return Ok(());
    }
    let store = Store::open(&database.settings)?;
    if let Some(kept) = BeforeRelease::new(&loaded.config, database).make(&store).await? {
        eprintln!("backup {} is made first", kept.id);
    }
    Ok(())
}

async fn with_database(
    out: Output,
    command: Command,
    runner: &Runner,
    host: &Host,
    stale: &[String],
) -> Result<ExitCode, MigrateError> {
    match command {
        Command::Status { one } => {
            let report = runner.status_of(one.name().as_deref()).await?;
            out.status(&report);
            Ok(match (report.problems.is_empty(), report.pending) {
                (false, _) => ExitCode::from(exit::FOUND),
                (true, 0) => ExitCode::SUCCESS,
                (true, _) => ExitCode::from(exit::WITHHELD),
            })
        }
        Command::Verify { one } => {
            let report = runner.status_of(one.name().as_deref()).await?;
            let reviews = reviews(runner.modules(), &one)?;
            out.verify(&report, &reviews, stale);
            let whole = report.problems.is_empty() && report.abandoned.is_empty() && stale.is_empty();
            let sound = whole && !reviews.iter().any(Review::has_errors);
            Ok(if sound { ExitCode::SUCCESS } else { ExitCode::from(exit::FOUND) })
        }
        Command::Run(args) => apply(out, &args, runner, host).await,
        Command::Down(args) => change::down(out, &args, runner).await,
        Command::Logs { one } => {
            out.logs(&runner.logs(one.name().as_deref()).await?);
            Ok(ExitCode::SUCCESS)
        }
        Command::Force(args) => change::force(out, &args, runner).await,
        Command::Baseline(args) => change::baseline(out, &args, runner).await,
        Command::Adopt(args) => change::adopt(out, &args, runner).await,
        Command::Modules
        | Command::Validate { .. }
        | Command::Create(_)
        | Command::Replay(_)
        | Command::Evidence(_) => Ok(ExitCode::SUCCESS),
    }
}

/// A run between the checks before and after it.
async fn apply(out: Output, args: &RunArgs, runner: &Runner, host: &Host) -> Result<ExitCode, MigrateError> {
    let wish = Wish {
        modules: args.one.name().map(|name| vec![name]),
        categories: (!args.category.is_empty()).then(|| args.category.clone()),
        force: args.force,
        approved_by: args.approved_by.clone(),
        steps: args.steps,
        ..Wish::default()
    };
    let refused = |error: checks::OverrideError| MigrateError::Refused(error.to_string());
    let overrides = Overrides::new(&args.overrides, args.reason.as_deref()).map_err(refused)?;
    let request = Request { wish, dry_run: args.dry_run, applied_by: args.by.clone() };
    let tell = |event| out.event(&event);
    let run = checked::run(runner, &request, &overrides, host, &Clock::system(), &tell).await?;
    out.run(&run);
    Ok(match run.ending {
        Ending::Failed => ExitCode::from(exit::FAILED),
        Ending::Unchecked | Ending::Unfit => ExitCode::from(exit::FOUND),
        Ending::Withheld => ExitCode::from(exit::WITHHELD),
        Ending::Done => ExitCode::SUCCESS,
    })
}

fn validate(out: Output, modules: &[Module], one: &OneModule, stale: &[String]) -> Result<ExitCode, MigrateError> {
    let reviews = reviews(modules, one)?;
    out.reviews(&reviews, stale);
    let sound = stale.is_empty() && !reviews.iter().any(Review::has_errors);
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::from(exit::FOUND) })
}

fn reviews(modules: &[Module], one: &OneModule) -> Result<Vec<Review>, MigrateError> {
    one.name().map_or(Ok(()), |name| error::check_name(modules, &name))?;
    Ok(modules.iter().filter(|m| one.name().is_none_or(|name| name == m.name)).flat_map(lint::review).collect())
}

/// Where answers go: text for people, one JSON document for programs.
#[derive(Clone, Copy)]
struct Output {
    json: bool,
}

impl Output {
    /// Progress goes to standard error, so that it never mixes with the answer.
    fn event(self, event: &Event) {
        match event {
            Event::Waiting { pid, .. } => {
                let who = pid.map_or(String::new(), |pid| format!(" (server process {pid})"));
                eprintln!("waiting for another runner{who}");
            }
            Event::Started { module, file, number, of } => eprintln!("[{number}/{of}] {module}/{file}"),
            Event::Blocked { module, file, tries, blockers } => {
                let who =
                    if blockers.is_empty() { String::new() } else { format!(" held by {}", blockers::list(blockers)) };
                eprintln!("{module}/{file} steps back from a lock{who}; try {tries}");
            }
            Event::MakesWait { module, file, wait } => eprintln!("WARNING: {module}/{file} makes others wait: {wait}"),
            Event::Checked { checks } => db::tell(checks),
            Event::Planned { .. } | Event::Done { .. } | Event::Failed { .. } => {}
        }
    }

    fn error(self, error: &MigrateError) -> ExitCode {
        let code = match error {
            MigrateError::Problems { .. } | MigrateError::Modules(_) => exit::FOUND,
            MigrateError::Locked { .. } => exit::LOCKED,
            MigrateError::Store(crate::store::StoreError::Unreachable(_)) => exit::UNREACHABLE,
            _ => exit::FAILED,
        };
        self.failure(&error.to_string(), code);
        if error.is_permission() {
            eprintln!("the role lacks a right; `progress-service db check-permissions` names it");
        }
        ExitCode::from(code)
    }
}
