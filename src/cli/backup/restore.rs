//! Bringing a backup back: beside what is there, proven, told whom to forget, in an epoch of its own; only then does it take the place.

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, bail};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{Apply, moment, watched};
use crate::{
    app::{self, APPLIED_BY, Database, backups},
    archive::catch_up::CaughtUp,
    backup::{
        Backups,
        plan::{Kept, Kind, Manifest, differences, named},
    },
    cli::{access::BY, erasure},
    config::{Config, Loaded},
    embedded::{guest, physical},
    migrate::Verdict,
    model::{Clock, Ids},
    store::{
        As, Store, StoreError,
        platform::{
            audit::{self, Entry},
            installation,
        },
    },
    telemetry::Metrics,
};

#[derive(Clone, Default, clap::Args)]
pub struct Target {
    /// The id or how it begins, `latest`, or `verified`; absent: the newest that was found good, before --at
    pub id: Option<String>,
    /// As of this moment, by the log that was kept since: such as 2026-11-28T03:15:00Z
    #[arg(long, value_parser = moment)]
    pub at: Option<DateTime<Utc>>,
    /// A copy into this folder, beside the database that goes on; absent: in the place of the embedded database, which is moved aside
    #[arg(long)]
    pub to: Option<PathBuf>,
    /// The log of erasures; absent: the one in the archive's storage
    #[arg(long)]
    pub erasure_log: Option<PathBuf>,
}

pub async fn restore(loaded: &Loaded, target: &Target, apply: &Apply, json: bool) -> anyhow::Result<ExitCode> {
    let config = &loaded.config;
    let backups = backups::backups(config)?;
    let kept = backups.place.list().await?;
    let manifest = &chosen(&kept, target)?.manifest;
    backups.check_release(manifest)?;
    let place = Where::of(config, target, manifest)?;
    let plan = json!({ "backup": manifest.id, "made": manifest.ended_at, "asOf": target.at, "to": place.end,
        "movedAside": place.aside(manifest), "adopts": place.is_home, "statements": manifest.statements() });
    if !json {
        say!("backup {} of {}", manifest.id, manifest.ended_at.format("%Y-%m-%d %H:%M:%S"));
        target.at.iter().for_each(|at| say!("as of {}", at.format("%Y-%m-%d %H:%M:%S%.f")));
        say!("goes to {}", place.end.display());
        place.aside(manifest).iter().for_each(|aside| say!("what is there is moved to {}", aside.display()));
        say!(
            "{} statements; a new epoch begins{}",
            manifest.statements(),
            if place.is_home { ", and the archive becomes its own" } else { "" }
        );
    }
    if !apply.is_wanted(&plan, json)? {
        return Ok(ExitCode::SUCCESS);
    }
    Box::pin(bring_back(config, &backups, manifest, target, (&place, json))).await?;
    if json {
        say!("{}", json!({ "restored": manifest.id, "to": place.end, "movedAside": place.aside(manifest) }));
    } else {
        say!("{} is restored to {}", manifest.id, place.end.display());
        say!("its audit trail ends where the backup did: `progress-service audit verify --ended {}`", manifest.epoch);
    }
    Ok(ExitCode::SUCCESS)
}

fn chosen<'k>(kept: &'k [Kept], target: &Target) -> anyhow::Result<&'k Kept> {
    if let Some(id) = &target.id {
        let one = named(kept, id).map_err(anyhow::Error::msg)?;
        if target.at.is_some_and(|at| at < one.manifest.ended_at) {
            bail!("backup {} ended at {}, which is later than --at", one.manifest.id, one.manifest.ended_at);
        }
        return Ok(one);
    }
    let is_before =
        |one: &&Kept| target.at.is_none_or(|at| one.manifest.ended_at <= at) && one.manifest.kind != Kind::Dump;
    let before: Vec<Kept> = kept.iter().filter(is_before).cloned().collect();
    let id = named(&before, "verified").map_err(anyhow::Error::msg)?.manifest.id.clone();
    named(kept, &id).map_err(anyhow::Error::msg)
}

/// The folders of a restore.
struct Where {
    /// In which the copy grows; no server may run on it.
    folder: PathBuf,
    growing: PathBuf,
    /// What the copy becomes.
    end: PathBuf,
    /// Whether it takes the place of this configuration's own database.
    is_home: bool,
}

impl Where {
    fn of(config: &Config, target: &Target, manifest: &Manifest) -> anyhow::Result<Self> {
        let is_home = target.to.is_none();
        let folder = match &target.to {
            Some(to) => to.clone(),
            None if manifest.kind != Kind::Embedded || config.database.url.is_some() => bail!(
                "a {} is restored into a folder with --to: its server is not ours to start ({})",
                manifest.kind.name(),
                "docs/backups.md says how it goes on"
            ),
            None => config.service.data_dir.clone(),
        };
        if manifest.kind == Kind::Dump {
            bail!("a dump is read into an empty database with pg_restore: docs/backups.md has the line");
        }
        let folder = std::path::absolute(folder)?;
        let end = match manifest.kind {
            Kind::Embedded => backups::home(&folder),
            _ => folder.join("cluster"),
        };
        if !is_home && end.exists() {
            bail!("{} is there already: a copy goes where nothing is", end.display());
        }
        Ok(Self { growing: physical::growing_of(&folder), folder, end, is_home })
    }

    /// Where what is there goes.
    fn aside(&self, manifest: &Manifest) -> Option<PathBuf> {
        self.end.exists().then(|| self.folder.join(format!("postgres.before-{}", manifest.id)))
    }
}

async fn bring_back(
    config: &Config,
    backups: &Backups,
    manifest: &Manifest,
    target: &Target,
    (place, json): (&Where, bool),
) -> anyhow::Result<()> {
    if !place.folder.exists() {
        fs::create_dir_all(&place.folder)?;
        fs::set_permissions(&place.folder, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    }
    let _claim = physical::claim(&place.folder)?;
    guest::settle(&place.growing.join("cluster")).await?;
    if place.growing.exists() {
        fs::remove_dir_all(&place.growing).with_context(|| format!("{} is in the way", place.growing.display()))?;
    }
    let grown = Box::pin(grow(config, backups, manifest, target, (place, json))).await;
    if let Err(error) = grown {
        // What is there was not touched; what was begun is of no use.
        let _ = fs::remove_dir_all(&place.growing);
        return Err(error);
    }
    let (aside, grown) = (
        place.aside(manifest),
        match manifest.kind {
            Kind::Embedded => place.growing.clone(),
            _ => place.growing.join("cluster"),
        },
    );
    if let Some(aside) = aside {
        fs::rename(&place.end, &aside).with_context(|| format!("{} cannot be moved aside", place.end.display()))?;
    }
    fs::rename(&grown, &place.end).with_context(|| format!("{} cannot take its place", grown.display()))?;
    if place.growing.exists() {
        fs::remove_dir(&place.growing)?;
    }
    fs::File::open(&place.folder)?.sync_all()?;
    Ok(())
}

/// Makes a database at rest of a backup, fit to serve.
async fn grow(
    config: &Config,
    backups: &Backups,
    manifest: &Manifest,
    target: &Target,
    (place, json): (&Where, bool),
) -> anyhow::Result<()> {
    fs::create_dir_all(&place.growing)?;
    fs::set_permissions(&place.growing, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let recovered =
        watched(backups, "restoring", Box::pin(backups.recover(manifest, &place.growing, target.at))).await??;
    let readied = Box::pin(async {
        if target.at.is_none() {
            let found = backups.figures(&recovered.logins, manifest.bound).await?;
            let faults = differences(&manifest.before, &manifest.after, &found);
            if !faults.is_empty() {
                bail!("the backup did not come back as it was made: {}", faults.join("; "));
            }
        }
        let copy = Database::over_a_copy(recovered.logins.clone());
        Box::pin(ready(config, &copy, manifest, target, (place.is_home, json))).await
    });
    let readied = readied.await;
    recovered.stop().await?;
    readied
}

/// What a restored database needs before anybody sees it: its schema, its epoch, and whom it has to forget.
async fn ready(
    config: &Config,
    database: &Database,
    manifest: &Manifest,
    target: &Target,
    (is_home, json): (bool, bool),
) -> anyhow::Result<()> {
    match database.runner(config)?.startup(APPLIED_BY, &|_| {}).await? {
        Verdict::Ready { .. } => {}
        Verdict::Maintenance { pending, .. } => bail!(
            "the backup is of release {}, and migrations wait for a person ({}): restore it with that release",
            manifest.release,
            pending.join(", ")
        ),
        Verdict::Refuse { why } => bail!("the backup does not fit this binary: {}", why.join("; ")),
    }
    let store = Store::open(&database.settings)?;
    let archive = app::archive(config, &store, &Clock::system(), &Ids::random(), &Metrics::new()?)?;
    let caught_up = if is_home {
        // An epoch begins also where nobody else has spoken meanwhile: what the original still does in the archive must be refused.
        archive.adopt(true, BY).await?.caught_up
    } else {
        store.run_once("begin_epoch", As::Worker, |tx| Box::pin(installation::begin_epoch(tx))).await?;
        archive.catch_up().await?
    };
    say_caught_up(&caught_up, json);
    note(&store, manifest, target).await?;
    Box::pin(erasure::forget_again(config, database, target.erasure_log.as_deref(), json)).await
}

fn say_caught_up(caught_up: &CaughtUp, json: bool) {
    let CaughtUp { replaced, gone, found, lost } = caught_up;
    if json || caught_up.is_nothing() {
        return;
    }
    say!("archived months since the backup: {replaced} written anew, {gone} with nothing left, {found} written down");
    if !lost.is_empty() {
        say!(
            "not in the archive any more, and nobody said that they may go (`progress-service archive verify`): {}",
            lost.join(", ")
        );
    }
}

async fn note(store: &Store, manifest: &Manifest, target: &Target) -> Result<(), StoreError> {
    let detail: Value = json!({ "made": manifest.ended_at, "asOf": target.at, "release": manifest.release });
    let detail = &detail;
    let noted = store.run_once("note_restore", As::Worker, |tx| {
        Box::pin(async move {
            let (subject, detail) = (manifest.id.clone(), detail.clone());
            let entry = Entry { tenant: None, actor: BY, action: "backup.restore", subject, detail };
            audit::append(tx, &entry).await
        })
    });
    noted.await.map(drop)
}
