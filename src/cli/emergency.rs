//! `emergency`: the short ways back to the last good state.

use std::{collections::BTreeSet, process::ExitCode};

use anyhow::bail;
use clap::Subcommand;
use serde_json::json;

use super::{
    backup::{self, Apply, Target},
    beside::with_database,
    exit,
};
use crate::{
    app::backups,
    config::Loaded,
    migrate::down::DownRequest,
    store::{door::ddl::Session, schema::server},
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
    /// Undo the migrations that came after the newest backup which was made before them; what was stored since then stays
    Rollback {
        #[command(flatten)]
        apply: Apply,
        /// Who approved that something is taken away, where a rollback script does
        #[arg(long)]
        approved_by: Option<String>,
    },
    /// Bring the newest backup back that was verified and found good; what was stored since then is in the folder moved aside
    Restore {
        #[command(flatten)]
        apply: Apply,
    },
}

/// Runs the subcommand.
pub async fn run(args: Args, loaded: &Loaded) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::Restore { apply } => Box::pin(backup::restore(loaded, &Target::default(), &apply, args.json)).await,
        Command::Rollback { apply, approved_by } => rollback(loaded, &apply, approved_by, args.json).await,
    }
}

async fn rollback(loaded: &Loaded, apply: &Apply, approved_by: Option<String>, json: bool) -> anyhow::Result<ExitCode> {
    let backups = backups::backups(&loaded.config)?;
    let kept = backups.place.list().await?;
    with_database(&loaded.config, async |database| {
        let session = Session::connect(&database.settings.owner).await?;
        let applied: BTreeSet<String> = server::applied(&session, &backups.schemas).await?.into_iter().collect();
        let since = |migrations: &[String]| {
            let known: BTreeSet<String> = migrations.iter().cloned().collect();
            (known.is_subset(&applied) && known != applied).then(|| applied.difference(&known).cloned().collect())
        };
        let found = kept.iter().rev().find_map(|one| Some((one.manifest.id.clone(), since(&one.manifest.migrations)?)));
        let Some((id, files)): Option<(String, Vec<String>)> = found else {
            bail!("no backup has fewer migrations than this database: there is nothing to go back to");
        };
        let runner = database.runner(&loaded.config)?;
        let mut request = DownRequest {
            module: None,
            steps: files.len(),
            approved_by: approved_by.clone(),
            by: "cli".to_owned(),
            apply: false,
        };
        let planned = runner.down(&request, &|_| {}).await?.planned;
        let of_module =
            |module: &str| runner.modules().iter().find(|one| one.name == module).map(|one| one.schema.clone());
        let names: BTreeSet<String> =
            planned.iter().filter_map(|one| Some(format!("{}/{}", of_module(&one.module)?, one.file))).collect();
        if names != files.iter().cloned().collect() {
            bail!("the files since backup {id} are not those that were applied last: undo them with `migrations down`");
        }
        if !json {
            for one in &planned {
                say!("{}/{}{}", one.module, one.file, if one.destructive { "  takes something away" } else { "" });
            }
            say!("{} files are undone, back to the schema of backup {id}; what was stored since stays", planned.len());
        }
        if !apply.is_wanted(&json!({ "backup": id, "undone": files }), json)? {
            return Ok(ExitCode::SUCCESS);
        }
        request.apply = true;
        let report = runner.down(&request, &|_| {}).await?;
        if json {
            say!("{}", json!(report));
        }
        match &report.failed {
            None => {
                if !json {
                    say!("{} files are undone: start the release that fits them", report.done.len());
                }
                Ok(ExitCode::SUCCESS)
            }
            Some(failure) => {
                eprintln!("error: {}: {}", failure.file, failure.error);
                Ok(ExitCode::from(exit::FAILED))
            }
        }
    })
    .await
}
