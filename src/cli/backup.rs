//! `backup`: make, list, verify, restore, prune.

mod restore;
mod show;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use chrono::{DateTime, Utc};
use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

pub(super) use self::restore::{Target, restore};
use super::{beside::with_database, exit};
use crate::{
    app::backups::{self, Keeper},
    backup::{
        Backups, Order,
        plan::{Kind, Manifest, named, superfluous},
    },
    config::Loaded,
    model::plan::{digest, must_be_the_one},
    store::{Store, door::ddl::Session, schema::server},
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
    /// Make a backup of the whole database, whatever works beside
    #[command(after_help = "Example: progress-service backup make --verify")]
    Make {
        /// As pg_dump writes it, for another server or another version of PostgreSQL
        #[arg(long)]
        portable: bool,
        /// Only this schema: ledger, platform or progress
        #[arg(long, requires = "portable")]
        schema: Option<String>,
        /// Verify it afterwards
        #[arg(long)]
        verify: bool,
    },
    /// Print the backups there are; exit code 4 when none was verified and found good
    List,
    /// Bring a backup back to a server of its own, read all of it and compare; exit code 4 when it is not good
    Verify {
        /// The id or how it begins, or `latest`
        #[arg(default_value = "latest")]
        id: String,
    },
    /// Bring a backup back; the database that is there is moved aside
    Restore {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        apply: Apply,
    },
    /// Remove what is older than backup.keep_for and not among the backup.keep newest, with the log that nobody needs any more
    Prune {
        #[command(flatten)]
        apply: Apply,
    },
    /// Keep a file of a configured server's log: for its archive_command
    #[command(after_help = "In postgresql.conf: archive_command = 'progress-service backup keep-log %p'")]
    KeepLog { file: PathBuf },
}

#[derive(Clone, clap::Args)]
pub(super) struct Apply {
    /// Do it; without this only the plan is printed
    #[arg(long)]
    pub apply: bool,
    /// Only if the plan still has this digest
    #[arg(long, requires = "apply")]
    pub plan: Option<String>,
}

impl Apply {
    /// Prints the plan's digest; whether it is to be carried out.
    pub fn is_wanted(&self, plan: &serde_json::Value, json: bool) -> anyhow::Result<bool> {
        let digest = digest(plan);
        match (self.apply, json) {
            (true, _) => must_be_the_one(self.plan.as_deref(), &digest).map_err(anyhow::Error::msg)?,
            (false, true) => say!("{}", json!({ "plan": plan, "digest": digest, "applied": false })),
            (false, false) => say!("plan {digest}\nnothing was done; --apply does it"),
        }
        Ok(self.apply)
    }
}

/// Runs the subcommand.
pub async fn run(args: Args, loaded: &Loaded) -> anyhow::Result<ExitCode> {
    let json = args.json;
    let backups = || backups::backups(&loaded.config);
    match args.command {
        Command::Make { portable, schema, verify } => Box::pin(make(loaded, (portable, schema), verify, json)).await,
        Command::List => show::list(&backups()?, json).await,
        Command::Verify { id } => {
            let backups = backups()?;
            let kept = backups.place.list().await?;
            let one = named(&kept, &id).map_err(anyhow::Error::msg)?;
            verify(&backups, &one.manifest, json).await
        }
        Command::Restore { target, apply } => Box::pin(restore(loaded, &target, &apply, json)).await,
        Command::Prune { apply } => prune(&backups()?, loaded, &apply, json).await,
        Command::KeepLog { file } => {
            let backups = backups()?;
            let system = with_database(&loaded.config, async |database| {
                let session = Session::connect(&database.settings.owner).await?;
                Ok(server::facts(&session).await?.system)
            });
            backups.keep_log(&system.await?, &file).await?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn make(
    loaded: &Loaded,
    (portable, schema): (bool, Option<String>),
    then_verify: bool,
    json: bool,
) -> anyhow::Result<ExitCode> {
    with_database(&loaded.config, async |database| {
        let keeper = Keeper::new(&loaded.config, database)?;
        if loaded.config.backup.url.is_none() {
            eprintln!("warning: backup.url is not set: the backup lies on the disk of the database");
        }
        let store = Store::open(&database.settings)?;
        let kind = if portable { Kind::Dump } else { keeper.kind() };
        let order = Order { kind, schema: schema.clone(), reason: "by hand".to_owned() };
        let manifest = watched(&keeper.backups, "copying", Box::pin(keeper.make(&store, &order))).await??;
        show::manifest(&manifest, json);
        if then_verify {
            return verify(&keeper.backups, &manifest, json).await;
        }
        Ok(ExitCode::SUCCESS)
    })
    .await
}

async fn verify(backups: &Backups, manifest: &Manifest, json: bool) -> anyhow::Result<ExitCode> {
    let verified = watched(backups, "reading back", Box::pin(backups.verify(manifest))).await??;
    show::verified(&manifest.id, &verified, json);
    Ok(if verified.is_good() { ExitCode::SUCCESS } else { ExitCode::from(exit::FOUND) })
}

async fn prune(backups: &Backups, loaded: &Loaded, apply: &Apply, json: bool) -> anyhow::Result<ExitCode> {
    let (keys, now) = (&loaded.config.backup, backups.clock.now());
    let kept = backups.place.list().await?;
    let mut gone: Vec<String> =
        superfluous(&kept, keys.keep, keys.keep_for, now).iter().map(|one| one.manifest.id.clone()).collect();
    gone.extend(backups.place.leftovers(now).await?);
    let log = backups.prune_log(false).await?;
    if !json {
        gone.iter().for_each(|id| say!("{id}"));
        say!(
            "{} backups and {log} files of the log may go; {} backups stay",
            gone.len(),
            kept.len().saturating_sub(gone.len())
        );
    }
    let plan = json!({ "backups": gone, "log": log });
    if !apply.is_wanted(&plan, json)? {
        return Ok(ExitCode::SUCCESS);
    }
    for id in &gone {
        backups.place.remove(id).await?;
    }
    let log = backups.prune_log(true).await?;
    if json {
        say!("{}", json!({ "removed": gone, "log": log, "applied": true }));
    } else {
        say!("{} backups and {log} files of the log are gone", gone.len());
    }
    Ok(ExitCode::SUCCESS)
}

/// Shows how much went by while `work` is under way, on a terminal.
pub(super) async fn watched<T>(
    backups: &Backups,
    what: &'static str,
    work: impl Future<Output = T>,
) -> anyhow::Result<T> {
    let bar = ProgressBar::new_spinner().with_style(ProgressStyle::with_template("{spinner} {msg} ({elapsed})")?);
    let mut tick = tokio::time::interval(Duration::from_millis(250));
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => {
                bar.finish_and_clear();
                return Ok(done);
            }
            _ = tick.tick() => bar.set_message(format!("{what}: {}", indicatif::BinaryBytes(backups.place.moved()))),
        }
    }
}

/// A moment as a person writes it.
pub(super) fn moment(text: &str) -> Result<DateTime<Utc>, String> {
    let plain = || chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").map(|at| at.and_utc());
    let read = DateTime::parse_from_rfc3339(text).map(|at| at.to_utc()).or_else(|_| plain());
    read.map_err(|_| "expected a moment such as 2026-11-28T03:15:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_people_write_them() {
        assert_eq!(moment("2026-11-28T03:15:00Z"), moment("2026-11-28 03:15:00"));
        assert_eq!(moment("2026-11-28T04:15:00+01:00"), moment("2026-11-28 03:15:00"));
        assert!(moment("yesterday").unwrap_err().contains("expected a moment"));
    }
}
