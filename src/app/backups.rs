//! Backups as the configuration has them: by hand, by the schedule, and before a release's migrations.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context as _;

use super::{Database, settings};
use crate::{
    archive::Archive,
    backup::{
        BackupError, Backups, Key, Live, Order, Place, Tools,
        plan::{Due, Kind, Manifest, due, is_overdue, last_good, superfluous},
    },
    config::{self, Config},
    embedded::physical,
    migrate::modules,
    model::{Clock, Ids, Secret},
    objects::Objects,
    store::{Endpoint, Store, StoreSettings},
    telemetry::Metrics,
    worker::{Loop, Step},
};

/// How often it is looked what is due, and how long a round that failed waits.
const LOOK: Duration = Duration::from_secs(300);
const AFTER_FAILURE: Duration = Duration::from_secs(1800);

/// Where backups lie, as the configuration says.
pub fn place(config: &Config) -> anyhow::Result<Place> {
    let (keys, data_dir) = (&config.backup, std::path::absolute(&config.service.data_dir)?);
    let url = keys.url.clone().unwrap_or_else(|| format!("file://{}", data_dir.join("backups").display()));
    let objects = Objects::open(&config::Archive { url: Some(url), ..config.archive.clone() }, &data_dir);
    let key = keys.key_file.as_deref().map(Key::of_file).transpose()?;
    Ok(Place::new(objects.context("backup.url")?, key))
}

/// What backups are made with, as the configuration says.
pub fn backups(config: &Config) -> anyhow::Result<Backups> {
    let (keys, data_dir) = (&config.backup, std::path::absolute(&config.service.data_dir)?);
    let modules = modules::all(&config.migrations.plugin_dir.0)?;
    let known = modules.iter().flat_map(|module| {
        module.files.iter().map(|file| format!("{}/{}", module.schema, file.file())).collect::<Vec<_>>()
    });
    let nobody = Endpoint { url: Secret::new(""), ca_file: None };
    Ok(Backups {
        place: place(config)?,
        tools: Tools(keys.programs.clone()),
        embedded: settings::embedded(config),
        scratch: data_dir.join("scratch"),
        archive: Objects::open(&config.archive, &data_dir)?,
        doors: settings::store(config, nobody.clone(), nobody),
        schemas: modules.iter().map(|module| module.schema.clone()).collect(),
        known: known.collect(),
        clock: Clock::system(),
        ids: Ids::random(),
    })
}

/// Makes backups of one database.
pub struct Keeper {
    pub backups: Backups,
    logins: StoreSettings,
    is_local: bool,
    keys: config::Backup,
    ca_file: Option<std::path::PathBuf>,
    /// Touched when a backup of the whole is made: the checks before a migration look at it.
    marker: Option<std::path::PathBuf>,
    metrics: Metrics,
    failed: Mutex<Option<Instant>>,
}

impl Keeper {
    pub fn new(config: &Config, database: &Database) -> anyhow::Result<Self> {
        Ok(Self {
            backups: backups(config)?,
            logins: database.settings.clone(),
            is_local: database.is_local(),
            keys: config.backup.clone(),
            ca_file: config.database.ca_file.clone(),
            marker: database.backup_marker(config),
            metrics: Metrics::new()?,
            failed: Mutex::default(),
        })
    }

    /// How the whole of this database is copied.
    pub fn kind(&self) -> Kind {
        if self.is_local { Kind::Embedded } else { Kind::Cluster }
    }

    pub async fn make(&self, store: &Store, order: &Order) -> Result<Manifest, BackupError> {
        let copier = self.copier(order.kind).await?;
        let made = self.backups.make(&Live { store, logins: &self.logins, copier }, order).await?;
        // A new word in the archive, which the copy does not know: whoever starts it is told from the original.
        let Backups { archive, clock, ids, .. } = &self.backups;
        if let Err(error) = Archive::new(store, archive, clock, ids, &self.metrics).claim().await {
            tracing::warn!(%error, "a copy made of this backup cannot be told from the original by the archive");
        }
        if let Some(marker) = self.marker.as_ref().filter(|_| order.schema.is_none()) {
            let written = std::fs::write(marker, format!("{}\n", made.id));
            written.map_err(|source| BackupError::Io { doing: "write", path: marker.clone(), source })?;
        }
        Ok(made)
    }

    async fn copier(&self, kind: Kind) -> Result<Endpoint, BackupError> {
        let url = match (self.is_local, &self.keys.database_url) {
            (true, _) => physical::superuser_url(&self.backups.embedded.data_dir).await?,
            (false, url) => url.clone(),
        };
        match url {
            Some(url) => Ok(Endpoint { url, ca_file: self.ca_file.clone() }),
            None if self.is_local => Err(BackupError::Refused("the embedded server does not answer".to_owned())),
            None => Err(BackupError::Refused(format!(
                "backup.database_url is not set: a {} is made by a login with REPLICATION, BYPASSRLS and pg_read_all_data",
                kind.name()
            ))),
        }
    }

    /// Does what is due by the schedule, and tells the metrics how it stands.
    async fn keep_schedule(&self, store: &Store, metrics: &Metrics, every: Duration) -> Result<(), BackupError> {
        let kept = self.backups.place.list().await?;
        let rests =
            self.failed.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|at| at.elapsed() < AFTER_FAILURE);
        let now = self.backups.clock.now();
        let done = match due(&kept, every, now) {
            Due::Nothing => Ok(()),
            _ if rests => Ok(()),
            Due::Make => {
                let order = Order { kind: self.kind(), schema: None, reason: "by the schedule".to_owned() };
                match self.make(store, &order).await {
                    Ok(manifest) => self.prove(&manifest).await,
                    Err(error) => Err(error),
                }
            }
            Due::Verify => match kept.iter().rfind(|one| one.manifest.schema.is_none()) {
                Some(newest) => self.prove(&newest.manifest).await,
                None => Ok(()),
            },
        };
        if done.is_err() {
            *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
            metrics.backup.failures.inc();
        }
        let kept = self.backups.place.list().await?;
        let is_late = is_overdue(&kept, every, self.backups.clock.now());
        let seconds = |at: Option<chrono::DateTime<chrono::Utc>>| at.map(|at| at.timestamp());
        metrics.backup.seen(seconds(kept.last().map(|one| one.manifest.ended_at)), seconds(last_good(&kept)), is_late);
        if is_late {
            tracing::error!("no backup of the last two rounds was verified and found good");
        }
        done?;
        for one in superfluous(&kept, self.keys.keep, self.keys.keep_for, now) {
            self.backups.place.remove(&one.manifest.id).await?;
        }
        self.backups.prune_log(true).await.map(drop)
    }

    async fn prove(&self, manifest: &Manifest) -> Result<(), BackupError> {
        let verified = self.backups.verify(manifest).await?;
        if verified.is_good() {
            tracing::info!(id = manifest.id, bytes = manifest.bytes(), "a backup was made and found good");
            return Ok(());
        }
        Err(BackupError::Damaged { what: format!("backup {}", manifest.id), rule: verified.faults.join("; ") })
    }

    /// Keeps the files of the embedded server's log that wait; answers how many.
    async fn keep_log(&self, system: &str) -> Result<u64, BackupError> {
        let mut kept = 0;
        for file in physical::waiting_log(&self.backups.embedded.data_dir)? {
            self.backups.keep_log(system, &file).await?;
            std::fs::remove_file(&file).map_err(|source| BackupError::Io {
                doing: "remove",
                path: file.clone(),
                source,
            })?;
            kept += 1;
        }
        Ok(kept)
    }

    async fn system(&self) -> Result<String, BackupError> {
        let session = crate::store::door::ddl::Session::connect(&self.logins.owner).await?;
        Ok(crate::store::schema::server::facts(&session).await?.system)
    }
}

/// The keeper that the service needs; `None` where it makes no backups by itself.
pub fn keeper(config: &Config, database: &Database) -> anyhow::Result<Option<Arc<Keeper>>> {
    let keys = &config.backup;
    let is_wanted = keys.every.is_some() || (keys.log && database.is_local());
    if is_wanted { Keeper::new(config, database).map(|keeper| Some(Arc::new(keeper))) } else { Ok(None) }
}

/// The loops of backups.
pub fn loops(keeper: &Arc<Keeper>, store: &Store, metrics: &Metrics) -> Vec<Loop> {
    let mut loops = Vec::new();
    if let Some(every) = keeper.keys.every {
        let (keeper, store, metrics) = (Arc::clone(keeper), store.clone(), metrics.clone());
        loops.push(Loop::new("backups", LOOK.min(every), move |_| {
            let (keeper, store, metrics) = (Arc::clone(&keeper), store.clone(), metrics.clone());
            async move {
                keeper.keep_schedule(&store, &metrics, every).await?;
                Ok(Step::Idle)
            }
        }));
    }
    if keeper.keys.log && keeper.is_local {
        let (keeper, metrics) = (Arc::clone(keeper), metrics.clone());
        loops.push(Loop::new("backup-log", Duration::from_secs(5), move |_| {
            let (keeper, metrics) = (Arc::clone(&keeper), metrics.clone());
            async move {
                let system = keeper.system().await?;
                metrics.backup.log.inc_by(keeper.keep_log(&system).await?);
                Ok(Step::Idle)
            }
        }));
    }
    loops
}

/// Keeps what is there before a release's migrations change it: of an embedded database by itself. Another server's backups are in
/// its operator's hands.
#[derive(Clone)]
pub struct BeforeRelease {
    config: Config,
    logins: StoreSettings,
    is_local: bool,
}

impl BeforeRelease {
    pub fn new(config: &Config, database: &Database) -> Self {
        Self { config: config.clone(), logins: database.settings.clone(), is_local: database.is_local() }
    }

    /// What makes backups of this database by hand.
    pub(super) fn keeper(&self) -> anyhow::Result<Keeper> {
        Keeper::new(&self.config, &Database::beside(self.logins.clone(), self.is_local))
    }

    /// Makes a backup; `None` where none is made by itself.
    pub async fn make(&self, store: &Store) -> anyhow::Result<Option<Manifest>> {
        if !self.is_local {
            return Ok(None);
        }
        let keeper = self.keeper()?;
        let order = Order { kind: Kind::Embedded, schema: None, reason: "before migrations".to_owned() };
        let manifest = keeper.make(store, &order).await.context("the backup before the migrations failed")?;
        tracing::info!(id = manifest.id, "a backup was made before the migrations");
        Ok(Some(manifest))
    }
}

/// Where the embedded server of a data folder lies.
pub fn home(data_dir: &Path) -> std::path::PathBuf {
    physical::home_of(data_dir)
}
