//! The subcommands that undo, approve, squash, adopt and create.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;

use super::{OneModule, Output, category, exit};
use crate::migrate::{
    MigrateError, Request, Runner, Wish,
    adopt::AdoptRequest,
    approve::{Force, Word},
    create::{self, NewFile},
    down::DownRequest,
    error,
    modules::Module,
    names::Category,
    plan::Action,
    releases, replay, squash,
};
use crate::{
    app::Database,
    cli::replay::Scratch,
    config::Config,
    model::{Clock, Ids},
};

/// Where the sources of the built-in modules are.
const INTO: &str = "migrations";

#[derive(Args)]
pub struct DownArgs {
    #[command(flatten)]
    one: OneModule,
    /// How many files
    #[arg(long, default_value_t = 1)]
    steps: usize,
    /// Do it; without this only the plan is printed
    #[arg(long)]
    apply: bool,
    /// Who approved that data is lost
    #[arg(long)]
    approved_by: Option<String>,
    /// Who runs this
    #[arg(long, default_value = "cli")]
    by: String,
}

#[derive(Args)]
pub struct CreateArgs {
    /// The module the file belongs to
    module: String,
    /// startup, release, seed or data
    #[arg(value_parser = category)]
    category: Category,
    /// What it does, in a few words
    #[arg(required = true)]
    description: Vec<String>,
    /// One statement outside a transaction
    #[arg(long)]
    no_transaction: bool,
    /// Folder of the modules; absent: where the module's files are
    #[arg(long)]
    into: Option<PathBuf>,
}

#[derive(Args)]
pub struct ForceArgs {
    #[arg(long)]
    module: String,
    /// The file's whole name
    #[arg(long)]
    file: String,
    /// approve: may run although destructive; applied / retry: how one that stopped half-way is settled
    #[arg(long, value_parser = ["approve", "applied", "retry"])]
    word: String,
    /// The person whose word it is
    #[arg(long)]
    approved_by: String,
    /// Who runs this
    #[arg(long, default_value = "cli")]
    by: String,
    /// Record it; without this nothing is written
    #[arg(long)]
    apply: bool,
}

#[derive(Args)]
pub struct BaselineArgs {
    /// Squash the startup and release files up to this one into a new file
    #[arg(long, requires = "module")]
    pub through: Option<String>,
    #[command(flatten)]
    pub squash: SquashArgs,
    /// Who runs this
    #[arg(long, default_value = "cli")]
    by: String,
}

#[derive(Args)]
pub struct SquashArgs {
    /// One module, or `all`
    #[arg(long, default_value = "all")]
    module: String,
    /// The last words of the new file's name
    #[arg(long, default_value = "baseline")]
    description: String,
    /// Folder of the modules, for the new file; absent: where the module's files are
    #[arg(long)]
    into: Option<PathBuf>,
    /// Write it once the replay proof holds for it; without this only the plan is printed
    #[arg(long)]
    apply: bool,
    #[command(flatten)]
    scratch: Scratch,
}

#[derive(Args)]
pub struct AdoptArgs {
    #[arg(long)]
    module: String,
    /// The other tool's table, `schema.table`; absent: the one in the module's own schema
    #[arg(long = "from", alias = "table", value_name = "TABLE")]
    table: Option<String>,
    /// The file that a row means which does not tell it; the row goes by its version or name
    #[arg(long = "map", value_name = "ROW=FILE", value_parser = pair)]
    map: Vec<(String, String)>,
    /// Who runs this
    #[arg(long, default_value = "cli")]
    by: String,
    /// Adopt; without this only the comparison is printed
    #[arg(long)]
    apply: bool,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (row, file) = text.rsplit_once('=').ok_or_else(|| "expected ROW=FILE".to_owned())?;
    Ok((row.to_owned(), file.to_owned()))
}

pub async fn down(out: Output, args: &DownArgs, runner: &Runner) -> Result<ExitCode, MigrateError> {
    let request = DownRequest {
        module: args.one.name(),
        steps: args.steps,
        approved_by: args.approved_by.clone(),
        by: args.by.clone(),
        apply: args.apply,
    };
    let report = runner.down(&request, &|event| out.event(&event)).await?;
    out.down(&report);
    Ok(if report.failed.is_some() { ExitCode::from(exit::FAILED) } else { ExitCode::SUCCESS })
}

pub async fn force(out: Output, args: &ForceArgs, runner: &Runner) -> Result<ExitCode, MigrateError> {
    let word = match args.word.as_str() {
        "approve" => Word::Approve,
        "applied" => Word::Applied,
        _ => Word::Retry,
    };
    let force = Force {
        module: args.module.clone(),
        file: args.file.clone(),
        word,
        approved_by: args.approved_by.clone(),
        by: args.by.clone(),
        apply: args.apply,
    };
    out.forced(&runner.force(&force, &|event| out.event(&event)).await?);
    Ok(ExitCode::SUCCESS)
}

pub async fn adopt(out: Output, args: &AdoptArgs, runner: &Runner) -> Result<ExitCode, MigrateError> {
    let request = AdoptRequest {
        module: args.module.clone(),
        table: args.table.clone(),
        map: args.map.clone(),
        by: args.by.clone(),
        apply: args.apply,
    };
    let report = runner.adopt(&request, &|event| out.event(&event)).await?;
    out.adopted(&report);
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::from(exit::FOUND) })
}

/// Records the squashes of which this database has all the files. Nothing is executed.
pub async fn baseline(out: Output, args: &BaselineArgs, runner: &Runner) -> Result<ExitCode, MigrateError> {
    let module = (args.squash.module != "all").then(|| vec![args.squash.module.clone()]);
    let wish = Wish { modules: module, only: Some(Action::Record), ..Wish::default() };
    let request = Request { wish, dry_run: !args.squash.apply, applied_by: args.by.clone() };
    out.applied(&runner.run(&request, &|event| out.event(&event)).await?);
    Ok(ExitCode::SUCCESS)
}

/// Writes the squash of a module's files, if every database that can be upgraded comes to the same schema by it; removing the old ones is left to
/// the author's version control.
pub async fn squash(
    out: Output,
    modules: &[Module],
    (through, args): (&str, &SquashArgs),
    config: &Config,
) -> anyhow::Result<ExitCode> {
    let Some(module) = modules.iter().find(|module| module.name == args.module) else {
        return Ok(out.error(&error::unknown(modules, &args.module)));
    };
    let squash = squash::squash(module, through, &args.description)?;
    let folder = folder(module, args.into.as_deref());
    let paths = [folder.join(squash.name.file()), folder.join(squash.name.down_file())];
    let releases = args.scratch.releases()?;
    let mut refused = releases::left_behind(&releases, module, &squash.supersedes)?;
    if args.apply && refused.is_empty() {
        let roads = replay::roads_of((&module.name, &squash), modules, &releases)?;
        let database = Database::join(config, &Clock::system(), &Ids::random()).await?;
        let report = args.scratch.walk(&roads, &database.settings.owner).await;
        database.close().await;
        let report = report?;
        let others = report.arrivals.iter().filter(|arrival| !arrival.comparison.same());
        refused.extend(others.map(|arrival| format!("{} ends in another schema than clean", arrival.road)));
    }
    let is_written = args.apply && refused.is_empty();
    if is_written {
        for (path, text) in paths.iter().zip([&squash.text, &squash.down]) {
            std::io::Write::write_all(&mut std::fs::File::create_new(path)?, text.as_bytes())?;
        }
    }
    out.squashed(&squash, &paths, is_written, &refused);
    Ok(if refused.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(exit::FOUND) })
}

/// Where the files of a module are, or are to be.
fn folder(module: &Module, into: Option<&Path>) -> PathBuf {
    let of_module = || module.folder.clone().unwrap_or_else(|| Path::new(INTO).join(&module.name));
    into.map_or_else(of_module, |into| into.join(&module.name))
}

/// A module that is not there yet begins in the folder that is named for it; a mistyped name begins nothing.
pub fn create(out: Output, args: &CreateArgs, modules: &[Module]) -> anyhow::Result<ExitCode> {
    let known = modules.iter().find(|module| module.name == args.module);
    let folder = match (known, &args.into) {
        (Some(module), into) => folder(module, into.as_deref()),
        (None, Some(into)) => into.join(&args.module),
        (None, None) => {
            let error = error::unknown(modules, &args.module);
            eprintln!("a new module begins with --into FOLDER");
            return Ok(out.error(&error));
        }
    };
    let description = args.description.join(" ");
    let new = NewFile {
        module: &args.module,
        category: args.category,
        description: &description,
        no_transaction: args.no_transaction,
    };
    out.created(&create::create(&folder, &new)?);
    Ok(ExitCode::SUCCESS)
}
