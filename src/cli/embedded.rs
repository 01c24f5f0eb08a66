//! `embedded`: the PostgreSQL that the service starts by itself, under another major version and back.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context as _, bail};
use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{access::BY, backup::Apply};
use crate::{
    app::backups,
    backup::{BackupError, Backups, upgrade::settle},
    config::Loaded,
    embedded::{Options, physical, programs_major, upgrade},
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
    /// Bring the database to the major version of the programs that are used now; the old one is kept aside
    #[command(
        after_help = "The service is stopped meanwhile. Needs pg_dump and pg_restore (backup.programs, or by their name), and the room of \
                            the database once more. Nothing is touched before the new database is whole and equal."
    )]
    Upgrade {
        /// The old version's programs; absent: the distribution's, or those that were fetched
        #[arg(long, value_name = "FOLDER")]
        from_programs: Option<PathBuf>,
        #[command(flatten)]
        apply: Apply,
    },
    /// Go back to the database that an upgrade moved aside
    Back {
        /// The programs of the version that it goes back to; absent: the distribution's, or those that were fetched
        #[arg(long, value_name = "FOLDER")]
        from_programs: Option<PathBuf>,
        /// Also where something came since: it stays in the folder that is moved aside
        #[arg(long)]
        leave_what_came_since: bool,
        #[command(flatten)]
        apply: Apply,
    },
}

/// Runs the subcommand.
pub async fn run(args: Args, loaded: &Loaded) -> anyhow::Result<ExitCode> {
    if loaded.config.database.url.is_some() {
        bail!(
            "database.url names a server, which is not ours to upgrade: its own tools do that, pg_upgrade or a dump (docs/operations.md)"
        );
    }
    let data_dir = std::path::absolute(&loaded.config.service.data_dir)?;
    if upgrade::major_of(&data_dir)?.is_none() && data_dir.exists() {
        let _claim = physical::claim(&data_dir)?;
        upgrade::finish(&data_dir)?;
    }
    let Some(found) = upgrade::major_of(&data_dir)? else {
        bail!("{} holds no embedded database", data_dir.display());
    };
    let desk = Desk { backups: backups::backups(&loaded.config)?, data_dir, found, json: args.json };
    let embedded = desk.backups.embedded.clone();
    match args.command {
        Command::Upgrade { from_programs, apply } => {
            let old = Options { programs: from_programs.or_else(|| embedded.programs.clone()), ..embedded };
            Box::pin(desk.upgrade(&old, &apply)).await
        }
        Command::Back { from_programs, leave_what_came_since, apply } => {
            let old = Options { programs: from_programs.or_else(|| embedded.programs.clone()), ..embedded };
            Box::pin(desk.back(&old, leave_what_came_since, &apply)).await
        }
    }
}

struct Desk {
    backups: Backups,
    data_dir: PathBuf,
    /// The major version that made the database in its place.
    found: u32,
    json: bool,
}

impl Desk {
    async fn upgrade(&self, old: &Options, apply: &Apply) -> anyhow::Result<ExitCode> {
        let programs = programs_major(&self.backups.embedded).await?;
        if programs == self.found {
            bail!("the database is of PostgreSQL {programs} already, as the programs are");
        }
        if programs < self.found {
            bail!("the database is of PostgreSQL {}, and the programs are older: {programs}", self.found);
        }
        let aside = upgrade::before_of(&self.data_dir, self.found);
        if aside.exists() {
            bail!("{} is of an earlier upgrade: remove it first, or move it away", aside.display());
        }
        let plan = json!({ "from": self.found, "to": programs, "database": self.data_dir, "movedAside": aside });
        if !self.json {
            say!("{}: PostgreSQL {} becomes {programs}", self.data_dir.display(), self.found);
            say!("what is there is moved to {}", aside.display());
        }
        if !apply.is_wanted(&plan, self.json)? {
            return Ok(ExitCode::SUCCESS);
        }
        let _claim = physical::claim(&self.data_dir)?;
        self.clear().await?;
        let bar = bar()?;
        let grown = async {
            let done = self.backups.grow_upgraded(old, &|what| bar.set_message(what.to_owned())).await?;
            let new = upgrade::grown_of(&self.data_dir);
            self.backups.note_upgrade((&new, &self.backups.embedded), BY, "embedded.upgrade", &plan).await?;
            Ok::<_, BackupError>(done)
        };
        let grown = Box::pin(grown).await;
        bar.finish_and_clear();
        let done = match grown {
            Ok(done) => done,
            Err(error) => {
                // What is there was not touched; what was begun is of no use.
                self.clear().await?;
                return Err(error.into());
            }
        };
        upgrade::take_over(&self.data_dir, &aside)?;
        if self.json {
            say!("{}", json!({ "applied": true, "done": done, "movedAside": aside }));
        } else {
            say!("{} statements, {} rows of {} tables, equal in both", done.statements, done.rows, done.tables);
            say!("the old database is in {}: remove it when nobody wants the way back any more", aside.display());
            say!("backups and the log that was kept are of the old server: make a new one with `backup make`");
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn back(&self, old: &Options, leaves: bool, apply: &Apply) -> anyhow::Result<ExitCode> {
        let kept = upgrade::kept(&self.data_dir)?;
        let Some((major, before)) = kept.last() else {
            bail!("{} has no database that an upgrade moved aside", self.data_dir.display());
        };
        let after = upgrade::after_of(&self.data_dir, self.found);
        if after.exists() {
            bail!("{} is of an earlier way back: remove it first, or move it away", after.display());
        }
        let _claim = physical::claim(&self.data_dir)?;
        settle(&self.data_dir).await?;
        let bar = bar()?;
        bar.set_message("comparing");
        let came =
            self.backups.since_upgrade(before, old).await.context("what came since the upgrade cannot be told")?;
        bar.finish_and_clear();
        let plan =
            json!({ "from": self.found, "to": major, "movedBack": before, "movedAside": after, "cameSince": came });
        if !self.json {
            say!("PostgreSQL {} goes back to {major}: {}", self.found, before.display());
            say!("what is there is moved to {}", after.display());
            say!("since the upgrade: {}", came.as_deref().unwrap_or("nothing came"));
        }
        if !apply.is_wanted(&plan, self.json)? {
            return Ok(ExitCode::SUCCESS);
        }
        if came.is_some() && !leaves {
            bail!(
                "something came since the upgrade and would not be there any more: --leave-what-came-since goes back all the same"
            );
        }
        self.backups.note_upgrade((before, old), BY, "embedded.back", &plan).await?;
        upgrade::go_back(&self.data_dir, *major, &after)?;
        if self.json {
            say!("{}", json!({ "applied": true, "movedAside": after }));
        } else {
            say!("the database is of PostgreSQL {major} again");
        }
        if came.is_some() {
            eprintln!(
                "it does not know what was done to the archive and who was erased since: before it serves, \
                 `progress-service archive adopt --apply` and `progress-service erasure replay --apply`"
            );
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn clear(&self) -> anyhow::Result<()> {
        settle(&self.data_dir).await?;
        Ok(upgrade::clear(&self.data_dir)?)
    }
}

/// For work of which nobody knows how long it takes; on a terminal alone.
fn bar() -> anyhow::Result<ProgressBar> {
    let bar = ProgressBar::new_spinner().with_style(ProgressStyle::with_template("{spinner} {msg} ({elapsed})")?);
    bar.enable_steady_tick(Duration::from_millis(200));
    Ok(bar)
}
