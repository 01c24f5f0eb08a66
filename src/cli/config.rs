//! `config`: what is in force, what is wrong, what every key means, and the way from old names to new ones.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::Subcommand;

use super::print;
use crate::{
    bus::connection,
    config::{self, Config, Plan},
    objects::Objects,
    store::{Endpoint, door::pooler},
};

const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Subcommand)]
pub enum Command {
    /// Print every key with its value in force; secrets are hidden
    Show,
    /// Check the configuration without starting anything
    Validate {
        /// Also reach the database, the archive and the brokers it names; exit code 7 when one is not there
        #[arg(long)]
        connect: bool,
    },
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
        Command::Docs => print::text(&config::markdown()),
        Command::Show => print::text(&config::show(&config::load()?)),
        Command::Validate { connect } => {
            let loaded = config::load()?;
            for warning in &loaded.warnings {
                eprintln!("warning: {warning}");
            }
            match &loaded.file {
                Some(file) => say!("valid: {} and the environment", file.display()),
                None => say!("valid: the environment (no file)"),
            }
            if connect && !super::runtime()?.block_on(reach(&loaded.config)) {
                return Ok(ExitCode::from(super::exit::UNREACHABLE));
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

/// Knocks at every door the configuration names and prints one line for each; whether all answered.
async fn reach(config: &Config) -> bool {
    let database = match &config.database.url {
        Some(url) => {
            let endpoint = Endpoint { url: url.clone(), ca_file: config.database.ca_file.clone() };
            let answer = pooler::own_sessions([&endpoint]).await;
            Some(answer.map(|()| "answers".to_owned()).map_err(|e| e.to_string()))
        }
        None => None,
    };
    let archive = match Objects::open(&config.archive, &config.service.data_dir) {
        Ok(objects) => objects.ping().await,
        Err(error) => Err(error),
    };
    let brokers = if config.kafka.brokers.is_empty() {
        None
    } else {
        let answer = connection::ping(&config.kafka, PATIENCE).await;
        Some(answer.map(|count| format!("{count} answer")).map_err(|e| e.to_string()))
    };
    let doors = [
        ("database", database, "none configured: the service starts its own"),
        ("archive", Some(archive.map(|()| "answers".to_owned()).map_err(|e| e.to_string())), ""),
        ("brokers", brokers, "none configured: events wait in the ledger"),
    ];
    let mut all = true;
    for (name, answer, absent) in doors {
        match answer {
            None => say!("{name}: {absent}"),
            Some(Ok(word)) => say!("{name}: {word}"),
            Some(Err(why)) => {
                say!("{name}: FAILED: {why}");
                all = false;
            }
        }
    }
    all
}

fn migrate(path: &Path, plan: Plan, apply: bool) -> anyhow::Result<()> {
    if plan.edits.is_empty() {
        say!("{}: nothing to change", path.display());
        return Ok(());
    }
    for edit in &plan.edits {
        say!("{}: {edit}", path.display());
    }
    if !apply {
        say!("nothing written; run again with --apply");
    } else if let Some(backup) = plan.apply()? {
        say!("written; the old file is {}", backup.display());
    }
    Ok(())
}
