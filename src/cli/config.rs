//! `config`: what is in force, what is wrong, what every key means, and the way from old names to new ones.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Subcommand;

use crate::config::{self, Plan};

#[derive(Subcommand)]
pub enum Command {
    /// Print every key with its value in force; secrets are hidden
    Show,
    /// Check the configuration without starting anything
    Validate,
    /// Print the documentation of all keys as Markdown
    Docs,
    /// Rewrite old keys (file) or old names (env file) to today's; without --apply only say what would change
    Migrate {
        /// The configuration file
        #[arg(long, default_value = "progress.toml")]
        file: PathBuf,
        /// An env file (`NAME=value` lines) to rewrite instead
        #[arg(long, conflicts_with = "file")]
        env_file: Option<PathBuf>,
        /// Write the new file, after a backup
        #[arg(long)]
        apply: bool,
    },
}

pub fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Docs => print!("{}", config::markdown()),
        Command::Show => print!("{}", config::show(&config::load()?)),
        Command::Validate => {
            let loaded = config::load()?;
            for warning in &loaded.warnings {
                eprintln!("warning: {warning}");
            }
            match &loaded.file {
                Some(file) => println!("valid: {} and the environment", file.display()),
                None => println!("valid: the environment (no file)"),
            }
        }
        Command::Migrate { file, env_file, apply } => {
            let (path, plan) = match env_file {
                Some(path) => (path.clone(), config::plan_env_file(&path)?),
                None => (file.clone(), config::plan_file(&file)?),
            };
            migrate(&path, plan, apply)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn migrate(path: &Path, plan: Plan, apply: bool) -> anyhow::Result<()> {
    if plan.edits.is_empty() {
        println!("{}: nothing to change", path.display());
        return Ok(());
    }
    for edit in &plan.edits {
        println!("{}: {edit}", path.display());
    }
    if !apply {
        println!("nothing written; run again with --apply");
    } else if let Some(backup) = plan.apply()? {
        println!("written; the old file is {}", backup.display());
    }
    Ok(())
}
