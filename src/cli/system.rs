//! `system`: is the whole in order? And what somebody who helps has to know.

mod bundle;

use std::{path::PathBuf, process::ExitCode};

use clap::Subcommand;
use serde_json::json;

use self::bundle::Parts;
use super::{beside::with_database, db::report};
use crate::{
    app::{self, Database},
    config::Loaded,
    migrate::checks::{self, Check},
    model::{Clock, Ids},
    store::Store,
    telemetry::Metrics,
};

#[derive(clap::Args)]
pub struct Args {
    /// Print one JSON document instead of text
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Try whether a tenant reaches another's rows, and look at schema, months, projections, archive, audit trail and backup; exit code 4
    /// when a line fails
    Validate,
    /// Write versions, configuration without secrets, migrations, checks, jobs and metrics into a zip for somebody who helps
    Bundle {
        /// The zip; it may not be there yet
        file: PathBuf,
        /// Where a running service tells its metrics; absent means where this configuration lets it listen
        #[arg(long, value_name = "URL")]
        metrics: Option<String>,
    },
}

/// Runs the subcommand over the configured database, which may serve at the same time.
pub async fn run(args: Args, loaded: &Loaded) -> anyhow::Result<ExitCode> {
    with_database(&loaded.config, async |database| {
        let lines = lines(loaded, database).await?;
        match &args.command {
            Command::Validate => Ok(report(args.json, &lines)),
            Command::Bundle { file, metrics } => {
                let config = &loaded.config;
                let scheme = if config.tls.cert_file.is_some() { "https" } else { "http" };
                let beside = || format!("{scheme}://{}/metrics", config.service.listen);
                let metrics = metrics.clone().unwrap_or_else(beside);
                let parts = Parts::gather(loaded, database, &lines, &metrics).await?;
                parts.write(file)?;
                if args.json {
                    let sizes: serde_json::Map<_, _> =
                        parts.sizes().map(|(name, bytes)| (name.to_owned(), bytes.into())).collect();
                    say!("{}", json!({ "format": 1, "kind": "bundle", "file": file, "parts": sizes }));
                } else {
                    parts.sizes().for_each(|(name, bytes)| say!("{name}  {bytes} bytes"));
                    say!("written: {}", file.display());
                }
                Ok(ExitCode::SUCCESS)
            }
        }
    })
    .await
}

async fn lines(loaded: &Loaded, database: &Database) -> anyhow::Result<Vec<Check>> {
    let (runner, clock) = (database.runner(&loaded.config)?, Clock::system());
    let mut lines = checks::gather_after(&runner, &clock).await?;
    let before = checks::gather_before(&runner, &database.host(&loaded.config), &clock).await?;
    lines.extend(before.into_iter().filter(|line| matches!(line.name, "backup" | "wraparound" | "disk-space")));
    let store = Store::open(&database.settings)?;
    let kept = kept(loaded, &store, &clock).await;
    store.close();
    lines.extend(kept?);
    Ok(lines)
}

/// What stands beside the schema.
async fn kept(loaded: &Loaded, store: &Store, clock: &Clock) -> anyhow::Result<[Check; 3]> {
    let (config, metrics) = (&loaded.config, Metrics::new()?);
    let archive = app::archive(config, store, clock, &Ids::random(), &metrics)?;
    let audit = app::audit(config, store, clock, &metrics)?;
    Ok(app::Whole::new(store, &archive, &audit, clock, &metrics).look().await?)
}
